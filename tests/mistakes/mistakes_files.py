"""Files."""

import contextlib
import errno
import pickle
import zipfile
from pathlib import Path
from unittest import mock

from catalogue import mistake

import kerata
from kerata import errors, layers


def small(units=2):
    return kerata.Sequential([kerata.Input((4,), name="inputs"), layers.Dense(units, name="scores")])


SHOWN = (small,)


@contextlib.contextmanager
def saved(*names, cut=None):
    """A small model lies in the folder under these names, whole or cut to a share of its bytes."""
    for name in names:
        model = small()
        (model.save if name.endswith(".keras") else model.save_weights)(name)
        if cut is not None:
            whole = Path(name).read_bytes()
            Path(name).write_bytes(whole[: int(len(whole) * cut)])
    yield


@contextlib.contextmanager
def holding(name, content):
    Path(name).write_bytes(content)
    yield


@contextlib.contextmanager
def of_pytorch(name):
    """A zip file with the parts of those that torch.save writes."""
    with zipfile.ZipFile(name, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"weight": [1.0]}))
        archive.writestr("model/version", "3")
    yield


@contextlib.contextmanager
def full_disk():
    """A model is saved, and then the disk is full."""
    small().save("model.keras")
    Path("before").write_bytes(Path("model.keras").read_bytes())
    full = OSError(errno.ENOSPC, "No space left on device")
    with mock.patch("zipfile.ZipFile.write", side_effect=full):
        yield


def old_file_stands(**_):
    assert sorted(p.name for p in Path().iterdir()) == ["before", "model.keras"]
    assert Path("model.keras").read_bytes() == Path("before").read_bytes()


@mistake("A file that is not there", errors.CorruptFile, """
digts.keras: there is no such file.
  try:      the folder holds digits.keras
""",
    "The message lists what the folder holds; `os.getcwd()` tells where the program looks.",
    around=lambda: saved("digits.keras"),
)  # fmt: skip
def missing_file():
    kerata.models.load_model("digts.keras")


@mistake("A model file that was cut while it was copied", errors.CorruptFile, """
model.keras: the file is no whole `.keras` archive: it is cut, damaged or of another kind.
  expected: what model.save wrote
  got:      the beginning of an archive, whose end is missing
  try:      copy or download it again, and compare sizes; load_model reads `.keras` files, and old `.h5` ones
""",
    "Copy or download the file again; compare its size with the original's.",
    around=lambda: saved("model.keras", cut=0.6),
)  # fmt: skip
def cut_model_file():
    kerata.models.load_model("model.keras")


@mistake("A weights file that was cut", errors.CorruptFile, """
model.weights.h5: the file is no whole HDF5 file: it is cut, damaged or of another kind.
  expected: what save_weights wrote
  got:      […]truncated file[…]
  try:      copy or download it again, and compare the sizes
""",
    "Copy or download the file again; compare its size with the original's.",
    around=lambda: saved("model.weights.h5", cut=0.6),
)  # fmt: skip
def cut_weights_file():
    small().load_weights("model.weights.h5")


@mistake("A safetensors file that was cut", errors.CorruptFile, """
model.safetensors: the file is no whole safetensors file: it is cut, damaged or of another kind.
  expected: what save_weights wrote
  got:      Error while deserializing header: […]
  try:      copy or download it again, and compare the sizes
""",
    "Copy or download the file again; compare its size with the original's.",
    around=lambda: saved("model.safetensors", cut=0.9),
)  # fmt: skip
def cut_safetensors_file():
    small().load_weights("model.safetensors")


@mistake("A picture that is called a model", errors.CorruptFile, """
model.keras: the file is no whole `.keras` archive: it is cut, damaged or of another kind.
  expected: what model.save wrote
  got:      a PNG picture
  try:      copy or download it again, and compare sizes; load_model reads `.keras` files, and old `.h5` ones
""",
    "`load_model` reads what `model.save` wrote.",
    around=lambda: holding("model.keras", b"\x89PNG\r\n\x1a\n" + bytes(100)),
)  # fmt: skip
def picture_called_a_model():
    kerata.models.load_model("model.keras")


@mistake("A model of PyTorch", errors.CorruptFile, """
model.pt: the archive lacks a part of a model.
  expected: config.json
  got:      ['model/data.pkl', 'model/version']
  try:      this is a zip file of another kind: load it with what wrote it
""",
    "Load it with PyTorch, and use it as a layer: `layers.TorchModuleWrapper(module)`.",
    around=lambda: of_pytorch("model.pt"),
)  # fmt: skip
def model_of_pytorch():
    kerata.models.load_model("model.pt")


@mistake("A file of weights given to `load_model`", errors.CorruptFile, """
model.weights.h5: the file holds weights and no model.
  try:      make the model, then model.load_weights(path)
""",
    "Make the model by the code that made it, and call `model.load_weights(…)`.",
    around=lambda: saved("model.weights.h5"),
)  # fmt: skip
def weights_loaded_as_a_model():
    kerata.models.load_model("model.weights.h5")


@mistake("A folder of TensorFlow's SavedModel", errors.Unsupported, """
saved_model: this is a folder, and a model is one file.
  try:      TensorFlow's SavedModel is not read
""",
    "Save it as `.keras` with Keras, or as `.h5`.",
)  # fmt: skip
def folder_as_a_model():
    Path("saved_model").mkdir()
    kerata.models.load_model("saved_model")


@mistake("Weights of another architecture", errors.ShapeMismatch, """
model.weights.h5: the file does not fit 'scores' (Dense at layers/dense); nothing was loaded.
  expected: kernel of shape (4, 5)
  got:      shape (4, 2)
  try:      load_weights(…, skip_mismatch=True) loads what fits
""",
    "Make the model as it was made when the weights were saved, or pass `skip_mismatch=True` to load what fits.",
    around=lambda: saved("model.weights.h5"),
)  # fmt: skip
def weights_of_another_architecture():
    model = small(units=5)
    model.load_weights("model.weights.h5")


@mistake("Weights of a model with more layers", errors.ShapeMismatch, """
model.weights.h5: the file does not fit 'dense' (Dense at layers/dense); nothing was loaded.
  expected: kernel of shape (4, 8)
  got:      shape (4, 2)
  and also: 'dense_1' (Dense at layers/dense_1): expected 2 arrays [(8, 2), (2,)], got 0 arrays
  try:      load_weights(…, skip_mismatch=True) loads what fits
""",
    "Make the model as it was made when the weights were saved.",
    around=lambda: saved("model.weights.h5"),
)  # fmt: skip
def weights_of_fewer_layers():
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(8), layers.Dense(2)])
    model.load_weights("model.weights.h5")


@mistake("Weights loaded before the model is built", errors.ShapeMismatch, """
model.weights.h5: the file does not fit 'dense' (Dense at layers/dense); nothing was loaded.
  expected: 0 arrays []
  got:      2 arrays
  try:      the model has no weights yet: build it, or call it on data, before loading
""",
    "`model.build((None, 4))`, or `kerata.Input((4,))` as the first of the layers.",
    around=lambda: saved("model.weights.h5"),
)  # fmt: skip
def weights_for_a_model_without_any():
    model = kerata.Sequential([layers.Dense(2)])
    model.load_weights("model.weights.h5")


@mistake("Saving a model that is not built", errors.NotBuilt, """
save_model: model 'sequential': the model has no weights yet.
  try:      build it, or call it on data, first
""",
    "`model.build((None, 4))`, or train it first.",
)  # fmt: skip
def saving_without_weights():
    model = kerata.Sequential([layers.Dense(2)])
    model.save("model.keras")


@mistake("A file's name without an ending", errors.InvalidArgument, """
save_model: the file's name has another ending.
  expected: *.keras
  got:      model
  try:      use 'model.keras'
""",
    "`model.save(\"model.keras\")`.",
)  # fmt: skip
def saving_without_an_ending():
    small().save("model")


@mistake("A weights file by a name of its own", errors.InvalidArgument, """
save_weights: the file's name has another ending.
  expected: *.weights.h5 or *.safetensors
  got:      model.h5
  try:      use 'model.weights.h5'
""",
    "`model.save_weights(\"model.weights.h5\")`.",
)  # fmt: skip
def weights_without_their_ending():
    small().save_weights("model.h5")


@mistake("Saving into a folder that is not there", errors.InvalidArgument, """
models/model.keras: the folder does not exist.
  try:      os.makedirs('models', exist_ok=True)
""",
    "`os.makedirs(\"models\", exist_ok=True)` first.",
)  # fmt: skip
def saving_into_a_missing_folder():
    small().save("models/model.keras")


@mistake("Saving over a file that is to be kept", errors.InvalidArgument, """
model.keras: the file exists.
  got:      overwrite=False
  try:      pass overwrite=True to replace it
""",
    "Another name, or `overwrite=True`.",
    around=lambda: saved("model.keras"),
)  # fmt: skip
def saving_over_a_file():
    small().save("model.keras", overwrite=False)


@mistake("A full disk", errors.KerataError, """
model.keras: the file could not be written; what was there before still stands.
  got:      [Errno 28] No space left on device
  try:      make room and save again
""",
    "Make room, or save elsewhere: the file that was there before is still whole.",
    around=full_disk, after=old_file_stands,
)  # fmt: skip
def disk_is_full():
    small().save("model.keras")


@mistake("Loading without safety", errors.Unsupported, """
load_model: safe_mode=False: there is no unsafe loading: no file can make kerata run code.
  expected: safe_mode=True
  try:      give the code yourself: custom_objects={name: function or class}
""",
    "Give the code yourself: `custom_objects={\"name\": function}`.",
    around=lambda: saved("model.keras"),
)  # fmt: skip
def unsafe_loading():
    kerata.models.load_model("model.keras", safe_mode=False)
