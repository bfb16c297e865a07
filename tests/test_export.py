"""Exported models give what `predict` gives, in programs that know nothing of the model."""

import io
import json
import subprocess
import sys
import types
import zipfile

import numpy as np
import onnxruntime
import pytest
import torch

import kerata
from kerata import engine, errors, layers, tree
from kerata.export import program, saved_model

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module", autouse=True)
def seeded():
    kerata.utils.set_random_seed(0)


def two_inputs():
    """A functional model with two inputs by name, and two outputs by name; erf, which is one of JAX's composites."""
    left, right = kerata.Input((3,), name="left"), kerata.Input((5,), name="right")
    x = layers.Concatenate()([layers.Dense(4, activation="gelu")(left), layers.Dense(4)(right)])
    outputs = {"value": layers.Dense(1)(x), "class": layers.Dense(3, activation="softmax")(x)}
    return kerata.Model({"right": right, "left": left}, outputs)


def image():
    model = kerata.Sequential([
        kerata.Input((8, 8, 2)), layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization(), layers.ReLU(),
        layers.MaxPooling2D(), layers.Conv2D(4, 3, groups=2), layers.Flatten(), layers.Dropout(0.5), layers.Dense(2),
    ])  # fmt: skip
    norm = model.layers[1]
    norm.moving_mean.assign(RANDOM.normal(size=4))
    norm.moving_variance.assign(RANDOM.uniform(0.5, 2, size=4))
    return model


def text(steps):
    return kerata.Sequential([
        kerata.Input((steps,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3), layers.Dense(2)
    ])  # fmt: skip


class Doubled(kerata.Model):
    """A subclass with two arguments and a list of outputs."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x, scale):
        y = self.dense(x) * scale
        return [y, (2 * y,)]


def inputs_of(model, batch, steps=3):
    """Return data for a model's inputs, in the structure that it takes, and the flat list of them."""

    def data(t):
        shape = [batch, *(steps if size is None else size for size in t.shape[1:])]
        return RANDOM.integers(0, 9, shape).astype("int32") if t.dtype == "int32" else RANDOM.normal(size=shape)

    nest = tree.map_structure(data, model.input if hasattr(model, "input") else model.inputs[0])
    nest = tree.map_structure(lambda x: x.astype("float32") if x.dtype == "float64" else x, nest)
    return nest, tree.flatten(nest)


def close(found, expected):
    found, expected = tree.flatten(found), tree.flatten(expected)
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-5)


def run_torch(path, flat):
    outputs = torch.export.load(io.BytesIO(path.read_bytes())).module()(*map(torch.tensor, flat))
    return [x.detach().numpy() for x in tree.flatten(outputs)]


def run_onnx(path, flat):
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {given.name: x for given, x in zip(session.get_inputs(), flat)})


# Numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [two_inputs, image, lambda: text(None)], ids=["two_inputs", "image", "text"])
def test_stablehlo_equals_predict_at_any_size(tmp_path, make):
    model = make()
    model.export(tmp_path / "model", format="stablehlo")
    loaded = kerata.export.load(tmp_path / "model")
    for batch, steps in ((1, 5), (4, 3)):
        nest, _ = inputs_of(model, batch, steps)
        expected = model.predict(nest, verbose=0)
        found = loaded(nest)
        close(found, expected)
        if isinstance(expected, dict):
            assert found.keys() == expected.keys()


@pytest.mark.parametrize("make", [two_inputs, image, lambda: text(3)], ids=["two_inputs", "image", "text"])
def test_torch_and_onnx_equal_predict_at_any_batch(tmp_path, make):
    model = make()
    model.export(tmp_path / "model.pt2", format="torch")
    model.export(tmp_path / "model.onnx", format="onnx")
    for batch in (1, 2, 5):
        nest, flat = inputs_of(model, batch)
        expected = model.predict(nest, verbose=0)
        close(run_torch(tmp_path / "model.pt2", flat), expected)
        close(run_onnx(tmp_path / "model.onnx", flat), expected)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert {x.shape[0] for x in (*session.get_inputs(), *session.get_outputs())} == {"batch"}
    if make is two_inputs:
        assert [x.name for x in session.get_inputs()] == ["left", "right"]
        assert [x.name for x in session.get_outputs()] == ["class", "value"]


def test_a_subclassed_model_with_two_arguments(tmp_path):
    model = Doubled()
    x, scale = RANDOM.normal(size=(3, 4)).astype("float32"), np.full((3, 1), 3, "float32")
    expected = model(x, scale)
    signature = [kerata.InputSpec(shape=(None, 4), dtype="float32"), kerata.KerasTensor((None, 1), name="scale")]
    model.export(tmp_path / "model", format="stablehlo", input_signature=signature)
    loaded = kerata.export.load(tmp_path / "model")
    found = loaded(x, scale)
    assert isinstance(found, list) and isinstance(found[1], tuple)
    close(found, expected)
    assert [(given.name, given.shape) for given in loaded.inputs] == [("input_0", (None, 4)), ("scale", (None, 1))]


def test_a_model_of_one_engine_goes_through_the_other(tmp_path):
    with engine.using("torch"):
        model = kerata.Sequential([kerata.Input((4,)), layers.Dense(3, activation="tanh")])
        kernel = model.layers[0].kernel.value
        x = RANDOM.normal(size=(2, 4)).astype("float32")
        expected = model.predict(x, verbose=0)
        model.export(tmp_path / "model", format="stablehlo")
        assert model.layers[0].kernel.value is kernel  # still the parameter that an optimizer may hold
        model.export(tmp_path / "model.pt2", format="torch")
    close(kerata.export.load(tmp_path / "model")(x), expected)
    exported = torch.export.load(tmp_path / "model.pt2")
    assert [name.rpartition(".")[2] for name, _ in exported.named_parameters()] == ["kernel", "bias"]
    close(run_torch(tmp_path / "model.pt2", [x]), expected)


def test_a_signature_gives_sizes_that_a_format_must_know(tmp_path):
    model = text(None)
    with pytest.raises(errors.Unsupported) as caught:
        model.export(tmp_path / "model.pt2", format="torch")
    given = kerata.InputSpec(shape=(None, 32), dtype="int32")
    assert f"input_signature=[kerata.InputSpec(shape={given.shape}, dtype='int32')]" in str(caught.value)
    assert not list(tmp_path.iterdir())
    signature = [kerata.InputSpec(shape=(None, 3), dtype="int32")]
    model.export(tmp_path / "model.pt2", format="torch", input_signature=signature)
    nest, flat = inputs_of(model, 4, steps=3)
    close(run_torch(tmp_path / "model.pt2", flat), model.predict(nest, verbose=0))


def test_a_program_that_holds_for_some_sizes_only_is_not_written(tmp_path):
    """Padding of strides depends on the length: JAX has symbols for that, PyTorch's program holds for even ones."""
    model = kerata.Sequential([
        kerata.Input((None, 4)), layers.Conv1D(4, 3, strides=2, padding="same"), layers.MaxPooling1D(2, padding="same"),
        layers.GlobalMaxPooling1D(),
    ])  # fmt: skip
    model.export(tmp_path / "model", format="stablehlo")
    loaded = kerata.export.load(tmp_path / "model")
    for steps in (7, 10):
        nest, _ = inputs_of(model, 2, steps)
        close(loaded(nest), model.predict(nest, verbose=0))
    with pytest.raises(errors.Unsupported, match="give the sizes"):
        model.export(tmp_path / "model.onnx", format="onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_weights_in_16_bits(tmp_path):
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(3, dtype="bfloat16")])
    model.export(tmp_path / "model", format="stablehlo")
    nest, _ = inputs_of(model, 2)
    loaded = kerata.export.load(tmp_path / "model")
    assert str(loaded(nest).dtype) == "bfloat16"
    np.testing.assert_array_equal(loaded(nest), model.predict(nest, verbose=0))


# Files ----------------------------------------------------------------------------------------------------------

LOAD = """
import sys, numpy, kerata
program = kerata.export.load(sys.argv[1])
print(program({"left": numpy.ones((2, 3)), "right": numpy.ones((2, 5))})["value"].shape)
print([name for name in ("kerata.models", "kerata.layers", "torch", "tensorflow") if name in sys.modules])
"""


def test_a_loaded_program_needs_no_model_code_and_says_what_it_takes(tmp_path, capsys):
    path = tmp_path / "model"
    two_inputs().export(path, format="stablehlo", verbose=True)
    printed = capsys.readouterr().out
    assert "left: float32 (None, 3)" in printed and "output class" in printed
    result = subprocess.run([sys.executable, "-c", LOAD, path], capture_output=True, text=True, timeout=300)
    assert result.stdout.splitlines() == ["(2, 1)", "[]"], result.stderr
    loaded = kerata.export.load(path)
    assert repr(loaded) == "<LoadedProgram of left: float32 (None, 3), right: float32 (None, 5)>"
    with pytest.raises(errors.ShapeMismatch, match="'right'"):
        loaded({"left": np.ones((2, 3)), "right": np.ones((2, 4))})
    with pytest.raises(errors.InvalidArgument, match="right: float32"):
        loaded(np.ones((2, 3)))
    before = path.read_bytes()
    path.write_bytes(before[: len(before) // 2])
    with pytest.raises(errors.CorruptFile):
        kerata.export.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("signature.json", json.dumps({}))
    with pytest.raises(errors.CorruptFile):
        kerata.export.load(path)


MISTAKES = [  # format, other arguments, kind of error, words of the message
    ("onxx", {}, errors.UnknownName, ["'onxx'", "'onnx'"]),
    ("stablehlo", {"filepath": "nowhere/model"}, errors.InvalidArgument, ["nowhere", "makedirs"]),
    ("stablehlo", {"filepath": "."}, errors.InvalidArgument, ["folder"]),
    ("tf_saved_model", {}, ImportError, ["pip install tensorflow", "stablehlo"]),
    ("litert", {}, ImportError, ["pip install tensorflow"]),
    ("openvino", {}, ImportError, ["pip install openvino", "onnx"]),
    ("stablehlo", {"input_signature": [3]}, errors.InvalidArgument, ["InputSpec"]),
    ("stablehlo", {"input_signature": [np.ones((2, 3))] * 2}, errors.InvalidArgument, ["input_layer"]),
]  # fmt: skip


@pytest.mark.parametrize("file_format, options, kind, words", MISTAKES)
def test_mistakes(tmp_path, monkeypatch, file_format, options, kind, words):
    monkeypatch.chdir(tmp_path)
    for name in ("tensorflow", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    model = kerata.Sequential([kerata.Input((3,), name="input_layer"), layers.Dense(1)])
    with pytest.raises(kind) as caught:
        model.export(**{"filepath": "model", "format": file_format, **options})
    for word in words:
        assert word in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_models_that_cannot_be_exported(tmp_path):
    with pytest.raises(errors.NotBuilt):
        kerata.Sequential([layers.Dense(1)]).export(tmp_path / "model", format="stablehlo")
    words = layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=2)
    model = kerata.Sequential([kerata.Input((), dtype="string"), words, layers.Embedding(4, 2)])
    with pytest.raises(errors.Unsupported, match=words.name):
        model.export(tmp_path / "model", format="stablehlo")
    rest = kerata.Model(words.output, model.output)  # as the message says
    rest.export(tmp_path / "model", format="stablehlo")
    close(kerata.export.load(tmp_path / "model")(words(["a b"])), model.predict(np.array(["a b"]), verbose=0))


# TensorFlow, of which a stand-in shows what it is given -----------------------------------------------------------


def stand_in_for_tensorflow(calls):
    """Return as much of TensorFlow as is used, without its arithmetic."""

    class Function:
        def __init__(self, run, input_signature=None):
            self.run, self.input_signature, self.given = run, input_signature, None

        def __call__(self, *args):
            return self.run(*args)

        def get_concrete_function(self, **specs):
            self.given = specs
            self.outputs = self.run(**specs)
            return self

    class Tensor:
        def __init__(self, shape, dtype, name=None):
            self.shape, self.dtype, self.name = tuple(shape), dtype, name

        def set_shape(self, shape):
            self.shape = tuple(shape)

    def call_module(args, **attributes):
        calls.append((args, attributes))
        return [Tensor(shape, dtype) for shape, dtype in zip(attributes["Sout"], attributes["Tout"])]

    def save(module, folder, signatures, options):
        (saved := __import__("pathlib").Path(folder)).mkdir()
        (saved / "saved_model.pb").write_text("new")
        calls.append((module, signatures))

    tf = types.ModuleType("tensorflow")
    tf.__dict__.update(
        Module=types.SimpleNamespace, TensorSpec=Tensor, Variable=lambda x, **k: types.SimpleNamespace(value=x, **k),
        cast=lambda x, dtype: x, convert_to_tensor=lambda x: x, dtypes=types.SimpleNamespace(as_dtype=str),
        function=lambda run, input_signature=None, autograph=True: Function(run, input_signature),
        saved_model=types.SimpleNamespace(save=save),
        types=types.SimpleNamespace(experimental=types.SimpleNamespace(PolymorphicFunction=Function)),
        __internal__=types.SimpleNamespace(tracking=types.SimpleNamespace(Trackable=types.SimpleNamespace)),
    )  # fmt: skip
    xla = types.ModuleType("tensorflow.compiler.tf2xla.python.xla")
    xla.call_module = call_module
    return {"tensorflow": tf, "tensorflow.compiler.tf2xla.python.xla": xla}


@pytest.fixture
def calls(monkeypatch):
    made = []
    modules = stand_in_for_tensorflow(made)
    parents = ["tensorflow.compiler", "tensorflow.compiler.tf2xla", "tensorflow.compiler.tf2xla.python"]
    for name, module in {**modules, **{name: types.ModuleType(name) for name in parents}}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


def test_a_saved_model_has_the_weights_as_variables_and_named_signatures(tmp_path, calls):
    model = two_inputs()
    path = tmp_path / "model"
    path.mkdir()
    (path / "saved_model.pb").write_text("old")
    model.export(path)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert (path / "saved_model.pb").read_text() == "new"
    module, signatures = calls.pop()
    assert signatures.keys() == {"serve", "serving_default"}
    named = signatures["serving_default"]
    assert {name: spec.shape for name, spec in named.given.items()} == {"left": (None, 3), "right": (None, 5)}
    assert {name: x.shape for name, x in named.outputs.items()} == {"class": (None, 3), "value": (None, 1)}
    assert {name: spec.shape for name, spec in module.serve.input_signature[0].items()} == {
        "left": (None, 3), "right": (None, 5)
    }  # fmt: skip
    close([v.value for v in module._kept], model.get_weights())
    args, attributes = calls.pop()
    assert args[: len(model.weights)] == module._kept
    assert attributes["platforms"] == ["CPU", "CUDA", "TPU"]
    assert b"StableHLO_v1.0.0" in attributes["module"][:30] and b"composite" not in attributes["module"]


def test_an_archive_shares_weights_between_endpoints(tmp_path, calls, capsys):
    model = kerata.Sequential([kerata.Input((3,)), layers.Dense(2)])
    spec = kerata.InputSpec(shape=(None, 3), dtype="float32")
    archive = kerata.export.ExportArchive()
    archive.track_and_add_endpoint("logits", model, [spec])
    archive.add_endpoint("classes", lambda x: kerata.ops.argmax(model(x), -1), [spec], is_static=True)
    archive.add_variable_collection("kernels", [model.layers[0].kernel])
    archive.write_out(tmp_path / "model")
    assert "'logits', 'classes'" in capsys.readouterr().out
    module, signatures = calls.pop()
    assert signatures.keys() == {"logits", "classes", "serving_default"}
    assert signatures["serving_default"] is signatures["logits"]
    assert module.kernels == module._kept[:1] and len(module._kept) == 2
    assert all(args[:2] == module._kept for args, _ in calls)
    with pytest.raises(errors.InvalidArgument, match="is taken"):
        archive.add_endpoint("logits", model, [spec])
    with pytest.raises(errors.InvalidType, match="jax2tf"):
        archive.add_endpoint("more", model, [spec], jax2tf_kwargs={})
    with pytest.raises(errors.InvalidArgument, match="InputSpec"):
        archive.add_endpoint("more", model)
    with pytest.raises(errors.InvalidArgument, match="no endpoint"):
        kerata.export.ExportArchive().write_out(tmp_path / "other")


def test_a_saved_model_replaces_nothing_else(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(errors.InvalidArgument, match="something else"), saved_model.saved_folder(path):
            pass
    assert (tmp_path / "notes.txt").read_text() == "mine"


# The shared piece -------------------------------------------------------------------------------------------------


def test_a_program_is_pure():
    """What a call assigns stays nowhere, and its weights are those that it is given."""
    model = image()
    mean = model.layers[1].moving_mean
    before = mean.numpy()
    x = RANDOM.normal(size=(2, 8, 8, 2)).astype("float32")
    training = program.Program(
        lambda x: model(x, training=True), program.signature_of([x], "test"), model.weights, "test"
    )
    zeros = [np.zeros_like(w) for w in training.values()]
    (found,) = training(zeros, [x])
    close(found, np.zeros((2, 2)))
    close(mean.numpy(), before)
