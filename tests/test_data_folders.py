"""Data sets: of the files in folders, of windows of a series, in two parts, and built step by step.

Numbers that are not obvious were computed with Keras 3.15 on TensorFlow 2.21.
"""

import base64
import os
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

import kerata
from kerata import engine, errors, layers, ops, utils
from kerata.data import Dataset

os.environ["KERAS_BACKEND"] = "jax"  # before anything imports keras

COLORS = (np.arange(7 * 5 * 3).reshape(7, 5, 3) * 37 % 256).astype("uint8")


def rows_of(dataset):
    return [np.asarray(x).tolist() if hasattr(x, "shape") else [np.asarray(p).tolist() for p in x] for x in dataset]


def close_to(array, expected, tolerance):
    np.testing.assert_allclose(np.asarray(array), expected, rtol=0, atol=tolerance)


# Files ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Folders of texts, with what is to be overlooked."""
    root = tmp_path_factory.mktemp("texts")
    for name, count in (("cats", 7), ("dogs", 5), ("ants", 3)):
        (root / name / "more").mkdir(parents=True)
        for i in range(count):
            place = root / name / ("more" if i % 3 == 2 else "")
            (place / f"{i}.TXT" if i == 1 else place / f"{i}.txt").write_text(f"{name} ü {i}", encoding="utf-8")
        (root / name / "notes.md").write_text("no")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "0.txt").write_text("no")
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes of one image each."""
    image = pytest.importorskip("PIL.Image")
    root = tmp_path_factory.mktemp("photos")
    for name, array in (("a", COLORS), ("b", 255 - COLORS)):
        (root / name).mkdir()
        image.fromarray(array).save(root / name / "x.png")
    return root


FILES = [  # arguments
    {"shuffle": False},
    {"seed": 3},
    {"seed": 3, "labels": None},
    {"seed": 5, "class_names": ["dogs", "ants"]},
    {"shuffle": False, "labels": list(range(16))},
]
SPLITS = [{}, *({"validation_split": 0.3, "subset": subset} for subset in ("training", "validation"))]


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize("arguments", FILES, ids=str)
def test_same_files_as_keras(texts, arguments, split):
    """A seed gives the same files and labels in the same order, and so the same validation files."""
    theirs = pytest.importorskip("keras.src.utils.dataset_utils")
    given = {"labels": "inferred", "class_names": None, "shuffle": True, "seed": None, **arguments}
    paths, labels, names = theirs.index_directory(str(texts), formats=(".txt",), verbose=False, **given)
    paths, labels = theirs.get_training_or_validation_split(
        paths, labels, split.get("validation_split"), split.get("subset")
    )
    data = utils.text_dataset_from_directory(texts, verbose=False, batch_size=None, **arguments, **split)
    assert [os.path.normpath(path) for path in data.file_paths] == [os.path.normpath(path) for path in paths]
    assert data.class_names == names
    assert len(data) == len(paths)
    here = {}
    for element in data:  # in an order of its own
        text, label = element if labels is not None else (element, None)
        here[text] = label
    for i, path in enumerate(paths):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        assert text in here
        if labels is not None:
            assert int(here[text]) == int(labels[i])
            assert here[text].dtype == "int32"


def test_orders_of_readings(texts):
    def reading(data):
        return [text for batch, _ in data for text in batch]

    def made(**arguments):
        return utils.text_dataset_from_directory(texts, verbose=False, batch_size=4, **arguments)

    data = made(seed=1)
    first, second = reading(data), reading(data)
    assert sorted(first) == sorted(second)
    assert len(set(first)) == 15
    assert first != second  # a new order for each reading
    again = made(seed=1)
    assert [reading(again), reading(again)] == [first, second]  # and the same ones for the same seed
    assert reading(made(seed=2)) != first
    still = made(shuffle=False)
    assert reading(still) == reading(still) == [Path(path).read_text("utf-8") for path in still.file_paths]
    train, held = made(seed=1, validation_split=0.2, subset="both")
    assert (len(train.file_paths), len(held.file_paths)) == (12, 3)
    assert set(train.file_paths).isdisjoint(held.file_paths)
    assert reading(held) == reading(held)  # what validates keeps its order
    assert held.file_paths == made(seed=1, validation_split=0.2, subset="validation").file_paths


@pytest.mark.parametrize("mode, first, dtype", [("int", 0, "int32"), ("categorical", [1, 0], "float32"),
                                                ("binary", [0], "float32")])  # fmt: skip
def test_label_modes(texts, mode, first, dtype):
    data = utils.text_dataset_from_directory(
        texts, label_mode=mode, class_names=["dogs", "ants"], shuffle=False, verbose=False, max_length=4
    )
    ((text, labels),) = data
    assert text.tolist() == ["dogs"] * 5 + ["ants"] * 3
    assert labels.dtype == dtype
    assert labels[0].tolist() == first
    assert len(labels) == 8


WRONG = [  # arguments, words
    ({"labels": "infer"}, ["labels", "inferred"]),
    ({"labels": [1, 2]}, ["labels", "16", "2"]),
    ({"labels": None, "class_names": ["cats"]}, ["class_names"]),
    ({"class_names": ["cats", "cows"]}, ["class_names", "cows"]),
    ({"label_mode": "binary"}, ["label_mode", "two"]),
    ({"label_mode": "one_hot"}, ["label_mode", "one_hot"]),
    ({"validation_split": 0.2}, ["subset"]),
    ({"validation_split": 2, "subset": "both", "seed": 1}, ["validation_split", "2"]),
    ({"validation_split": 0.2, "subset": "train"}, ["train", "training"]),
    ({"validation_split": 0.2, "subset": "both"}, ["seed", "overlap"]),
    ({"validation_split": 0.01, "subset": "both", "seed": 1}, ["validation", "no files"]),
    ({"format": "csv"}, ["format", "csv"]),
    ({"directory": "/nowhere/at/all"}, ["/nowhere/at/all"]),
]


@pytest.mark.parametrize("arguments, words", WRONG, ids=lambda x: str(x)[:60])
def test_what_is_refused(texts, arguments, words):
    with pytest.raises(ValueError) as caught:
        utils.text_dataset_from_directory(**{"directory": texts, "verbose": False, **arguments})
    assert isinstance(caught.value, errors.KerataError)
    for word in words:
        assert word in str(caught.value)


def test_what_is_told(texts, capsys):
    utils.text_dataset_from_directory(texts, seed=1, validation_split=0.2, subset="training")
    said = capsys.readouterr().out
    assert "15 files in 3 classes" in said
    assert "12" in said.splitlines()[1]


def test_links(texts, tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "linked").symlink_to(texts / "cats", target_is_directory=True)
    (tmp_path / "all" / "one.txt").write_text("")
    for follow, count in ((False, 1), (True, 8)):
        data = utils.text_dataset_from_directory(tmp_path, labels=None, follow_links=follow, verbose=False)
        assert len(data.file_paths) == count


def test_training_on_text(texts):
    data = utils.text_dataset_from_directory(texts, batch_size=4, seed=1, verbose=False)
    vectorize = layers.TextVectorization(max_tokens=20, output_sequence_length=3)
    vectorize.adapt(data.map(lambda text, label: text))
    assert {"cats", "dogs", "ants", "ü"} <= set(vectorize.get_vocabulary())
    model = kerata.Sequential([
        kerata.Input((), dtype="string"), vectorize, layers.Embedding(20, 8), layers.GlobalAveragePooling1D(),
        layers.Dense(3),
    ])  # fmt: skip
    loss = kerata.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(kerata.optimizers.Adam(0.1), loss, metrics=["accuracy"])
    history = model.fit(data, epochs=12, verbose=0)
    assert history.history["accuracy"][-1] == 1  # the classes stand in the texts


# Images --------------------------------------------------------------------------------------------------------


RESIZED = [  # interpolation; the first channel in size (4, 3); sums in sizes (4, 3) and (9, 8); tolerance
    ("nearest", [[0, 222, 188], [86, 52, 18], [172, 138, 104], [2, 224, 190]], 3984, 26976, 0),
    ("bilinear", [[53.125, 142.125, 167.125], [128.375, 57.375, 71.708], [128.958, 132.625, 146.958],
                  [86.875, 207.875, 136.875]], 4378.667, 26933.334, 1e-3),
    # TensorFlow looks its cubic weights up in a table.
    ("bicubic", [[41.689, 151.63, 174.95], [127.492, 57.375, 58.271], [129.518, 132.625, 146.192],
                 [76.411, 211.91, 139.087]], 4338.955, 26910.684, 0.08),
    ("area", [[62.829, 123.4, 162.029], [136.543, 109.343, 104.086], [137.114, 139.171, 141.229],
              [93.8, 154.371, 127.171]], 4488.6855, 26932.117, 1e-3),
    ("lanczos3", [[37.586, 152.509, 178.606], [134.563, 61.926, 59.016], [125.762, 133.311, 151.569],
                  [71.127, 213.422, 130.576]], 4336.8657, 26889.09, 2e-3),
    ("lanczos5", [[34.268, 152.53, 181.601], [142.654, 66.02, 64.662], [128.433, 132.423, 152.283],
                  [65.137, 213.475, 126.639]], 4350.7314, 26884.031, 2e-3),
    ("gaussian", [[53.89, 134.906, 166.578], [128.303, 83.912, 82.475], [133.01, 136.3, 143.082],
                  [87.284, 180.5, 136.11]], 4416.0117, 26970.234, 1e-3),
    ("mitchellcubic", [[48.378, 141.418, 170.683], [129.649, 71.661, 72.091], [130.39, 134.466, 145.95],
                       [82.389, 195.305, 135.815]], 4384.7285, 26929.363, 2e-3),
]  # fmt: skip


@pytest.mark.parametrize("name, red, small_sum, large_sum, tolerance", RESIZED, ids=[row[0] for row in RESIZED])
def test_images_are_resized_as_by_tensorflow(photos, name, red, small_sum, large_sum, tolerance):
    def first(size):
        data = utils.image_dataset_from_directory(
            photos, shuffle=False, image_size=size, interpolation=name, verbose=False
        )
        ((images, labels),) = data
        assert labels.tolist() == [0, 1]
        assert images.dtype == "float32"
        return images[0]

    small, large = first((4, 3)), first((9, 8))
    close_to(small[..., 0], red, tolerance + 1e-6)
    assert small.sum() == pytest.approx(small_sum, abs=20 * tolerance + 1e-3)
    assert large.sum() == pytest.approx(large_sum, abs=20 * tolerance + 1e-3)


IMAGES = [  # arguments, shape of an image, its first channel, tolerance
    ({"image_size": (7, 5)}, (7, 5, 3), COLORS[..., 0], 0),
    ({"image_size": (7, 5), "data_format": "channels_first"}, (3, 7, 5), COLORS[..., 0], 0),
    ({"image_size": (4, 6), "crop_to_aspect_ratio": True}, (4, 6, 3),
     [[86, 169.25, 112.4167, 98.25, 126.75, 18], [112.875, 196.125, 139.2917, 125.125, 153.625, 44.875],
      [145.125, 156.375, 131.5417, 157.375, 185.875, 77.125], [172, 63.25, 91.75, 184.25, 212.75, 104]], 1e-3),
    ({"image_size": (4, 6), "pad_to_aspect_ratio": True}, (4, 6, 3),
     [[0, 99.375, 120.875, 0, 0, 0], [0, 174.625, 132.125, 0, 0, 0], [0, 81.875, 207.375, 0, 0, 0],
      [0, 93.125, 90.625, 0, 0, 0]], 1e-3),
    # Pillow and libpng weigh colors alike, and round otherwise.
    ({"image_size": (4, 3), "color_mode": "grayscale"}, (4, 3, 1),
     [[83.125, 59.625, 139.625], [142.125, 87.375, 100.458], [151.458, 162.625, 123.208], [109.375, 125.375, 154.375]],
     1),
    ({"image_size": 4, "color_mode": "rgba"}, (4, 4, 4), None, 0),
]  # fmt: skip


@pytest.mark.parametrize("arguments, shape, red, tolerance", IMAGES, ids=lambda x: str(x)[:60])
def test_images(photos, arguments, shape, red, tolerance):
    data = utils.image_dataset_from_directory(photos, shuffle=False, verbose=False, batch_size=None, **arguments)
    image, label = next(iter(data))
    assert image.shape == shape
    assert label.numpy() == 0
    if red is not None:
        close_to(image[0] if arguments.get("data_format") else image[..., 0], red, tolerance)
    if shape[-1] == 4:
        assert (image[..., 3] == 255).all()


def test_image_files_of_all_kinds(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for ending in ("png", "bmp", "jpg", "jpeg", "gif"):
        image.fromarray(COLORS).save(tmp_path / f"a.{ending}")
    image.fromarray((np.arange(35).reshape(7, 5) * 1000).astype("uint16")).save(tmp_path / "b.png")
    data = utils.image_dataset_from_directory(
        tmp_path, labels=None, image_size=(7, 5), color_mode="grayscale", shuffle=False, verbose=False
    )
    (images,) = data
    assert images.shape == (6, 7, 5, 1)
    names = [os.path.basename(path) for path in data.file_paths]
    assert names == ["a.bmp", "a.gif", "a.jpeg", "a.jpg", "a.png", "b.png"]
    close_to(images[0], images[4], 0)
    close_to(images[5, ..., 0], np.arange(35).reshape(7, 5) * 1000 // 256, 0)  # the upper half of 16 bits
    (tmp_path / "c.png").write_bytes(b"no image")
    with pytest.raises(errors.CorruptFile, match=r"c\.png"):
        list(utils.image_dataset_from_directory(tmp_path, labels=None, verbose=False))
    with pytest.raises(errors.UnknownName, match="lanczos3"):
        utils.image_dataset_from_directory(tmp_path, interpolation="lanczos")
    with pytest.raises(errors.InvalidArgument, match="both"):
        utils.image_dataset_from_directory(tmp_path, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)


def test_a_tutorial(photos):
    """Scripts go on with what a folder gives them as with a data set of TensorFlow."""
    train = utils.image_dataset_from_directory(photos, image_size=(8, 8), batch_size=1, seed=1, verbose=False)
    assert train.class_names == ["a", "b"]
    for images, labels in train.take(1):
        assert images[0].numpy().astype("uint8").shape == (8, 8, 3)
        assert train.class_names[labels[0]] in "ab"
    assert [spec.shape for spec in train.element_spec] == [(None, 8, 8, 3), (None,)]
    rescale = layers.Rescaling(1 / 255)
    train = train.map(lambda x, y: (rescale(x), y)).cache().shuffle(10).prefetch(buffer_size=kerata.data.AUTOTUNE)
    model = kerata.Sequential([layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    model.compile(kerata.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(train, validation_data=train, epochs=8, verbose=0)
    assert history.history["val_accuracy"][-1] == 1
    assert model.evaluate(train, verbose=0)[1] == 1
    assert model.predict(train.map(lambda x, y: x), verbose=0).shape == (2, 1)


# Sounds --------------------------------------------------------------------------------------------------------


def write_wave(path, samples, width=2, rate=8000):
    """Write whole numbers (N, channels)."""
    with wave.open(str(path), "wb") as file:
        file.setparams((samples.shape[1], width, rate, 0, "NONE", ""))
        words = samples.astype("<i4").reshape(-1, 1).view("uint8")[:, :width]
        file.writeframes(((samples + 128).astype("uint8") if width == 1 else words).tobytes())


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    root = tmp_path_factory.mktemp("sounds")
    for name, samples in (("low", np.array([[-32768, 16384], [1, 0], [32767, 0], [8, 8]])), ("up", np.full((6, 2), 3))):
        (root / name).mkdir()
        write_wave(root / name / "1.wav", samples)
    return root


def test_sounds(sounds):
    def batch(**arguments):
        data = utils.audio_dataset_from_directory(sounds, shuffle=False, verbose=False, **arguments)
        assert data.class_names == ["low", "up"]
        return next(iter(data))

    both, labels = batch()
    assert labels.tolist() == [0, 1]
    assert (both.shape, str(both.dtype)) == ((2, 6, 2), "float32")
    close_to(both[0] * 32768, [[-32768, 16384], [1, 0], [32767, 0], [8, 8], [0, 0], [0, 0]], 0)
    assert batch(output_sequence_length=3)[0].shape == (2, 3, 2)
    close_to(batch(output_sequence_length=5)[0], both[:, :5], 0)
    ragged, labels = batch(ragged=True)
    assert [sound.shape for sound in ragged] == [(4, 2), (6, 2)]
    assert labels.shape == (2,)
    single, label = batch(batch_size=None)
    assert (single.shape, label.numpy()) == ((4, 2), 0)
    with pytest.raises(errors.InvalidArgument, match="ragged"):
        batch(ragged=True, output_sequence_length=3)
    with pytest.raises(errors.InvalidArgument, match="sampling_rate"):
        batch(sampling_rate=0)


def test_sampling_rate(tmp_path):
    """A tone keeps its height and its loudness."""
    tone = np.sin(2 * np.pi * 100 * np.arange(8000) / 8000)
    write_wave(tmp_path / "tone.wav", np.round(20000 * tone)[:, None])
    for rate, count in ((8000, 8000), (4000, 4000), (12000, 12000)):
        (sound,) = utils.audio_dataset_from_directory(tmp_path, labels=None, sampling_rate=rate, verbose=False)
        assert sound.shape == (1, count, 1)
        expected = 20000 / 32768 * np.sin(2 * np.pi * 100 * np.arange(count) / rate)
        close_to(sound[0, 500:-500, 0], expected[500:-500], 2e-3)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_widths_of_samples(tmp_path, width):
    top = 2 ** (8 * width - 1)
    write_wave(tmp_path / "a.wav", np.array([[-top], [0], [top // 2], [top - 1]]), width)
    (sound,) = utils.audio_dataset_from_directory(tmp_path, labels=None, verbose=False)
    close_to(sound[0, :, 0], [-1, 0, 0.5, 1 - 1 / top], 1e-7)
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(errors.CorruptFile, match=r"b\.wav"):
        list(utils.audio_dataset_from_directory(tmp_path, labels=None, verbose=False))


# Windows of a series -------------------------------------------------------------------------------------------


X = np.arange(12)
WINDOWS = [  # arguments, windows of X batch by batch, their targets
    ({"sequence_length": 3}, [[list(range(i, i + 3)) for i in range(10)]], [list(range(0, 100, 10))]),
    ({"sequence_length": 3, "sequence_stride": 2, "sampling_rate": 2},
     [[[0, 2, 4], [2, 4, 6], [4, 6, 8], [6, 8, 10]]], [[0, 20, 40, 60]]),
    ({"sequence_length": 2, "start_index": 3, "end_index": 9, "batch_size": 2},
     [[[3, 4], [4, 5]], [[5, 6], [6, 7]], [[7, 8]]], [[30, 40], [50, 60], [70]]),
    ({"sequence_length": 4, "sampling_rate": 3, "batch_size": None},
     [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]], [0, 10, 20]),
]  # fmt: skip


@pytest.mark.parametrize("arguments, windows, targets", WINDOWS, ids=lambda x: str(x)[:60])
def test_windows(arguments, windows, targets):
    assert rows_of(utils.timeseries_dataset_from_array(X, None, **arguments)) == windows
    pairs = rows_of(utils.timeseries_dataset_from_array(X, X * 10, **arguments))
    assert pairs == [list(pair) for pair in zip(windows, targets)]


def test_windows_shuffled_and_few_targets():
    series = np.stack([X, X], axis=1).astype("float32")
    data = utils.timeseries_dataset_from_array(series, X * 10, 3, shuffle=True, seed=1, batch_size=4)
    orders = [[int(t) for _, targets in data for t in targets] for _ in range(2)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(0, 100, 10))
    for windows, targets in data:
        assert windows.shape[1:] == (3, 2)
        close_to(windows[:, 0, 0] * 10, targets, 0)  # each with its own target
    assert len(data) == 3
    pairs = list(utils.timeseries_dataset_from_array(X[:-3], X[3:], 3))  # to foresee three steps
    assert pairs[0][0][:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert pairs[0][1].tolist() == [3, 4, 5, 6, 7, 8, 9]
    for arguments in ({"sequence_length": 13}, {"sequence_length": 2, "start_index": 12},
                      {"sequence_length": 2, "start_index": 5, "end_index": 4},
                      {"sequence_length": 2, "sampling_rate": 0},
                      {"sequence_length": 2, "sequence_stride": 12}):  # fmt: skip
        with pytest.raises(errors.InvalidArgument, match=list(arguments)[-1]):
            utils.timeseries_dataset_from_array(X, None, **arguments)


# Two parts -----------------------------------------------------------------------------------------------------


PARTS = [  # arguments, left, right (as Keras on TensorFlow has them)
    ({"left_size": 0.7}, [0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11]),
    ({"right_size": 3}, [0, 1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11]),
    ({"left_size": 2, "right_size": 0.5}, [0, 1], [6, 7, 8, 9, 10, 11]),
    ({"left_size": 0.7, "shuffle": True, "seed": 3}, [1, 7, 10, 0, 6, 11, 4, 5], [2, 8, 9, 3]),
    ({"right_size": 0.25, "shuffle": True, "seed": 1}, [7, 11, 0, 8, 5, 6, 3, 10, 4], [1, 9, 2]),
]


class Numbered:
    def __len__(self):
        return 12

    def __getitem__(self, i):
        return X[i]


KINDS = {
    "array": lambda: X,
    "list": lambda: X.tolist(),
    "data set": lambda: Dataset.from_tensor_slices(X),
    "items": Numbered,
    "generator": lambda: (i for i in range(12)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arguments, left, right", PARTS, ids=lambda x: str(x)[:60])
def test_parts(kind, arguments, left, right):
    parts = utils.split_dataset(KINDS[kind](), **arguments)
    assert [[int(x) for x in part] for part in parts] == [left, right]
    assert [len(part) for part in parts] == [len(left), len(right)]


def test_parts_of_nests_and_batches():
    left, right = utils.split_dataset((X, X * 10), left_size=10)
    assert rows_of(right) == [[10, 100], [11, 110]]
    left, right = utils.split_dataset([X, X * 10], left_size=10)
    assert rows_of(right) == [[10, 100], [11, 110]]
    left, right = utils.split_dataset({"a": X, "b": np.ones((12, 2))}, right_size=1)
    (sample,) = right
    assert (sample["a"], sample["b"].tolist()) == (11, [1, 1])
    batches = Dataset.from_tensor_slices((X, X)).batch(5)
    left, right = utils.split_dataset(batches, left_size=0.5)
    assert [x.tolist() for x, _ in left] == [[0, 1, 2, 3, 4], [5]]
    assert [x.tolist() for x, _ in right] == [[6, 7, 8, 9, 10], [11]]
    loader = kerata.data.DataLoader(kerata.data.ArrayDataset(X), batch_size=5)
    assert [x.tolist() for (x,) in utils.split_dataset(loader, left_size=6)[1]] == [[6, 7, 8, 9, 10], [11]]


def test_parts_that_cannot_be():
    for sizes in ({}, {"left_size": 0}, {"left_size": 12}, {"left_size": 1.0}, {"right_size": -1},
                  {"left_size": 0.7, "right_size": 0.7}, {"left_size": 0.01}):  # fmt: skip
        with pytest.raises(errors.InvalidArgument, match="split_dataset"):
            utils.split_dataset(X, **sizes)
    for data, sizes in ((X, {"left_size": "half"}), (3, {"left_size": 1})):
        with pytest.raises(errors.InvalidType, match="split_dataset"):
            utils.split_dataset(data, **sizes)
    with pytest.raises(errors.ShapeMismatch, match="rows"):
        utils.split_dataset((X, X[:-1]), left_size=1)


# Step by step --------------------------------------------------------------------------------------------------


def ten():
    return Dataset.range(10)


STEPS = [  # name, data set, its elements, its length
    ("range", lambda: Dataset.range(2, 9, 3), [2, 5, 8], 3),
    ("slices", lambda: Dataset.from_tensor_slices(([1, 2], [3, 4])), [[1, 3], [2, 4]], 2),
    ("one element", lambda: Dataset.from_tensors([1, 2]), [[1, 2]], 1),
    ("generator", lambda: Dataset.from_generator(lambda n: range(n), args=(3,)), [0, 1, 2], None),
    ("zip", lambda: Dataset.zip((ten(), ten().skip(7))), [[0, 7], [1, 8], [2, 9]], 3),
    ("zip of two", lambda: Dataset.zip(ten().take(1), ten()), [[0, 0]], 1),
    ("map", lambda: ten().map(lambda x: x * x).take(4), [0, 1, 4, 9], 4),
    ("map in threads", lambda: ten().map(lambda x: x * x, num_parallel_calls=3), [x * x for x in range(10)], 10),
    ("map of pairs", lambda: ten().take(2).enumerate(5).map(lambda i, x: i + x), [5, 7], 2),
    ("filter", lambda: ten().filter(lambda x: x % 3 == 0), [0, 3, 6, 9], None),
    ("batch", lambda: ten().batch(4), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]], 3),
    ("whole batches", lambda: ten().batch(4, drop_remainder=True), [[0, 1, 2, 3], [4, 5, 6, 7]], 2),
    ("unbatch", lambda: ten().batch(4).unbatch(), list(range(10)), None),
    ("batch of batches", lambda: ten().batch(2).batch(5).take(1), [[[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]], 1),
    ("padded", lambda: ten().skip(1).take(3).map(np.arange).padded_batch(3, padding_values=-1),
     [[[0, -1, -1], [0, 1, -1], [0, 1, 2]]], 1),
    ("repeat", lambda: ten().take(2).repeat(2), [0, 1, 0, 1], 4),
    ("repeat for ever", lambda: ten().take(2).repeat().take(5), [0, 1, 0, 1, 0], 5),
    ("concatenate", lambda: ten().take(1).concatenate(ten().skip(8)), [0, 8, 9], 3),
    ("cache", lambda: ten().cache(), list(range(10)), 10),
    ("prefetch", lambda: ten().prefetch(3), list(range(10)), 10),
    ("shuffle of one", lambda: ten().shuffle(1), list(range(10)), 10),
]  # fmt: skip


@pytest.mark.parametrize("make, elements, length", [row[1:] for row in STEPS], ids=[row[0] for row in STEPS])
def test_steps(make, elements, length):
    data = make()
    assert rows_of(data) == elements
    assert rows_of(data) == elements  # again
    assert data.cardinality() == (-2 if length is None else length)
    if length is not None:
        assert len(data) == length
    else:
        with pytest.raises(TypeError, match="length"):
            len(data)


def test_shuffled():
    data = ten().shuffle(4, seed=1)
    first, second = rows_of(data), rows_of(data)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(10))
    assert first[0] < 4  # drawn from the first four
    assert rows_of(ten().shuffle(4, seed=1)) == first
    still = ten().shuffle(10, seed=1, reshuffle_each_iteration=False)
    assert rows_of(still) == rows_of(still) != list(range(10))
    drawn = np.array([rows_of(ten().shuffle(10, seed=seed)) for seed in range(400)])
    assert abs(drawn.mean(0) - 4.5).max() < 5 * np.sqrt(8.25 / 400)  # five standard errors of a mean place


def test_endless_and_elements():
    endless = ten().repeat()
    assert endless.cardinality() == -1
    with pytest.raises(TypeError, match="no end"):
        len(endless)
    data = Dataset.from_tensor_slices({"x": np.ones((3, 2)), "name": ["a", "b", "c"]}).batch(2)
    spec = data.element_spec
    assert {k: (s.shape, s.dtype) for k, s in spec.items()} == {
        "x": ((None, 2), "float32"), "name": ((None,), "string")
    }  # fmt: skip
    batch = next(iter(data))
    assert batch["name"].tolist() == ["a", "b"]
    assert type(batch["x"].numpy()) is np.ndarray
    assert type(next(data.as_numpy_iterator())["x"]) is np.ndarray
    with pytest.raises(errors.ShapeMismatch, match="rows"):
        Dataset.from_tensor_slices((np.ones(3), np.ones(2)))
    with pytest.raises(errors.ShapeMismatch, match="padded_batch"):
        list(ten().skip(1).map(np.arange).batch(2))
    for wrong in (lambda: ten().batch(0), lambda: ten().shuffle(0), lambda: Dataset(iter([])).element_spec):
        with pytest.raises(errors.InvalidArgument):
            wrong()
    with pytest.raises(errors.Unsupported, match="memory"):
        ten().cache("file")


def test_errors_and_threads_come_back():
    """What goes wrong in a thread is raised where one reads, and no thread outlives a reading that ends early."""

    def fails(x):
        if x == 5:
            raise KeyError("five")
        return x

    for data in (ten().map(fails, num_parallel_calls=2), ten().map(fails).prefetch(2)):
        with pytest.raises(KeyError, match="five"):
            list(data)
    before = threading.active_count()
    for _ in range(5):
        next(iter(ten().map(lambda x: x, num_parallel_calls=2).prefetch(2)))
    assert threading.active_count() <= before


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_threads_compute_on_the_engine_in_use(name):
    if name == "torch":
        pytest.importorskip("torch")
    with engine.using(name):
        data = Dataset.from_tensor_slices(np.array([[-1.0, 2], [3, -4]])).map(ops.relu, num_parallel_calls=2)
        first = next(iter(data))
        assert name in type(first).__module__
        assert rows_of(data.batch(2).prefetch(1)) == [[[0, 2], [3, 0]]]


def test_without_pillow(photos, monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for use in (lambda: utils.image_dataset_from_directory(photos), lambda: utils.array_to_img(COLORS),
                lambda: utils.load_img("a.png")):  # fmt: skip
        with pytest.raises(ImportError, match="pip install pillow") as caught:
            use()
        assert isinstance(caught.value, errors.Unsupported)


def test_png_written_by_tensorflow(tmp_path):
    """The same picture, as TensorFlow wrote the file that its numbers above come from."""
    pytest.importorskip("PIL")
    data = (
        "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAHCAIAAABPxRC5AAAAHklEQVQImWNgUPXKn7LzHrOGb9H0PQ/ZmLRRAbX5AFXLFViugnabAAAA"
        "AElFTkSuQmCC"
    )
    (tmp_path / "x.png").write_bytes(base64.b64decode(data))
    (images,) = utils.image_dataset_from_directory(tmp_path, labels=None, image_size=(7, 5), verbose=False)
    close_to(images[0], COLORS, 0)
