"""Every row of the table of ops, on every engine: value, slope, symbolic shape, compiled against eager."""

import functools

import numpy as np
import pytest
import rows  # noqa: F401  (fills the table)
from cases import CASES, INSTALLED

import kerata
import kerata.activations  # ops live here too
import kerata.random
from kerata import engine as engines
from kerata import ops, tree
from kerata.core import dtypes
from kerata.core.op import OPS
from kerata.core.symbolic import KerasTensor


def label(case):
    settings = [f"{k}={v}" for k, v in case.kwargs.items() if not isinstance(v, np.ndarray)]
    return "-".join([case.name, *settings])


def over(cases):
    """Parametrize a test over rows of the table."""
    return pytest.mark.parametrize("case", [pytest.param(row, id=label(row)) for row in cases])


compilable = [row for row in CASES if not row.static and row.arrays]


def single(a):
    """The array as people have it: floats of 32 bits, ints of 32."""
    narrow = {"float64": "float32", "int64": "int32", "complex128": "complex64"}
    return a.astype(narrow.get(a.dtype.name, a.dtype))


def call(case, tensors):
    args, kwargs = case.filled(tensors)
    return OPS[case.name](*args, **kwargs)


def host(result):
    return tree.map_structure(np.asarray, result)


def viewed(case, result):
    return tree.flatten(host(case.view(host(result))))


@functools.cache
def eager(engine_name, case, copies=1):
    """The op's result in single precision; with the batch `copies` times as long."""
    arrays = [single(a) for a in case.arrays]
    arrays = [np.concatenate([a] * copies) if i in case.batch else a for i, a in enumerate(arrays)]
    with engines.using(engine_name) as engine:
        return host(call(case, [engine.arrays.as_array(a) for a in arrays]))


def exactly(case, arrays):
    """The op's result by the NumPy engine in double precision."""
    with engines.using("numpy") as engine:
        return call(case, [engine.arrays.as_array(a, a.dtype.name) for a in arrays])


def test_every_op_has_a_row():
    assert set(OPS) - {row.name for row in CASES} == set()


@over(CASES)
def test_value(engine, case):
    reference = case.reference(*case.args, **case.kwargs) if case.reference else exactly(case, case.arrays)
    got, expected = viewed(case, eager(engine.name, case)), viewed(case, reference)
    for g, e in zip(got, expected, strict=True):
        assert g.shape == e.shape
        np.testing.assert_allclose(g, e, rtol=case.tolerance, atol=case.tolerance)


@over(CASES)
def test_engines_agree_on_shapes_and_dtypes(case):
    first, *others = ([(leaf.shape, leaf.dtype) for leaf in tree.flatten(eager(name, case))] for name in INSTALLED)
    assert all(other == first for other in others)
    assert all(dtype.itemsize <= 4 or dtype == "complex64" for _, dtype in first)


def floats_of(results):
    return [leaf for leaf in results if dtypes.is_float(leaf.dtype)]


slopes = [
    row for row in compilable
    if row.gradient and floats_of(row.arrays) and floats_of(viewed(row, exactly(row, row.arrays)))
]  # fmt: skip


@over(slopes)
def test_gradient(differentiating, case):
    """The slope along a random direction against the finite difference in float64."""
    rng = np.random.default_rng(4)
    at = [i for i, a in enumerate(case.arrays) if a.dtype.kind == "f"]
    directions = [rng.normal(size=case.arrays[i].shape) for i in at]
    weights = [rng.normal(size=leaf.shape) for leaf in floats_of(viewed(case, exactly(case, case.arrays)))]

    def of_tensors(floats):
        tensors = [engines.arrays.as_array(single(a)) for a in case.arrays]
        for i, value in zip(at, floats):
            tensors[i] = value
        results = floats_of(tree.flatten(case.view(call(case, tensors))))
        return sum(ops.sum(ops.multiply(r, w.astype("float32"))) for r, w in zip(results, weights, strict=True))

    with engines.using(differentiating) as engine:
        gradients = kerata.jit(kerata.grad(of_tensors))([engine.arrays.as_array(case.arrays[i]) for i in at])

    def along(t):
        arrays = list(case.arrays)
        for i, direction in zip(at, directions):
            arrays[i] = arrays[i] + t * direction
        return sum(np.sum(r * w) for r, w in zip(floats_of(viewed(case, exactly(case, arrays))), weights))

    step = 1e-6
    slope = (along(step) - along(-step)) / (2 * step)
    got = sum(np.sum(np.asarray(g) * d) for g, d in zip(gradients, directions))
    size = sum(np.linalg.norm(g) * np.linalg.norm(d) for g, d in zip(gradients, directions))
    assert abs(got - slope) <= 1e-4 * max(size, abs(slope)) + 1e-6


@over(compilable)
def test_symbolic_shape(engine, case):
    """A dimension is unknown exactly where it follows the batch; the dtype is the real one."""
    symbolic = case.batch or (0,)
    tensors = [
        KerasTensor((None, *a.shape[1:]) if case.batch else a.shape, a.dtype)
        if i in symbolic else engine.arrays.as_array(a)
        for i, a in enumerate(map(single, case.arrays))
    ]  # fmt: skip
    got = tree.flatten(call(case, tensors))
    one, two = (tree.flatten(eager("numpy", case, copies)) for copies in (1, 2))
    assert [t.shape for t in got] == [
        tuple(n if n == m else None for n, m in zip(a.shape, b.shape)) for a, b in zip(one, two)
    ]
    assert [t.dtype for t in got] == [leaf.dtype.name for leaf in tree.flatten(eager(engine.name, case))]


@over(compilable)
def test_compiled(engine, case):
    tensors = [engine.arrays.as_array(single(a)) for a in case.arrays]
    got = viewed(case, kerata.jit(lambda tensors: call(case, tensors))(tensors))
    for g, e in zip(got, viewed(case, eager(engine.name, case)), strict=True):
        assert (g.shape, g.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(g, e, rtol=case.tolerance, atol=case.tolerance)


# Operators ------------------------------------------------------------------------------------------------------

OPERATORS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "**": lambda a, b: a**b, "@": lambda a, b: a @ b, "<": lambda a, b: a < b, "==": lambda a, b: a == b,
}  # fmt: skip
SIDES = {
    "ndarray": lambda a: a,
    "tensor": lambda a: engines.arrays.as_array(a),
    "Variable": lambda a: kerata.Variable(a),
    "symbolic": lambda a: KerasTensor(a.shape, a.dtype),
}


@pytest.mark.parametrize("right", SIDES)
@pytest.mark.parametrize("left", SIDES)
@pytest.mark.parametrize("sign", OPERATORS)
def test_operators_take_every_kind_on_either_side(engine, sign, left, right):
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]], "float32"), np.array([[2.0, 1.0], [0.5, 4.0]], "float32")
    expected = OPERATORS[sign](a, b)
    got = OPERATORS[sign](SIDES[left](a), SIDES[right](b))
    assert (got.shape, dtypes.dtype_of(got)) == (expected.shape, expected.dtype.name)
    if "symbolic" in (left, right):
        assert isinstance(got, KerasTensor)
    elif (left, right) != ("ndarray", "ndarray"):
        assert engine.arrays.is_array(got)
        np.testing.assert_allclose(ops.convert_to_numpy(got), expected, rtol=1e-5)


@pytest.mark.parametrize("tensor", [np.float64(2.5), np.array(2.5)], ids=["scalar", "array"])
def test_double_precision_from_outside_does_not_spread(engine, tensor):
    x = engine.arrays.as_array([1.0, 2.0])
    for got in (ops.multiply(x, tensor), x * tensor, tensor * x):
        assert dtypes.dtype_of(got) == "float32"
        np.testing.assert_allclose(got, [2.5, 5.0])
