"""Attention, adaptive pooling, spectral normalization and embeddings that lead back, beside Keras's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pytest
from layer_pairs import Row, as_json, built, our_results, row, their_results
from test_layers import both, same

import kerata
from kerata.core import scopes


@dataclass(frozen=True, eq=False)
class Called(Row):
    """A row whose layer is called with more than its inputs."""

    called_with: dict[str, Any] = field(default_factory=dict)
    apart: bool = False
    """Whether the inputs are arguments of their own, and no list."""

    def __str__(self) -> str:
        return f"{super().__str__()}{''.join('+' + name for name in self.called_with)}"

    @property
    def call_arguments(self) -> dict[str, Any]:
        return {**super().call_arguments, **self.called_with}

    def build(self, layer: Any) -> None:
        layer.build(*self.shapes) if self.apart else super().build(layer)

    def call(self, layer: Any, inputs: list[Any]) -> Any:
        return layer(*inputs, **self.call_arguments) if self.apart else super().call(layer, inputs)


@dataclass(frozen=True, eq=False)
class Normalized(Row):
    """A row whose `layer` is the class and the arguments of the layer to wrap."""

    def ours(self, **more: Any) -> Any:
        return self._wrapped(kerata, more)

    def theirs(self, **more: Any) -> Any:
        return self._wrapped(keras, more)

    def _wrapped(self, library: Any, more: dict[str, Any]) -> Any:
        name, arguments = self.kwargs["layer"]
        inner = getattr(library.layers, name)(**arguments, name="inner")
        rest = {k: v for k, v in self.kwargs.items() if k != "layer"}
        return library.layers.SpectralNormalization(inner, **rest, **more)


def attention(layer: str, shapes: Any, called_with: dict | None = None, tolerance: float = 2e-5, **kwargs) -> Row:
    return Called(layer, kwargs, shapes, called_with=called_with or {}, tolerance=tolerance)


def heads(shapes: list, called_with: dict | None = None, tolerance: float = 2e-5, **kwargs) -> Row:
    """Return a row of MultiHeadAttention, or of GroupQueryAttention where `kwargs` have its `head_dim`."""
    layer = "GroupQueryAttention" if "head_dim" in kwargs else "MultiHeadAttention"
    return Called(layer, kwargs, shapes, called_with=called_with or {}, tolerance=tolerance, apart=True)


def normalized(layer: str, arguments: dict, shape: tuple, integers: int | None = None, **given) -> Row:
    training = given.pop("training", False)
    return Normalized(
        "SpectralNormalization", {"layer": (layer, arguments), **given}, shape, training=training, integers=integers
    )


LAYERS = kerata.layers

# (T, S) = (4, 5), two samples; each step may attend to something.
QUERY_MASK = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], "bool")
VALUE_MASK = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 1, 1]], "bool")
BOTH_WAYS = (np.arange(40).reshape(2, 4, 5) % 3 > 0) & VALUE_MASK[:, None]
CAUSAL, SCORES = {"use_causal_mask": True}, {"return_attention_scores": True}

TWO, THREE = [(2, 4, 3), (2, 5, 3)], [(2, 4, 3), (2, 5, 6), (2, 5, 3)]
SINGLE = [
    attention("Attention", TWO),
    attention("Attention", TWO, use_scale=True),
    attention("Attention", THREE, score_mode="concat"),
    attention("Attention", TWO, CAUSAL, score_mode="concat", use_scale=True),
    attention("Attention", TWO, CAUSAL),
    attention("Attention", TWO, {"mask": [QUERY_MASK, VALUE_MASK]}),
    attention("Attention", THREE, {"mask": [None, VALUE_MASK], **CAUSAL}, use_scale=True),
    attention("Attention", TWO, {"mask": [QUERY_MASK, None, VALUE_MASK]}),
    attention("Attention", TWO, {"mask": [None, BOTH_WAYS]}, dropout=0.3, seed=1),
    attention("Attention", [(2, 3, 4, 3), (2, 3, 5, 3)], CAUSAL),
    attention("Attention", TWO, {"mask": [None, VALUE_MASK]}, tolerance=3e-2, dtype="mixed_bfloat16", use_scale=True),
    attention("Attention", TWO, {"mask": [None, VALUE_MASK]}, tolerance=5e-3, dtype="mixed_float16"),
    attention("AdditiveAttention", TWO),
    attention("AdditiveAttention", THREE, use_scale=False),
    attention("AdditiveAttention", TWO, {"mask": [QUERY_MASK, VALUE_MASK], **CAUSAL}, dropout=0.2, seed=3),
]

PAIR, WIDE = [(2, 4, 6), (2, 5, 7)], [(2, 4, 6), (2, 5, 7), (2, 5, 3)]
OF_VALUE = {"value_mask": VALUE_MASK}
REGULARIZED: Any = {"kernel_regularizer": "l2", "bias_regularizer": "l1", "activity_regularizer": "l2"}
HEADS = [
    heads(PAIR, num_heads=2, key_dim=3),
    heads(PAIR, num_heads=2, key_dim=3, use_gate=True),
    # With dropout, since Keras fails on JAX where the widths of keys and values differ.
    heads(PAIR, num_heads=1, key_dim=3, value_dim=4, output_shape=5, use_bias=False, dropout=0.3),
    heads(WIDE, num_heads=2, key_dim=3, value_dim=2, output_shape=(2, 3), use_gate=True, dropout=0.3),
    heads(PAIR, CAUSAL, num_heads=2, key_dim=3),
    heads(PAIR, OF_VALUE, num_heads=2, key_dim=3),
    heads(WIDE, {"key_mask": VALUE_MASK, "attention_mask": BOTH_WAYS, **CAUSAL}, num_heads=2, key_dim=3),
    heads(PAIR, {"attention_mask": BOTH_WAYS[0].astype("int32")}, num_heads=2, key_dim=3),
    heads(PAIR, {"attention_mask": BOTH_WAYS[:, None]}, num_heads=2, key_dim=3, dropout=0.3),
    heads(PAIR, num_heads=2, key_dim=3, sliding_window=2),
    heads(PAIR, CAUSAL, num_heads=2, key_dim=3, sliding_window=2),
    heads(PAIR, {**OF_VALUE, **CAUSAL}, num_heads=2, key_dim=3, dropout=0.3, seed=2, use_gate=True),
    heads([(2, 3, 4, 6), (2, 3, 5, 6)], num_heads=2, key_dim=3, attention_axes=2),
    heads([(2, 3, 4, 6), (2, 3, 5, 6)], num_heads=2, key_dim=3, attention_axes=-2),
    heads([(2, 3, 4, 6), (2, 2, 5, 6)], num_heads=2, key_dim=3, value_dim=4),
    heads(PAIR, num_heads=2, key_dim=3, **REGULARIZED),
    heads(PAIR, num_heads=2, key_dim=3, kernel_initializer="he_normal", kernel_constraint="non_neg", trainable=False),
    heads(PAIR, OF_VALUE, num_heads=2, key_dim=3, dtype="mixed_bfloat16", tolerance=6e-2),
    heads(PAIR, head_dim=3, num_query_heads=4, num_key_value_heads=2),
    heads(WIDE, head_dim=3, num_query_heads=2, num_key_value_heads=1, use_gate=True, use_bias=False),
    heads(PAIR, CAUSAL, head_dim=3, num_query_heads=2, num_key_value_heads=2),
    heads(PAIR, {"query_mask": QUERY_MASK, **OF_VALUE}, head_dim=3, num_query_heads=4, num_key_value_heads=2),
    heads(PAIR, {**OF_VALUE, **CAUSAL}, head_dim=3, num_query_heads=4, num_key_value_heads=2, dropout=0.3, seed=2),
    heads(PAIR, CAUSAL, head_dim=3, num_query_heads=4, num_key_value_heads=2, sliding_window=2),
    heads(PAIR, head_dim=3, num_query_heads=2, num_key_value_heads=1, **REGULARIZED),
]

POOLING = [
    pooled
    for kind in ("Average", "Max")
    for pooled in (
        *both(f"Adaptive{kind}Pooling1D", (2, 7, 3), output_size=3),
        row(f"Adaptive{kind}Pooling1D", (2, 4, 3), output_size=(6,)),
        *both(f"Adaptive{kind}Pooling2D", (2, 6, 5, 3), output_size=(3, 2)),
        *both(f"Adaptive{kind}Pooling3D", (1, 4, 5, 3, 2), output_size=2),
    )
]

OTHERS = [
    normalized("Dense", {"units": 3}, (2, 5)),
    normalized("Dense", {"units": 3, "kernel_regularizer": "l2"}, (2, 5), training=True),
    normalized("Dense", {"units": 3}, (2, 4, 5), training=True, power_iterations=3),
    normalized("Conv2D", {"filters": 3, "kernel_size": 2}, (2, 4, 4, 2), training=True),
    row("ReversibleEmbedding", (2, 5), input_dim=7, output_dim=3, integers=7),
    row("ReversibleEmbedding", (2, 5), input_dim=7, output_dim=3, tie_weights=False, mask_zero=True, integers=7),
    attention("ReversibleEmbedding", (2, 5, 3), {"reverse": True}, input_dim=7, output_dim=3),
    attention("ReversibleEmbedding", (2, 3), {"reverse": True}, input_dim=7, output_dim=3, tie_weights=False),
    attention("ReversibleEmbedding", (2, 3), {"reverse": True}, input_dim=7, output_dim=3, logit_soft_cap=0.5),
    attention(
        "ReversibleEmbedding", (2, 3), {"reverse": True}, input_dim=7, output_dim=3, reverse_dtype="float16",
        tolerance=5e-3,
    ),
]  # fmt: skip

TABLE = [*SINGLE, *HEADS, *POOLING, *OTHERS]
every_row = pytest.mark.parametrize("row", TABLE, ids=str)


@every_row
def test_config_and_weights(row: Row):
    assert as_json(row.ours(name="it").get_config()) == as_json(row.theirs(name="it").get_config())
    ours, theirs = built(row)
    assert [(w.path, w.shape, w.dtype) for w in ours.weights] == [(w.path, w.shape, w.dtype) for w in theirs.weights]
    assert [w.path for w in ours.trainable_weights] == [w.path for w in theirs.trainable_weights]


@every_row
def test_outputs_and_gradients(row: Row):
    ours, theirs = our_results(row), their_results(row)
    same(ours.outputs, theirs.outputs, row.tolerance)
    for a, b in zip(ours.gradients, theirs.gradients, strict=True):
        same(a, b, row.tolerance * 5)
    for a, b in zip([*ours.state, *ours.losses], [*theirs.state, *theirs.losses], strict=True):
        same(a, b, row.tolerance)


@pytest.mark.parametrize("row", [r for r in TABLE if "mask" not in str(r).partition("+")[2]], ids=str)
def test_symbolic_shape(row: Row):
    shapes, dtype = [(None, *s[1:]) for s in row.shapes], "float32" if row.integers is None else "int32"
    found = row.call(row.ours(), [kerata.KerasTensor(s, dtype) for s in shapes])
    outputs = our_results(row).outputs
    assert (found.shape, found.dtype) == ((None, *outputs.shape[1:]), outputs.dtype)


@every_row
def test_configs_are_exchanged(row: Row):
    ours, theirs = built(row)
    by_us, by_them = as_json(kerata.layers.serialize(ours)), as_json(keras.layers.serialize(theirs))
    keys = ["module", "class_name", "registered_name", *(["build_config"] if theirs.weights else [])]
    assert [by_us[key] for key in keys] == [by_them[key] for key in keys]
    for read in (kerata.layers.deserialize(by_them), keras.layers.deserialize(by_us)):
        assert [w.shape for w in read.weights] == [w.shape for w in theirs.weights]
        assert as_json(read.get_config()) == by_them["config"]


FILES = [
    ("Attention", {"use_scale": True, "score_mode": "concat", "dropout": 0.3}),
    ("AdditiveAttention", {"dropout": 0.3}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "dropout": 0.3, "use_gate": True}),
    ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2, "use_gate": True}),
    ("SpectralNormalization", {}),
]


@pytest.mark.parametrize(("name", "kwargs"), FILES, ids=[name for name, _ in FILES])
def test_models_are_exchanged(name: str, kwargs: dict, tmp_path):
    def model(library) -> Any:
        x = library.Input((4, 6))
        if name == "SpectralNormalization":
            return library.Model(x, library.layers.SpectralNormalization(library.layers.Dense(3))(x))
        layer = getattr(library.layers, name)(**kwargs)
        return library.Model(x, layer([x, x]) if name in ("Attention", "AdditiveAttention") else layer(x, x))

    x = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")
    ours, theirs = model(kerata), model(keras)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    same(keras.saving.load_model(tmp_path / "ours.keras")(x), ours(x))
    same(kerata.saving.load_model(tmp_path / "theirs.keras")(x), theirs(x))


# Scores, masks and dropout --------------------------------------------------------------------------------------


SCORED = [
    attention("Attention", TWO, {"mask": [QUERY_MASK, VALUE_MASK], **SCORES}),
    attention("AdditiveAttention", THREE, {**CAUSAL, **SCORES}),
    heads(PAIR, {**CAUSAL, **SCORES}, num_heads=2, key_dim=3),
    heads(PAIR, {**OF_VALUE, **SCORES}, num_heads=2, key_dim=3, dropout=0.3),
    heads([(2, 3, 4, 6), (2, 2, 5, 6)], SCORES, num_heads=2, key_dim=3),
    heads(PAIR, {**OF_VALUE, **SCORES}, head_dim=3, num_query_heads=4, num_key_value_heads=2),
]


@pytest.mark.parametrize("row", SCORED, ids=str)
def test_scores(row: Row):
    ours, theirs = (row.call(layer, row.inputs) for layer in built(row))
    for a, b in zip(ours, theirs, strict=True):
        same(a, b)


WITHOUT: Any = [{}, CAUSAL, OF_VALUE, {"attention_mask": BOTH_WAYS | np.eye(4, 5, dtype="bool"), **CAUSAL}]


@pytest.mark.parametrize("called_with", WITHOUT, ids=lambda given: "+".join(given) or "plain")
@pytest.mark.parametrize("name", ["MultiHeadAttention", "GroupQueryAttention"])
def test_scores_or_not_the_output_is_one(name: str, called_with: dict):
    query, value = (np.random.default_rng(0).normal(size=s).astype("float32") for s in PAIR)
    grouped = name == "GroupQueryAttention"
    layer = LAYERS.GroupQueryAttention(3, 4, 2) if grouped else LAYERS.MultiHeadAttention(2, 3, value_dim=4)
    same(layer(query, value, **called_with), layer(query, value, **called_with, **SCORES)[0])


NUMBERS = np.array([[3, 1, 2, 0], [5, 0, 0, 0]])


@pytest.mark.parametrize("name", ["MultiHeadAttention", "GroupQueryAttention", "Attention"])
def test_masks_are_carried(name: str):
    """An embedding's mask reaches the scores, and leaves with the output."""
    kwargs = {
        "MultiHeadAttention": {"num_heads": 2, "key_dim": 3},
        "GroupQueryAttention": {"head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 1},
        "Attention": {},
    }[name]

    def outputs(library, values: list | None) -> tuple[Any, list]:
        embedding = library.layers.Embedding(7, 6, mask_zero=True)
        layer = getattr(library.layers, name)(**kwargs)
        x = embedding(NUMBERS)
        y = layer([x, x]) if name == "Attention" else layer(x, x)
        weights = [*embedding.weights, *layer.weights]
        if values is None:
            return y, [w.numpy() for w in weights]
        for w, value in zip(weights, values, strict=True):
            w.assign(value)
        x = embedding(NUMBERS)
        return layer([x, x]) if name == "Attention" else layer(x, x), values

    ours, values = outputs(kerata, None)
    theirs, _ = outputs(keras, values)
    same(ours, theirs)
    same(scopes.get_mask(ours), theirs._keras_mask)


def test_a_mask_of_the_query_that_is_given_counts():
    """Keras's MultiHeadAttention takes the argument and forgets it; its GroupQueryAttention does not."""
    x = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")
    layer = kerata.layers.MultiHeadAttention(2, 3)
    _, weights = layer(x, x, query_mask=QUERY_MASK, return_attention_scores=True)
    assert (np.asarray(weights)[0, :, 3] == 0).all() and (np.asarray(weights)[0, :, :3] > 0).all()


def test_dropout_of_weights():
    query, value = np.random.default_rng(0).normal(size=(2, 30, 8)), np.random.default_rng(1).normal(size=(2, 40, 8))
    layer = kerata.layers.Attention(dropout=0.25, seed=1)
    _, kept = layer([query, value], return_attention_scores=True)
    _, dropped = layer([query, value], return_attention_scores=True, training=True)
    gone = np.asarray(dropped) == 0
    assert 0.2 < gone.mean() < 0.3
    same(np.asarray(dropped)[~gone], np.asarray(kept)[~gone] / 0.75)


@pytest.mark.parametrize("name", ["MultiHeadAttention", "GroupQueryAttention"])
def test_dropout_of_heads(name: str):
    sizes = (2, 3) if name == "MultiHeadAttention" else (3, 2, 1)
    x = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")
    first, second = (getattr(kerata.layers, name)(*sizes, dropout=0.5, seed=1) for _ in range(2))
    still = first(x, x)
    second(x, x)
    second.set_weights(first.get_weights())
    drawn, again = first(x, x, training=True), second(x, x, training=True)
    same(drawn, again)
    assert np.abs(np.asarray(drawn) - np.asarray(still)).max() > 1e-3


def test_projections_start_apart():
    """Each draws weights of its own, though they share one initializer."""
    layer = kerata.layers.MultiHeadAttention(2, 3)
    layer.build((None, 4, 6), (None, 4, 6))
    assert not np.allclose(layer.query_dense.kernel.numpy(), layer.key_dense.kernel.numpy())


# Other layers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4)])
def test_spectral_norm_is_one(shape: tuple):
    layer = kerata.layers.SpectralNormalization(kerata.layers.Dense(3), power_iterations=100)
    layer(np.ones(shape, "float32"), training=True)
    assert np.linalg.norm(layer.layer.kernel.numpy(), 2) == pytest.approx(1, abs=1e-4)


def test_spectral_normalization_leaves_zeros():
    layer = kerata.layers.SpectralNormalization(kerata.layers.Dense(3, kernel_initializer="zeros"))
    layer.build((None, 4))
    before = layer.vector_u.numpy()
    assert np.asarray(layer(np.ones((2, 4), "float32"), training=True)).tolist() == [[0.0] * 3] * 2
    same(layer.vector_u.numpy(), before)


def test_spectral_normalization_of_an_embedding():
    """The vectors keep their dtype; Keras casts them to that of the numbers, whatever their length."""
    layer = kerata.layers.SpectralNormalization(kerata.layers.Embedding(7, 3))
    assert [layer(np.zeros((2, n), "int32")).dtype for n in (4, 5)] == ["float32"] * 2


def test_reversible_embedding_masks_one_way():
    layer = kerata.layers.ReversibleEmbedding(7, 3, mask_zero=True)
    vectors = layer(NUMBERS)
    same(scopes.get_mask(vectors), NUMBERS != 0)
    assert scopes.get_mask(layer(vectors, reverse=True)) is None


def test_reversible_embedding_leads_back_in_the_compute_dtype():
    theirs, ours = (library.layers.ReversibleEmbedding(7, 4, dtype="mixed_bfloat16") for library in (keras, kerata))
    theirs.build()
    ours.build()
    ours.set_weights(theirs.get_weights())
    same(ours(ours(NUMBERS), reverse=True), theirs(theirs(NUMBERS), reverse=True), 1e-2)


def test_reversible_embedding_of_a_given_table():
    table = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    layer = kerata.layers.ReversibleEmbedding(7, 3, weights=table)
    same(layer(table, reverse=True), table @ table.T, 1e-5)


# Errors ---------------------------------------------------------------------------------------------------------

X = np.ones((2, 4, 6), "float32")
WRONG = {
    "one tensor": lambda: LAYERS.Attention()(X),
    "four tensors": lambda: LAYERS.AdditiveAttention()([X] * 4),
    "one mask": lambda: LAYERS.Attention()([X, X], mask=QUERY_MASK),
    "score mode": lambda: LAYERS.Attention(score_mode="sum"),
    "dropout": lambda: LAYERS.Attention(dropout=2.0),
    "no heads": lambda: LAYERS.MultiHeadAttention(0, 3),
    "window": lambda: LAYERS.MultiHeadAttention(2, 3, sliding_window=0),
    "flash with dropout": lambda: LAYERS.MultiHeadAttention(2, 3, dropout=0.1, flash_attention=True),
    "flash with scores": lambda: LAYERS.MultiHeadAttention(2, 3, flash_attention=True)(X, X, **SCORES),
    "fewer keys": lambda: LAYERS.MultiHeadAttention(2, 3)(X, X, X[:, :3]),
    "axis of features": lambda: LAYERS.MultiHeadAttention(2, 3, attention_axes=2)(X, X),
    "no divisor": lambda: LAYERS.GroupQueryAttention(3, 4, 3),
    "four axes": lambda: LAYERS.GroupQueryAttention(3, 4, 2)(X[None], X[None]),
    "two sizes": lambda: LAYERS.AdaptiveMaxPooling1D((2, 3)),
    "no kernel": lambda: LAYERS.SpectralNormalization(LAYERS.ReLU())(X),
    "no iterations": lambda: LAYERS.SpectralNormalization(LAYERS.Dense(3), power_iterations=0),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_errors(wrong):
    with pytest.raises(kerata.errors.KerataError):
        wrong()
