"""Recurrent layers beside Keras's: one table of layers, and the facts that take more than one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest
from layer_pairs import Row, as_json, built, our_results, start_values, their_results
from test_layers import agree, same

import kerata


@dataclass(frozen=True, eq=False)
class Inner:
    """A layer among the arguments of another, to be made in either framework."""

    layer: str
    kwargs: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self.layer}({','.join(f'{k}={v}' for k, v in self.kwargs.items())})"


def inner(layer: str, /, **kwargs: Any) -> Inner:
    return Inner(layer, kwargs)


def made(value: Any, layers: Any) -> Any:
    if isinstance(value, list):
        return [made(v, layers) for v in value]
    if not isinstance(value, Inner):
        return value
    return getattr(layers, value.layer)(**{k: made(v, layers) for k, v in value.kwargs.items()})


class RecurrentRow(Row):
    """A row whose arguments may be layers."""

    def ours(self, **more: Any) -> Any:
        kerata.utils.clear_session(free_memory=False)  # so that the names of the layers inside count from the start
        return made(inner(self.layer, **self.kwargs, **more), kerata.layers)

    def theirs(self, **more: Any) -> Any:
        keras.utils.clear_session(free_memory=False)
        return made(inner(self.layer, **self.kwargs, **more), keras.layers)


def row(layer: str, shape: Any, /, **given: Any) -> RecurrentRow:
    options = {name: given.pop(name) for name in ("training", "masked", "tolerance", "differs") if name in given}
    return RecurrentRow(layer, given, shape, **options)


SEED = {"config": "Keras forgets the seed of a SimpleRNN"}
NESTED_SEED = {"config": "Keras forgets the seed of the SimpleRNN inside"}
UNEVEN = {"shape": "Keras takes the backward layer to be as wide as the forward one"}
FIRST = "channels_first"
X = (4, 5, 3)

VARIANTS = [
    {"return_sequences": True, "masked": True},
    {"go_backwards": True, "use_bias": False, "kernel_regularizer": "l2"},
    {"unroll": True, "go_backwards": True, "return_sequences": True, "masked": True},
    {"return_sequences": True, "masked": True, "go_backwards": True, "zero_output_for_mask": True},
    {"dropout": 0.2, "recurrent_dropout": 0.3, "seed": 3, "masked": True},
]

LOOPS = [
    *(row("SimpleRNN", X, units=2, **kwargs, differs=SEED) for kwargs in VARIANTS[:3]),
    *(row(layer, X, units=2, **kwargs) for layer in ("LSTM", "GRU") for kwargs in VARIANTS),
]

OTHERS = [
    row("LSTM", X, units=2, unit_forget_bias=False, recurrent_activation="hard_sigmoid"),
    row("LSTM", X, units=2, dtype="mixed_bfloat16", return_sequences=True, tolerance=3e-2),
    row("LSTM", X, units=2, trainable=False, activity_regularizer="l2"),
    row("GRU", X, units=2, reset_after=False),
    row("GRU", X, units=2, reset_after=False, use_bias=False, masked=True, return_sequences=True),
    row("GRU", X, units=2, reset_after=False, dropout=0.1, recurrent_dropout=0.3, unroll=True),
    row("RNN", X, cell=inner("LSTMCell", units=2), return_sequences=True),
    row("RNN", X, cell=inner("GRUCell", units=2, reset_after=False), go_backwards=True, masked=True),
    row("RNN", X, cell=[inner("LSTMCell", units=2), inner("GRUCell", units=3)], return_sequences=True),
    row("RNN", X, cell=[inner("SimpleRNNCell", units=2), inner("LSTMCell", units=3)], masked=True),
    row("Bidirectional", X, layer=inner("LSTM", units=2), merge_mode="ave"),
    row("Bidirectional", X, layer=inner("GRU", units=2, return_sequences=True), masked=True),
    row("Bidirectional", X, layer=inner("SimpleRNN", units=2), masked=True, differs=NESTED_SEED),
    row(
        "Bidirectional", X, layer=inner("LSTM", units=2, return_sequences=True),
        backward_layer=inner("GRU", units=3, return_sequences=True, go_backwards=True), differs=UNEVEN,
    ),
    row("TimeDistributed", X, layer=inner("Dense", units=2, activation="relu")),
    row("TimeDistributed", (2, 3, 5, 4, 2), layer=inner("Conv2D", filters=2, kernel_size=3)),
    row("TimeDistributed", (4, 3, 2), layer=inner("BatchNormalization"), training=True),
    row("TimeDistributed", (4, 3, 2), layer=inner("BatchNormalization")),
    row("TimeDistributed", (2, 3, 4, 2), layer=inner("LSTM", units=2)),
]  # fmt: skip

CONVOLUTIONS = [
    row("ConvLSTM1D", (2, 3, 5, 2), filters=2, kernel_size=3),
    row("ConvLSTM1D", (2, 3, 2, 6), filters=2, kernel_size=3, strides=2, padding="same", data_format=FIRST),
    row("ConvLSTM2D", (2, 3, 4, 5, 2), filters=2, kernel_size=(2, 3), return_sequences=True, use_bias=False),
    row("ConvLSTM2D", (2, 3, 5, 4, 2), filters=2, kernel_size=2, dilation_rate=2, go_backwards=True),
    row("ConvLSTM2D", (2, 3, 2, 4, 4), filters=3, kernel_size=2, padding="same", data_format=FIRST, dropout=0.2),
    row("ConvLSTM3D", (1, 2, 3, 4, 3, 2), filters=2, kernel_size=2, strides=(1, 2, 1), return_sequences=True),
]

TABLE = [*LOOPS, *OTHERS, *CONVOLUTIONS]
every_row = pytest.mark.parametrize("row", TABLE, ids=str)


@every_row
def test_config(row: Row):
    agree("config", row, as_json(row.ours(name="it").get_config()), as_json(row.theirs(name="it").get_config()))


@every_row
def test_weights(row: Row):
    ours, theirs = built(row)
    assert [(w.shape, w.dtype, w.trainable) for w in ours.weights] == [
        (w.shape, w.dtype, w.trainable) for w in theirs.weights
    ]
    if row.layer not in ("RNN", "TimeDistributed"):  # whose cells and layers are numbered as they are made
        assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]


@every_row
def test_outputs(row: Row):
    ours, theirs = our_results(row), their_results(row)
    same(ours.outputs, theirs.outputs, row.tolerance)


@every_row
def test_gradients(row: Row):
    ours, theirs = our_results(row), their_results(row)
    assert len(ours.gradients) == len(theirs.gradients)
    for a, b in zip(ours.gradients, theirs.gradients):
        same(a, b, row.tolerance * 5)


@every_row
def test_state_and_losses(row: Row):
    ours, theirs = our_results(row), their_results(row)
    assert len(ours.state) == len(theirs.state) and len(ours.losses) == len(theirs.losses)
    for a, b in zip([*ours.state, *ours.losses], [*theirs.state, *theirs.losses]):
        same(a, b, row.tolerance)


@every_row
def test_symbolic_shape(row: Row):
    shape = (None, *row.shape[1:])
    ours, theirs = row.ours()(kerata.KerasTensor(shape)), row.theirs()(keras.KerasTensor(shape))
    assert ours.shape == (None, *our_results(row).outputs.shape[1:])
    agree("shape", row, (ours.shape, ours.dtype), (theirs.shape, theirs.dtype))


@every_row
def test_files(row: Row):
    """What each serializes, the other reads: the same config, and the same weights built."""
    ours, theirs = built(row)
    by_us, by_them = as_json(kerata.layers.serialize(ours)), as_json(keras.layers.serialize(theirs))
    same_keys = ["module", "class_name", "registered_name", "build_config"]
    assert [by_us[key] for key in same_keys] == [by_them[key] for key in same_keys]
    for read in (kerata.layers.deserialize(by_them), keras.layers.deserialize(by_us)):
        assert [w.shape for w in read.weights] == [w.shape for w in theirs.weights]
        if "config" not in row.differs:
            assert as_json(read.get_config())["name"] == by_them["config"]["name"]


@pytest.mark.parametrize("row", [LOOPS[0], LOOPS[4], LOOPS[9], CONVOLUTIONS[4]], ids=str)
@pytest.mark.parametrize("training", [False, True])
def test_products_before_the_loop_and_in_it_are_the_same(row: Row, training: bool, monkeypatch):
    ours = made(Inner(row.layer, {**row.kwargs, "dropout": 0.3, "seed": 5}), kerata.layers)
    ours.build(row.shape)
    found = []
    for at_once in (False, True):
        monkeypatch.setattr("kerata.layers.recurrent._at_once", lambda at_once=at_once: at_once)
        ours.cell.seed_generator.state.assign([5, 0])
        found.append(ours(row.inputs[0], mask=row.mask, training=training))
    same(*found)


# States ---------------------------------------------------------------------------------------------------------

CELLS = [
    inner("SimpleRNNCell", units=2),
    inner("LSTMCell", units=2),
    inner("GRUCell", units=2),
    inner("GRUCell", units=2, reset_after=False),
    inner("StackedRNNCells", cells=[inner("LSTMCell", units=3), inner("GRUCell", units=2)]),
]


def pair(layer: Inner, shape: Any) -> tuple[Any, Any]:
    """Return the layer in both frameworks, built, with the same weights."""
    ours, theirs = made(layer, kerata.layers), made(layer, keras.layers)
    for one in (ours, theirs):
        one.build(shape)
        one.set_weights(start_values(None, theirs.weights if one is theirs else one.weights))
    return ours, theirs


def same_tree(ours: Any, theirs: Any) -> None:
    ours, theirs = keras.tree.flatten(ours), keras.tree.flatten(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        same(a, b)


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=shape).astype("float32")


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_one_step_of_a_cell(cell: Inner):
    ours, theirs = pair(cell, (4, 3))
    states = keras.tree.map_structure(lambda s: draw(*s.shape), theirs.get_initial_state(batch_size=4))
    same_tree(ours.get_initial_state(4), theirs.get_initial_state(4))
    same_tree(ours(draw(4, 3), states), theirs(draw(4, 3), states))


RETURNING = [
    inner("LSTM", units=2, return_state=True),
    inner("GRU", units=2, return_state=True, return_sequences=True, go_backwards=True),
    inner("SimpleRNN", units=2, return_state=True, unroll=True),
    inner("Bidirectional", layer=inner("LSTM", units=2, return_state=True, return_sequences=True)),
    inner("Bidirectional", layer=inner("GRU", units=2, return_state=True), merge_mode=None),
    inner("RNN", cell=[inner("LSTMCell", units=2), inner("LSTMCell", units=3)], return_state=True),
]


@pytest.mark.parametrize("layer", RETURNING, ids=str)
@pytest.mark.parametrize("mask", [None, np.arange(20).reshape(4, 5) % 3 > 0], ids=["unmasked", "masked"])
def test_states_given_and_returned(layer: Inner, mask: Any):
    if mask is not None and layer.kwargs.get("unroll"):
        mask = np.concatenate([np.ones((4, 1), bool), mask[:, 1:]], axis=1)  # Keras starts from zeros when unrolled
    ours, theirs = pair(layer, X)
    _, *states = theirs(draw(*X), mask=mask)
    if layer.kwargs.get("merge_mode", "") is None:
        states = states[1:]
    same_tree(ours(draw(*X), mask=mask), theirs(draw(*X), mask=mask))
    same_tree(ours(draw(*X), initial_state=states, mask=mask), theirs(draw(*X), initial_state=states, mask=mask))


def test_masked_steps_of_images_change_nothing():
    """Keras broadcasts the mask along the wrong axes here, so it is no oracle."""
    layer = kerata.layers.ConvLSTM1D(2, 2)
    x, mask = draw(3, 4, 5, 2), np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], bool)
    y = layer(x, mask=mask)
    for sample, steps in enumerate(mask.sum(1)):
        same(y[sample], layer(x[sample : sample + 1, :steps])[0])


def test_merging_of_both_directions():
    layer = kerata.layers.Bidirectional(kerata.layers.GRU(2), merge_mode=None)
    y, z = (np.asarray(one) for one in layer(draw(*X)))
    for mode, merged in {"sum": y + z, "mul": y * z, "ave": (y + z) / 2, "concat": np.concatenate([y, z], 1)}.items():
        layer.merge_mode = mode
        same(layer(draw(*X)), merged)


STATEFUL = [
    inner("LSTM", units=2, stateful=True),
    inner("GRU", units=2, stateful=True, return_sequences=True),
    inner("Bidirectional", layer=inner("SimpleRNN", units=2, stateful=True)),
    inner("ConvLSTM1D", filters=2, kernel_size=2, stateful=True),
]


@pytest.mark.parametrize("layer", STATEFUL, ids=str)
def test_stateful(layer: Inner):
    shape = (2, 3, 4, 2) if "Conv" in layer.layer else X
    ours, theirs = pair(layer, shape)
    first, second = ours(draw(*shape)), ours(draw(*shape))
    same(first, theirs(draw(*shape)))
    same(second, theirs(draw(*shape)))
    same_tree([v.numpy() for v in kerata.tree.flatten(ours.states)], [np.asarray(v) for v in theirs.states])
    ours.reset_state()
    same(kerata.jit(ours)(draw(*shape)), first)  # the state is carried through a compiled function
    same(kerata.jit(ours)(draw(*shape)), second)
    assert len(ours.weights) == len(theirs.weights)  # the states are not among them, so that files are the same
    with pytest.raises(kerata.errors.ShapeMismatch, match="batch"):
        ours(draw(*shape)[:1])


def test_stateful_in_training():
    model = kerata.Sequential([kerata.layers.Input((5, 3), batch_size=4), kerata.layers.LSTM(2, stateful=True)])
    model.compile("sgd", "mse")
    model.fit(draw(8, 5, 3), draw(8, 2), batch_size=4, epochs=1, verbose=0, shuffle=False)
    assert all(np.abs(state.numpy()).min() > 0 for state in model.layers[-1].states)


# Dropout --------------------------------------------------------------------------------------------------------


def linear(dropout: float, recurrent: float, kernel: Any, recurrent_kernel: Any, **kwargs: Any) -> Any:
    layer = kerata.layers.SimpleRNN(
        64, activation="linear", dropout=dropout, recurrent_dropout=recurrent, return_sequences=True, **kwargs
    )
    layer.build((3, 4, 64))
    layer.set_weights([kernel * np.eye(64), recurrent_kernel * np.eye(64), np.zeros(64)])
    return layer


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_dropout_drops_the_same_in_every_step(unroll: bool, compiled: bool):
    ones = np.ones((3, 4, 64), "float32")

    of_inputs = linear(0.5, 0.0, 1, 0, unroll=unroll)
    run = kerata.jit(lambda x: of_inputs(x, training=True)) if compiled else lambda x: of_inputs(x, training=True)
    y, again = np.asarray(run(ones)), np.asarray(run(ones))
    assert set(np.unique(y)) == {0, 2} and (y == y[:, :1]).all() and (y != again).any()
    assert (np.asarray(of_inputs(ones)) == 1).all()

    of_states = linear(0.0, 0.5, 0, 1, unroll=unroll)
    y = np.asarray(of_states(ones, initial_state=[ones[:, 0]], training=True))
    assert set(np.unique(y)) == {0, 2, 4, 8, 16} and set(np.unique(y[:, -1])) == {0, 16}


@pytest.mark.parametrize(
    "layer",
    [
        inner("LSTM", units=64, dropout=0.5, recurrent_dropout=0.5),
        inner("GRU", units=64, dropout=0.5, recurrent_dropout=0.5),
        inner("GRU", units=64, dropout=0.5, recurrent_dropout=0.5, reset_after=False),
        inner("RNN", cell=[inner("LSTMCell", units=8, dropout=0.5), inner("GRUCell", units=64, dropout=0.5)]),
        inner("ConvLSTM1D", filters=4, kernel_size=2, padding="same", dropout=0.5, recurrent_dropout=0.5),
    ],
    ids=str,
)
def test_dropout_draws_anew_for_every_batch(layer: Inner):
    ours = made(layer, kerata.layers)
    x = np.ones((3, 4, 5, 2) if "Conv" in layer.layer else (3, 4, 8), "float32")
    run = kerata.jit(lambda x: ours(x, training=True))
    assert (np.asarray(run(x)) != np.asarray(run(x))).any() and (np.asarray(ours(x)) == np.asarray(ours(x))).all()


def test_each_gate_has_its_own_dropout_mask():
    cell = kerata.layers.LSTMCell(4, recurrent_dropout=0.5)
    masks = [np.asarray(m) for m in cell.get_recurrent_dropout_mask(np.ones((8, 4), "float32"))]
    assert len(masks) == 4 and any((m != masks[0]).any() for m in masks)
    assert cell.get_recurrent_dropout_mask(np.ones((8, 4)))[0] is cell.get_recurrent_dropout_mask(np.ones((8, 4)))[0]


# Cells of a user's own ------------------------------------------------------------------------------------------


class Counting:
    """No layer: adds up its inputs, and gives out twice the sum."""

    state_size = 3

    def call(self, inputs: Any, states: Any) -> tuple[Any, Any]:
        total = inputs + states[0]
        return 2 * total, total


def test_any_object_can_be_a_cell():
    x = draw(*X)
    same(kerata.layers.RNN(Counting())(x), 2 * x.sum(1))
    same(kerata.layers.RNN(Counting(), return_sequences=True)(x), 2 * x.cumsum(1))


def test_a_cell_that_changes_the_call_of_ours():
    class Doubled(kerata.layers.SimpleRNNCell):
        def call(self, inputs, states, training=False):
            output, states = super().call(inputs, states, training)
            return 2 * output, states

    cell = Doubled(2)
    plain = kerata.layers.SimpleRNN(2)
    doubled = kerata.layers.RNN(cell)
    doubled.build(X)
    plain.build(X)
    plain.set_weights(doubled.get_weights())
    same(doubled(draw(*X)), 2 * np.asarray(plain(draw(*X))))


WRONG = [
    (lambda: kerata.layers.RNN(object()), "no cell"),
    (lambda: kerata.layers.LSTM(0), "units"),
    (lambda: kerata.layers.Bidirectional(kerata.layers.Dense(2)), "recurrent"),
    (lambda: kerata.layers.Bidirectional(kerata.layers.LSTM(2), merge_mode="cat"), "merge mode"),
    (lambda: kerata.layers.TimeDistributed(kerata.layers.Dense(2))(draw(3, 2)), "time axis"),
    (lambda: kerata.layers.TimeDistributed(kerata.layers.Dense(2))(draw(*X), mask=np.ones((4, 4), bool)), "mask"),
    (lambda: kerata.layers.LSTM(2, stateful=True)(kerata.Input((5, 3))), "batch"),
    (lambda: kerata.layers.ConvLSTM1D(2, 3)(kerata.Input((5, None, 3))), "size"),
]


@pytest.mark.parametrize("call,words", WRONG, ids=[words for _, words in WRONG])
def test_errors_teach(call: Any, words: str):
    with pytest.raises(kerata.errors.KerataError, match=words):
        call()


# In a model -----------------------------------------------------------------------------------------------------


def test_masks_of_an_embedding_in_a_model():
    numbers = np.array([[1, 2, 0, 0], [3, 0, 4, 0], [0, 5, 6, 1]])

    def model(k: Any) -> Any:
        x = inputs = k.Input((None,), dtype="int32")
        x = k.layers.Embedding(7, 3, mask_zero=True)(x)
        x = k.layers.Bidirectional(k.layers.LSTM(2, return_sequences=True))(x)
        x = k.layers.TimeDistributed(k.layers.Dense(3))(x)
        return k.Model(inputs, k.layers.GRU(2)(x))

    ours, theirs = model(kerata), model(keras)
    ours.set_weights(start_values(None, theirs.weights))
    theirs.set_weights(start_values(None, theirs.weights))
    same(ours.predict(numbers, verbose=0), theirs.predict(numbers, verbose=0))


def test_it_learns_in_fit(tmp_path):
    x = np.random.default_rng(0).normal(size=(64, 6, 1)).astype("float32")
    model = kerata.Sequential([kerata.layers.LSTM(8, dropout=0.1), kerata.layers.Dense(1)])
    model.compile(kerata.optimizers.Adam(0.02), "mse")
    losses = model.fit(x, x.sum(1), epochs=40, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    same(model.predict(x, verbose=0), again.predict(x, verbose=0))
