"""Kerata's public names are Keras's: compared by `tools.api`, and called where signatures say nothing."""

import importlib.util
import os

import numpy as np
import pytest

import kerata
from kerata import errors, layers, ops, optimizers
from tools import api

os.environ["KERAS_BACKEND"] = "jax"  # before anything imports keras

X = np.ones((2, 3), "float32")


@pytest.fixture(scope="module")
def public():
    """What Keras offers: the installed one, else the list named by KERATA_TEST_API."""
    if importlib.util.find_spec("keras") is not None:
        return api.from_keras()
    if "KERATA_TEST_API" in os.environ:
        return api.from_list(os.environ["KERATA_TEST_API"])
    return pytest.skip("keras is not installed (pip install 'kerata[test]')")


@pytest.fixture(scope="module")
def found(public):
    return api.differences(public)


@pytest.mark.parametrize("area", api.CORE_AREAS)
def test_area_is_like_keras(found, area):
    """Nothing differs without a reason, and at most one path in a hundred with one."""
    here = {path: how for path, how in found.items() if api.area_of(path) == area}
    assert len(here) > 10
    told = {f"{path}.{name}".rstrip("."): how for path in here for name, how in here[path].items()}
    assert not {n: how for n, how in told.items() if api.reason_for(n) is None}
    assert len([path for path, how in here.items() if how]) <= len(here) / 100


@pytest.mark.skipif("KERATA_TEST_API" not in os.environ, reason="the list of paths is named by KERATA_TEST_API")
def test_the_list_and_the_installed_keras_agree(public):
    listed = api.from_list(os.environ["KERATA_TEST_API"])
    assert listed.keys() == public.keys()
    for path, entry in listed.items():
        assert public[path].kind == entry.kind, path
        names = [api._split(word)[0] for word in entry.parameters]
        assert [api._split(word)[0] for word in public[path].parameters] == names, path
        of_one_backend = {"compute_loss_and_updates", "jax_state_sync"}  # which the list was made with
        assert entry.members.keys() - of_one_backend <= public[path].members.keys(), path


# The comparison itself ------------------------------------------------------------------------------------------


class Base:
    def __init__(self, *, name=None, size=1, kind="a", **kwargs):
        pass

    def whole(self, x):
        pass


class Theirs(Base):
    def __init__(self, units, rate=0.5, **kwargs):
        super().__init__(kind="b", **kwargs)

    def run(self, x, training=None):
        pass

    @property
    def shown(self):
        pass


class Equal(Base):
    def __init__(self, units, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.shown = units

    def run(self, x, training=None):
        pass


class NotPassedOn(Equal):
    def __init__(self, units, rate=0.5, **kwargs):
        super().__init__(units, rate)


class Renamed(Equal):
    def __init__(self, units, share=0.5, **kwargs):
        super().__init__(units, **kwargs)

    def run(self, inputs, training=None):
        pass


class Reordered(Equal):
    def __init__(self, rate=0.5, units=None, **kwargs):
        super().__init__(units, **kwargs)

    run = None


CLASSES = [  # kerata's class, how it differs from `Theirs`
    (Equal, {}),
    (NotPassedOn, {"": "takes no name; takes no size"}),
    (Renamed, {"": "lacks rate=0.5; has share=0.5 besides", "run": "lacks x; has inputs besides"}),
    (Reordered, {"": "units=None instead of units; order rate, units instead of units, rate", "run": "no method"}),
]


@pytest.mark.parametrize("ours, expected", CLASSES, ids=[c.__name__ for c, _ in CLASSES])
def test_classes_are_compared(ours, expected):
    theirs = api._entry(Theirs, lambda cls: cls is Base)  # `whole` is compared with Base
    assert api.compare(theirs, api._entry(ours, lambda _: False)) == expected


FUNCTIONS = [  # Keras's, kerata's, the difference
    (lambda x, axis=None: x, lambda x, axis=None: x, {}),
    (lambda x, axis=None: x, lambda x, axis=-1: x, {"": "axis=-1 instead of axis=None"}),
    (lambda x, axis=None: x, lambda x, *, axis=None: x, {"": "kw:axis=None instead of axis=None"}),
    (lambda x, size=(1, 2): x, lambda x, size=[1, 2]: x, {}),  # noqa: B006
    (lambda *x: x, lambda *x, **more: x, {"": "has **more besides"}),
    (lambda a, b: a, lambda b, a: a, {"": "order b, a instead of a, b"}),
]


@pytest.mark.parametrize("theirs, ours, expected", FUNCTIONS)
def test_functions_are_compared(theirs, ours, expected):
    entries = [api._entry(function, lambda _: False) for function in (theirs, ours)]
    assert api.compare(*entries) == expected


def test_missing_and_other_kinds():
    entry = api._entry(Theirs, lambda _: False)
    assert api.compare(entry, None) == {"": "missing"}
    assert api.compare(entry, api.Entry("function")) == {"": "function instead of class"}
    assert api.of_kerata("keras.layers.Dens") is None
    assert api.of_kerata("keras.layers.Dense").source is layers.Dense
    assert api.of_kerata("keras.backend.floatx").source is kerata.config.floatx


def test_page_and_table():
    found = {"keras.ops.add": {}, "keras.ops.sub": {"": "missing"}, "keras.Model": {"summary": "has format besides"}}
    page = api.page(found)
    assert "| ops | 2 | 1 | 1 | 1 | 50.0 | 0 | 1 |" in page
    assert "| `keras.Model.summary` | `has format besides` | takes `format` besides" in page


def test_command(capsys, tmp_path):
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed (pip install 'kerata[test]')")
    assert api.main(["--area", "activations", "tree", "--markdown", str(tmp_path / "page.md")]) == 0
    out = capsys.readouterr().out
    assert "| tree | 12 | 12 | 12 | 12 | 100.0 | 0 | 0 |" in out
    assert "| tree | 12 |" in (tmp_path / "page.md").read_text()


# Called in Keras's ways -----------------------------------------------------------------------------------------

SHAPES = [  # a layer, arguments of compute_output_shape by Keras's names, the shape
    (lambda: layers.Dense(4), {"input_shape": (2, 3)}, (2, 4)),
    (lambda: layers.LSTM(4), {"sequences_shape": (2, 5, 3)}, (2, 4)),
    (lambda: layers.GRU(4), {"sequences_shape": (2, 5, 3), "initial_state_shape": None}, (2, 4)),
    (lambda: layers.Bidirectional(layers.LSTM(4)), {"sequences_shape": (2, 5, 3)}, (2, 8)),
    (lambda: layers.MultiHeadAttention(2, 3), {"query_shape": (2, 5, 6), "value_shape": (2, 4, 6)}, (2, 5, 6)),
    (lambda: layers.GroupQueryAttention(3, 2, 2), {"query_shape": (2, 5, 6), "value_shape": (2, 4, 6)}, (2, 5, 6)),
    (lambda: layers.Attention(), {"input_shape": [(2, 5, 6), (2, 4, 6)]}, (2, 5, 6)),
    (lambda: layers.ReversibleEmbedding(7, 4), {"input_shape": (2, 5), "reverse": False}, (2, 5, 4)),
    (lambda: layers.Concatenate(), {"input_shape": [(2, 5), (2, 3)]}, (2, 8)),
    (lambda: kerata.Sequential([layers.Dense(4)]), {"input_shape": (2, 3)}, (2, 4)),
    (lambda: kerata.Function(x := kerata.KerasTensor((None, 3)), ops.sum(x, 1)), {"input_shape": (8, 3)}, (8,)),
]


@pytest.mark.parametrize("make, shapes, expected", SHAPES)
def test_output_shapes_by_name(make, shapes, expected):
    assert make().compute_output_shape(**shapes) == expected


WEIGHTS = [  # arguments of add_weight by position and by name, shape, value, dtype
    (((2,), "ones"), {}, (2,), 1, "float32"),
    (((2,), "ones", "float16"), {}, (2,), 1, "float16"),
    ((), {"shape": (1, 2), "initializer": "zeros", "dtype": "int32"}, (1, 2), 0, "int32"),
    (("w", (3,)), {"initializer": "ones"}, (3,), 1, "float32"),
    ((), {"initializer": "zeros"}, (), 0, "float32"),
]


@pytest.mark.parametrize("args, kwargs, shape, value, dtype", WEIGHTS)
def test_add_weight(args, kwargs, shape, value, dtype):
    layer = layers.Layer()
    weight = layer.add_weight(*args, **kwargs)
    assert (weight.shape, weight.dtype, layer.weights) == (shape, dtype, [weight])
    assert np.all(weight.numpy() == value)


def test_add_weight_refuses_a_fourth_position():
    with pytest.raises(TypeError):
        layers.Layer().add_weight((1,), "ones", "float32", True)
    with pytest.raises(TypeError):
        layers.Layer().add_variable((1,))  # the initializer is missing
    assert layers.Layer().add_variable((1,), "ones", name="v").path.endswith("/v")


def test_options_of_optimizers_by_position():
    optimizer = optimizers.SGD(0.1, 0.9, True, 0.01, 1.0)
    assert (optimizer.nesterov, optimizer.weight_decay, optimizer.clipnorm) == (True, 0.01, 1.0)
    assert optimizers.Muon(0.1, 0.9, 0.99, None, 1e-7, 0.0, 2.0).clipnorm == 2.0
    assert optimizers.SGD.from_config(optimizer.get_config()).get_config() == optimizer.get_config()
    for wrong in (lambda: optimizers.SGD(0.1, 0.9, True, 0.01, weight_decay=0.1), lambda: optimizers.SGD(*range(20))):
        with pytest.raises(TypeError):
            wrong()


@pytest.mark.parametrize("name", ["Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop", "SGD"])
def test_optimizers_of_old_keras(name):
    with pytest.raises(ImportError, match=f"kerata.optimizers.{name}"):
        getattr(optimizers.legacy, name)(learning_rate=0.1)


def test_old_names_of_old_functions():
    assert kerata.backend.floatx() == "float32"
    assert np.asarray(kerata.backend.mean(X, axis=1)).tolist() == [1, 1]
    assert kerata.mixed_precision.Policy is kerata.dtype_policies.DTypePolicy
    assert kerata.preprocessing.sequence.pad_sequences is kerata.utils.pad_sequences
    assert {"mean", "floatx"} <= set(dir(kerata.backend))
    with pytest.raises(AttributeError, match="keras.ops"):
        kerata.backend.learning_phase()
    legacy = kerata.legacy.saving
    data = legacy.serialize_keras_object(layers.Dense(3, name="d"))
    assert (data["class_name"], data["config"]["units"]) == ("Dense", 3)
    made = legacy.deserialize_keras_object(data, custom_objects={"Dense": layers.Dense})
    assert made.get_config() == data["config"]
    assert legacy.deserialize_keras_object("f", {"f": len}) is len
    assert legacy.deserialize_keras_object(legacy.serialize_keras_object(None)) is None
    with pytest.raises(ValueError, match="no loss named 'g'"):
        legacy.deserialize_keras_object("g", {"f": len}, printable_module_name="loss")


def test_config():
    config = kerata.utils.Config(rate=0.1)
    config.units, config["seed"] = 3, 4
    assert (config.rate, config["units"], config.get("none", 5), len(config), "seed" in config) == (0.1, 3, 5, 3, True)
    assert (list(config), config.as_dict()) == (["rate", "seed", "units"], {"rate": 0.1, "units": 3, "seed": 4})
    assert config.to_json() == '{"rate": 0.1, "units": 3, "seed": 4}'
    assert (config.pop("seed"), config.pop("seed", None)) == (4, None)
    config.freeze()
    for change in (
        lambda: setattr(config, "rate", 1), lambda: config.update(rate=1), lambda: config.pop("rate"),
        lambda: config.__delitem__("rate"), lambda: config.__setitem__("rate", 1),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="frozen"):
            change()
    config.unfreeze()
    config.update({"rate": 2})
    assert config.rate == 2
    with pytest.raises(AttributeError, match="units"):
        config.unit


def test_source_inputs():
    a, b = kerata.Input((3,)), kerata.Input((3,))
    y = layers.Dense(2)(layers.Add()([a, layers.Dense(3)(b), a]))
    assert [id(x) for x in kerata.utils.get_source_inputs(y)] == [id(a), id(b)]
    assert kerata.utils.get_source_inputs(a) == [a]
    assert kerata.utils.get_source_inputs(X) is X


def test_custom_objects_of_from_config():
    class Cell(layers.SimpleRNNCell):
        pass

    rnn = layers.RNN(Cell(4))
    with pytest.raises(errors.KerataError):
        layers.RNN.from_config(rnn.get_config())
    assert isinstance(layers.RNN.from_config(rnn.get_config(), {"Cell": Cell}).cell, Cell)


def test_stateless_compute_loss():
    model = kerata.Sequential([kerata.Input((3,)), layers.Dense(1, kernel_regularizer="l2")])
    model.compile("sgd", "mse")
    ones = [np.ones((3, 1), "float32"), np.zeros(1, "float32")]
    of_metrics, y = [v.numpy() for v in model.metrics_variables], X[:, :1]
    loss, after = model.stateless_compute_loss(ones, [], of_metrics, X, y, y)
    assert float(loss) == pytest.approx(0.01 * 3)  # the regularizer sees the values given
    assert (after[0], after[1], len(after[2])) == (ones, [], len(of_metrics))


class Told(kerata.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append((epoch, logs, self.model, self.params))

    def on_train_begin(self, logs=None):
        self.calls.append(logs)


def test_callback_list_can_be_called():
    told = Told()
    callbacks = kerata.callbacks.CallbackList([told])
    callbacks.set_model("model")
    callbacks.set_params({"epochs": 2})
    callbacks.on_train_begin()
    callbacks.on_epoch_end(1, {"loss": 2.0})
    callbacks.on_epoch_end(epoch=2)
    callbacks.on_test_batch_end(0)
    assert told.calls == [{}, (1, {"loss": 2.0}, "model", {"epochs": 2}), (2, {}, "model", {"epochs": 2})]
    assert callbacks.model == "model"


def test_raise_error_on_nan():
    model = kerata.Sequential([kerata.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    ended = Told()
    ended.on_train_end = lambda logs=None: ended.calls.append("end")
    arguments = {"x": X, "y": np.full((2, 1), np.nan, "float32"), "verbose": 0}
    with pytest.raises(RuntimeError, match="nan"):
        model.fit(**arguments, callbacks=[kerata.callbacks.TerminateOnNaN(raise_error=True), ended])
    assert "end" not in ended.calls
    model.fit(**arguments, callbacks=[kerata.callbacks.TerminateOnNaN(), ended])
    assert ended.calls[-1] == "end"


REFUSED = [
    lambda: kerata.KerasTensor((2,)).ragged_rank,
    lambda: kerata.KerasTensor((2,)).row_splits_dtype,
    lambda: kerata.Operation().quantized_call(X),
    lambda: layers.Flatten().quantized_build((2, 3), "int8"),
]


@pytest.mark.parametrize("wrong", REFUSED)
def test_refused(wrong):
    with pytest.raises(errors.Unsupported):
        wrong()
