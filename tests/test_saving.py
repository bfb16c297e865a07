"""Files: written whole or not at all, read with suspicion, and clear about what does not fit."""

import base64
import builtins
import contextlib
import io
import json
import marshal
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile

import h5py
import numpy as np
import pytest

import kerata
from kerata import errors, layers
from kerata.saving import files, stores
from kerata.saving.weights import store_state

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(8, 4)).astype("float32"), RNG.normal(size=(8, 2)).astype("float32")


def small(units=3, last=2, compile=True):
    first, final = layers.Dense(units, name="first"), layers.Dense(last, name="last")
    model = kerata.Sequential([kerata.Input((4,)), first, layers.Dropout(0.5), final], name="small")
    if compile:
        model.compile("adam", "mse")
    return model


def values(model):
    return [w.numpy() for w in model.weights]


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.keras"


# Round trips ----------------------------------------------------------------------------------------------------


def test_a_saved_run_goes_on_as_if_it_had_never_stopped(path):
    """Weights, slots, the step counter and the seed of the dropout all come back."""
    model = small()
    model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
    model.save(path)
    loaded = kerata.models.load_model(path)
    found, expected = (m.fit(X, Y, batch_size=4, shuffle=False, verbose=0).history["loss"] for m in (loaded, model))
    assert found == expected
    assert equal(values(loaded), values(model))
    assert equal([v.numpy() for v in loaded.optimizer.variables], [v.numpy() for v in model.optimizer.variables])


@pytest.mark.parametrize("ending", [".weights.h5", ".safetensors", ".keras"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_weights_come_back(ending, dtype, tmp_path):
    def make():
        return kerata.Sequential([kerata.Input((4,)), layers.Dense(3, dtype=dtype), layers.BatchNormalization()])

    model, other = make(), make()
    (model.save if ending == ".keras" else model.save_weights)(tmp_path / f"m{ending}")
    other.load_weights(tmp_path / f"m{ending}")
    assert equal(values(other), values(model))
    assert [w.dtype for w in other.weights] == [w.dtype for w in model.weights]


@pytest.mark.filterwarnings("error")
def test_weights_alone_bring_the_slots_of_a_model_that_was_only_compiled(tmp_path):
    model, other = small(), small()
    model.save_weights(tmp_path / "new.weights.h5")
    other.load_weights(tmp_path / "new.weights.h5")
    model.fit(X, Y, verbose=0)
    model.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    assert equal([v.numpy() for v in other.optimizer.variables], [v.numpy() for v in model.optimizer.variables])


def test_without_compile_or_optimizer(path):
    model = small()
    model.fit(X, Y, verbose=0)
    model.save(path)
    assert not kerata.models.load_model(path, compile=False).compiled
    model.save(path, include_optimizer=False)
    loaded = kerata.models.load_model(path)
    assert not loaded.compiled and equal(values(loaded), values(model))


def test_an_object_used_twice_is_one_object_again(path):
    x, dense = kerata.Input((4,)), layers.Dense(4)
    twins = [kerata.Sequential([kerata.Input((4,)), dense], name=name) for name in "ab"]
    kerata.Model(x, twins[1](twins[0](x))).save(path)
    loaded = kerata.models.load_model(path)
    assert loaded.get_layer("a").layers[0] is loaded.get_layer("b").layers[0]
    assert len(loaded.weights) == 2


def test_a_key_of_a_graph_is_kept(path):
    x = kerata.Input((4, 3))
    model = kerata.Model(x, [x[:, 0], x[..., None], x[:, [0, 2]], x[:, 1:, ::-1]])
    model.save(path)
    data = RNG.normal(size=(2, 4, 3)).astype("float32")
    found, expected = kerata.models.load_model(path)(data), model(data)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@kerata.saving.register_keras_serializable("tests")
class Registered(layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor


@kerata.saving.register_keras_serializable("tests")
def registered_loss(y_true, y_pred):
    return kerata.ops.mean(kerata.ops.abs(y_true - y_pred), axis=-1)


def unregistered_loss(y_true, y_pred):
    return registered_loss(y_true, y_pred)


def test_registered_classes_and_functions_come_back_by_name(path):
    model = kerata.Sequential([kerata.Input((4,)), Registered(3.0), layers.Dense(2)])
    model.compile("sgd", registered_loss)
    model.save(path)
    loaded = kerata.models.load_model(path)
    assert type(loaded.layers[0]) is Registered and loaded.layers[0].factor == 3.0
    assert loaded.loss is registered_loss


def test_an_op_is_known_by_name(path):
    kerata.Sequential([kerata.Input((4,)), layers.Activation(kerata.ops.sin)]).save(path)
    assert kerata.models.load_model(path).layers[0].activation is kerata.ops.sin


def test_an_unregistered_function_must_be_given(path):
    model = small(compile=False)
    model.compile("sgd", unregistered_loss)
    model.save(path)
    with pytest.raises(errors.UnknownName, match="custom_objects"):
        kerata.models.load_model(path)
    given = {"unregistered_loss": unregistered_loss}
    assert kerata.models.load_model(path, custom_objects=given).loss is unregistered_loss
    with kerata.saving.custom_object_scope(given):
        assert kerata.models.load_model(path).loss is unregistered_loss


# Writing --------------------------------------------------------------------------------------------------------


def save_whole(model, path):
    model.save(path / "m.keras")
    return path / "m.keras"


def save_h5(model, path):
    model.save_weights(path / "m.weights.h5")
    return path / "m.weights.h5"


def save_tensors(model, path):
    model.save_weights(path / "m.safetensors")
    return path / "m.safetensors"


class Stop(BaseException):
    """What no handler of errors catches, as Ctrl-C or the end of the process."""


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), Stop()], ids=["full disk", "stopped"])
@pytest.mark.parametrize("save", [save_whole, save_h5, save_tensors])
def test_a_broken_write_leaves_the_old_file(save, failure, tmp_path, monkeypatch):
    model = small()
    path = save(model, tmp_path)
    before = path.read_bytes()
    kind = stores.SafetensorsStore if save is save_tensors else stores.HDF5Store
    write = kind.write

    def break_off(store, where, arrays, name):
        write(store, where, arrays, name)
        if "last" in str(name):
            raise failure

    monkeypatch.setattr(kind, "write", break_off)
    model.layers[0].set_weights([w + 1 for w in model.layers[0].get_weights()])
    with pytest.raises((errors.KerataError, Stop)) as caught:
        save(model, tmp_path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]  # and nothing else is left behind
    if isinstance(failure, OSError):
        assert "still stands" in str(caught.value) and "No space left" in str(caught.value)


def test_a_failure_at_the_last_moment_leaves_the_old_file(path, monkeypatch):
    small().save(path)
    before = path.read_bytes()

    def refuse(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(errors.KerataError, match="still stands"):
        small().save(path)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


def test_the_new_file_keeps_the_permissions_and_the_link(tmp_path):
    target, link = tmp_path / "target.keras", tmp_path / "latest.keras"
    small().save(target)
    target.chmod(0o600)
    link.symlink_to(target)
    before = target.read_bytes()
    small(units=5).save(link)
    assert link.is_symlink() and target.stat().st_mode & 0o777 == 0o600 and target.read_bytes() != before


REFUSED_WRITES = [
    ("save", "m.h5", {}, errors.InvalidArgument, "m.keras"),
    ("save", "m", {}, errors.InvalidArgument, r"\*.keras"),
    ("save", "nowhere/m.keras", {}, errors.InvalidArgument, "folder does not exist"),
    ("save", "m.keras", {"zipped": False}, errors.Unsupported, "one file"),
    ("save", "m.keras", {"compresion": 1}, errors.InvalidType, "compresion"),
    ("save", "there.keras", {"overwrite": False}, errors.InvalidArgument, "overwrite=True"),
    ("save", "folder.keras", {}, errors.InvalidArgument, "folder of this name"),
    ("save_weights", "m.h5", {}, errors.InvalidArgument, r"\*.weights.h5"),
    ("save_weights", "m.weights.h5", {"max_shard_size": 1}, errors.Unsupported, "one file"),
]


@pytest.mark.parametrize(("method", "name", "options", "kind", "message"), REFUSED_WRITES)
def test_writes_that_are_refused(method, name, options, kind, message, tmp_path):
    (tmp_path / "there.keras").write_bytes(b"old")
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(kind, match=message):
        getattr(small(), method)(tmp_path / name, **options)
    assert (tmp_path / "there.keras").read_bytes() == b"old"


@pytest.mark.parametrize(("method", "name"), [("save", "m.keras"), ("save_weights", "m.weights.h5")])
def test_a_model_without_weights_is_not_saved(method, name, tmp_path):
    with pytest.raises(errors.NotBuilt, match="no weights yet"):
        getattr(kerata.Sequential([layers.Dense(2)]), method)(tmp_path / name)


# Attacks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def traps(monkeypatch):
    """Everything that an attack would like kerata to call tells of it here."""
    sprung = []

    def trap(module, name):
        original = getattr(module, name)

        def trapped(*args, **kwargs):
            if f"{os.sep}kerata{os.sep}" in sys._getframe(1).f_code.co_filename:
                sprung.append((name, args))
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, trapped)

    def forbidden(*args, **kwargs):
        sprung.append(args)

    for name in ("system", "popen"):
        monkeypatch.setattr(os, name, forbidden)
    monkeypatch.setattr(subprocess, "Popen", forbidden)
    for module, name in ((builtins, "eval"), (builtins, "exec"), (marshal, "loads"), (pickle, "loads"), (np, "load")):
        trap(module, name)
    yield
    assert sprung == []


def rewritten(path, config=None, weights=None, compression=zipfile.ZIP_STORED, more=()):
    """Save a small model at `path`, with another config or other weights."""
    small().save(path)
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    if config is not None:
        changed = config(json.loads(parts["config.json"]))
        parts["config.json"] = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    if weights is not None:
        parts["model.weights.h5"] = weights
    with zipfile.ZipFile(path, "w", compression) as new:
        for name, data in [*parts.items(), *more]:
            new.writestr(name, data)
    return path


def layer_of(data):
    """Put `data` in the place of the model's second layer."""

    def change(config):
        config["config"]["layers"][1] = data
        return config

    return change


def named(module, name, config=None, **more):
    config = {} if config is None else config
    return {"module": module, "class_name": name, "config": config, "registered_name": None, **more}


BYTECODE = base64.b64encode(marshal.dumps((lambda x: __import__("os").system("true")).__code__)).decode()
CODE = {"class_name": "__lambda__", "config": {"value": {"code": BYTECODE, "defaults": None, "closure": None}}}

EVIL_LAYERS = {
    "bytecode in a Lambda": named("keras.layers", "Lambda", {"name": "l", "function": CODE}),
    "bytecode in an old Lambda": named(None, "Lambda", {"function": [BYTECODE, None, None], "function_type": "lambda"}),
    "os.system in a Lambda": named(
        "keras.layers", "Lambda", {"function": named("os", "function", "system", registered_name="system")}
    ),
    "builtins.eval in a Lambda": named(
        "keras.layers", "Lambda", {"function": named("builtins", "function", "eval"), "arguments": {"x": "1"}}
    ),
    "kerata's own deserialize in a Lambda": named(
        "keras.layers", "Lambda", {"function": named("builtins", "function", "deserialize")}
    ),
    "os.system": named("os", "system", {"command": "true"}),
    "posix.system by its registered name": named("posix", "Layer2", {}, registered_name="posix>system"),
    "builtins.exec": named("builtins", "exec", {"source": "1"}),
    "subprocess.Popen": named("subprocess", "Popen", {"args": ["true"]}),
    "a class with from_config of an unregistered module": named("kerata.core.rng", "SeedGenerator", {"seed": 1}),
    "a class that a module of kerata imports": named("keras.layers", "Operation"),
    "a module of kerata": named("keras", "saving", {}),
    "a private name": named("keras.layers", "_Merge", {}),
    "a dunder": named("keras.layers", "__class__", {}),
    "a function that downloads": named("keras.utils", "get_file", {"fname": "x", "origin": "file:///etc/passwd"}),
    "an op that does not exist": named("keras.src.ops.numpy", "__import__", {"name": "os"}),
    "an op's unknown argument": named("keras.src.ops.numpy", "Mean", {"os": 1}),
    "a callback": named("keras.callbacks", "CSVLogger", {"filename": "x"}),
    "an optimizer instead of a layer": named("keras.optimizers", "SGD"),
    "text instead of a layer": "Dense",
    "a list for a class name": named("keras.layers", ["Dense"], {}),
    "a dict for a module": named({"a": 1}, "Dense", {}),
    "a dict for a registered name": named("keras.layers", "Dense", {}, registered_name={"a": 1}),
    "text for a config": named("keras.layers", "Dense", "units"),
    "an unknown argument": named("keras.layers", "Dense", {"units": 1, "os": 1}),
    "objects": {"class_name": "__numpy__", "config": {"value": [1], "dtype": "object"}},
    "an absurd array": {"class_name": "__numpy__", "config": {"value": [[1], [1, 2]], "dtype": "float32"}},
    "a tensor without a dtype": {"class_name": "__tensor__", "config": {"value": [1]}},
    "a dtype from elsewhere": {"class_name": "__numpy__", "config": {"value": [1], "dtype": "finfo"}},
}


@pytest.mark.parametrize("data", EVIL_LAYERS.values(), ids=EVIL_LAYERS)
def test_a_config_that_attacks_runs_nothing(data, path, traps):
    rewritten(path, layer_of(data))
    with pytest.raises(errors.KerataError) as caught:
        kerata.models.load_model(path)
    assert len(str(caught.value)) > 20


NOT_PUBLIC = [
    ("keras.constraints", "Configurable"), ("keras.initializers", "RandomInitializer"), ("keras.layers", "_Merge"),
    ("keras.callbacks", "EarlyStopping"), ("kerata.core.rng", "SeedGenerator"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), NOT_PUBLIC)
def test_only_public_classes_are_made(module, name):
    with pytest.raises(errors.UnknownName, match=name):
        kerata.saving.deserialize_keras_object(named(module, name))


@pytest.mark.parametrize("place", ["optimizer", "loss", "metrics"])
def test_compile_settings_that_attack_run_nothing(place, path, traps):
    evil = named("os", "function", "system", registered_name="system")

    def change(config):
        config["compile_config"][place] = evil if place != "metrics" else [evil]
        return config

    with pytest.raises(errors.KerataError, match="system"):
        kerata.models.load_model(rewritten(path, change))


EVIL_CONFIGS = {
    "no JSON": lambda config: b"{",
    "a list": lambda config: [config],
    "a number": lambda config: 3,
    "no class": lambda config: {},
    "a layer alone": lambda config: named("keras.layers", "Dense", {"units": 2}),
    "no layers": lambda config: {**config, "config": {}},
    "layers that are no list": lambda config: {**config, "config": {"layers": 3}},
    "very deep": lambda config: b"[" * 100_000,
    "deep and well formed": lambda config: b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "pickle": lambda config: b"\x80\x04\x95",
    "a functional model without ends": lambda config: named("keras", "Functional", {"layers": []}),
    "a graph in a circle": lambda config: named("keras.src.models.functional", "Functional", {
        "name": "m", "trainable": True, "input_layers": [["d", 0, 0]], "output_layers": [["d", 0, 0]],
        "layers": [{**named("keras.layers", "Dense", {"units": 2, "name": "d"}), "name": "d", "inbound_nodes": [
            {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["d", 0, 0]}}], "kwargs": {}}]}],
    }),
    "a tensor of a layer that is not there": lambda config: named("keras.src.models.functional", "Functional", {
        "name": "m", "input_layers": ["x", 0, 0], "output_layers": ["x", 0, 0], "layers": [],
    }),
}  # fmt: skip


@pytest.mark.parametrize("change", EVIL_CONFIGS.values(), ids=EVIL_CONFIGS)
def test_a_config_that_is_none(change, path, traps):
    with pytest.raises(errors.KerataError):
        kerata.models.load_model(rewritten(path, change))


def h5(fill):
    """Return the bytes of an HDF5 file that `fill` has changed."""
    model = small()
    buffer = io.BytesIO()
    with stores.HDF5Store(buffer, "w", "") as store:
        store_state(model, store)
        fill(store.file)
    return buffer.getvalue()


def replaced(make):
    def fill(file):
        del file["layers/dense/vars/0"]
        make(file["layers/dense/vars"])

    return h5(fill)


def array(*args, **kwargs):
    return replaced(lambda group: group.create_dataset("0", *args, **kwargs))


def link(group, target):
    group["0"] = target


def linked_group(target):
    def fill(file):
        del file["layers/dense"]
        file["layers/dense"] = target

    return h5(fill)


def virtual(group):
    layout = h5py.VirtualLayout((4, 3), "float32")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4, 3))
    group.create_virtual_dataset("0", layout)


LINKS, OUTSIDE = "links to somewhere else", "outside the file"
NO_NUMBERS, NO_FILE = "no array of numbers", "no whole HDF5"

EVIL_WEIGHTS = {
    "an external link to an array": (LINKS, lambda: replaced(lambda g: link(g, h5py.ExternalLink("/tmp/x.h5", "/x")))),
    "a soft link to an array": (LINKS, lambda: replaced(lambda g: link(g, h5py.SoftLink("/layers/dense_1/vars/0")))),
    "an external link to a layer": (LINKS, lambda: linked_group(h5py.ExternalLink("/tmp/x.h5", "/x"))),
    "a soft link to a layer": (LINKS, lambda: linked_group(h5py.SoftLink("/layers/dense_1"))),
    "an array in another file": (OUTSIDE, lambda: array((4, 3), "float32", external=[("/etc/passwd", 0, 48)])),
    "a virtual array": (OUTSIDE, lambda: replaced(virtual)),
    "an array of objects": (NO_NUMBERS, lambda: array(data=["a"] * 12, dtype=h5py.string_dtype())),
    "an array of references": (NO_NUMBERS, lambda: array((4, 3), h5py.ref_dtype)),
    "an array of records": (NO_NUMBERS, lambda: array((4, 3), [("a", "f4"), ("b", "f4")])),
    "an empty array": (NO_NUMBERS, lambda: array(data=h5py.Empty("f4"))),
    "a group instead of an array": (NO_NUMBERS, lambda: replaced(lambda g: g.create_group("0"))),
    "an absurd array": (
        "absurd size", lambda: array((1 << 22, 1 << 22), "float32", chunks=(1024, 1024), compression="gzip"),
    ),
    "no HDF5": (NO_FILE, lambda: b"no HDF5 at all"),
    "a cut file": (NO_FILE, lambda: h5(lambda file: None)[:3000]),
    "nothing": (NO_FILE, lambda: b""),
}  # fmt: skip


@pytest.mark.parametrize(("message", "make"), EVIL_WEIGHTS.values(), ids=EVIL_WEIGHTS)
def test_weights_that_attack_are_refused(message, make, path, tmp_path):
    data = make()
    model = small()
    before = values(model)
    (tmp_path / "m.weights.h5").write_bytes(data)
    for load in (
        lambda: kerata.models.load_model(rewritten(path, weights=data)),
        lambda: model.load_weights(path),
        lambda: model.load_weights(tmp_path / "m.weights.h5"),
    ):
        with pytest.raises(errors.CorruptFile, match=message):
            load()
    assert equal(values(model), before)


def test_a_file_that_holds_itself_is_read_to_its_end(tmp_path):
    def fill(file):
        for i in range(8):
            file[f"layers/dense/loop{i}"] = file["layers"]

    (tmp_path / "m.weights.h5").write_bytes(h5(fill))
    small().load_weights(tmp_path / "m.weights.h5")


def test_pickles_in_an_archive_are_not_looked_at(path, traps):
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([{"x": 1}], dtype=object))
    rewritten(path)
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist() if name != "model.weights.h5"}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in [*parts.items(), ("model.weights.npz", buffer.getvalue())]:
            new.writestr(name, data)
    with pytest.raises(errors.CorruptFile, match="lacks a part"):
        kerata.models.load_model(path)


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "a/../../evil", "..\\evil", "C:/evil"])
def test_paths_that_leave_the_archive(name, path):
    with pytest.raises(errors.CorruptFile, match="leaves it"):
        kerata.models.load_model(rewritten(path, more=[(name, b"x")]))


@pytest.mark.parametrize("part", ["config.json", "model.weights.h5"])
def test_what_grows_absurdly_is_not_unpacked(part, path, monkeypatch):
    monkeypatch.setattr(files, "SMALL", 1 << 16)
    small().save(path)
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    parts[part] += b" " * (8 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in parts.items():
            new.writestr(name, data)
    with pytest.raises(errors.CorruptFile, match="grow absurdly"):
        kerata.models.load_model(path)


def test_a_huge_declared_size_allocates_nothing(path):
    small().save(path)
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in parts.items():
            new.writestr(name, data)
    data = path.read_bytes()
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"model.weights.h5"))
    path.write_bytes(data[: entry + 24] + struct.pack("<L", 0xFFFFFFF0) + data[entry + 28 :])
    with pytest.raises(errors.CorruptFile, match="grow absurdly"):
        kerata.models.load_model(path)


def test_a_compressed_archive_loads(path):
    rewritten(path, compression=zipfile.ZIP_DEFLATED)
    assert kerata.models.load_model(path).name == "small"


def test_one_flipped_bit_is_noticed(path):
    small().save(path)
    data = bytearray(path.read_bytes())
    kernel = data.rindex(kerata.models.load_model(path).layers[0].kernel.numpy().tobytes())
    data[kernel] ^= 1
    path.write_bytes(data)
    with pytest.raises(errors.CorruptFile, match="checksum"):
        kerata.models.load_model(path)


@pytest.mark.parametrize("save", [save_h5, save_tensors])
def test_damaged_files_load_or_are_refused(save, tmp_path):
    model = small()
    path = save(model, tmp_path)
    data = path.read_bytes()
    for _ in range(400):
        damaged = bytearray(data)
        at = RNG.integers(0, len(data) - 8)
        damaged[at : at + 8] = RNG.bytes(8)
        path.write_bytes(damaged)
        with warnings.catch_warnings(), contextlib.suppress(errors.KerataError):
            warnings.simplefilter("ignore")
            model.load_weights(path)


@pytest.mark.parametrize("kept", [0, 1, 100, 0.3, 0.9, -1])
def test_cut_files(kept, tmp_path):
    model = small()
    for save in (save_whole, save_h5, save_tensors):
        path = save(model, tmp_path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * kept) if isinstance(kept, float) else kept])
        with pytest.raises(errors.KerataError):
            model.load_weights(path)
        if save is save_whole:
            with pytest.raises(errors.CorruptFile, match=path.name):
                kerata.models.load_model(path)


PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.mark.parametrize("data", [PNG, b"", b"text", b"PK\x03\x04" + bytes(50)], ids=["PNG", "nothing", "text", "half"])
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.safetensors", "m.h5"])
def test_foreign_files(name, data, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(errors.CorruptFile, match=name):
        small().load_weights(tmp_path / name)
    if name in ("m.keras", "m.h5"):
        with pytest.raises(errors.CorruptFile, match=name):
            kerata.models.load_model(tmp_path / name)


HEADERS = {
    "a length beyond the file": struct.pack("<Q", 1 << 40) + b"{}",
    "a negative length": b"\xff" * 8 + b"{}",
    "no JSON": struct.pack("<Q", 2) + b"{]",
    "offsets outside": struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}     '[:60],
    "a shape that does not fit": struct.pack("<Q", 64)
    + b'{"a":{"dtype":"F32","shape":[99999999],"data_offsets":[0,4]}}   '[:64] + bytes(4),
    "an unknown dtype": struct.pack("<Q", 56)
    + b'{"a":{"dtype":"OBJ","shape":[1],"data_offsets":[0,4]}}  '[:56] + bytes(4),
}  # fmt: skip


@pytest.mark.parametrize("data", HEADERS.values(), ids=HEADERS)
def test_safetensors_with_a_bad_header(data, tmp_path):
    (tmp_path / "m.safetensors").write_bytes(data)
    with pytest.raises(errors.CorruptFile, match="m.safetensors"):
        small().load_weights(tmp_path / "m.safetensors")


def test_a_missing_file_says_what_is_there(tmp_path):
    small().save(tmp_path / "there.keras")
    with pytest.raises(errors.CorruptFile, match=r"no such file(.|\n)*there\.keras"):
        kerata.models.load_model(tmp_path / "their.keras")


REFUSED_READS = [
    ("m.keras", {"safe_mode": False}, errors.Unsupported, "no unsafe loading"),
    (".", {}, errors.Unsupported, "folder"),
    ("m.txt", {}, errors.CorruptFile, "m.txt"),
]


@pytest.mark.parametrize(("name", "options", "kind", "message"), REFUSED_READS)
def test_reads_that_are_refused(name, options, kind, message, tmp_path):
    small().save(tmp_path / "m.keras")
    (tmp_path / "m.txt").write_text("x")
    with pytest.raises(kind, match=message):
        kerata.models.load_model(tmp_path / name, **options)


def test_an_error_in_a_layer_of_the_users_own_passes_as_it_is(path):
    class Broken(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            {}["missing"]

    with pytest.raises(KeyError, match="missing"):
        kerata.models.load_model(
            rewritten(path, layer_of(named("mine", "Broken", {"name": "b"}))), custom_objects={"Broken": Broken}
        )


# What does not fit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [save_whole, save_h5, save_tensors])
def test_wrong_shapes_name_the_layer_and_both_shapes(save, tmp_path):
    path = save(small(last=5, compile=False), tmp_path)
    model = small()
    before = values(model)
    with pytest.raises(errors.ShapeMismatch, match="skip_mismatch=True") as caught:
        model.load_weights(path)
    message = str(caught.value)
    assert "'last' (Dense at layers/dense_1)" in message and "nothing was loaded" in message
    assert "kernel of shape (3, 2)" in message and "shape (3, 5)" in message and str(path) in message
    assert equal(values(model), before)
    with pytest.warns(UserWarning, match="'last'"):
        model.load_weights(path, skip_mismatch=True)
    assert not np.array_equal(model.layers[0].kernel.numpy(), before[0])
    assert equal(values(model)[2:], before[2:])


@pytest.mark.parametrize("save", [save_h5, save_tensors])
def test_missing_and_extra_layers(save, tmp_path):
    def make(*names):
        return kerata.Sequential([kerata.Input((4,)), *(layers.Dense(4, name=name) for name in names)])

    short, long = make("a"), make("a", "b")
    path = save(short, tmp_path)
    with pytest.raises(errors.ShapeMismatch, match="'b' .Dense at layers/dense_1"):
        long.load_weights(path)
    with pytest.warns(UserWarning, match="'b'"):
        long.load_weights(path, skip_mismatch=True)
    assert equal(values(long)[:2], values(short))
    path = save(long, tmp_path)
    with pytest.raises(errors.ShapeMismatch, match="the file's 'layers/dense_1'"):
        short.load_weights(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        short.load_weights(path, skip_mismatch=True)
    assert equal(values(short), values(long)[:2])


def test_the_first_files_of_the_layout_had_another_name_for_layers(tmp_path):
    source, target = small(), small()
    source.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
    target.load_weights(tmp_path / "m.weights.h5")
    assert equal(values(target), values(source))


def test_the_state_of_another_optimizer_is_no_reason_to_refuse_weights(tmp_path):
    source, target = small(), small(compile=False)
    source.fit(X, Y, verbose=0)
    source.save_weights(tmp_path / "m.weights.h5")
    target.load_weights(tmp_path / "m.weights.h5")
    target.compile("sgd", "mse")
    target.optimizer.build(target.trainable_variables)
    with pytest.warns(UserWarning, match="sgd"):
        target.load_weights(tmp_path / "m.weights.h5")
    assert equal(values(target), values(source))


def test_weights_for_a_model_that_is_not_built(tmp_path):
    small().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(errors.KerataError, match="build it"):
        kerata.Sequential([layers.Dense(3), layers.Dense(2)]).load_weights(tmp_path / "m.weights.h5")


def test_names_are_for_old_files(tmp_path):
    small().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(errors.Unsupported, match="by_name"):
        small().load_weights(tmp_path / "m.weights.h5", by_name=True)
    with pytest.raises(errors.InvalidType, match="by_nam"):
        small().load_weights(tmp_path / "m.weights.h5", by_nam=True)


# Old files ------------------------------------------------------------------------------------------------------


def old_file(path, model, config=None, split=False):
    """Write the weights of `model` as Keras 2 did."""
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
        top = file.create_group("model_weights") if config is not None else file
        names = [layer.name.encode() for layer in model.layers]
        if split:
            top.attrs["layer_names0"], top.attrs["layer_names1"] = names[:1], names[1:]
        else:
            top.attrs["layer_names"] = names
        for layer in model.layers:
            group = top.create_group(layer.name)
            group.attrs["weight_names"] = [f"{layer.name}/{w.name}:0".encode() for w in layer.weights]
            for weight in layer.weights:
                group[f"{layer.name}/{weight.name}:0"] = weight.numpy()


@pytest.mark.parametrize("split", [False, True])
def test_old_weights_by_place_and_by_name(split, tmp_path):
    path = tmp_path / "m.h5"
    source, target = small(), small()
    old_file(path, source, split=split)
    target.load_weights(path)
    assert equal(values(target), values(source))
    stack = [layers.Dense(3, name="x"), layers.Dense(3), layers.Dense(2, name="last")]
    other = kerata.Sequential([kerata.Input((4,)), *stack])
    before = values(other)
    with pytest.raises(errors.InvalidArgument, match=r"3 layers with weights(.|\n)*'first', 'last'"):
        other.load_weights(path)
    other.load_weights(path, by_name=True)
    assert equal(values(other), [*before[:4], *values(source)[2:]])


def test_old_weights_of_a_wrong_shape(tmp_path):
    old_file(tmp_path / "m.h5", small(last=5))
    model = small()
    before = values(model)
    with pytest.raises(errors.ShapeMismatch, match=r"'last' \(Dense\)(.|\n)*\(3, 2\)(.|\n)*\(3, 5\)"):
        model.load_weights(tmp_path / "m.h5")
    assert equal(values(model), before)
    with pytest.warns(UserWarning, match="last"):
        model.load_weights(tmp_path / "m.h5", skip_mismatch=True)
    assert equal(values(model)[2:], before[2:]) and not np.array_equal(values(model)[0], before[0])


def test_a_whole_model_of_keras_2(tmp_path):
    initializer = {"class_name": "GlorotUniform", "config": {"seed": None}}
    dense = {"dtype": "float32", "activation": "relu", "use_bias": True, "kernel_initializer": initializer}
    config = {"class_name": "Sequential", "config": {"name": "old", "layers": [
        {"class_name": "InputLayer", "config": {
            "batch_input_shape": [None, 4], "dtype": "float32", "sparse": False, "ragged": False, "name": "input_1"}},
        {"class_name": "Dense", "config": {"name": "first", "units": 3, **dense}},
        {"class_name": "Dropout", "config": {"name": "drop", "rate": 0.5, "noise_shape": None, "seed": None}},
        {"class_name": "Dense", "config": {"name": "last", "units": 2, **dense}},
    ]}}  # fmt: skip
    source = small()
    old_file(tmp_path / "m.h5", source, config)
    loaded = kerata.models.load_model(tmp_path / "m.h5")
    assert [layer.name for layer in loaded.layers] == ["first", "drop", "last"]
    assert equal(values(loaded), values(source))


@pytest.mark.parametrize("data", [CODE, named("os", "system"), [BYTECODE, None, None]], ids=["code", "os", "old code"])
def test_an_old_file_that_attacks_runs_nothing(data, tmp_path, traps):
    lambda_layer = {"class_name": "Lambda", "config": {"name": "l", "function": data, "function_type": "lambda"}}
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": [lambda_layer]}}
    old_file(tmp_path / "m.h5", small(), config)
    with pytest.raises(errors.KerataError):
        kerata.models.load_model(tmp_path / "m.h5")


@pytest.mark.parametrize("link", [h5py.ExternalLink("/tmp/x.h5", "/x"), h5py.SoftLink("/last/last/kernel:0")])
def test_an_old_file_that_links_out_of_itself(link, tmp_path):
    old_file(tmp_path / "m.h5", small())
    with h5py.File(tmp_path / "m.h5", "a") as file:
        del file["first/first/kernel:0"]
        file["first/first/kernel:0"] = link
    with pytest.raises(errors.CorruptFile, match="links to somewhere else"):
        small().load_weights(tmp_path / "m.h5")


def test_an_old_file_with_weights_alone_is_no_model(tmp_path):
    old_file(tmp_path / "m.h5", small())
    with pytest.raises(errors.CorruptFile, match="no model"):
        kerata.models.load_model(tmp_path / "m.h5")

