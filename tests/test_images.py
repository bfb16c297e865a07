"""Single images between files, Pillow and arrays: as real Keras has them."""

import io
import os

import numpy as np
import pytest

import kerata
from kerata import errors, utils
from kerata.utils import images

os.environ["KERAS_BACKEND"] = "jax"  # before anything imports keras
Image = pytest.importorskip("PIL.Image")

RANDOM = np.random.default_rng(0)
GRAY, RGB, RGBA = (RANDOM.uniform(-3, 9, (12, 9, c)).astype("float32") for c in (1, 3, 4))
BYTES = RANDOM.integers(0, 256, (12, 9, 3)).astype("uint8")


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    Image.fromarray(BYTES).save(folder / "rgb.png")
    Image.fromarray(BYTES[..., 0]).save(folder / "gray.png")
    Image.fromarray(np.concatenate([BYTES, BYTES[..., :1]], -1)).save(folder / "rgba.png")
    Image.fromarray(BYTES[..., 0].astype("uint16") * 200).save(folder / "deep.png")
    Image.fromarray(BYTES[..., 0]).convert("P").save(folder / "palette.gif")
    return folder


TO_IMAGE = [  # array, arguments
    (GRAY, {}), (RGB, {}), (RGBA, {}), (RGB, {"scale": False}), (BYTES, {"scale": False}),
    (BYTES, {"dtype": "float64"}),
    (RGB.transpose(2, 0, 1), {"data_format": "channels_first"}), (np.zeros((4, 5, 3)), {}),
    (np.arange(20.0).reshape(4, 5, 1) * 1000, {"scale": False}), (RGB.tolist(), {}),
]  # fmt: skip


@pytest.mark.parametrize("x, arguments", TO_IMAGE, ids=lambda x: f"{np.shape(x)}" if np.ndim(x) else str(x))
def test_array_to_img(keras, x, arguments):
    if isinstance(x, np.ndarray) and not arguments.get("scale", True):
        x = np.abs(x)  # what a negative number becomes in a byte is left open
    here, there = (module.utils.array_to_img(x, **arguments) for module in (kerata, keras))
    assert (here.mode, here.size) == (there.mode, there.size)
    np.testing.assert_array_equal(np.asarray(here), np.asarray(there))


@pytest.mark.parametrize("arguments", [{}, {"data_format": "channels_first"}, {"dtype": "uint8"}], ids=str)
@pytest.mark.parametrize("name", ["rgb.png", "gray.png", "rgba.png", "deep.png"])
def test_img_to_array(keras, files, name, arguments):
    image = Image.open(files / name)
    if name == "deep.png" and "dtype" in arguments:
        image = image.point(lambda v: v / 256)
    here, there = (module.utils.img_to_array(image, **arguments) for module in (kerata, keras))
    assert here.dtype == there.dtype
    np.testing.assert_array_equal(here, there)


LOADED = [
    {}, {"color_mode": "grayscale"}, {"color_mode": "rgba"}, {"target_size": (12, 9)}, {"target_size": (5, 7)},
    {"target_size": (20, 3), "interpolation": "bilinear", "color_mode": "grayscale"},
    {"target_size": (6, 6), "interpolation": "bicubic", "keep_aspect_ratio": True},
    {"target_size": (4, 16), "interpolation": "box", "keep_aspect_ratio": True},
    *({"target_size": (8, 8), "interpolation": name} for name in ("lanczos", "hamming", "nearest")),
]  # fmt: skip


@pytest.mark.parametrize("arguments", LOADED, ids=str)
@pytest.mark.parametrize("name", ["rgb.png", "gray.png", "rgba.png", "deep.png", "palette.gif"])
def test_load_img(keras, files, name, arguments):
    path = files / name
    here, there = (module.utils.load_img(path, **arguments) for module in (kerata, keras))
    assert (here.mode, here.size) == (there.mode, there.size)
    np.testing.assert_array_equal(np.asarray(here), np.asarray(there))
    again = utils.load_img(io.BytesIO(path.read_bytes()), **arguments)
    np.testing.assert_array_equal(np.asarray(again), np.asarray(here))


@pytest.mark.parametrize("ending", ["png", "jpg", "JPEG", "bmp"])
@pytest.mark.parametrize("x", [GRAY, RGB, RGBA], ids=["gray", "rgb", "rgba"])
def test_save_img(keras, tmp_path, x, ending):
    for module in (kerata, keras):
        path = tmp_path / f"{module.__name__}.{ending}"
        if x is RGBA and ending.lower() in ("jpg", "jpeg"):
            with pytest.warns(UserWarning):
                module.utils.save_img(path, x)
        else:
            module.utils.save_img(path, x)
    here, there = (Image.open(tmp_path / f"{name}.{ending}") for name in ("kerata", "keras"))
    assert (here.mode, here.size, here.format) == (there.mode, there.size, there.format)
    np.testing.assert_array_equal(np.asarray(here), np.asarray(there))


def test_save_to_a_file_object():
    file = io.BytesIO()
    utils.save_img(file, BYTES, file_format="png", scale=False)
    np.testing.assert_array_equal(np.asarray(utils.load_img(file)), BYTES)


RESIZED = [
    ((20, 30, 3), (8, 8), {}), ((30, 20, 1), (8, 16), {}), ((2, 11, 7, 3), (5, 5), {}),
    ((2, 3, 11, 7), (5, 9), {"data_format": "channels_first"}), ((9, 9, 3), (9, 9), {}),
    ((12, 5, 3), (3, 7), {"interpolation": "nearest"}), ((12, 5, 3), (6, 6), {"interpolation": "bicubic"}),
]  # fmt: skip


@pytest.mark.parametrize("shape, size, arguments", RESIZED, ids=str)
def test_smart_resize(keras, shape, size, arguments):
    x = RANDOM.uniform(0, 255, shape).astype("float32")
    here, there = (f(x, size, **arguments) for f in (images.smart_resize, keras.preprocessing.image.smart_resize))
    assert type(here) is type(there) is np.ndarray
    np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-2)
    tensor = images.smart_resize(kerata.ops.convert_to_tensor(x), size, **arguments)
    assert not isinstance(tensor, np.ndarray)
    np.testing.assert_allclose(np.asarray(tensor), here, rtol=1e-6)


WRONG = [
    (lambda: utils.array_to_img(np.ones((2, 2))), "3 axes"),
    (lambda: utils.array_to_img(np.ones((2, 2, 2))), "1, 3 or 4"),
    (lambda: utils.array_to_img(np.ones((2, 2, 3)), data_format="rows_first"), "rows_first"),
    (lambda: utils.img_to_array(np.ones(3)), "2 or 3 axes"),
    (lambda: utils.load_img(3), "path"),
    (lambda: images.smart_resize(np.ones((4, 4, 3)), (2,)), "height and a width"),
    (lambda: images.smart_resize(np.ones((4, 4)), (2, 2)), "3 or 4 axes"),
    (lambda: images.smart_resize(np.ones((4, 4, 3)), (2, 2), antialias=True), "antialias"),
]


@pytest.mark.parametrize("use, words", WRONG, ids=[words for _, words in WRONG])
def test_what_is_refused(use, words):
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        use()
    assert isinstance(caught.value, errors.KerataError)


def test_names_that_are_not_known(files):
    with pytest.raises(errors.UnknownName, match="grayscale"):
        utils.load_img(files / "rgb.png", color_mode="greyscale")
    with pytest.raises(errors.UnknownName, match="bilinear"):
        utils.load_img(files / "rgb.png", target_size=(2, 2), interpolation="linear")
