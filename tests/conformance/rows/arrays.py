"""Ops that reshape, make, pick and place."""

import numpy as np
from cases import case, flags, whole, x

# Shapes -----------------------------------------------------------------------------------------------------------

case("reshape", x(2, 6), (-1, 3, 2), ref=np.reshape)
case("reshape", x(2, 6), (2, 3, 2), ref=np.reshape, batch=())
case("ravel", x(2, 3), ref=np.ravel)
case("transpose", x(2, 3, 4), ref=np.transpose)
case("transpose", x(2, 3, 4), (0, 2, 1), ref=np.transpose)
case("moveaxis", x(2, 3, 4), 1, -1, ref=np.moveaxis)
CELLS = np.arange(48.0).reshape(2, 4, 6, 1)
case("rearrange", CELLS, "b h w c -> b c h w", ref=lambda x, _: x.transpose(0, 3, 1, 2))
case("rearrange", CELLS, "b h w c -> (b h) w c", ref=lambda x, _: x.reshape(-1, 6, 1))
case("rearrange", CELLS, "b ... c -> b c ...", ref=lambda x, _: x.transpose(0, 3, 1, 2))
case(
    "rearrange",
    CELLS,
    "b (h s) (w t) c -> b h w (s t c)",
    s=2,
    t=3,
    ref=lambda x, _, s, t: x.reshape(-1, 2, 2, 2, 3, 1).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 2, 2, 6),
)
case("rearrange", CELLS, "b h w 1 -> w b 1 h", ref=lambda x, _: x[..., 0].transpose(2, 0, 1)[:, :, None])
case("swapaxes", x(2, 3, 4), 0, 2, ref=np.swapaxes)
case("expand_dims", x(2, 3), 1, ref=np.expand_dims)
case("expand_dims", x(2, 3), (0, 3), ref=np.expand_dims)
case("squeeze", x(2, 1, 3, 1), ref=np.squeeze)
case("squeeze", x(2, 1, 3, 1), axis=1, ref=np.squeeze)
case("broadcast_to", x(1, 3), (4, 2, 3), ref=np.broadcast_to, batch=())
case("concatenate", [x(2, 3), x(2, 4)], axis=1, ref=np.concatenate)
case("concatenate", [x(2, 3), whole(2, 3)], axis=0, ref=np.concatenate)
case("stack", [x(2, 3), x(2, 3)], axis=1, ref=np.stack)
case("hstack", [x(2, 3), x(2, 1)], ref=np.hstack)
case("vstack", [x(2, 3), x(4, 3)], ref=np.vstack)
case("dstack", [x(2, 3), x(2, 3)], ref=np.dstack)
case("append", x(2, 3), x(2, 3), axis=1, ref=np.append)
case("append", x(2, 3), x(4), ref=np.append)
case("split", x(2, 6), 3, axis=1, ref=np.split)
case("split", x(2, 6), [1, 4], axis=1, ref=np.split)
case("array_split", x(2, 7), 3, axis=1, ref=np.array_split)
case("hsplit", x(2, 6), 2, ref=np.hsplit)
case("vsplit", x(4, 3), 2, ref=np.vsplit)
case("dsplit", x(2, 3, 4), 2, ref=np.dsplit)
case("unstack", x(2, 3), axis=1, ref=lambda x, axis: list(x.T))
case("flip", x(2, 3), ref=np.flip)
case("flip", x(2, 3), axis=1, ref=np.flip)
case("fliplr", x(2, 3), ref=np.fliplr)
case("flipud", x(2, 3), ref=np.flipud)
case("roll", x(2, 5), 2, axis=1, ref=np.roll)
case("roll", x(2, 5), 3, ref=np.roll)
case("rot90", x(2, 3, 4), 1, (1, 2), ref=np.rot90)
case("repeat", x(2, 3), 2, axis=1, ref=np.repeat)
case("repeat", x(2, 3), [1, 0, 2], axis=1, ref=np.repeat)
case("repeat", x(2, 3), 2, ref=np.repeat)
case("tile", x(2, 3), (1, 2), ref=np.tile)
case("tile", x(2, 3), 2, ref=np.tile)
case("pad", x(2, 3), ((0, 0), (1, 2)), ref=np.pad)
case("pad", x(2, 3), 1, constant_values=5.0, ref=np.pad)
for mode in ("edge", "reflect", "symmetric", "wrap"):
    case("pad", x(3, 4), ((0, 0), (2, 1)), mode=mode, ref=np.pad)
case("diag", x(3), ref=np.diag)
case("diag", x(3, 4), k=1, ref=np.diag)
case("diagflat", x(2, 2), ref=np.diagflat)
case("diagonal", x(2, 3, 4), axis1=1, axis2=2, ref=np.diagonal)
case("tril", x(2, 3, 4), ref=np.tril)
case("triu", x(2, 3, 4), k=1, ref=np.triu)
case("meshgrid", x(2), x(3), ref=np.meshgrid)
case("meshgrid", x(2), x(3), indexing="ij", ref=np.meshgrid)
case("size", x(2, 3), ref=np.size)
case("view", x(2, 3), "int32", ref=lambda x, _: x.astype("float32").view("int32"))

# Making -----------------------------------------------------------------------------------------------------------

case("full", (2, 3), 1.5, ref=np.full)
case("full", (2, 3), x(3), ref=np.full, batch=(), grad=False)  # float32 comes out, also in the slope's reference
case("zeros_like", x(2, 3), ref=np.zeros_like)
case("ones_like", whole(2, 3), ref=np.ones_like)
case("empty_like", x(2, 3), ref=np.zeros_like)
case("full_like", x(2, 3), 7.0, ref=np.full_like, grad=False)
case("linspace", x(2), x(2), num=5, ref=np.linspace)
case("linspace", 0.0, 1.0, num=4, endpoint=False, ref=np.linspace)
case("logspace", 0.0, 2.0, num=3, ref=np.logspace)
case("geomspace", 1.0, 1000.0, num=4, ref=np.geomspace)
case("vander", x(3), N=4, ref=np.vander)

# Picking and placing ----------------------------------------------------------------------------------------------

case("get_item", x(4, 3), (slice(1, 3), None, -1), ref=lambda x, key: x[key], batch=())
case("get_item", x(4, 3), (Ellipsis, 0), ref=lambda x, key: x[key])
case("take", x(4, 3), np.array([0, 2, -1]), axis=1, ref=np.take, batch=(0,))
case("take", x(5, 3), np.array([[0, 2], [1, 4]]), axis=0, ref=np.take, batch=(1,))
case("take", x(4, 3), np.array([5, 0]), ref=np.take, batch=(1,))
case("take_along_axis", x(2, 3), np.array([[0, 2], [1, 1]]), axis=1, ref=np.take_along_axis)
case("where", flags(2, 3), x(2, 3), 0.0, ref=np.where)
case("where", whole(2, 3, high=2), whole(2, 3), x(3), ref=np.where)
case("where", flags(2, 3), ref=np.where, static=True)
case("nonzero", whole(2, 3, high=2), ref=np.nonzero, static=True)
case("select", [flags(2, 3), flags(2, 3)], [x(2, 3), x(2, 3)], 5.0, ref=np.select, static=True)
case("slice", x(4, 5), (1, 2), (2, 3), ref=lambda x, *_: x[1:3, 2:5], batch=())
case("slice", x(4, 5), np.array([1, 2]), (2, 3), ref=lambda x, *_: x[1:3, 2:5], batch=())
case("slice_update", np.zeros((4, 5)), (1, 2), x(2, 3), ref=lambda x, _, u: np.pad(u, ((1, 1), (2, 0))), batch=())
case(
    "scatter",
    np.array([[0], [2], [2]]),
    x(3, 2),
    (4, 2),
    ref=lambda i, v, s: np.stack([v[0], 0 * v[0], v[1] + v[2], 0 * v[0]]),
)
for reduction in (None, "add", "max", "min", "mul"):
    case(
        "scatter_update",
        x(4, 2),
        np.array([[0, 1], [3, 0]]),
        x(2),
        reduction=reduction,
        batch=(),
        grad=reduction != "mul",
    )
case(
    "scatter_update",
    np.zeros(3),
    np.array([[2], [0]]),
    np.array([5.0, 7.0]),
    ref=lambda *_: np.array([7.0, 0, 5]),
    batch=(),
)
case("one_hot", whole(2, 3, high=4), 4, ref=lambda i, n: np.eye(n)[i])
case("one_hot", np.array([0, 3, -1, 9]), 4, ref=lambda i, n: np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0] * 4, [0] * 4]))
case("one_hot", whole(2, 3, high=4), 4, axis=1, ref=lambda i, n, axis: np.moveaxis(np.eye(n)[i], -1, 1))
case("multi_hot", np.array([[0, 2], [1, 1]]), 4, ref=lambda i, n: np.array([[1, 0, 1, 0], [0, 1, 0, 0]]))
case("sort", x(2, 5), ref=np.sort)
case("sort", x(2, 5), axis=0, ref=np.sort)
case("argsort", x(2, 5), ref=np.argsort)
case("argsort", np.array([[1, 0, 1, 0]]), ref=lambda x: np.argsort(x, kind="stable"))
case("argpartition", np.array([[4.0, 1.0, 9.0, 2.0]]), 1, view=lambda i: i[..., 1], ref=np.argpartition)
case("searchsorted", np.sort(x(5)), x(2, 3), ref=np.searchsorted, batch=(1,))
case("searchsorted", np.array([1, 2, 2, 3]), np.array([2, 9]), side="right", ref=np.searchsorted, batch=(1,))
case("digitize", x(2, 3), np.array([-1.0, 0.0, 1.0]), ref=np.digitize)
case("isin", whole(2, 3), np.array([1, 2, 3]), ref=np.isin)
case("isin", whole(2, 3), np.array([1, 2, 3]), invert=True, ref=np.isin)
case("top_k", x(2, 5), 3, ref=lambda x, k: (np.sort(x)[:, ::-1][:, :k], np.argsort(-x)[:, :k]))
case(
    "in_top_k",
    np.array([1, 0, 7]),
    x(3, 4),
    2,
    ref=lambda t, p, k: np.array([a < 4 and (row > row[min(a, 3)]).sum() < k for a, row in zip(t, p)]),
)
case("unravel_index", np.array([5, 0, 3]), (2, 3), ref=np.unravel_index)
case("unique", np.array([3, 1, 3, 2]), ref=np.unique, static=True)
case(
    "unique",
    np.array([3, 1, 3, 2]),
    return_inverse=True,
    return_counts=True,
    static=True,
    ref=lambda x, **_: np.unique(x, return_inverse=True, return_counts=True),
)
case("unique", np.array([3, 1, 3, 2]), size=5, fill_value=0, ref=lambda x, **_: np.array([1, 2, 3, 0, 0]))
for name, join in (("sum", np.sum), ("prod", np.prod), ("max", np.max), ("min", np.min)):
    case(
        f"segment_{name}", x(5, 2), np.array([0, 2, 0, 1, 2]), num_segments=3, grad=name != "prod",
        ref=lambda x, i, num_segments, join=join: np.stack([join(x[i == s], 0) for s in range(num_segments)]),
    )  # fmt: skip
case(
    "segment_sum",
    whole(4),
    np.array([0, 0, 2, 2]),
    static=True,
    ref=lambda x, i: np.array([x[:2].sum(), 0, x[2:].sum()]),
)
