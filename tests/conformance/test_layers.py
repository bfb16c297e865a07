"""Every row of the table of layers, on every engine: value, 16 bits, shapes, empty batches, gradients, both formats."""

import functools
import inspect

import numpy as np
import pytest
from layer_rows import ROWS, LayerRow

import kerata
from kerata import engine as engines
from kerata import ops, tree
from kerata.core import dtypes
from kerata.core.symbolic import KerasTensor

every_row = pytest.mark.parametrize("row", ROWS, ids=str)

ELSEWHERE = {
    "Layer": "the base", "Wrapper": "the base", "Input": "a function", "InputLayer": "is never called",
    "InputSpec": "no layer",
    "JaxLayer": "tests/test_jax_layers.py", "FlaxLayer": "tests/test_jax_layers.py",
    "TorchModuleWrapper": "tests/test_torch_interop.py", "TFSMLayer": "needs TensorFlow",
    **dict.fromkeys(("StringLookup", "IntegerLookup", "TextVectorization"), "tests/test_text_layers.py"),
    **dict.fromkeys(("Hashing", "HashedCrossing", "Discretization", "CategoryEncoding"),
                    "tests/test_category_layers.py"),
    **dict.fromkeys(("MelSpectrogram", "STFTSpectrogram"), "tests/peer/test_spectrograms.py"),
}  # fmt: skip


def in_augmentation(name):
    return getattr(kerata.layers, name).__module__.startswith("kerata.layers.augmentation.")


def test_every_layer_has_a_row():
    """Augmentation is tested beside Keras, in tests/peer/test_augmentation_*.py."""
    classes = {name for name in kerata.layers.__all__ if inspect.isclass(getattr(kerata.layers, name))}
    of_rows = {getattr(kerata.layers, row.name) for row in ROWS}
    assert {name for name in classes - set(ELSEWHERE) if getattr(kerata.layers, name) not in of_rows
            and not in_augmentation(name)} == set()  # fmt: skip


def single(array):
    return array.astype("float32") if array.dtype == "float64" else array


@functools.cache
def weights(row: LayerRow):
    """The row's weights as they are drawn, away from their zeros and ones, in double precision."""
    with engines.using("numpy"):
        layer = row.make("float64")
        row.call(layer, row.inputs())
        rng = np.random.default_rng(5)
        return [
            np.abs(w + 0.1 * rng.normal(size=w.shape)) if w.dtype.kind == "f" else w for w in layer.get_weights()
        ]


def built(row: LayerRow, dtype: str = "float32"):
    """The layer on the engine in use, with those weights."""
    layer = row.make(dtype)
    row.call(layer, [engines.arrays.as_array(single(a)) for a in row.inputs()])
    layer.set_weights(weights(row))
    return layer


def exactly(row: LayerRow, values, inputs):
    """What the NumPy engine makes of weights and inputs in double precision."""
    with engines.using("numpy") as engine:
        layer = row.make("float64")
        inputs = [engine.arrays.as_array(a, a.dtype.name) for a in inputs]
        row.call(layer, inputs)
        layer.set_weights(values)
        return [np.asarray(leaf) for leaf in tree.flatten(row.call(layer, inputs))]


@functools.cache
def expected(row: LayerRow):
    return exactly(row, weights(row), row.inputs())


def results(row: LayerRow, layer, copies=1):
    inputs = [engines.arrays.as_array(single(a)) for a in row.inputs(copies)]
    return tree.flatten(row.call(layer, inputs))


@every_row
def test_value(engine, row):
    for got, wanted in zip(results(row, built(row)), expected(row), strict=True):
        assert got.shape == wanted.shape and dtypes.dtype_of(got) == single(wanted).dtype.name
        np.testing.assert_allclose(ops.convert_to_numpy(got), wanted, rtol=row.tolerance, atol=row.tolerance)


@every_row
def test_bfloat16(engine, row):
    """Inputs, weights and outputs in 16 bits: the dtype stays, and the value is near."""
    for got, wanted in zip(results(row, built(row, "bfloat16")), expected(row), strict=True):
        assert got.shape == wanted.shape
        assert dtypes.dtype_of(got) == "bfloat16"
        error = np.abs(engines.arrays.to_numpy(ops.cast(got, "float32")) - wanted).max(initial=0)
        assert error <= row.coarse * max(1, np.abs(wanted).max(initial=0))


@every_row
def test_symbolic_shape(engine, row):
    """A dimension is unknown where it follows one that is; the dtype is the real one."""
    layer = built(row)
    real = results(row, layer)
    dtype = "float32" if row.integers is None else "int32"
    for unknown in {(0,), (0, *row.unknown)}:
        shapes = [tuple(None if i in unknown else n for i, n in enumerate(s)) for s in row.shapes]
        symbols = tree.flatten(row.call(layer, [KerasTensor(s, dtype) for s in shapes]))
        assert [s.dtype for s in symbols] == [dtypes.dtype_of(r) for r in real]
        for symbol, result in zip(symbols, real, strict=True):
            assert symbol.shape[:1] == (None,)
            assert all(n in (None, m) for n, m in zip(symbol.shape, result.shape, strict=True))
            assert unknown != (0,) or None not in symbol.shape[1:]


@every_row
def test_empty_batch(engine, row):
    if row.training:
        return  # the statistics of nothing
    layer = built(row)
    for some, none in zip(results(row, layer), results(row, layer, copies=0), strict=True):
        assert none.shape == (0, *some.shape[1:])


def differentiated(row: LayerRow):
    """Whether there is a slope to compare: a float input or weight, and a float result."""
    return row.slopes and any(a.dtype.kind == "f" for a in (*row.inputs(), *weights(row)))


@every_row
def test_gradient(differentiating, row):
    """Compiled: the value, and the slope along a random direction against the finite difference in float64."""
    rng = np.random.default_rng(4)
    inputs = row.inputs()
    with engines.using(differentiating):
        layer = built(row)
        trained = [i for i, w in enumerate(layer.weights) if w.trainable and dtypes.is_float(w.dtype)]
        floats = [i for i, a in enumerate(inputs) if a.dtype.kind == "f"]
        tensors = [engines.arrays.as_array(single(a)) for a in inputs]
        holders = {i: kerata.Variable(tensors[i], name=f"input_{i}") for i in floats}
        pull = [rng.normal(size=leaf.shape) for leaf in expected(row)]

        def loss():
            outputs = tree.flatten(row.call(layer, [holders[i].value if i in holders else t
                                                    for i, t in enumerate(tensors)]))  # fmt: skip
            parts = [ops.sum(ops.multiply(o, p.astype("float32"))) for o, p in zip(outputs, pull)]
            return sum(parts), outputs

        wrt = [*holders.values(), *(layer.weights[i] for i in trained)]
        (_, outputs), gradients = kerata.jit(lambda: kerata.value_and_grad(loss, wrt, has_aux=True)())()
    for got, wanted in zip(outputs, expected(row), strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(got), wanted, rtol=row.tolerance, atol=row.tolerance)
    if not differentiated(row):
        return
    directions = [rng.normal(size=g.shape) for g in gradients]

    def along(t):
        moved = list(inputs)
        values = list(weights(row))
        for i, direction in zip(floats, directions):
            moved[i] = moved[i] + t * direction
        for i, direction in zip(trained, directions[len(floats) :]):
            values[i] = values[i] + t * direction
        return sum(np.sum(r * p) for r, p in zip(exactly(row, values, moved), pull))

    step = 1e-6
    slope = (along(step) - along(-step)) / (2 * step)
    got = sum(np.sum(np.asarray(g) * d) for g, d in zip(gradients, directions))
    size = sum(np.linalg.norm(g) * np.linalg.norm(d) for g, d in zip(gradients, directions))
    assert abs(got - slope) <= 1e-4 * max(size, abs(slope)) + 1e-6


@pytest.mark.parametrize("row", [row for row in ROWS if row.channels_last], ids=str)
def test_channels_first_is_channels_last_moved(row):
    """The same weights on the moved input give the moved output."""
    last, rank = row.channels_last, int(row.name.removesuffix("Transpose")[-2])

    def moved(array):
        return np.moveaxis(array, -1, -1 - rank)

    for here, there in zip(exactly(row, weights(last), [moved(a) for a in last.inputs()]), expected(last), strict=True):
        spatial = there.ndim > rank + 1
        np.testing.assert_allclose(here, moved(there) if spatial else there, rtol=1e-12, atol=1e-12)


# Draws ----------------------------------------------------------------------------------------------------------

DRAWING = [
    ("Dropout", {"rate": 0.4}, (3, 5)), ("GaussianDropout", {"rate": 0.4}, (3, 5)),
    ("AlphaDropout", {"rate": 0.4}, (3, 5)), ("GaussianNoise", {"stddev": 0.4}, (3, 5)),
    ("SpatialDropout2D", {"rate": 0.4}, (4, 3, 4, 5)), ("LSTM", {"units": 3, "recurrent_dropout": 0.5}, (4, 3, 5)),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "dropout": 0.5}, (3, 4, 5)),
]  # fmt: skip


@pytest.mark.parametrize("name, kwargs, shape", DRAWING, ids=[name for name, *_ in DRAWING])
def test_draws(differentiating, name, kwargs, shape):
    """With one seed the same draws, compiled or not; with each call others."""
    x = np.random.default_rng(2).normal(size=shape).astype("float32")
    inputs = (x, x) if name.endswith("Attention") else (x,)
    with engines.using(differentiating):
        kerata.utils.set_random_seed(1)
        eager = getattr(kerata.layers, name)(**kwargs, seed=7)
        first, second = (ops.convert_to_numpy(eager(*inputs, training=True)) for _ in range(2))
        compiled = getattr(kerata.layers, name)(**kwargs, seed=7)
        compiled.build(*[x.shape] * len(inputs))
        compiled.set_weights(eager.get_weights())
        run = kerata.jit(lambda *inputs: compiled(*inputs, training=True))
        again = [np.asarray(run(*inputs)) for _ in range(2)]
    np.testing.assert_allclose(again, [first, second], rtol=1e-5, atol=1e-6)
    assert (first != second).any()
