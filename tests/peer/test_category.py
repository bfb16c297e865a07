"""CategoryEncoding and Discretization beside Keras's; its hashing layers need TensorFlow, so facts stand for them."""

import json

import keras
import numpy as np
import pytest

import kerata

RNG = np.random.default_rng(5)
ROWS = [  # layer, its arguments, input, what else the call takes
    *(
        ("CategoryEncoding", {"num_tokens": 6, "output_mode": mode}, RNG.integers(0, 6, shape).astype("int32"), {})
        for mode in ("one_hot", "multi_hot", "count")
        for shape in ((4,), (4, 1), (3, 5))
    ),
    (
        "CategoryEncoding", {"num_tokens": 6, "output_mode": "count"}, RNG.integers(0, 6, (3, 5)),
        {"count_weights": RNG.uniform(size=(3, 5)).astype("float32")},
    ),
    *(
        ("Discretization", {"bin_boundaries": [-0.5, 0.0, 0.7], "output_mode": mode}, RNG.normal(size=shape), {})
        for mode in ("int", "one_hot", "multi_hot", "count")
        for shape in ((4,), (4, 1), (3, 5))
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]['output_mode']}-{row[2].shape}{[*row[3]]}")
def test_outputs_and_configs(row):
    name, arguments, x, more = row
    ours = getattr(kerata.layers, name)(**arguments, name="it")
    theirs = getattr(keras.layers, name)(**arguments, name="it")
    x = x.astype("float32") if x.dtype == "float64" else x
    expected = np.asarray(theirs(x, **more))
    for found in (ours(x, **more), kerata.jit(lambda x: ours(x, **more))(x)):
        assert str(found.dtype) == str(expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert ours.get_config() == theirs.get_config()
    written = json.loads(json.dumps(kerata.saving.serialize_keras_object(ours)))
    again = keras.saving.deserialize_keras_object(written)
    np.testing.assert_allclose(again(x, **more), expected, rtol=1e-6)
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(theirs)))
    again = kerata.saving.deserialize_keras_object(written)
    np.testing.assert_allclose(again(x, **more), expected, rtol=1e-6)
    if x.ndim == 2:
        symbolic = ours(kerata.Input(x.shape[1:], dtype=str(x.dtype)))
        assert symbolic.shape == (None, *expected.shape[1:])


@pytest.mark.parametrize("epsilon", [0.01, 0.1])
@pytest.mark.parametrize("size", [3, 50, 5000])
def test_learned_boundaries(size, epsilon):
    x = RNG.normal(size=(size, 2)).astype("float32")
    for data in (x, [x[: size // 3], x[size // 3 :]]):
        ours, theirs = (m.layers.Discretization(num_bins=4, epsilon=epsilon, name="it") for m in (kerata, keras))
        ours.adapt(data)
        for batch in data if isinstance(data, list) else [data]:  # Keras's `adapt` looks for TensorFlow
            theirs.update_state(batch)
        theirs.finalize_state()
        np.testing.assert_allclose(ours.bin_boundaries, theirs.bin_boundaries, rtol=1e-6)
        again = kerata.layers.Discretization.from_config(theirs.get_config())
        assert again.get_config() == theirs.get_config()
