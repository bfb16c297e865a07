"""The data sets: MNIST as it is; the others from small made files of the same layout, beside what Keras reads."""

import gzip
import hashlib
import http.server
import importlib.util
import inspect
import io
import json
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

import kerata
from kerata import errors
from kerata.datasets import mnist, origins

# Made files -----------------------------------------------------------------------------------------------------


def python2_pickle(images: np.ndarray, label_key: bytes, labels: list[int]) -> bytes:
    """Return a batch as Python 2 wrote CIFAR's: protocol 2, byte strings, NumPy's old module names."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    rows, width = images.shape
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    data = b"T" + (rows * width).to_bytes(4, "little") + images.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    array += b"(K\x01" + b"K" + bytes([rows]) + b"M" + width.to_bytes(2, "little") + b"\x86" + dtype
    array += b"\x89" + data + b"tb"
    items = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(label_key) + items + text(b"batch_label") + text(b"x") + b"u."


def batch(seed: int, label_keys: dict[str, int], rows: int = 4) -> tuple[bytes, np.ndarray, dict[str, list[int]]]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (rows, 3072), "uint8")
    labels = {key: rng.integers(0, top, rows).tolist() for key, top in label_keys.items()}
    (key, values) = next(iter(labels.items()))
    return python2_pickle(images, key.encode(), values), images, labels


def tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, member in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(member)
            file.addfile(info, io.BytesIO(member))
    return buffer.getvalue()


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def texts(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    array = np.empty(count, object)
    for i in range(count):
        array[i] = rng.integers(1, 60, i % 9 + 1).tolist()
    return array


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.tobytes())


def images(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), "uint8")


def labels(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 10, count, "uint8")


CIFAR10 = {f"data_batch_{i}": batch(i, {"labels": 10}) for i in range(1, 6)} | {"test_batch": batch(9, {"labels": 10})}
FILES = {
    "train-images-idx3-ubyte.gz": idx(images(1, 7)),
    "train-labels-idx1-ubyte.gz": idx(labels(2, 7)),
    "t10k-images-idx3-ubyte.gz": idx(images(3, 3)),
    "t10k-labels-idx1-ubyte.gz": idx(labels(4, 3)),
    "cifar-10-python.tar.gz": tar({f"cifar-10-batches-py/{name}": made[0] for name, made in CIFAR10.items()}),
    "cifar-100-python.tar.gz": tar(
        {
            "cifar-100-python/train": batch(1, {"fine_labels": 100}, 6)[0],
            "cifar-100-python/test": batch(2, {"fine_labels": 100}, 3)[0],
        }
    ),
    "imdb.npz": npz(x_train=texts(1, 30), y_train=labels(1, 30) % 2, x_test=texts(2, 20), y_test=labels(2, 20) % 2),
    "imdb_word_index.json": json.dumps({"the": 1, "film": 2, "naïve": 3}).encode(),
    "reuters.npz": npz(x=texts(3, 40), y=np.arange(40) % 46),
    "reuters_word_index.json": json.dumps({"oil": 1}).encode(),
    "boston_housing.npz": npz(x=np.random.default_rng(0).normal(size=(51, 13)), y=np.arange(51.0)),
    "california_housing.npz": npz(x=np.arange(8 * 700, dtype="float32").reshape(700, 8), y=np.arange(700, dtype="f4")),
}


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Serve FILES from this machine, in the place of the real addresses; its value is the list of requests."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            asked.append(name)
            self.send_response(200)
            self.send_header("Content-Length", str(len(FILES[name])))
            self.end_headers()
            self.wfile.write(FILES[name])

        def log_message(self, *_) -> None:
            pass

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("KERATA_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = f"http://127.0.0.1:{serving.server_address[1]}"
    for name, body in FILES.items():
        monkeypatch.setitem(origins.ORIGINS, name, origins.Origin(folder, hashlib.sha256(body).hexdigest()))
    yield asked
    serving.shutdown()
    serving.server_close()


# MNIST ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return kerata.datasets.mnist.load_data()


def test_mnist_is_mnist(digits):
    """Counts and means as published for the original files."""
    (x_train, y_train), (x_test, y_test) = digits
    assert [array.dtype for array in (x_train, y_train, x_test, y_test)] == [np.uint8] * 4
    assert [x_train.shape, y_train.shape, x_test.shape, y_test.shape] == [
        (60000, 28, 28), (60000,), (10000, 28, 28), (10000,),
    ]  # fmt: skip
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert [x_train.mean(), x_train.std()] == pytest.approx([33.318421, 78.567490], abs=1e-6)
    assert [x_test.mean(), x_test.std()] == pytest.approx([33.791224, 79.172463], abs=1e-6)


def test_mnist_is_fresh_and_writable(digits):
    again = kerata.datasets.mnist.load_data("mnist.npz")
    for first, second in zip((*digits[0], *digits[1]), (*again[0], *again[1])):
        assert not np.shares_memory(first, second)
        assert second.flags.c_contiguous
        np.testing.assert_array_equal(first, second)
        second[:] = 255  # raises where it cannot be written
        assert first.min() == 0


def test_mnist_needs_no_network(digits, monkeypatch):
    monkeypatch.setattr("socket.socket", None)
    np.testing.assert_array_equal(kerata.datasets.mnist.load_data()[1][1], digits[1][1])


def test_mnist_from_a_file_of_ones_own(tmp_path):
    x, y = images(1, 5), labels(1, 5)
    (tmp_path / "own.npz").write_bytes(npz(x_train=x, y_train=y, x_test=x[:2], y_test=y[:2]))
    (x_train, _), (x_test, y_test) = kerata.datasets.mnist.load_data(str(tmp_path / "own.npz"))
    np.testing.assert_array_equal(x_train, x)
    assert x_test.shape == (2, 28, 28) and y_test.shape == (2,)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda whole: whole[:1_000_000], "not a zip file"),
        (lambda whole: whole[:6_000_000] + b"x" * 100 + whole[6_000_100:], "CRC|invalid|Error -3"),
        (lambda whole: b"", "not a zip file"),
        (lambda whole: b"version https://git-lfs.github.com/spec/v1\n", "not a zip file"),
        (lambda whole: None, "no such file"),
        (lambda whole: npz(x_train=images(1, 2), x_test=images(1, 2), y_test=labels(1, 2)), "no array called y_train"),
        (lambda whole: npz(x_train=labels(1, 2), y_train=labels(1, 2)), "uint8"),
        (lambda whole: npz(x_train=images(1, 2) / 255, y_train=labels(1, 2)), "float64"),
    ],
)
def test_a_damaged_mnist_is_told(tmp_path, monkeypatch, make, says):
    packaged, path = mnist._PACKAGED, tmp_path / "mnist.npz"
    body = make(packaged.read_bytes())
    if body is not None:
        path.write_bytes(body)
    with pytest.raises(errors.CorruptFile, match=says) as caught:
        kerata.datasets.mnist.load_data(str(path))
    assert str(path) in str(caught.value)
    monkeypatch.setattr(mnist, "_PACKAGED", path)
    with pytest.raises(errors.CorruptFile, match="install kerata anew"):
        kerata.datasets.mnist.load_data()


# The others, known ----------------------------------------------------------------------------------------------


def test_fashion_mnist(server, tmp_path):
    (x_train, y_train), (x_test, y_test) = kerata.datasets.fashion_mnist.load_data()
    for got, expected in (
        (x_train, images(1, 7)), (y_train, labels(2, 7)), (x_test, images(3, 3)), (y_test, labels(4, 3)),
    ):  # fmt: skip
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == np.uint8 and got.flags.writeable
    kerata.datasets.fashion_mnist.load_data()
    assert len(server) == 4
    assert (tmp_path / "datasets" / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz").is_file()


@pytest.mark.parametrize(
    "body",
    [
        b"no gzip",
        gzip.compress(b"\0\0\x08\x01\0\0\0\x05abc"),
        gzip.compress(b"\0\0\x0d\x01\0\0\0\x01a"),
        gzip.compress(b""),
        gzip.compress(b"\0\0\x08\x03\0\0"),
        idx(labels(1, 9))[:-9],
    ],
    ids=["no gzip", "cut numbers", "another dtype", "empty", "cut header", "cut file"],
)
def test_a_damaged_idx_file_is_told(tmp_path, body):
    from kerata.datasets.fashion_mnist import _read_idx

    (tmp_path / "a.gz").write_bytes(body)
    with pytest.raises(errors.CorruptFile, match=r"a\.gz"):
        _read_idx(tmp_path / "a.gz")


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_cifar10(server, monkeypatch, data_format):
    monkeypatch.setattr(kerata.config.settings, "image_data_format", data_format)
    (x_train, y_train), (x_test, y_test) = kerata.datasets.cifar10.load_data()
    expected = np.concatenate([made[1] for name, made in CIFAR10.items() if name != "test_batch"])
    expected = expected.reshape(20, 3, 32, 32)
    if data_format == "channels_last":
        expected = np.moveaxis(expected, 1, -1)
    np.testing.assert_array_equal(x_train, expected)
    assert y_train.ravel().tolist() == sum((CIFAR10[f"data_batch_{i}"][2]["labels"] for i in range(1, 6)), [])
    assert y_test.ravel().tolist() == CIFAR10["test_batch"][2]["labels"]
    assert (y_train.shape, y_test.shape, y_train.dtype, x_test.dtype) == ((20, 1), (4, 1), np.uint8, np.uint8)
    assert x_train.flags.writeable and x_train.flags.c_contiguous


def test_cifar100(server):
    (x_train, y_train), (_, y_test) = kerata.datasets.cifar100.load_data()
    assert x_train.shape == (6, 32, 32, 3)
    assert y_train.ravel().tolist() == batch(1, {"fine_labels": 100}, 6)[2]["fine_labels"]
    assert y_test.shape == (3, 1)
    with pytest.raises(errors.CorruptFile, match="coarse_labels"):  # the made files have none
        kerata.datasets.cifar100.load_data("coarse")
    with pytest.raises(errors.UnknownName, match="'fine' or 'coarse'|known names"):
        kerata.datasets.cifar100.load_data("all")


def test_word_indexes(server):
    assert kerata.datasets.imdb.get_word_index() == {"the": 1, "film": 2, "naïve": 3}
    assert kerata.datasets.reuters.get_word_index("own.json") == {"oil": 1}


def test_marks_and_limits():
    from kerata.datasets import word_ids

    raw = [[1, 5, 2], [9], [3, 3]]
    marked = word_ids.mark_start(raw, 1, 3)
    assert marked == [[1, 4, 8, 5], [1, 12], [1, 6, 6]]
    assert word_ids.mark_start(raw, None, None) == raw
    assert word_ids.limit_words(marked, 8, 5, 2) == [[2, 2, 2, 5], [2, 2], [2, 6, 6]]
    assert word_ids.limit_words(marked, 8, 5, None) == [[5], [], [6, 6]]
    assert word_ids.limit_words(marked, None, 0, 2) == [[1, 4, 8, 5], [1, 2], [1, 6, 6]]  # the largest id, 12
    kept, kept_labels = word_ids.drop_long(marked, [7, 8, 9], 4)
    assert (kept, kept_labels.tolist()) == ([[1, 12], [1, 6, 6]], [8, 9])
    with pytest.raises(errors.InvalidArgument, match="maxlen > 2"):
        word_ids.drop_long(marked, [7, 8, 9], 2)
    assert word_ids.object_array([[1, 2], [3, 4]]).shape == (2,)


@pytest.mark.parametrize(
    ("load", "arguments"),
    [
        ("boston_housing", {"test_split": 1}),
        ("boston_housing", {"test_split": -0.1}),
        ("california_housing", {"test_split": 1.5}),
        ("california_housing", {"version": "medium"}),
        ("reuters", {"test_split": 2}),
        ("imdb", {"maxlen": 1}),
    ],
)
def test_arguments_that_cannot_be(server, load, arguments):
    with pytest.raises(errors.InvalidArgument):
        getattr(kerata.datasets, load).load_data(**arguments)


def test_unknown_arguments_are_told(server):
    with pytest.raises(errors.InvalidType, match="nb_words"):
        kerata.datasets.imdb.load_data(nb_words=10)


def test_a_changed_file_is_refused(server, monkeypatch):
    monkeypatch.setitem(FILES, "imdb.npz", FILES["reuters.npz"])
    with pytest.raises(errors.CorruptFile, match="not the expected one"):
        kerata.datasets.imdb.load_data()


# Beside Keras ---------------------------------------------------------------------------------------------------


@pytest.fixture
def keras(server, monkeypatch, tmp_path):
    """Keras, whose downloads come from FILES."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    import keras

    def get_file(fname, origin, extract=False, **_):
        path = tmp_path / "keras" / fname
        path.parent.mkdir(exist_ok=True)
        body = FILES[origin.rpartition("/")[2]]
        if not extract:
            path.write_bytes(body)
        elif not path.exists():
            with tarfile.open(fileobj=io.BytesIO(body)) as archive:
                archive.extractall(path, filter="data")
        return str(path)

    for name in ("boston_housing", "california_housing", "cifar100", "fashion_mnist", "imdb", "reuters"):
        monkeypatch.setattr(importlib.import_module(f"keras.src.datasets.{name}"), "get_file", get_file)
    return keras


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fashion_mnist", {}),
        ("cifar100", {}),
        ("boston_housing", {}),
        ("boston_housing", {"test_split": 0, "seed": 7}),
        ("california_housing", {}),
        ("california_housing", {"version": "small", "test_split": 0.37}),
        ("imdb", {}),
        ("imdb", {"num_words": 30, "skip_top": 5, "maxlen": 8, "seed": 1}),
        ("imdb", {"start_char": None, "oov_char": None, "num_words": 20}),
        ("imdb", {"start_char": None, "index_from": 0}),
        ("reuters", {}),
        ("reuters", {"num_words": 30, "skip_top": 5, "maxlen": 8, "seed": 1, "test_split": 0.5}),
        ("reuters", {"start_char": None, "oov_char": None, "num_words": 40, "index_from": 1}),
    ],
)
def test_the_same_as_keras(keras, name, arguments):
    theirs = getattr(keras.datasets, name).load_data(**arguments)
    ours = getattr(kerata.datasets, name).load_data(**arguments)
    for their, our in zip((*theirs[0], *theirs[1]), (*ours[0], *ours[1]), strict=True):
        assert (our.shape, our.dtype) == (their.shape, their.dtype)
        assert our.tolist() == their.tolist()
        assert our.flags.writeable


def test_the_same_labels_as_keras(keras):
    assert kerata.datasets.reuters.get_label_names() == keras.datasets.reuters.get_label_names()


def test_the_same_signatures_as_keras(keras):
    for dataset in kerata.datasets.__all__:
        theirs, ours = getattr(keras.datasets, dataset), getattr(kerata.datasets, dataset)
        names = [name for name in dir(theirs) if not name.startswith("_")]
        assert set(ours.__all__) == set(names)
        for name in names:
            assert parameters(getattr(ours, name)) == parameters(getattr(theirs, name)), (dataset, name)


def parameters(function) -> list[tuple]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def test_the_same_addresses_and_hashes_as_keras():
    """Keras's own source holds them; Fashion-MNIST has no hashes there."""
    (package,) = importlib.util.find_spec("keras").submodule_search_locations
    source = "".join(path.read_text() for path in (Path(package) / "src" / "datasets").glob("*.py"))
    for name, origin in origins.ORIGINS.items():
        assert name in source and origin.folder in source
        assert origin.file_hash in source or "ubyte" in name
