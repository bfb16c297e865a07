"""Every row of the table of ops, on every engine: value, slope, symbolic shape, compiled against eager."""

import dataclasses
import functools

import numpy as np
import pytest
from cases import CASES

import kerata
import kerata.random
from kerata import config, ops, tree
from kerata import engine as engines
from kerata.core.op import OPS
from kerata.core.symbolic import KerasTensor


def label(case):
    settings = [f"{k}={v}" for k, v in case.kwargs.items() if not isinstance(v, np.ndarray)]
    return "-".join([case.name, *settings])


def over(rows):
    """Parametrize a test over rows of the table."""
    return pytest.mark.parametrize("case", [pytest.param(row, id=label(row)) for row in rows])


compilable = [row for row in CASES if not row.static and row.arrays]


def single(a):
    """The array as people have it: floats of 32 bits, ints of 32."""
    return a.astype({"f": "float32", "i": "int32", "c": "complex64"}.get(a.dtype.kind, a.dtype)) if a.itemsize > 2 else a


def call(case, tensors):
    args, kwargs = case.filled(tensors)
    return case.view(OPS[case.name](*args, **kwargs))


def leaves(result):
    return [np.asarray(leaf) for leaf in tree.flatten(result)]


@functools.lru_cache(maxsize=None)
def eager(engine_name, case, copies=1):
    """The op's results in single precision; with the batch `copies` times as long."""
    arrays = [single(a) for a in case.arrays]
    arrays = [np.concatenate([a] * copies) if i in case.batch else a for i, a in enumerate(arrays)]
    with engines.using(engine_name) as engine:
        return leaves(call(case, [engine.arrays.as_array(a) for a in arrays]))


def exactly(case, arrays):
    """The op's results by the NumPy engine in double precision."""
    with engines.using("numpy") as engine:
        return leaves(call(case, [engine.arrays.as_array(a, a.dtype.name) for a in arrays]))


def test_every_op_has_a_row():
    assert set(OPS) - {row.name for row in CASES} == set()


@over(CASES)
def test_value(engine, case):
    got = eager(engine.name, case)
    if case.reference is None:
        expected = exactly(case, case.arrays)
    else:
        args, kwargs = case.args, case.kwargs
        expected = leaves(case.view(case.reference(*args, **kwargs)))
    assert len(got) == len(expected)
    for g, e in zip(got, expected):
        assert g.shape == e.shape
        np.testing.assert_allclose(g, e, rtol=case.tolerance, atol=case.tolerance)


@over(CASES)
def test_engines_agree_on_dtypes(case):
    first, *others = ([leaf.dtype for leaf in eager(name, case)] for name in config.ENGINES)
    assert all(other == first for other in others)
    assert all(dtype.itemsize <= 4 or dtype == "complex64" for dtype in first)


@over([row for row in compilable if row.gradient and any(a.dtype.kind == "f" for a in row.arrays)])
def test_gradient(case):
    at = [i for i, a in enumerate(case.arrays) if a.dtype.kind == "f"]
    shapes = [leaf.shape if leaf.dtype.kind == "f" else None for leaf in eager("jax", case)]
    rng = np.random.default_rng(4)
    weights = [None if s is None else rng.normal(size=s) for s in shapes]
    directions = [rng.normal(size=case.arrays[i].shape) for i in at]
    if all(w is None for w in weights):
        return

    def loss(results):
        return sum((r * w).sum() for r, w in zip(results, weights) if w is not None)

    def of_tensors(floats):
        tensors = [engines.arrays.as_array(single(a)) for a in case.arrays]
        for i, value in zip(at, floats):
            tensors[i] = value
        results = tree.flatten(call(case, tensors))
        return sum(ops.sum(r * w.astype("float32")) for r, w in zip(results, weights) if w is not None)

    with engines.using("jax") as engine:
        floats = [engine.arrays.as_array(case.arrays[i]) for i in at]
        gradients = kerata.jit(kerata.grad(of_tensors))(floats)

    def along(t):
        arrays = list(case.arrays)
        for i, direction in zip(at, directions):
            arrays[i] = arrays[i] + t * direction
        return loss(exactly(case, arrays))

    step = 1e-6
    slope = (along(step) - along(-step)) / (2 * step)
    got = sum(np.sum(np.asarray(g) * d) for g, d in zip(gradients, directions))
    size = sum(np.linalg.norm(g) * np.linalg.norm(d) for g, d in zip(gradients, directions))
    assert abs(got - slope) <= 1e-4 * max(size, abs(slope)) + 1e-6


@over(compilable)
def test_symbolic_shape(engine, case):
    symbolic = case.batch or (0,)
    with engines.using(engine.name):
        tensors = [
            KerasTensor((None if case.batch else a.shape[0], *a.shape[1:]) if a.ndim else (), a.dtype)
            if i in symbolic else engine.arrays.as_array(a)
            for i, a in enumerate(map(single, case.arrays))
        ]  # fmt: skip
        args, kwargs = case.filled(tensors)
        got = tree.flatten(OPS[case.name](*args, **kwargs))
    plain = without_view(case)
    one, two = eager(engine.name, plain), eager(engine.name, plain, 2)
    expected = [tuple(n if n == m else None for n, m in zip(a.shape, b.shape)) for a, b in zip(one, two)]
    assert [t.shape for t in got] == expected
    assert [t.dtype for t in got] == [leaf.dtype.name for leaf in one]


@functools.lru_cache(maxsize=None)
def without_view(case):
    return dataclasses.replace(case, view=lambda result: result)


@over(compilable)
def test_compiled(engine, case):
    tensors = [engine.arrays.as_array(single(a)) for a in case.arrays]
    got = leaves(kerata.jit(lambda tensors: call(case, tensors))(tensors))
    for g, e in zip(got, eager(engine.name, case), strict=True):
        assert (g.shape, g.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(g, e, rtol=1e-5, atol=1e-5)
