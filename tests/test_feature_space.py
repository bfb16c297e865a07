"""FeatureSpace: tables become vectors as those of Keras do, in files and models too.

The numbers were computed by Keras 3.15 with TensorFlow 2.21.
"""

import types

import numpy as np
import pytest

import kerata
from kerata import engine as engines
from kerata import errors

FeatureSpace = kerata.utils.FeatureSpace
layers = kerata.layers


@pytest.fixture(params=["numpy", "jax", "torch"])
def engine(request):
    if request.param == "torch":
        pytest.importorskip("torch")
    with engines.using(request.param) as engine:
        yield engine


def array(x):
    return kerata.ops.convert_to_numpy(x)


RAW = {
    "f": [0.0, 0.1, 0.2, 0.3], "s": ["zero", "one", "two", "three"], "i": [0, 1, 2, 3], "d": [0.1, 5.0, 2.0, 9.0],
}  # fmt: skip
# In the order of the names: range (3), normalized, category (5), category (5), crossing (6).
PARTS = [(3, [0, 2, 1, 2]), None, (5, [4, 3, 2, 1]), (5, [1, 4, 2, 3]), (6, [3, 2, 3, 0])]


def concatenated():
    normalized = [[-1.34164], [-0.4472136], [0.4472136], [1.34164]]
    return np.concatenate([normalized if part is None else np.eye(part[0])[part[1]] for part in PARTS], axis=1)


def space(**options):
    kinds = {
        "f": "float_normalized", "s": "string_categorical", "i": "integer_categorical",
        "d": FeatureSpace.float_discretized(3),
    }  # fmt: skip
    return FeatureSpace(kinds, crosses=[("s", "i")], crossing_dim=6, **options)


class Table:
    """A table as pandas has it, as far as it is looked at."""

    def __init__(self, columns):
        self.columns = list(columns)
        self._columns = {
            name: types.SimpleNamespace(to_numpy=lambda values=values: np.array(values))
            for name, values in columns.items()
        }

    def __getitem__(self, name):
        return self._columns[name]


def rows(columns):
    names = list(columns)
    return [dict(zip(names, values)) for values in zip(*columns.values())]


DATASETS = {
    "lists": lambda: RAW,
    "arrays": lambda: {name: np.array(values) for name, values in RAW.items()},
    "columns": lambda: {name: np.array(values)[:, None] for name, values in RAW.items()},
    "objects": lambda: {**RAW, "s": np.array(RAW["s"], object)},
    "bytes": lambda: {**RAW, "s": np.array(RAW["s"], "S")},
    "a table": lambda: Table({**RAW, "target": [1, 2, 3, 4]}),
    "rows": lambda: rows(RAW),
    "a generator of batches": lambda: ({name: np.array(v[i : i + 2]) for name, v in RAW.items()} for i in (0, 2)),
    "pairs": lambda: [({name: np.array(v) for name, v in RAW.items()}, np.zeros(4))],
}


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_kind_of_data(dataset):
    encoder = space()
    encoder.adapt(DATASETS[dataset]())
    np.testing.assert_allclose(array(encoder(RAW)), concatenated(), atol=1e-4)
    data = DATASETS[dataset]()
    if isinstance(data, (dict, Table)):
        np.testing.assert_allclose(array(encoder(data)), concatenated(), atol=1e-4)
    for row, expected in zip(rows(RAW), concatenated()):
        np.testing.assert_allclose(array(encoder(row)), expected, atol=1e-4)


def test_every_engine(engine):
    encoder = space()
    encoder.adapt(RAW)
    result = encoder(RAW)
    assert engine.arrays.is_array(result)
    np.testing.assert_allclose(array(result), concatenated(), atol=1e-4)
    assert encoder.get_encoded_features().shape == (None, 20)
    assert {name: (x.shape, x.dtype) for name, x in encoder.get_inputs().items()} == {
        "f": ((None, 1), "float32"), "s": ((None, 1), "string"), "i": ((None, 1), "int32"), "d": ((None, 1), "float32"),
    }  # fmt: skip


def test_every_kind_of_feature_in_a_dictionary():
    encoder = FeatureSpace(
        {
            "f": FeatureSpace.float_rescaled(2.0, 1.0), "x": FeatureSpace.float(),
            "s": FeatureSpace.string_categorical(output_mode="int"),
            "i": FeatureSpace.integer_hashed(7, output_mode="int"), "t": FeatureSpace.string_hashed(8),
            "b": FeatureSpace.float_discretized(None, bin_boundaries=[2.5]),
            "own": FeatureSpace.feature("float32", layers.Rescaling(10.0), "float"),
        },
        crosses=[FeatureSpace.cross(("s", "i"), crossing_dim=9, output_mode="int")],
        output_mode="dict",
    )  # fmt: skip
    raw = {**RAW, "x": [1, 2, 3, 4], "t": ["a", "b", "c", "dd"], "b": [1, 2, 3, 4], "own": [0, 1, 0, 1]}
    encoder.adapt(raw)
    expected = {
        "f": [[1.0], [1.2], [1.4], [1.6]], "x": [[1], [2], [3], [4]], "s": [[1], [4], [2], [3]],
        "i": [[2], [5], [5], [2]], "t": np.eye(8)[[3, 6, 0, 6]], "b": np.eye(2)[[0, 0, 1, 1]],
        "own": [[0], [10], [0], [10]], "s_X_i": [[3], [0], [4], [7]],
    }  # fmt: skip
    found = encoder(raw)
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_allclose(array(found[name]), expected[name], rtol=1e-6, err_msg=name)
        single = encoder({key: values[1] for key, values in raw.items()})[name]
        np.testing.assert_allclose(array(single), np.array(expected[name])[1], rtol=1e-6, err_msg=name)
    symbolic = encoder.get_encoded_features()
    assert {name: x.shape[1:] for name, x in symbolic.items()} == {n: np.shape(x)[1:] for n, x in expected.items()}


def test_names_of_kinds_take_the_sizes_of_the_space():
    kinds = {"a": "float", "b": "float_rescaled", "c": "integer_hashed", "d": "string_hashed", "e": "float_discretized"}
    encoder = FeatureSpace(kinds, crosses=[("c", "d")], crossing_dim=5, hashing_dim=6, num_discretization_bins=7)
    encoder.adapt({"a": [1.0], "b": [1.0], "c": [1], "d": ["x"], "e": [1.0]})
    assert encoder.get_encoded_features().shape == (None, 1 + 1 + 6 + 6 + 7 + 5)
    assert encoder.preprocessors["c"].num_bins == 6 and encoder.crossers["c_X_d"].num_bins == 5


def test_what_learns_nothing_needs_no_adapt():
    given = layers.Normalization(mean=1.0, variance=4.0)
    encoder = FeatureSpace({"a": "float", "n": FeatureSpace.feature("float32", given, "float")})
    assert array(encoder({"a": [1.0], "n": [5.0]})).tolist() == [[1.0, 2.0]]
    with pytest.raises(errors.NotBuilt, match="have not learned"):
        space()(RAW)


def test_files(tmp_path):
    encoder = space()
    encoder.adapt(RAW)
    encoder.save(tmp_path / "space.keras")
    again = kerata.saving.load_model(tmp_path / "space.keras")
    assert isinstance(again, FeatureSpace)
    np.testing.assert_array_equal(array(again(RAW)), array(encoder(RAW)))
    assert again.get_config() == encoder.get_config()
    assert again.get_encoded_features().shape == (None, 20)


def test_configs_of_keras():
    module = "keras.src.layers.preprocessing.feature_space"

    def of_keras(name, config):
        return {"module": module, "class_name": name, "config": config, "registered_name": name}

    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
    identity = of_keras("TFDIdentity", {"name": "x_preprocessor", "trainable": True, "dtype": policy})
    cross = {"feature_names": ["x", "x"], "crossing_dim": 6, "output_mode": "one_hot"}
    config = {
        "features": {
            "x": of_keras("Feature", {"dtype": "float32", "preprocessor": identity, "output_mode": "float"})
        },
        "output_mode": "concat", "crosses": [of_keras("Cross", cross)],
        "crossing_dim": 6, "hashing_dim": 32, "num_discretization_bins": 32,
    }  # fmt: skip
    encoder = FeatureSpace.from_config(config)
    found = kerata.saving.serialize_keras_object(encoder)
    assert (found["module"], found["class_name"]) == ("keras.utils", "FeatureSpace")

    def without_names(x):  # a registered name says nothing where the module does
        if isinstance(x, dict):
            return {key: without_names(value) for key, value in x.items() if key != "registered_name"}
        return [without_names(value) for value in x] if isinstance(x, (list, tuple)) else x

    assert without_names(found["config"]) == without_names(config)


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_models_that_take_raw_columns(name, tmp_path):
    pytest.importorskip(name)
    with engines.using(name):
        encoder = space()
        encoder.adapt(RAW)
        encoded = encoder.get_encoded_features()
        head = layers.Dense(1)
        whole = kerata.Model(encoder.get_inputs(), head(encoded))
        x, y = {name: np.array(values) for name, values in RAW.items()}, np.array([[0.0], [1.0], [2.0], [3.0]])
        whole.compile(kerata.optimizers.Adam(0.3), "mse", jit_compile=name == "jax")
        losses = whole.fit(x, y, epochs=40, verbose=0).history["loss"]
        assert losses[-1] < 0.05 < losses[0]
        predicted = whole.predict(x, verbose=0)
        inner = kerata.Model(encoded, head(encoded))  # what is trained on encoded rows
        np.testing.assert_allclose(inner.predict(array(encoder(RAW)), verbose=0), predicted, rtol=1e-4, atol=1e-5)
        whole.save(tmp_path / "whole.keras")
        again = kerata.saving.load_model(tmp_path / "whole.keras")
        np.testing.assert_allclose(again.predict(x, verbose=0), predicted, rtol=1e-4, atol=1e-5)


def test_batches_encoded_on_the_way():
    encoder = space()
    encoder.adapt(RAW)
    x, y = {name: np.array(values) for name, values in RAW.items()}, np.array([0.0, 1.0, 2.0, 3.0])

    def batches():
        for _ in range(60):
            yield encoder({name: column[:2] for name, column in x.items()}), y[:2]
            yield encoder({name: column[2:] for name, column in x.items()}), y[2:]

    model = kerata.Sequential([kerata.Input((20,)), layers.Dense(1)])
    model.compile(kerata.optimizers.Adam(0.1), "mse")
    assert model.fit(batches(), steps_per_epoch=60, epochs=2, verbose=0).history["loss"][-1] < 0.1


def test_symbolic_columns():
    encoder = FeatureSpace({"a": "float", "b": FeatureSpace.integer_hashed(3)})
    a, b = kerata.Input((1,)), kerata.Input((1,), dtype="int32")
    assert encoder({"a": a, "b": b}).shape == (None, 4)


MISTAKES = {
    "no features": (lambda: FeatureSpace({}), "there are no features"),
    "an unknown kind": (lambda: FeatureSpace({"a": "flot"}), "did you mean 'float'"),
    "an unknown mode": (lambda: FeatureSpace({"a": "float"}, output_mode="concta"), "did you mean 'concat'"),
    "an unknown crossing": (lambda: FeatureSpace({"a": "float"}, crosses=[("a", "c")]), "no feature named 'c'"),
    "a mode of a feature": (lambda: FeatureSpace.feature("int32", None, "count"), "no output_mode named 'count'"),
    "ints in a vector": (
        lambda: FeatureSpace({"a": FeatureSpace.integer_hashed(3, output_mode="int")})({"a": [1]}),
        "do not go into one vector",
    ),
    "floats as categories": (
        lambda: FeatureSpace({"a": FeatureSpace.feature("float32", layers.Rescaling(1.0), "one_hot")})({"a": [1.0]}),
        "no numbers of categories",
    ),
    "no dictionary": (lambda: FeatureSpace({"a": "float"})([1.0]), "a dictionary of columns"),
    "a missing column": (lambda: FeatureSpace({"a": "float", "b": "float"})({"a": [1.0]}), "columns are missing"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    make, message = MISTAKES[mistake]
    with pytest.raises(errors.InvalidArgument, match=message):
        make()
