"""The table of ops: a call on NumPy arrays, and what it gives in float64 where NumPy or a formula says so.

`case(name, *args, ref=…, **kwargs)` is one row. Arrays anywhere among the arguments are the op's tensors, numbered in
order; the rest is fixed. Without `ref` the float64 run of the NumPy engine is the reference.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.linalg
import scipy.special

from kerata import tree

__all__ = ["CASES", "Case"]


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One row.

    Args:
        reference: float64 arrays in, the expected result out.
        batch: which tensors have an unknown first dimension in the symbolic test.
        gradient: whether slopes are compared.
        view: applied to the result before anything is compared, where the result itself is not unique.
        static: whether the result's shape depends on values, so that there is no symbolic and no compiled call.
    """

    name: str
    args: tuple
    kwargs: dict[str, Any]
    reference: Callable[..., Any] | None
    batch: tuple[int, ...]
    gradient: bool
    view: Callable[[Any], Any]
    static: bool
    tolerance: float

    @property
    def arrays(self) -> list[np.ndarray]:
        """The tensors, in order."""
        return [leaf for leaf in tree.flatten((self.args, self.kwargs)) if isinstance(leaf, np.ndarray)]

    def filled(self, tensors: Sequence[Any]) -> tuple[tuple, dict[str, Any]]:
        """The arguments with other tensors in the place of the arrays."""
        leaves, spec = tree.flatten_with_spec((self.args, self.kwargs))
        rest = iter(tensors)
        return spec.unflatten([next(rest) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves])


CASES: list[Case] = []


def case(
    name: str,
    *args: Any,
    ref: Callable[..., Any] | None = None,
    batch: tuple[int, ...] | None = None,
    grad: bool = True,
    view: Callable[[Any], Any] = lambda result: result,
    static: bool = False,
    tol: float = 1e-5,
    **kwargs: Any,
) -> None:
    row = Case(name, args, kwargs, ref, (), grad, view, static, tol)
    if batch is None:  # every tensor that has the first one's length
        arrays = row.arrays
        length = arrays[0].shape[:1] if arrays else ()
        batch = tuple(i for i, a in enumerate(arrays) if length and a.shape[:1] == length)
    CASES.append(dataclasses.replace(row, batch=batch))


RNG = np.random.default_rng(3)


def x(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def positive(*shape: int) -> np.ndarray:
    return RNG.uniform(0.5, 2, shape)


def unit(*shape: int) -> np.ndarray:
    return RNG.uniform(-0.9, 0.9, shape)


def whole(*shape: int, low: int = 0, high: int = 9) -> np.ndarray:
    return RNG.integers(low, high, shape)


def flags(*shape: int) -> np.ndarray:
    return RNG.random(shape) < 0.5


def definite(*shape: int) -> np.ndarray:
    """Symmetric matrices with positive, well separated eigenvalues."""
    a = x(*shape)
    return a @ np.swapaxes(a, -1, -2) + np.diag(np.arange(1.0, shape[-1] + 1))


def with_nan(*shape: int) -> np.ndarray:
    a = x(*shape)
    a.flat[1] = np.nan
    return a


# Elementwise ----------------------------------------------------------------------------------------------------

for name in (
    "absolute", "ceil", "cos", "cosh", "deg2rad", "exp", "exp2", "expm1", "fabs", "floor", "negative", "rad2deg", "sign",
    "sin", "sinc", "sinh", "square", "tanh", "trunc", "arctan", "arcsinh", "conjugate", "real", "isfinite", "isinf",
    "isnan", "isneginf", "isposinf", "isreal", "signbit", "i0",
):  # fmt: skip
    case(name, x(2, 3), ref=getattr(np, name))
for name in ("arcsin", "arccos", "arctanh", "tan"):
    case(name, unit(2, 3), ref=getattr(np, name))
for name in ("log", "log10", "log1p", "log2", "sqrt", "cbrt", "reciprocal"):
    case(name, positive(2, 3), ref=getattr(np, name))
case("arccosh", positive(2, 3) + 1, ref=np.arccosh)
case("rsqrt", positive(2, 3), ref=lambda x: 1 / np.sqrt(x))
case("erf", x(2, 3), ref=scipy.special.erf)
case("erfc", x(2, 3), ref=scipy.special.erfc)
case("erfinv", unit(2, 3), ref=scipy.special.erfinv)
case("angle", x(2, 3), ref=np.angle, grad=False)
case("angle", x(2, 3) + 1j * x(2, 3), ref=np.angle, grad=False)
case("conjugate", x(2, 3) + 1j * x(2, 3), ref=np.conjugate, grad=False)
case("imag", x(2, 3) + 1j * x(2, 3), ref=np.imag, grad=False)
case("imag", x(2, 3), ref=np.imag, grad=False)
case("copy", x(2, 3), ref=np.copy)
case("absolute", whole(2, 3, low=-5), ref=np.abs)
case("sqrt", whole(2, 3, low=1), ref=np.sqrt)
case("exp", flags(2, 3), ref=lambda x: np.exp(x * 1.0))
case("round", x(2, 3), ref=np.round)
case("round", x(2, 3) * 100, 1, ref=lambda x, _: np.round(x, 1), grad=False, tol=1e-4)
case("logical_not", flags(2, 3), ref=np.logical_not)
case("nan_to_num", np.array([[np.nan, 1.0], [np.inf, -np.inf]]), nan=7.0, posinf=1.0, neginf=2.0, ref=np.nan_to_num, grad=False)
case("clip", x(2, 3), -0.5, 0.5, ref=np.clip)
case("clip", whole(2, 3), 2, 5, ref=np.clip)
case("cast", x(2, 3), "int32", ref=lambda x, _: x.astype("int32"))
case("cast", whole(2, 3), "float32", ref=lambda x, _: x)
case("saturate_cast", np.array([300.0, -5.0, 7.5]), "uint8", ref=lambda x, _: np.array([255, 0, 7]))
case("saturate_cast", np.array([300, -5, 7]), "int8", ref=lambda x, _: np.array([127, -5, 7]))
case("view_as_complex", x(2, 3, 2), ref=lambda x: x[..., 0] + 1j * x[..., 1], grad=False)
case("view_as_real", x(2, 3) + 1j * x(2, 3), ref=lambda z: np.stack([z.real, z.imag], -1), grad=False)
case("stop_gradient", x(2, 3), ref=lambda x: x, grad=False)

for name in ("add", "subtract", "multiply", "maximum", "minimum", "fmax", "fmin", "arctan2", "hypot", "logaddexp"):
    case(name, x(2, 3), x(2, 3), ref=getattr(np, name))
for name in ("logaddexp2", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
    case(name, x(2, 3), x(2, 3), ref=getattr(np, name))
for name in ("add", "subtract", "multiply", "floor_divide", "mod", "fmod", "maximum", "equal", "less", "gcd", "lcm"):
    case(name, whole(2, 3, low=1), whole(2, 3, low=1), ref=getattr(np, name))
for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"):
    case(name, whole(2, 3), whole(2, 3, high=4), ref=getattr(np, name))
for name in ("logical_and", "logical_or", "logical_xor"):
    case(name, flags(2, 3), flags(2, 3), ref=getattr(np, name))
case("add", x(2, 1, 3), x(4, 1), ref=np.add, batch=(0,))
case("add", x(2, 3), 2.5, ref=np.add)
case("add", whole(2, 3), 2.5, ref=np.add)
case("add", whole(2, 3), x(2, 3), ref=np.add)
case("multiply", 2, x(2, 3), ref=np.multiply)
case("divide", x(2, 3), positive(3), ref=np.divide)
case("divide", whole(2, 3), whole(2, 3, low=1), ref=np.divide)
case("floor_divide", x(2, 3), positive(3), ref=np.floor_divide)
case("mod", x(2, 3), positive(2, 3), ref=np.mod)
case("fmod", x(2, 3), positive(2, 3), ref=np.fmod)
case("power", positive(2, 3), x(2, 3), ref=np.power)
case("power", x(2, 3), 3, ref=np.power)
case("heaviside", np.array([-1.0, 0.0, 2.0]), 0.5, ref=np.heaviside, grad=False)
case("nextafter", np.ones(3), np.array([0.0, 1.0, 2.0]), grad=False, ref=lambda a, b: np.ones(3) + np.sign(b - a) * 1e-7)
case("ldexp", x(2, 3), whole(2, 3, high=4), ref=np.ldexp)
case("divide_no_nan", x(2, 3), np.array([1.0, 0.0, 2.0]), ref=lambda a, b: np.where(b == 0, 0, a / np.where(b == 0, 1, b)), grad=False)
case("isclose", np.array([1.0, 1.0, np.nan]), np.array([1.0, 1.1, np.nan]), ref=np.isclose)
case("allclose", np.ones(3), np.ones(3), ref=np.allclose)
case("allclose", np.ones(3), np.array([1.0, 1.0, 1.1]), ref=np.allclose)
case("bitwise_invert", whole(2, 3), ref=np.invert)

# Reductions -----------------------------------------------------------------------------------------------------

for name in ("sum", "prod", "mean", "var", "std", "max", "min", "ptp"):
    case(name, x(4, 3, 2), ref=getattr(np, name))
    case(name, x(4, 3, 2), axis=1, ref=getattr(np, name))
    case(name, x(4, 3, 2), axis=(0, 2), keepdims=True, ref=getattr(np, name))
for name in ("all", "any"):
    case(name, flags(4, 3), axis=-1, ref=getattr(np, name))
    case(name, x(4, 3), ref=getattr(np, name))
for name in ("argmax", "argmin"):
    case(name, x(4, 3), ref=getattr(np, name))
    case(name, x(4, 3), axis=1, ref=getattr(np, name))
    case(name, x(4, 3), axis=0, keepdims=True, ref=getattr(np, name))
case("sum", flags(4, 3), axis=0, ref=np.sum)
case("sum", whole(4, 3).astype("int8"), ref=np.sum)
case("mean", whole(4, 3), axis=1, ref=np.mean)
case("max", whole(4, 3), initial=7, ref=np.max)
case("count_nonzero", whole(4, 3, high=3), axis=1, ref=np.count_nonzero)
case("average", x(4, 3), axis=0, weights=positive(4), ref=np.average)
case("median", x(4, 3), axis=1, ref=np.median)
case("median", x(4, 3), axis=0, keepdims=True, ref=np.median)
case("quantile", x(4, 5), 0.3, axis=1, ref=np.quantile)
case("quantile", x(5, 4), np.array([0.1, 0.9]), axis=0, method="nearest", ref=np.quantile, batch=(0,))
case("percentile", x(4, 5), 30.0, axis=1, ref=np.percentile)
case("cumsum", x(4, 3), axis=1, ref=np.cumsum)
case("cumsum", x(4, 3), ref=np.cumsum)
case("cumprod", x(4, 3), axis=0, ref=np.cumprod)
case("logsumexp", x(4, 3) * 100, axis=1, keepdims=True, ref=scipy.special.logsumexp)
case("moments", x(4, 3, 2), axes=(0, 1), ref=lambda x, axes: (x.mean(axes), x.var(axes)))
case("moments", x(4, 3), axes=1, keepdims=True, ref=lambda x, axes, keepdims: (x.mean(1, keepdims=True), x.var(1, keepdims=True)))
case("bincount", np.array([0, 2, 2, 5]), ref=np.bincount, static=True)
case("bincount", np.array([[0, 2, 2], [1, 1, 1]]), minlength=4, ref=lambda x, minlength: np.array([[1, 0, 2, 0], [0, 3, 0, 0]]))
case("bincount", np.array([0, 2, 2]), weights=np.array([0.5, 1.0, 2.0]), minlength=4, ref=np.bincount, grad=False)
case("histogram", x(20), bins=4, ref=np.histogram, grad=False)
case("histogram", x(20), bins=4, range=(-1.0, 1.0), ref=np.histogram, grad=False)
case("corrcoef", x(3, 8), ref=np.corrcoef, tol=1e-4)
case("trapezoid", x(4, 5), dx=0.5, ref=np.trapezoid)
case("trapezoid", x(4, 5), x=np.sort(x(5)), ref=np.trapezoid, batch=(0,))
for name in ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanmedian", "nanargmax", "nanargmin"):
    case(name, with_nan(4, 3), axis=1, ref=getattr(np, name), grad=False)
for name in ("nancumsum", "nancumprod"):
    case(name, with_nan(4, 3), axis=1, ref=getattr(np, name), grad=False)
case("nanquantile", with_nan(4, 3), 0.4, axis=1, ref=np.nanquantile, grad=False)
case("nanpercentile", with_nan(4, 3), 40.0, axis=1, ref=np.nanpercentile, grad=False)

# Shapes ---------------------------------------------------------------------------------------------------------

case("reshape", x(2, 6), (-1, 3, 2), ref=np.reshape)
case("reshape", x(2, 6), (2, 3, 2), ref=np.reshape, batch=())
case("ravel", x(2, 3), ref=np.ravel)
case("transpose", x(2, 3, 4), ref=np.transpose)
case("transpose", x(2, 3, 4), (0, 2, 1), ref=np.transpose)
case("moveaxis", x(2, 3, 4), 1, -1, ref=np.moveaxis)
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

# Making ---------------------------------------------------------------------------------------------------------

case("full", (2, 3), 1.5, ref=np.full)
case("full", (2, 3), x(3), ref=np.full, batch=())
case("zeros_like", x(2, 3), ref=np.zeros_like)
case("ones_like", whole(2, 3), ref=np.ones_like)
case("empty_like", x(2, 3), ref=np.zeros_like)
case("full_like", x(2, 3), 7.0, ref=np.full_like, grad=False)
case("linspace", x(2), x(2), num=5, ref=np.linspace)
case("linspace", 0.0, 1.0, num=4, endpoint=False, ref=np.linspace)
case("logspace", 0.0, 2.0, num=3, ref=np.logspace)
case("geomspace", 1.0, 1000.0, num=4, ref=np.geomspace)
case("vander", x(3), N=4, ref=np.vander)

# Picking and placing --------------------------------------------------------------------------------------------

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
case("scatter", np.array([[0], [2], [2]]), x(3, 2), (4, 2), ref=lambda i, v, s: np.stack([v[0], 0 * v[0], v[1] + v[2], 0 * v[0]]))
for reduction in (None, "add", "max", "min", "mul"):
    case("scatter_update", x(4, 2), np.array([[0, 1], [3, 0]]), x(2), reduction=reduction, batch=(), grad=reduction != "mul")
case("scatter_update", np.zeros(3), np.array([[2], [0]]), np.array([5.0, 7.0]), ref=lambda *_: np.array([7.0, 0, 5]), batch=())
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
case("in_top_k", np.array([1, 0, 7]), x(3, 4), 2, ref=lambda t, p, k: np.array([a < 4 and (row > row[min(a, 3)]).sum() < k for a, row in zip(t, p)]))
case("unravel_index", np.array([5, 0, 3]), (2, 3), ref=np.unravel_index)
case("unique", np.array([3, 1, 3, 2]), ref=np.unique, static=True)
case("unique", np.array([3, 1, 3, 2]), return_inverse=True, return_counts=True, static=True, ref=lambda x, **_: np.unique(x, return_inverse=True, return_counts=True))
case("unique", np.array([3, 1, 3, 2]), size=5, fill_value=0, ref=lambda x, **_: np.array([1, 2, 3, 0, 0]))
for name, join in (("sum", np.sum), ("prod", np.prod), ("max", np.max), ("min", np.min)):
    case(
        f"segment_{name}", x(5, 2), np.array([0, 2, 0, 1, 2]), num_segments=3, grad=name != "prod",
        ref=lambda x, i, num_segments, join=join: np.stack([join(x[i == s], 0) for s in range(num_segments)]),
    )  # fmt: skip
case("segment_sum", whole(4), np.array([0, 0, 2, 2]), static=True, ref=lambda x, i: np.array([x[:2].sum(), 0, x[2:].sum()]))

# Linear algebra -------------------------------------------------------------------------------------------------

case("matmul", x(2, 3), x(3, 4), ref=np.matmul)
case("matmul", x(2, 3, 4), x(2, 4, 5), ref=np.matmul)
case("matmul", x(2, 3), x(3), ref=np.matmul)
case("matmul", whole(2, 3), whole(3, 2), ref=np.matmul)
case("einsum", "bij,jk->bik", x(2, 3, 4), x(4, 5), ref=np.einsum)
case("einsum", "bii->b", x(2, 3, 3), ref=np.einsum)
case("einsum", "...i,...j->...ij", x(2, 3), x(2, 4), ref=np.einsum)
for name in ("dot", "inner", "vdot"):
    case(name, x(4), x(4), ref=getattr(np, name))
case("dot", x(2, 3), x(3, 4), ref=np.dot)
case("inner", x(2, 3), x(4, 3), ref=np.inner)
case("outer", x(2), x(3), ref=np.outer)
case("kron", x(2, 2), x(1, 3), ref=np.kron)
case("tensordot", x(2, 3, 4), x(3, 4, 5), axes=2, ref=np.tensordot)
case("tensordot", x(2, 3, 4), x(4, 5, 3), axes=([1, 2], [2, 0]), ref=np.tensordot)
case("cross", x(2, 3), x(2, 3), ref=np.cross)
for mode in ("valid", "same", "full"):
    case("correlate", x(5), x(3), mode=mode, ref=np.correlate)
case("trace", x(3, 3, 2), ref=np.trace)
case("diff", x(2, 5), n=2, ref=np.diff)
case("cholesky", definite(2, 3, 3), ref=np.linalg.cholesky, tol=1e-4)
case("cholesky", definite(3, 3), upper=True, ref=lambda a, upper: np.linalg.cholesky(a).T, batch=(), tol=1e-4)
case("cholesky_inverse", np.tril(x(3, 3)) + 2 * np.eye(3), ref=lambda c: np.linalg.inv(c @ c.T), batch=(), tol=1e-4)
case("det", definite(2, 3, 3), ref=np.linalg.det, tol=1e-4)
case("slogdet", definite(2, 3, 3), ref=np.linalg.slogdet, tol=1e-4)
case("logdet", definite(2, 3, 3), ref=lambda a: np.log(np.linalg.det(a)), tol=1e-4)
case("inv", definite(2, 3, 3), ref=np.linalg.inv, tol=1e-4)
case("pinv", x(4, 3), ref=np.linalg.pinv, batch=(), tol=1e-4)
case("solve", definite(2, 3, 3), x(2, 3, 2), ref=np.linalg.solve, tol=1e-4)
case("solve", definite(3, 3), x(3), ref=np.linalg.solve, batch=(), tol=1e-4)
case("solve_triangular", x(3, 3) + 3 * np.eye(3), x(3), lower=True, ref=lambda a, b, lower: np.linalg.solve(np.tril(a), b), batch=(), tol=1e-4)
case("solve_triangular", x(2, 3, 3) + 3 * np.eye(3), x(2, 3, 2), ref=lambda a, b: np.linalg.solve(np.triu(a), b), tol=1e-4)
case("lstsq", x(5, 3), x(5, 2), ref=lambda a, b: np.linalg.lstsq(a, b)[0], batch=(), tol=1e-4)
case("eig", definite(3, 3), ref=np.linalg.eig, view=lambda out: abs(out[0]).sum(), batch=(), grad=False, tol=1e-4)
case("eigh", definite(2, 3, 3), ref=np.linalg.eigh, view=lambda out: (out[0], abs(out[1])), tol=1e-4)
case("qr", x(4, 3), ref=np.linalg.qr, view=lambda out: (abs(out[0]), abs(out[1])), batch=(), tol=1e-4)
case("qr", x(4, 3), mode="complete", view=lambda out: out[0] @ out[1], ref=np.linalg.qr, batch=(), grad=False, tol=1e-4)
case("svd", x(4, 3), full_matrices=False, ref=np.linalg.svd, view=lambda out: tuple(abs(part) for part in out), batch=(), tol=1e-4)
case("svd", x(2, 4, 3), compute_uv=False, ref=np.linalg.svd, tol=1e-4)
case("svd", x(4, 3), view=lambda out: out[1], batch=(), ref=np.linalg.svd, grad=False, tol=1e-4)
case("lu_factor", x(3, 3), batch=(), ref=lambda a: scipy.linalg.lu_factor(a), tol=1e-4)
case("matrix_rank", np.array([[1.0, 2.0], [2.0, 4.0]]), batch=(), ref=np.linalg.matrix_rank)
case("norm", x(4, 3), ref=np.linalg.norm)
case("norm", x(4, 3), axis=1, keepdims=True, ref=np.linalg.norm)
for order in (1, math.inf, 3):
    case("norm", x(4, 3), ord=order, axis=1, ref=np.linalg.norm)
for order in ("fro", "nuc", 1, -2):
    case("norm", x(4, 3), ord=order, axis=(0, 1), ref=np.linalg.norm, batch=(), tol=1e-4)
case("cdist", x(2, 3, 4), x(2, 5, 4), ref=lambda a, b: np.linalg.norm(a[:, :, None] - b[:, None], axis=-1))

# Activations and normalizations ---------------------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray, axis: Any = -1) -> np.ndarray:
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


FORMULAS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.maximum(x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "celu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "selu": lambda x: 1.05070098735548 * np.where(x > 0, x, 1.67326324235438 * (np.exp(x) - 1)),
    "sigmoid": sigmoid,
    "log_sigmoid": lambda x: np.log(sigmoid(x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "silu": lambda x: x * sigmoid(x),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_shrink": lambda x: x * (np.abs(x) > 0.5),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "squareplus": lambda x: (x + np.sqrt(x**2 + 4)) / 2,
    "sparse_plus": lambda x: np.where(x >= 1, x, np.where(x <= -1, 0, (x + 1) ** 2 / 4)),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
}
for name, formula in FORMULAS.items():
    case(name, x(4, 5) * 3, ref=formula)
case("celu", x(2, 3), alpha=0.5, ref=lambda x, alpha: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)))
case("gelu", x(4, 5), approximate=False, ref=lambda x, approximate: x * scipy.special.ndtr(x))
case("gelu", x(4, 5), ref=lambda x: 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))))
case("glu", x(2, 6), ref=lambda x: x[:, :3] * sigmoid(x[:, 3:]))
case("threshold", x(2, 3), 0.5, 20.0, ref=lambda x, t, v: np.where(x > t, x, v))
case("softmax", x(2, 5), ref=softmax)
case("softmax", x(2, 3, 4), axis=(1, 2), ref=softmax)
case("softmax", x(2, 3) + 1000, ref=lambda x: softmax(x - 1000), tol=1e-4)
case("log_softmax", x(2, 5), axis=1, ref=lambda x, axis: np.log(softmax(x)))
case("sparsemax", np.array([[0.1, 1.2, 1.0], [3.0, 0.0, 1.0]]), ref=lambda x: np.array([[0, 0.6, 0.4], [1, 0, 0]]))
case("sparsemax", x(4, 5))
case("batch_normalization", x(4, 5, 3), x(3), positive(3), -1, x(3), positive(3), ref=lambda x, m, v, axis, b, g: (x - m) / np.sqrt(v + 1e-3) * g + b, batch=(0,))
case("batch_normalization", x(4, 3, 5), x(3), positive(3), 1, ref=lambda x, m, v, axis: (x - m[:, None]) / np.sqrt(v[:, None] + 1e-3), batch=(0,))


def standardized(x: np.ndarray, epsilon: float = 1e-7) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)


case("layer_normalization", x(4, 5), ref=standardized)
case("layer_normalization", x(4, 5), positive(5), x(5), epsilon=0.1, ref=lambda x, g, b, epsilon: standardized(x, epsilon) * g + b, batch=(0,))
case("rms_normalization", x(4, 5), ref=lambda x: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-7))
case("rms_normalization", x(4, 5), positive(5), epsilon=0.1, ref=lambda x, g, epsilon: x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * g, batch=(0,))
case("normalize", x(4, 5), ref=lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True))
case("normalize", x(4, 5), order=1, axis=1, ref=lambda x, order, axis: x / np.abs(x).sum(1, keepdims=True))

# Cross-entropies and attention ----------------------------------------------------------------------------------

TARGETS = np.array([2, 0, 1])
case("categorical_crossentropy", softmax(x(3, 4)), softmax(x(3, 4)), ref=lambda t, p: -np.sum(t * np.log(p), -1))
case("categorical_crossentropy", softmax(x(3, 4)), x(3, 4), from_logits=True, ref=lambda t, z, from_logits: -np.sum(t * np.log(softmax(z)), -1))
case("sparse_categorical_crossentropy", TARGETS, softmax(x(3, 4)), ref=lambda t, p: -np.log(p[range(3), t]))
case("sparse_categorical_crossentropy", TARGETS[:, None], x(3, 4), from_logits=True, ref=lambda t, z, from_logits: -np.log(softmax(z))[range(3), t[:, 0]])
case("binary_crossentropy", flags(3, 2) * 1.0, sigmoid(x(3, 2)), ref=lambda t, p: -np.where(t, np.log(p), np.log(1 - p)), grad=False)
case("binary_crossentropy", sigmoid(x(3, 2)), x(3, 2), from_logits=True, ref=lambda t, z, from_logits: np.logaddexp(0, z) - t * z)


def ctc_by_paths(target: np.ndarray, output: np.ndarray, target_length: np.ndarray, output_length: np.ndarray) -> np.ndarray:
    """-log of the sum over all paths that spell the target once repeats and blanks (0) are dropped."""
    losses = []
    for labels, logits, length, times in zip(target, output, target_length, output_length):
        p, total = softmax(logits), 0.0
        for path in np.ndindex(*(logits.shape[1],) * int(times)):
            spelled = [c for i, c in enumerate(path) if c and (i == 0 or c != path[i - 1])]
            if spelled == list(labels[:length]):
                total += np.prod([p[t, c] for t, c in enumerate(path)])
        losses.append(-np.log(total))
    return np.array(losses)


case("ctc_loss", np.array([[1, 2], [1, 1], [2, 0]]), x(3, 4, 3), np.array([2, 2, 1]), np.array([4, 3, 4]), ref=ctc_by_paths, tol=1e-4)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: Any = None, is_causal: bool = False, **_: Any) -> np.ndarray:
    k, v = (np.repeat(a, q.shape[2] // k.shape[2], 2) for a in (k, v))
    scores = np.einsum("btnh,bsnh->bnts", q, k) / q.shape[-1] ** 0.5
    if is_causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:])) > 0, scores, -np.inf)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    return np.einsum("bnts,bsnh->btnh", softmax(scores), v)


QUERY = x(2, 3, 4, 5)
case("dot_product_attention", QUERY, x(2, 6, 4, 5), x(2, 6, 4, 5), ref=attention)
case("dot_product_attention", QUERY, x(2, 3, 2, 5), x(2, 3, 2, 5), is_causal=True, ref=attention)
case("dot_product_attention", QUERY, x(2, 3, 4, 5), x(2, 3, 4, 5), mask=np.tril(np.ones((1, 1, 3, 3), bool)), ref=attention)
case("dot_product_attention", QUERY, x(2, 3, 4, 5), x(2, 3, 4, 5), bias=x(1, 4, 3, 3), scale=0.3, attn_logits_soft_cap=2.0)
case("polar", positive(2, 3), x(2, 3), ref=lambda r, a: r * np.exp(1j * a), grad=False)
case("psnr", x(2, 3), x(2, 3), 1.0, ref=lambda a, b, m: 10 * np.log10(m**2 / np.mean((a - b) ** 2)))

# Convolution and pooling: the engine's own table has the hard geometry; here are the arguments -------------------

case("conv", x(2, 7, 3), x(3, 3, 4), padding="same")
case("conv", x(2, 7, 6, 3), x(3, 2, 3, 4), strides=2, padding="same")
case("conv", x(2, 3, 7, 6), x(3, 2, 3, 4), strides=(2, 1), data_format="channels_first")
case("conv", x(2, 7, 6, 4), x(3, 2, 2, 4), dilation_rate=2)
case("conv", x(2, 7, 3), x(3, 3, 4), padding=[(2, 0)])
case("conv", x(1, 4, 4, 4, 2), x(2, 2, 2, 2, 3), batch=())
case("depthwise_conv", x(2, 7, 6, 3), x(3, 3, 3, 2), padding="same")
case("depthwise_conv", x(2, 7, 3), x(3, 3, 1), strides=2)
case("separable_conv", x(2, 7, 6, 3), x(3, 3, 3, 2), x(1, 1, 6, 4), padding="same")
case("conv_transpose", x(2, 5, 3), x(3, 4, 3), strides=2)
case("conv_transpose", x(2, 5, 4, 3), x(3, 2, 4, 3), strides=(2, 1), padding="same")
case("conv_transpose", x(2, 3, 5, 4), x(3, 3, 4, 3), strides=2, padding="same", output_padding=1, data_format="channels_first")
case("max_pool", x(2, 6, 3), 2, ref=lambda x, _: x.reshape(2, 3, 2, 3).max(2) if len(x) == 2 else x.reshape(-1, 3, 2, 3).max(2))
case("max_pool", x(2, 7, 6, 3), (3, 2), strides=2, padding="same")
case("average_pool", x(2, 6, 3), 2, ref=lambda x, _: x.reshape(-1, 3, 2, 3).mean(2))
case("average_pool", x(2, 7, 6, 3), (3, 2), strides=2, padding="same")
case("average_pool", x(2, 3, 6, 6), 2, data_format="channels_first", ref=lambda x, _, data_format: x.reshape(-1, 3, 3, 2, 3, 2).mean((3, 5)))
case("adaptive_average_pool", x(2, 6, 4, 3), (3, 2), ref=lambda x, _: x.reshape(-1, 3, 2, 2, 2, 3).mean((2, 4)))
case("adaptive_average_pool", x(2, 7, 3), 3)
case("adaptive_max_pool", x(2, 6, 4, 3), (3, 2), ref=lambda x, _: x.reshape(-1, 3, 2, 2, 2, 3).max((2, 4)))
case("space_to_depth", x(2, 4, 6, 3), 2)
case("depth_to_space", x(2, 2, 3, 8), 2)
case("unfold", x(2, 3, 5, 6), 2, stride=2, padding=1)
case("unfold", x(2, 1, 3, 3), 2, ref=lambda x, _: np.stack([x[:, 0, i : i + 2, j : j + 2].reshape(-1, 4) for i in (0, 1) for j in (0, 1)], -1))
case("fold", x(2, 12, 12), (5, 6), 2, stride=2, padding=1)
case("fold", np.ones((1, 4, 4)), (3, 3), 2, ref=lambda *_: np.array([[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]), batch=())

# Images and signals ---------------------------------------------------------------------------------------------

for interpolation in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
    case("resize", x(2, 4, 5, 3), (7, 3), interpolation=interpolation)
case("resize", x(2, 4, 4, 1), (8, 8), interpolation="nearest", ref=lambda x, *_, **__: x.repeat(2, 1).repeat(2, 2))
case("resize", x(2, 4, 4, 1), (2, 2), antialias=False, ref=lambda x, *_, **__: x.reshape(-1, 2, 2, 2, 2, 1).mean((2, 4)))
case("resize", x(2, 8, 8, 1), (4, 4), antialias=True)
case("resize", x(2, 3, 4, 6), (3, 3), crop_to_aspect_ratio=True, data_format="channels_first")
case("resize", x(4, 6, 1), (3, 3), pad_to_aspect_ratio=True, fill_value=2.0, batch=())
case("resize", whole(2, 4, 5, 3, high=255).astype("uint8"), (8, 10))
case("fft", (x(2, 8), x(2, 8)), ref=lambda z: _pair(np.fft.fft(z[0] + 1j * z[1])))
case("fft2", (x(2, 4, 4), x(2, 4, 4)), ref=lambda z: _pair(np.fft.fft2(z[0] + 1j * z[1])))
case("ifft2", (x(2, 4, 4), x(2, 4, 4)), ref=lambda z: _pair(np.fft.ifft2(z[0] + 1j * z[1])))
case("rfft", x(2, 8), ref=lambda x: _pair(np.fft.rfft(x)))
case("rfft", x(2, 8), fft_length=10, ref=lambda x, fft_length: _pair(np.fft.rfft(x, fft_length)))
case("irfft", (x(2, 5), x(2, 5)), ref=lambda z: np.fft.irfft(z[0] + 1j * z[1]))
case("extract_sequences", x(2, 9), 4, 2, ref=lambda x, *_: np.stack([x[:, i : i + 4] for i in (0, 2, 4)], 1))
case("stft", x(2, 32), 8, 4, 8)
case("stft", x(2, 32), 6, 4, 8, window=None, center=False)
case("istft", (x(2, 9, 5), x(2, 9, 5)), 8, 4, 8, tol=1e-4)

# Random ---------------------------------------------------------------------------------------------------------

# On different engines numbers differ; what is the same for all of them stands here.
case("categorical", np.array([[0.0, 200.0, 0.0]] * 2), 3, seed=1, ref=lambda x, n, seed: np.ones((len(x), n)))
case("shuffle", np.arange(12.0).reshape(6, 2), seed=1, view=lambda x: x.sum(0), ref=lambda x, seed: x, grad=False, batch=())
case("dropout", np.ones((2, 3)), 0.0, seed=1, ref=lambda x, rate, seed: x)
case("dropout", np.ones((2, 3)), 1.0, seed=1, ref=lambda x, rate, seed: 0 * x)


def _pair(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return z.real, z.imag
