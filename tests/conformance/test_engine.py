"""What an engine owes (`kerata.engine.protocol`), entry by entry, on every engine.

What is expected is worked out here: by hand, by NumPy in float64, or by the definition as plain loops.
"""

import inspect
import itertools

import numpy as np
import pytest

from kerata import config, errors, tree
from kerata import engine as engines
from kerata.core import dtypes
from kerata.engine import protocol
from kerata.engine.protocol import Spec

RNG = np.random.default_rng(0)
TOLERANCE = 1e-5


def normal(*shape):
    return RNG.normal(size=shape)


def host(x):
    """The arrays of `x` as NumPy's."""
    return tree.map_structure(
        lambda leaf: engines.arrays.to_numpy(leaf) if engines.arrays.is_array(leaf) else leaf, x
    )  # fmt: skip


def same(got, expected, dtype=None, tolerance=TOLERANCE):
    """Assert that arrays, or tuples and dicts of them, have these values (and all this dtype)."""
    if isinstance(expected, (tuple, dict)):
        keys = range(len(expected)) if isinstance(expected, tuple) else expected
        assert len(got) == len(expected)
        for key in keys:
            same(got[key], expected[key], dtype, tolerance)
    elif expected is None:
        assert got is None
    else:
        got, expected = np.asarray(host(got)), np.asarray(host(expected))
        assert got.shape == expected.shape
        assert dtype is None or got.dtype == dtype
        np.testing.assert_allclose(got.astype(expected.dtype), expected, rtol=tolerance, atol=tolerance)


def put(engine, x, dtype=None):
    """NumPy arrays in `x` as arrays of the engine."""
    return tree.map_structure(lambda a: engine.arrays.as_array(a, dtype) if isinstance(a, np.ndarray) else a, x)


def table(*rows):
    """Parametrize by rows whose first cell is the name."""
    return pytest.mark.parametrize("row", [pytest.param(row[1:], id=row[0]) for row in rows])


PROTOCOLS = {
    "arrays": protocol.Arrays, "nn": protocol.NeuralPrimitives, "random": protocol.Random,
    "transforms": protocol.Transforms, "devices": protocol.Devices,
}  # fmt: skip


def public(owner):
    return {name for name in vars(owner) if not name.startswith("_")} | set(getattr(owner, "__annotations__", ()))


# The shape of an engine -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", PROTOCOLS)
def test_an_engine_has_every_entry_with_its_signature(engine, module):
    room, owed = getattr(engine, module), PROTOCOLS[module]
    assert {name for name in public(owed) if not hasattr(room, name)} == set()
    assert set(room.__all__) == public(owed)
    for name, function in inspect.getmembers(owed, inspect.isfunction):
        if name.startswith("_"):
            continue
        expected = [(p.name, p.default) for p in inspect.signature(function).parameters.values()][1:]
        got = [(p.name, p.default) for p in inspect.signature(getattr(room, name)).parameters.values()]
        assert got == expected, name


def test_name_and_fast_ways(engine):
    assert engine.name in config.ENGINES
    assert isinstance(engine.fast_ways, dict)


def test_an_unknown_name_in_an_engine_is_said(engine):
    with pytest.raises(errors.Unsupported, match=f"the {engine.name} engine has no `no_such_function`"):
        engines.xp.no_such_function  # noqa: B018


# Arrays ---------------------------------------------------------------------------------------------------------

F, AT = np.array([[3.0, 1.0, 2.0], [0.5, 9.0, -4.0]]), np.array([2, 0, 2])
BF16 = "bfloat16"


@table(
    # name, value, dtype asked for, dtype that comes
    ("a Python float", 1.5, None, "float32"),
    ("a Python int", 3, None, "int32"),
    ("a bool", True, None, "bool"),
    ("a complex number", 1j, None, "complex64"),
    ("a list of floats", [1.0, 2.0], None, "float32"),
    ("a nested list of ints", [[1], [2]], None, "int32"),
    ("an array of float64", np.ones(2), None, "float32"),
    ("an array of int64", np.arange(3), None, "int32"),
    ("an array of float16", np.ones(2, "float16"), None, "float16"),
    ("an array of uint8", np.ones(2, "uint8"), None, "uint8"),
    ("a NumPy scalar", np.float64(2.5), None, "float32"),
    ("asked for bfloat16", [1.0, 2.0], BF16, BF16),
    ("asked for int8", np.array([1.0, 2.0]), "int8", "int8"),
    ("asked for float8", [1.0], "float8_e4m3fn", "float8_e4m3fn"),
)
def test_as_array(engine, row):
    value, asked, dtype = row
    x = engine.arrays.as_array(value, asked)
    assert engine.arrays.is_array(x)
    assert not engine.arrays.is_traced(x)
    assert dtypes.dtype_of(x) == dtype
    same(x, np.asarray(value))


@pytest.mark.parametrize("asked", [None, "float32"])
def test_as_array_copies_what_others_may_change(engine, asked):
    room = np.zeros(128, "uint8")
    mine = room[-room.ctypes.data % 64 :][:12].view("float32")  # where an engine could take it as it lies
    mine[:] = 1
    x = engine.arrays.as_array(mine, asked)
    mine[:] = 5
    same(x, np.ones(3))


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool", "uint8", "float16", BF16])
def test_filled(engine, dtype):
    x = engine.arrays.filled((2, 3), 1, dtype)
    assert engine.arrays.is_array(x)
    assert dtypes.dtype_of(x) == dtype
    same(engine.arrays.cast(x, "float32"), np.ones((2, 3)))
    assert engine.arrays.filled((), 2, dtype).shape == ()


def test_an_array_is_a_value(engine):
    x = engine.arrays.as_array([1.0, 2.0])
    y = x
    y += 1
    same(x, [1.0, 2.0])
    same(y, [2.0, 3.0])
    with pytest.raises((TypeError, ValueError)):
        x[0] = 7.0


@pytest.mark.parametrize("value", ["text", object(), np.array(["a"])], ids=["text", "object", "array of text"])
def test_what_is_no_number_is_refused(engine, value):
    with pytest.raises(TypeError):
        engine.arrays.as_array(value)


@pytest.mark.parametrize("value", [np.ones(2), 1.0, [1.0], None], ids=["ndarray", "float", "list", "None"])
def test_is_array_knows_its_own_only(engine, value):
    assert not engine.arrays.is_array(value)


def test_to_numpy_is_plain(engine):
    x = engine.arrays.to_numpy(engine.arrays.as_array([1.0, 2.0]))
    assert type(x) is np.ndarray
    same(x, [1.0, 2.0])


@table(
    # name, entry, arguments, expected
    ("cast floats to ints", "cast", (np.array([1.7, -1.7]), "int32"), np.array([1, -1])),
    ("cast to bfloat16", "cast", (np.array([1 + 2**-7, 1 + 2**-9]), BF16), np.array([1.0078125, 1.0])),
    ("set a place", "set_at", (F, (0, 1), np.array(7.0)), [[3, 7, 2], [0.5, 9, -4]]),
    ("set rows", "set_at", (F, np.array([1]), np.zeros((1, 3))), [[3, 1, 2], [0, 0, 0]]),
    ("set a slice", "set_at", (F, (slice(None), 0), np.array([8.0, 8.0])), [[8, 1, 2], [8, 9, -4]]),
    ("add at repeated places", "add_at", (np.zeros(3), AT, np.array([1.0, 2.0, 4.0])), [2, 0, 5]),
    ("add rows", "add_at", (np.zeros((3, 2)), AT, np.ones((3, 2))), [[1, 1], [0, 0], [2, 2]]),
    ("add ints", "add_at", (np.zeros(3, "int32"), AT, np.array([1, 2, 4])), [2, 0, 5]),
    ("largest at", "reduce_at", (np.zeros(3), AT, np.array([1.0, -2.0, 4.0]), "max"), [0, 0, 4]),
    ("smallest at", "reduce_at", (np.zeros(3), AT, np.array([1.0, -2.0, -4.0]), "min"), [-2, 0, -4]),
    ("multiply at", "reduce_at", (np.ones(3), AT, np.array([3.0, -2.0, 5.0]), "mul"), [-2, 1, 15]),
    ("rows", "rows", (F, np.array([1, 0, 1])), F[[1, 0, 1]]),
    ("slice", "dynamic_slice", (F, [0, 1], (2, 2)), F[:, 1:]),
    ("slice held inside", "dynamic_slice", (F, [5, 2], (1, 2)), F[1:, 1:]),
    ("slice from arrays", "dynamic_slice", (F, [np.array(1), np.array(0)], (1, 2)), F[1:, :2]),
    ("set a block", "dynamic_set", (F, [0, 1], np.zeros((1, 2))), [[3, 0, 0], [0.5, 9, -4]]),
    ("set a block held inside", "dynamic_set", (F, [1, 9], np.zeros((1, 2))), [[3, 1, 2], [0.5, 0, 0]]),
    ("top k", "top_k", (F, 2), ([[3, 2], [9, 0.5]], [[0, 2], [1, 0]])),
    ("top k of equals", "top_k", (np.array([1, 5, 5, 2]), 2), ([5, 5], [1, 2])),
    ("LU", "lu_factor", (np.array([[1.0, 2.0], [4.0, 2.0]]),), ([[4, 2], [0.25, 1.5]], [1, 1])),
    ("LU of two", "lu_factor", (np.array([[[2.0]], [[3.0]]]),), ([[[2]], [[3]]], [[0], [0]])),
)  # fmt: skip
def test_array_entries(engine, row):
    entry, args, expected = row
    got = getattr(engine.arrays, entry)(*put(engine, args))
    assert all(engine.arrays.is_array(leaf) for leaf in tree.flatten(got))
    same(got, expected)


@pytest.mark.parametrize("entry", ["set_at", "add_at", "dynamic_set"])
def test_writing_leaves_the_original(engine, entry):
    x = engine.arrays.as_array(np.ones(3))
    getattr(engine.arrays, entry)(x, [0] if entry == "dynamic_set" else slice(0, 1), put(engine, np.full(1, 5.0)))
    same(x, np.ones(3))


def test_bfloat16_is_summed_in_float32(engine):
    x = engine.arrays.as_array(np.ones(1000), BF16)
    total = engines.xp.sum(x)
    assert dtypes.dtype_of(total) == BF16
    same(total, 1000.0)


# The namespace --------------------------------------------------------------------------------------------------

A = {
    "f": np.array([1.0, 2.0, 3.0], "float32"), "g": np.array([0.5, -2.0, 4.0], "float32"), "i": np.array([1, 2, 3]),
    "b": np.array([1.0, 2.0, 3.0]), "u": np.array([1, 2, 3], "uint8"), "t": np.array([True, False, True]),
    "h": np.array([1.0, 2.0, 3.0], "float16"), "m": np.array([[4.0, 1.0], [1.0, 3.0]]),
}  # fmt: skip
DTYPES = {"b": BF16}


@table(
    # name, function of the namespace and arrays, value, dtype
    ("float and int", lambda xp, f, i, **_: f * i, [1, 4, 9], "float32"),
    ("bfloat16 and int", lambda xp, b, i, **_: b * i, [1, 4, 9], BF16),
    ("float16 and int", lambda xp, h, i, **_: h + i, [2, 4, 6], "float16"),
    ("float16 and bfloat16", lambda xp, h, b, **_: h + b, [2, 4, 6], "float32"),
    ("bfloat16 and a number", lambda xp, b, **_: b * 2.5, [2.5, 5, 7.5], BF16),
    ("int and a number", lambda xp, i, **_: i * 2.5, [2.5, 5, 7.5], "float32"),
    ("int over int", lambda xp, i, **_: i / 2, [0.5, 1, 1.5], "float32"),
    ("uint8 and int32", lambda xp, u, i, **_: u + i, [2, 4, 6], "int32"),
    ("float and a float64 of NumPy", lambda xp, f, **_: f * np.float64(2), [2, 4, 6], "float32"),
    ("a float64 of NumPy and float", lambda xp, f, **_: np.float64(2) * f, [2, 4, 6], "float32"),
    ("an array of NumPy and float", lambda xp, f, **_: np.arange(3.0) * f, [0, 2, 6], "float32"),
    ("bool and comparison", lambda xp, f, t, **_: t & (f > 1), [False, False, True], "bool"),
    ("complex", lambda xp, f, **_: xp.real(f * (1 + 1j)), [1, 2, 3], "float32"),
    ("power", lambda xp, b, **_: b**2, [1, 4, 9], BF16),
    ("matrix product", lambda xp, b, **_: b @ b, 14, BF16),
    ("sum of ints", lambda xp, i, **_: xp.sum(i), 6, "int32"),
    ("sum of bools", lambda xp, t, **_: t.sum(), 2, "int32"),
    ("mean of ints", lambda xp, i, **_: i.mean(), 2, "float32"),
    ("mean of bfloat16", lambda xp, b, **_: xp.mean(b), 2, BF16),
    ("sum as float32", lambda xp, b, **_: xp.sum(b, dtype="float32"), 6, "float32"),
    ("variance", lambda xp, f, **_: f.var(), 2 / 3, "float32"),
    ("argmax", lambda xp, f, **_: f.argmax(), 2, "int32"),
    ("argmax of an axis", lambda xp, m, **_: xp.argmax(m, axis=1), [0, 1], "int32"),
    ("root of uint8", lambda xp, u, **_: xp.sqrt(u), np.sqrt([1, 2, 3]), "float32"),
    ("exp of bool", lambda xp, t, **_: xp.exp(t), np.exp([1, 0, 1]), "float32"),
    ("log of zero", lambda xp, f, **_: xp.log(f * 0), [-np.inf] * 3, "float32"),
    ("zeros", lambda xp, **_: xp.zeros((2,)), [0, 0], "float32"),
    ("ones of int", lambda xp, **_: xp.ones((2,), int), [1, 1], "int32"),
    ("full of int", lambda xp, **_: xp.full((2,), 3), [3, 3], "int32"),
    ("zeros of bfloat16", lambda xp, **_: xp.zeros((1,), xp.bfloat16), [0], BF16),
    ("arange", lambda xp, **_: xp.arange(3), [0, 1, 2], "int32"),
    ("arange of floats", lambda xp, **_: xp.arange(0, 1, 0.25), [0, 0.25, 0.5, 0.75], "float32"),
    ("linspace", lambda xp, **_: xp.linspace(0, 1, 3), [0, 0.5, 1], "float32"),
    ("eye", lambda xp, **_: xp.eye(2), [[1, 0], [0, 1]], "float32"),
    ("asarray", lambda xp, **_: xp.asarray(np.arange(2.0)), [0, 1], "float32"),
    ("array of arrays", lambda xp, f, **_: xp.array([f, f]), [[1, 2, 3]] * 2, "float32"),
    ("where", lambda xp, f, t, **_: xp.where(t, f, 0.0), [1, 0, 3], "float32"),
    ("concatenate", lambda xp, f, i, **_: xp.concatenate([f, i]), [1, 2, 3] * 2, "float32"),
    ("stack", lambda xp, f, b, **_: xp.stack([f, b]), [[1, 2, 3]] * 2, "float32"),
    ("einsum", lambda xp, f, **_: xp.einsum("i,i->", f, f, precision="highest"), 14, "float32"),
    ("matmul to float32", lambda xp, b, **_: xp.matmul(b, b, preferred_element_type="float32"), 14, "float32"),
    ("an element", lambda xp, f, **_: f[1], 2, "float32"),
    ("elements", lambda xp, f, i, **_: f[i - 1], [1, 2, 3], "float32"),
    ("a new axis", lambda xp, f, **_: f[None, ::2], [[1, 3]], "float32"),
    ("sort down", lambda xp, g, **_: xp.sort(g, descending=True), [4, 0.5, -2], "float32"),
    ("argsort down of equals", lambda xp, f, **_: xp.argsort(f * 0, descending=True), [0, 1, 2], "int32"),
    ("take, filled", lambda xp, f, i, **_: xp.take(f, i, mode="fill"), [2, 3, np.nan], "float32"),
    ("take, clipped", lambda xp, f, i, **_: xp.take(f, i, mode="clip"), [2, 3, 3], "float32"),
    ("take from the end", lambda xp, f, i, **_: xp.take(f, -i), [3, 2, 1], "float32"),
    ("take rows", lambda xp, m, **_: xp.take(m, xp.asarray([1, 5]), axis=0), [[1, 3], [np.nan] * 2], "float32"),
    ("take along", lambda xp, m, **_: xp.take_along_axis(m, xp.asarray([[1], [0]]), 1), [[1], [1]], "float32"),
    ("nonzero of a size", lambda xp, t, **_: xp.nonzero(t, size=4)[0], [0, 2, 0, 0], "int32"),
    ("unique of a size", lambda xp, i, **_: xp.unique(i, size=4, fill_value=9), [1, 2, 3, 9], "int32"),
    ("bincount of a length", lambda xp, i, **_: xp.bincount(i, length=5), [0, 1, 1, 1, 0], "int32"),
    ("repeat of a length", lambda xp, f, i, **_: xp.repeat(f, i, total_repeat_length=4), [1, 2, 2, 3], "float32"),
    ("searchsorted", lambda xp, f, **_: xp.searchsorted(f, 2.5, method="scan"), 2, "int32"),
    ("median", lambda xp, g, **_: xp.median(g), 0.5, "float32"),
    ("quantile", lambda xp, f, **_: xp.quantile(f, 0.25, method="linear"), 1.5, "float32"),
    ("solve", lambda xp, m, **_: xp.linalg.solve(m, m), [[1, 0], [0, 1]], "float32"),
    ("norm", lambda xp, f, **_: xp.linalg.norm(f), np.sqrt(14), "float32"),
    ("eigenvalues", lambda xp, m, **_: xp.linalg.eigh(m)[0], np.linalg.eigvalsh(A["m"]), "float32"),
    ("Fourier", lambda xp, f, **_: xp.abs(xp.fft.rfft(f)), np.abs(np.fft.rfft([1, 2, 3])), "float32"),
    ("allclose", lambda xp, f, **_: xp.allclose(f, f), True, "bool"),
    ("issubdtype", lambda xp, b, **_: xp.asarray(xp.issubdtype(b.dtype, xp.floating)), True, "bool"),
    ("epsilon", lambda xp, b, **_: xp.asarray(float(xp.finfo(b.dtype).eps)), 2**-7, "float32"),
)  # fmt: skip
def test_namespace(engine, row):
    function, expected, dtype = row
    got = function(engines.xp, **{name: engine.arrays.as_array(a, DTYPES.get(name)) for name, a in A.items()})
    assert engine.arrays.is_array(got)
    same(got, np.asarray(expected), dtype)


@table(
    # values that may be looked up in any table of these functions
    ("erf", (0.5,), 0.5204998778),
    ("erfc", (0.5,), 0.4795001222),
    ("erfinv", (0.5,), 0.4769362762),
    ("gammaln", (4.0,), 1.7917594692),
    ("digamma", (1.0,), -0.5772156649),
    ("polygamma", (1, 1.0), 1.6449340668),
    ("betaln", (2.0, 3.0), -2.4849066498),
    ("betainc", (2.0, 3.0, 0.5), 0.6875),
    ("gammainc", (1.0, 1.0), 0.6321205588),
    ("logsumexp", (np.array([0.0, 0.0, 0.0]),), 1.0986122887),
    ("expit", (1.0,), 0.7310585786),
    ("logit", (0.75,), 1.0986122887),
    ("xlogy", (0.0, 0.0), 0.0),
    ("entr", (0.5,), 0.3465735903),
    ("ndtr", (1.0,), 0.8413447461),
    ("ndtri", (0.8413447461,), 1.0),
    ("i0e", (1.0,), 0.4657596076),
    ("i1", (1.0,), 0.5651591040),
)
def test_special_functions(engine, row, request):
    args, expected = row
    name = request.node.callspec.id.split("-")[-1]
    args = (a if isinstance(a, int) else engine.arrays.as_array(a) for a in args)
    same(getattr(engine.arrays.special, name)(*args), expected, "float32")


# Convolution and pooling ----------------------------------------------------------------------------------------


def conv_by_loops(x, kernel, strides, padding, dilation, groups):
    """The definition, one output cell after the other."""
    *window, own, filters = kernel.shape
    x = np.pad(x, [(0, 0), *padding, (0, 0)])
    reach = [(w - 1) * d + 1 for w, d in zip(window, dilation)]
    out = [(n - r) // s + 1 for n, r, s in zip(x.shape[1:], reach, strides)]
    y = np.zeros((len(x), *out, filters))
    for b, f in itertools.product(range(len(x)), range(filters)):
        first = f // (filters // groups) * own
        for place in np.ndindex(*out):
            corner = [p * s for p, s in zip(place, strides)]
            cells = (b, *(slice(c, c + r, d) for c, r, d in zip(corner, reach, dilation)), slice(first, first + own))
            y[(b, *place, f)] = np.sum(x[cells] * kernel[..., f])
    return y


def conv_transpose_by_stamps(x, kernel, strides, padding, dilation):
    """Each cell of x stamps the kernel on the output; then borders are cut off or added."""
    *window, filters, _ = kernel.shape
    reach = [(w - 1) * d + 1 for w, d in zip(window, dilation)]
    y = np.zeros((len(x), *((n - 1) * s + r for n, s, r in zip(x.shape[1:], strides, reach)), filters))
    for b in range(len(x)):
        for place in np.ndindex(*x.shape[1:-1]):
            at = tuple(slice(p * s, p * s + r, d) for p, s, r, d in zip(place, strides, reach, dilation))
            y[(b, *at)] += kernel @ x[(b, *place)]
    borders = [(before - r + 1, after - r + 1) for (before, after), r in zip(padding, reach)]
    y = np.pad(y, [(0, 0), *((max(a, 0), max(b, 0)) for a, b in borders), (0, 0)])
    return y[:, *(slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(borders, y.shape[1:]))]


def pool_by_loops(reduce, empty):
    def pool(x, window, strides, padding):
        x = np.pad(x, [(0, 0), *padding, (0, 0)], constant_values=empty)
        out = [(n - w) // s + 1 for n, w, s in zip(x.shape[1:], window, strides)]
        y = np.zeros((len(x), *out, x.shape[-1]))
        for place in np.ndindex(*out):
            cells = (slice(p * s, p * s + w) for p, s, w in zip(place, strides, window))
            y[(slice(None), *place)] = reduce(x[(slice(None), *cells)], axis=tuple(range(1, len(window) + 1)))
        return y

    return pool


SPATIAL = {
    "conv": conv_by_loops, "conv_transpose": conv_transpose_by_stamps,
    "max_pool": pool_by_loops(np.max, -np.inf), "sum_pool": pool_by_loops(np.sum, 0),
}  # fmt: skip

SPATIAL_ROWS = [
    # name, entry, arrays, settings
    # settings of conv: strides, padding, dilation, groups
    ("1D", "conv", [(2, 9, 3), (3, 3, 4)], ((1,), ((0, 0),), (1,), 1)),
    ("1D strided, padded", "conv", [(2, 9, 3), (3, 3, 4)], ((2,), ((1, 2),), (1,), 1)),
    ("1D causal, dilated", "conv", [(2, 9, 3), (2, 3, 4)], ((1,), ((3, 0),), (3,), 1)),
    ("2D", "conv", [(2, 6, 7, 3), (3, 2, 3, 4)], ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    ("2D strided, padded", "conv", [(2, 6, 7, 3), (3, 2, 3, 4)], ((2, 3), ((1, 1), (0, 2)), (1, 1), 1)),
    ("2D dilated", "conv", [(2, 8, 7, 2), (3, 2, 2, 3)], ((1, 1), ((2, 2), (1, 0)), (2, 3), 1)),
    ("2D strided, dilated", "conv", [(1, 9, 8, 2), (2, 2, 2, 3)], ((2, 2), ((1, 1), (1, 1)), (2, 1), 1)),
    ("2D in groups", "conv", [(2, 5, 5, 6), (3, 3, 2, 9)], ((1, 1), ((1, 1), (1, 1)), (1, 1), 3)),
    ("2D in strided groups", "conv", [(2, 6, 5, 4), (2, 3, 2, 6)], ((2, 1), ((0, 1), (1, 1)), (1, 1), 2)),
    ("2D depthwise", "conv", [(2, 6, 5, 3), (3, 3, 1, 3)], ((1, 1), ((1, 1), (1, 1)), (1, 1), 3)),
    ("2D depthwise, multiplied", "conv", [(2, 6, 5, 3), (3, 2, 1, 6)], ((2, 2), ((1, 0), (0, 1)), (1, 1), 3)),
    ("2D pointwise", "conv", [(2, 4, 5, 3), (1, 1, 3, 2)], ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    ("2D pointwise, strided", "conv", [(2, 4, 5, 3), (1, 1, 3, 2)], ((2, 2), ((0, 0), (0, 0)), (1, 1), 1)),
    ("3D", "conv", [(1, 4, 5, 4, 2), (2, 3, 2, 2, 3)], ((1, 1, 1), ((0, 0), (1, 1), (0, 1)), (1, 1, 1), 1)),
    ("3D strided in groups", "conv", [(1, 5, 5, 4, 4), (2, 3, 2, 2, 4)], ((2, 1, 2), ((0, 0),) * 3, (1, 1, 1), 2)),
    # settings of conv_transpose: strides, padding, dilation
    ("transpose 1D", "conv_transpose", [(2, 5, 3), (3, 4, 3)], ((2,), ((2, 2),), (1,))),
    ("transpose 1D cut", "conv_transpose", [(2, 5, 3), (4, 2, 3)], ((2,), ((1, 2),), (1,))),
    ("transpose 1D widened", "conv_transpose", [(2, 5, 3), (2, 2, 3)], ((3,), ((1, 3),), (1,))),
    ("transpose 2D", "conv_transpose", [(2, 3, 4, 2), (3, 2, 3, 2)], ((2, 1), ((1, 2), (0, 1)), (1, 1))),
    ("transpose 2D dilated", "conv_transpose", [(2, 3, 4, 2), (2, 2, 3, 2)], ((2, 2), ((3, 3), (2, 2)), (3, 2))),
    ("transpose 3D", "conv_transpose", [(1, 3, 2, 3, 2), (2, 2, 3, 2, 2)],
     ((2, 1, 2), ((1, 1), (1, 1), (2, 2)), (1, 1, 1))),
    # settings of pools: window, strides, padding
    ("max 1D", "max_pool", [(2, 9, 3)], ((2,), (2,), ((0, 0),))),
    ("max 1D overlapping, padded", "max_pool", [(2, 9, 3)], ((3,), (2,), ((1, 1),))),
    ("max 2D", "max_pool", [(2, 6, 8, 3)], ((2, 2), (2, 2), ((0, 0), (0, 0)))),
    ("max 2D overlapping, padded", "max_pool", [(2, 7, 6, 3)], ((3, 2), (2, 1), ((1, 1), (0, 1)))),
    ("max 2D with rest", "max_pool", [(2, 7, 5, 2)], ((3, 2), (3, 2), ((0, 0), (0, 0)))),
    ("max 3D", "max_pool", [(1, 4, 5, 4, 2)], ((2, 3, 2), (2, 1, 2), ((0, 0), (1, 1), (0, 0)))),
    ("sum 1D", "sum_pool", [(2, 9, 3)], ((3,), (2,), ((1, 1),))),
    ("sum 2D", "sum_pool", [(2, 7, 6, 3)], ((3, 2), (2, 2), ((1, 1), (0, 0)))),
    ("sum 3D", "sum_pool", [(1, 4, 5, 4, 2)], ((2, 3, 2), (2, 1, 2), ((0, 0), (1, 1), (0, 1)))),
]  # fmt: skip
SPATIAL_ROWS = [(name, entry, [normal(*s) for s in shapes], how) for name, entry, shapes, how in SPATIAL_ROWS]


@table(*SPATIAL_ROWS)
def test_convolution_and_pooling(engine, row):
    entry, arrays, settings = row
    got = getattr(engine.nn, entry)(*put(engine, arrays), *settings)
    assert engine.arrays.is_array(got)
    same(got, SPATIAL[entry](*arrays, *settings), "float32")


@table(*SPATIAL_ROWS)
def test_gradients_of_convolution_and_pooling(engine, row):
    entry, arrays, settings = row
    if not engine.transforms.differentiable:
        with pytest.raises(errors.Unsupported, match="set_engine\\('jax'\\)"):
            engine.transforms.value_and_grad(lambda x: x)
        return
    definition = SPATIAL[entry]
    weights = np.random.default_rng(1).normal(size=definition(*arrays, *settings).shape)

    def loss(arrays):
        return (getattr(engine.nn, entry)(*arrays, *settings) * put(engine, weights)).sum()

    value, gradients = engine.transforms.compile(engine.transforms.value_and_grad(loss))(put(engine, arrays))
    same(value, np.sum(definition(*arrays, *settings) * weights), tolerance=1e-4)
    step = 1e-5
    for i, gradient in enumerate(host(gradients)):
        direction = np.random.default_rng(2).normal(size=arrays[i].shape)

        def along(t, i=i, direction=direction):
            moved = [a + t * direction if i == j else a for j, a in enumerate(arrays)]
            return np.sum(definition(*moved, *settings) * weights)

        slope = (along(step) - along(-step)) / (2 * step)
        size = np.linalg.norm(gradient) * np.linalg.norm(direction)
        assert abs(np.sum(gradient * direction) - slope) < 1e-5 * size


def test_max_pool_of_ints_and_bfloat16(engine):
    x = np.array([-5, -3, -9, -2]).reshape(1, 4, 1)
    for dtype in ("int32", "bfloat16"):
        got = engine.nn.max_pool(engine.arrays.as_array(x, dtype), (3,), (1,), ((1, 1),))
        same(got, np.array([-3, -3, -2, -2]).reshape(1, 4, 1), dtype)


# Random draws ---------------------------------------------------------------------------------------------------

N = 20_000
DRAWS = [
    # name, entry, arguments after the key, mean, standard deviation, least, greatest
    ("uniform", "uniform", ((N,), "float32", -1.0, 3.0), 1.0, 4 / 12**0.5, -1.0, 3.0),
    ("uniform bfloat16", "uniform", ((N,), BF16, 0.0, 1.0), 0.5, 12**-0.5, 0.0, 1.0),
    ("normal", "normal", ((N // 4, 4), "float32"), 0.0, 1.0, -9, 9),
    ("truncated normal", "truncated_normal", ((N,), "float32"), 0.0, 0.8796, -2.0, 2.0),
    ("randint", "randint", ((N,), -2, 4, "int32"), 0.5, (35 / 12) ** 0.5, -2, 3),
    ("keep mask", "keep_mask", (0.3, (N,)), 0.7, 0.21**0.5, 0, 1),
    ("categorical", "categorical", (np.log([[0.2, 0.5, 0.3]]), N, "int32"), 1.1, 0.7, 0, 2),
    ("gamma", "gamma", ((N, 2), "float32", np.array([2.0, 4.0])), 3.0, 2.0, 0, 40),
    ("beta", "beta", ((N,), "float32", 2.0, 3.0), 0.4, 0.2, 0, 1),
    ("binomial", "binomial", ((N,), "float32", 10.0, 0.3), 3.0, 2.1**0.5, 0, 10),
]  # fmt: skip


def draw(engine, entry, args, seed=5, counter=0):
    key = engine.arrays.as_array(np.array([seed, counter], "uint32"))
    return getattr(engine.random, entry)(key, *put(engine, args))


@table(*DRAWS)
def test_moments(engine, row):
    entry, args, mean, deviation, least, greatest = row
    draws = host(draw(engine, entry, args)).astype("float64")
    error = 5 / N**0.5
    assert abs(draws.mean() - mean) < error * deviation
    assert abs(draws.std() / deviation - 1) < error
    assert draws.min() >= least
    assert draws.max() < greatest if entry == "uniform" else draws.max() <= greatest


@table(*DRAWS)
def test_shape_and_dtype_of_draws(engine, row):
    entry, args, *_ = row
    got = draw(engine, entry, args)
    shape, dtype = {"keep_mask": (args[-1], "bool"), "categorical": ((1, N), "int32")}.get(
        entry, (args[0], next((a for a in args if isinstance(a, str)), None))
    )
    assert (got.shape, dtypes.dtype_of(got)) == (shape, dtype)


@table(*DRAWS)
def test_the_key_decides(engine, row):
    entry, args, *_ = row
    first, again = host(draw(engine, entry, args)), host(draw(engine, entry, args))
    np.testing.assert_array_equal(first, again)
    for other in ({"seed": 6}, {"counter": 1}):
        assert (host(draw(engine, entry, args, **other)) != first).mean() > 0.1


@table(*DRAWS)
def test_compiled_draws_are_the_same(engine, row):
    entry, args, *_ = row
    key = engine.arrays.as_array(np.array([5, 0], "uint32"))
    compiled = engine.transforms.compile(lambda key: getattr(engine.random, entry)(key, *put(engine, args)))
    np.testing.assert_allclose(host(compiled(key)).astype(float), host(draw(engine, entry, args)).astype(float), 1e-6)


def test_keys_follow_one_another_without_likeness(engine):
    rows = np.stack([host(draw(engine, "normal", ((1000,), "float32"), counter=c)) for c in range(4)])
    assert np.abs(np.corrcoef(rows) - np.eye(4)).max() < 0.15


@pytest.mark.parametrize("axis", [0, 1])
def test_permutation(engine, axis):
    x = np.arange(60.0).reshape(10, 6) if axis == 0 else np.arange(60.0).reshape(6, 10)
    got = host(draw(engine, "permutation", (x, axis)))
    lines = got if axis == 0 else got.T
    same(np.array(sorted(map(tuple, lines))), x if axis == 0 else x.T)  # rows stay whole, none is lost
    assert (got != x).any()
    np.testing.assert_array_equal(got, host(draw(engine, "permutation", (x, axis))))


# Transforms -----------------------------------------------------------------------------------------------------

X = Spec((4, 3), np.dtype("float32"))


@table(
    # name, function, arguments, shapes and dtypes
    ("a product", lambda x, y: x @ y, (X, Spec((3, 2), np.dtype("float32"))), ((4, 2), "float32")),
    ("a reduction", lambda x: engines.xp.mean(x, axis=0), (X,), ((3,), "float32")),
    ("an argmax", lambda x: engines.xp.argmax(x, axis=1), (X,), ((4,), "int32")),
    ("a comparison", lambda x: x > 0, (X,), ((4, 3), "bool")),
    ("a cast", lambda x: engines.arrays.cast(x, BF16), (X,), ((4, 3), BF16)),
    ("with an array", lambda x, y: x + y, (X, np.ones((5, 1, 1), "float32")), ((5, 4, 3), "float32")),
    ("a nest", lambda t: {"y": t["a"][0] * 2}, ({"a": [X]},), {"y": ((4, 3), "float32")}),
    ("a convolution", lambda x: engines.nn.conv(x[None], engines.xp.ones((2, 3, 5)), (1,), ((0, 0),), (1,), 1), (X,),
     ((1, 3, 5), "float32")),
    ("a draw", lambda key: engines.random.normal(key, (7,), BF16), (Spec((2,), np.dtype("uint32")),), ((7,), BF16)),
    ("a scan", lambda x: engines.transforms.scan(lambda c, r: (c + r, c), x[0], x, None, False), (X,),
     (((3,), "float32"), ((4, 3), "float32"))),
    ("a while loop", lambda x: engines.transforms.while_loop(lambda v: v[0, 0] < 1, lambda v: v * 2, x), (X,),
     ((4, 3), "float32")),
    ("a counted loop", lambda n: engines.transforms.fori_loop(0, n, lambda i, v: v * 2, engines.xp.ones(3)),
     (Spec((), np.dtype("int32")),), ((3,), "float32")),
)  # fmt: skip
def test_abstract(engine, row):
    function, args, expected = row
    got = engine.transforms.abstract(function, *args)
    assert tree.map_structure(lambda s: (tuple(s.shape), np.dtype(s.dtype).name), got) == expected


def test_inside_abstract_values_are_not_known(engine):
    seen, closed = {}, engine.arrays.as_array([1.0])

    def function(x):
        seen.update(
            given=engine.arrays.is_traced(x), computed=engine.arrays.is_traced(engines.xp.sum(x * 2)[None][0]),
            closed=engine.arrays.is_traced(closed),
        )  # fmt: skip
        with engine.transforms.concrete():
            seen["made"] = engine.arrays.is_traced(engines.xp.ones(3) + 1)
        return x

    engine.transforms.abstract(function, X)
    assert seen == {"given": True, "computed": True, "closed": False, "made": False}


def test_arrays_are_joined_up_to_a_size_or_never(engine):
    size = engine.transforms.joined_up_to()
    assert isinstance(size, int) and (size > 1000 if engine.transforms.compiled else size == 0)


def test_unknown_sizes_can_be_split(engine):
    small, large = engine.transforms.unknown_sizes
    assert small != large
    assert all(size % part == 0 for size in (small, large) for part in (2, 3, 4, 6, 8))


def test_compile(engine):
    compiled = engine.transforms.compile(lambda x, t: (x * 2, {"s": t["a"] + x}))
    same(compiled(put(engine, np.ones(2)), {"a": put(engine, np.zeros(2))}), (2 * np.ones(2), {"s": np.ones(2)}))


VMAPS = [
    # name, function, in_axes, out_axes, arguments, expected
    ("rows", lambda x: engines.xp.sum(x), 0, 0, (F,), F.sum(1)),
    ("columns", lambda x: engines.xp.sum(x), 1, 0, (F,), F.sum(0)),
    ("one fixed", lambda x, y: x @ y, (0, None), 0, (F, F.T), F @ F.T),
    ("out along 1", lambda x: x * 2, 0, 1, (F,), 2 * F.T),
    ("out along the last", lambda x: x * 2, 0, -1, (F,), 2 * F.T),
    ("a nest", lambda t: (t["a"] + t["b"], t["a"]), ({"a": 0, "b": None},), (0, 0), ({"a": F, "b": F[0]},),
     (F + F[0], F)),
    ("one axis for a nest", lambda t: t["a"] * t["b"], 0, 0, ({"a": F, "b": F},), F * F),
    ("the same for all", lambda x, y: (x + y, y), (0, None), (0, None), (F, F[0]), (F + F[0], F[0])),
]  # fmt: skip


@table(*VMAPS)
def test_vmap(engine, row):
    function, in_axes, out_axes, args, expected = row
    same(engine.transforms.vmap(function, in_axes, out_axes)(*put(engine, args)), expected)


def test_vmap_refuses_one_result_where_there_are_many(engine):
    with pytest.raises(ValueError, match="out_axes"):
        engine.transforms.vmap(lambda x: x, 0, None)(put(engine, F))


@table(
    # name, step, init, xs, length, reverse, last carry, outputs
    ("running sum", lambda c, x: (c + x, c + x), np.array(0.0), np.arange(4.0), None, False, 6, [0, 1, 3, 6]),
    ("backwards", lambda c, x: (c + x, c), np.array(0.0), np.arange(4.0), None, True, 6, [6, 5, 3, 0]),
    ("counted", lambda c, _: (c * 2, None), np.array(1.0), None, 5, False, 32, None),
    ("of nests", lambda c, x: ({"s": c["s"] + x[0]}, {"y": x[1] * c["s"]}), {"s": np.array(1.0)},
     (np.arange(3.0), np.ones(3)), None, False, {"s": 4}, {"y": [1, 1, 2]}),
    ("of nothing", lambda c, x: (c + x, c * 2), np.array(3.0), np.zeros((0,)), None, False, 3, np.zeros(0)),
)  # fmt: skip
def test_scan(engine, row):
    step, init, xs, length, reverse, carry, outputs = row
    got = engine.transforms.scan(step, put(engine, init), put(engine, xs), length, reverse)
    same(got, (carry, outputs))


def test_loops(engine):
    t = engine.transforms
    same(t.fori_loop(2, 5, lambda i, v: v + i, put(engine, np.array(0))), 9, "int32")
    same(t.fori_loop(5, 2, lambda i, v: v + i, put(engine, np.array(0))), 0)
    same(t.while_loop(lambda v: v[0] < 50, lambda v: (v[0] * 3, v[1] + 1), put(engine, (np.array(1.0), np.array(0)))),
         (np.array(81.0), np.array(4)))  # fmt: skip


@pytest.mark.parametrize(("predicate", "expected"), [(True, 6.0), (False, 9.0), (np.array(True), 6.0)])
def test_cond(engine, predicate, expected):
    same(engine.transforms.cond(predicate, lambda x: x * 2, lambda x: x * 3, put(engine, np.array(3.0))), expected)


@pytest.mark.parametrize(("index", "expected"), [(0, 1.0), (1, 2.0), (2, 3.0), (7, 3.0), (-1, 1.0)])
def test_switch(engine, index, expected):
    branches = [lambda x: x, lambda x: x * 2, lambda x: x * 3]
    same(engine.transforms.switch(index, branches, put(engine, np.array(1.0))), expected)


@table(
    ("sums", lambda a, b: a + b, F, False, 1, np.cumsum(F, 1)),
    ("sums of rows", lambda a, b: a + b, F, False, 0, np.cumsum(F, 0)),
    ("sums from the end", lambda a, b: a + b, F, True, 1, np.cumsum(F[:, ::-1], 1)[:, ::-1]),
    # affine maps x -> a x + b compose: order matters
    ("compositions", lambda f, g: (f[0] * g[0], f[1] * g[0] + g[1]),
     (np.array([2.0, 3.0, 5.0]), np.ones(3)), False, 0, ([2, 6, 30], [1, 4, 21])),
)  # fmt: skip
def test_associative_scan(engine, row):
    function, elems, reverse, axis, expected = row
    same(engine.transforms.associative_scan(function, put(engine, elems), reverse, axis), expected)


def test_values_pass_through(engine):
    x = put(engine, F)
    t = engine.transforms
    same(t.remat(lambda x: x * 2)(x), 2 * F)
    same(t.stop_gradient(x), F)
    same(t.custom_gradient(lambda x: (x * 2, lambda upstream: upstream))(x), 2 * F)
    same(t.block_until_ready({"x": x}), {"x": F})


def test_derivatives(engine):
    t, x = engine.transforms, put(engine, np.array([1.0, 2.0]))
    if not t.differentiable:
        for transform in (lambda: t.value_and_grad(lambda x: x), lambda: t.jvp(lambda x: x, (x,), (x,), False)):
            with pytest.raises(errors.Unsupported, match="set_engine"):
                transform()
        return
    same(t.value_and_grad(lambda x: (x**3).sum())(x), (np.array(9.0), np.array([3.0, 12.0])))
    same(t.value_and_grad(lambda t: ((t["a"] ** 2).sum(), t["a"]), has_aux=True)({"a": x}),
         ((np.array(5.0), np.array([1.0, 2.0])), {"a": np.array([2.0, 4.0])}))  # fmt: skip
    same(t.jvp(lambda x: x**2, (x,), (x,), False), (np.array([1.0, 4.0]), np.array([2.0, 8.0])))
    same(t.value_and_grad(t.remat(lambda x: (x**3).sum()))(x)[1], [3.0, 12.0])
    same(t.value_and_grad(lambda x: (t.stop_gradient(x) * x).sum())(x)[1], [1.0, 2.0])
    clipped = t.custom_gradient(lambda x: (x * 10, lambda upstream: upstream * 0.5))
    same(t.value_and_grad(lambda x: clipped(x).sum())(x), (np.array(30.0), np.array([0.5, 0.5])))


# Devices --------------------------------------------------------------------------------------------------------


def test_devices(engine):
    assert "cpu:0" in engine.devices.names("cpu")
    assert set(engine.devices.names()) <= {f"{kind}:{i}" for kind in ("cpu", "gpu", "tpu") for i in range(64)}
    with engine.devices.scope("cpu:0"):
        same(engines.xp.ones(2), [1.0, 1.0])
    with pytest.raises(errors.InvalidArgument, match="no such device"), engine.devices.scope("abacus:3"):
        pass


def test_put(engine):
    got = engine.devices.put(np.ones(2, "float32"))
    assert engine.arrays.is_array(got)
    same(got, np.ones(2))
    assert engine.devices.platform() in {name.partition(":")[0] for name in engine.devices.names()}
