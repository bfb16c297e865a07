"""Images beyond `resize`: colors, borders, windows, filters, warps."""

import colorsys

import numpy as np
import scipy.ndimage
from cases import case

RNG = np.random.default_rng(8)


def x(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def share(*shape: int) -> np.ndarray:
    return RNG.uniform(0.05, 0.95, shape)


def _each_color(convert):
    """A function of three numbers as one of images with channels last."""
    return lambda images: np.apply_along_axis(lambda color: convert(*color), -1, images)


def _first(ref):
    """A reference for channels last as one for channels first."""
    return lambda images, *args, data_format, **kwargs: np.moveaxis(
        ref(np.moveaxis(images, -3, -1), *args, **kwargs), -1, -3
    )


# Colors -----------------------------------------------------------------------------------------------------------

gray = lambda images: images @ np.array([[0.2989], [0.5870], [0.1140]])  # noqa: E731
case("rgb_to_grayscale", share(2, 3, 4, 3), ref=gray)
case("rgb_to_grayscale", share(3, 4, 2), data_format="channels_first", ref=_first(gray), batch=())
case("rgb_to_grayscale", share(2, 3, 4, 1), ref=lambda images: images)
case(
    "rgb_to_grayscale",
    np.array([[[200, 100, 50], [255, 255, 255]]], "uint8"),
    ref=lambda _: np.array([[[124], [254]]]),
    batch=(),
)
case("rgb_to_hsv", share(2, 3, 4, 3), ref=_each_color(colorsys.rgb_to_hsv))
case("rgb_to_hsv", share(2, 3, 4, 2), data_format="channels_first", ref=_first(_each_color(colorsys.rgb_to_hsv)))
case(
    "rgb_to_hsv",
    np.array([[[0, 0, 0], [0.5, 0.5, 0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]]]),
    ref=_each_color(colorsys.rgb_to_hsv),
    grad=False,  # corners
    batch=(),
)
case("hsv_to_rgb", share(2, 3, 4, 3), ref=_each_color(colorsys.hsv_to_rgb))
case("hsv_to_rgb", share(3, 4, 2), data_format="channels_first", ref=_first(_each_color(colorsys.hsv_to_rgb)), batch=())

# Borders and windows ----------------------------------------------------------------------------------------------

case("crop_images", x(2, 6, 7, 3), 1, 2, 2, 1, ref=lambda x, *_: x[:, 1:4, 2:6])
case("crop_images", x(6, 7, 3), 1, 2, target_height=3, target_width=4, ref=lambda x, *_, **__: x[1:4, 2:6], batch=())
case(
    "crop_images",
    x(2, 3, 6, 7),
    bottom_cropping=1,
    right_cropping=0,
    target_height=5,
    target_width=7,
    data_format="channels_first",
    ref=lambda x, **_: x[:, :, :5],
)
case("pad_images", x(2, 3, 4, 2), 1, 2, 0, 3, ref=lambda x, *_: np.pad(x, [(0, 0), (1, 0), (2, 3), (0, 0)]))
case(
    "pad_images",
    np.arange(24).reshape(2, 3, 4).astype("uint8"),
    bottom_padding=1,
    right_padding=2,
    target_height=6,
    target_width=6,
    data_format="channels_first",
    ref=lambda x, **_: np.pad(x, [(0, 0), (2, 1), (0, 2)]),
    batch=(),
)
case(
    "extract_patches",
    x(2, 4, 6, 3),
    2,
    ref=lambda x, _: x.reshape(-1, 2, 2, 3, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 2, 3, 12),
)
case("extract_patches", x(2, 7, 8, 3), (3, 2), strides=(2, 1), padding="same")
case(
    "extract_patches",
    x(5, 6, 1),
    2,
    strides=1,
    dilation_rate=2,
    ref=lambda x, *_, **__: np.concatenate([x[i : i + 3, j : j + 4] for i in (0, 2) for j in (0, 2)], -1),
    batch=(),
)
case("extract_patches", x(2, 3, 6, 4), 2, data_format="channels_first")
case(
    "extract_patches",
    x(2, 4, 2, 4, 3),
    (2, 1, 2),
    ref=lambda x, _: x.reshape(-1, 2, 2, 2, 2, 2, 3).transpose(0, 1, 3, 4, 2, 5, 6).reshape(-1, 2, 2, 2, 12),
)
case("extract_patches", x(3, 4, 4, 4), (2, 2, 2), strides=(1, 2, 2), data_format="channels_first", batch=())

# Filters ----------------------------------------------------------------------------------------------------------


def _filtered(images, kernel):
    return scipy.ndimage.correlate(images, kernel.reshape(1, *kernel.shape, 1), mode="constant")


def _blurred(images, kernel_size=(3, 3), sigma=(1.0, 1.0)):
    across, down = (
        np.exp(-0.5 * ((np.arange(size) - size // 2) / s) ** 2) for size, s in zip(kernel_size, sigma, strict=True)
    )
    return _filtered(images, np.outer(down / down.sum(), across / across.sum()))


SOBEL = np.array([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]])


def _edges(images):
    return np.stack([_filtered(images, SOBEL), _filtered(images, SOBEL.T)], -1)


case("gaussian_blur", x(2, 6, 7, 3), ref=_blurred)
case("gaussian_blur", x(2, 6, 7, 3), (5, 3), (2.0, 0.7), ref=_blurred)
case("gaussian_blur", x(3, 6, 7), data_format="channels_first", batch=())
case("sobel_edges", x(2, 5, 6, 3), ref=_edges)
case("sobel_edges", x(2, 3, 5, 6), data_format="channels_first")
case("sobel_edges", np.arange(60).reshape(2, 5, 6, 1) % 7, ref=lambda x: _edges(x.astype("float64")))
case("ssim", share(2, 12, 13, 3), share(2, 12, 13, 3))
case("ssim", share(2, 8, 8, 1), share(2, 8, 8, 1), filter_size=5, filter_sigma=1.0)
same = share(2, 12, 12, 3)
case("ssim", same, same, ref=lambda x, y: np.ones(len(x)))
case("ssim", share(3, 12, 12), share(3, 12, 12), max_val=2.0, data_format="channels_first", batch=())

# Other grids ------------------------------------------------------------------------------------------------------

for method in ("linear", "cubic", "lanczos3", "lanczos5"):
    case(
        "scale_and_translate",
        x(2, 5, 6, 3),
        (None, 7, 4, None),
        np.array([1.3, 0.6]),
        np.array([0.4, -0.3]),
        (1, 2),
        method,
        batch=(0,),
        tol=1e-4 if "lanczos" in method else 1e-5,
    )
case(
    "scale_and_translate",
    x(3, 5),
    (3, 5),
    np.array([1.0]),
    np.array([2.0]),
    (1,),
    "linear",
    antialias=False,
    ref=lambda x, *_, **__: np.pad(x[:, :3], [(0, 0), (2, 0)]),
    grad=False,  # corners: by whole cells
    batch=(),
)


def _mapped(inputs, coordinates, order, fill_mode="constant", fill_value=0):
    mode = {"constant": "grid-constant", "wrap": "grid-wrap"}.get(fill_mode, fill_mode)
    return scipy.ndimage.map_coordinates(inputs, coordinates, order=order, mode=mode, cval=fill_value)


for fill_mode in ("constant", "nearest", "wrap", "mirror", "reflect"):
    for order in (0, 1):
        places = RNG.uniform(-9, 14, (2, 40))  # far outside too
        case("map_coordinates", x(5, 6), places, order, fill_mode, 1.5, ref=_mapped, batch=())
case(
    "map_coordinates",
    np.array([0, 1, 5], "uint8"),
    np.array([[0.5, 1.5, 1.4]]),
    1,
    ref=lambda *_: np.array([1, 3, 3]),
    batch=(),
)
case("map_coordinates", x(1, 4), np.array([[0.0, 0.6], [1.2, 2.5]]), 1, "mirror", batch=())
case("map_coordinates", x(3, 4, 2), share(3, 2, 2), 1, batch=())

# Warps ------------------------------------------------------------------------------------------------------------

# Odd numbers, so that no place lies on a cell, where there is a corner.
turn = np.array([0.913, -0.317, 1.237, 0.219, 1.121, -0.717, 0, 0])
TURNS = np.stack([turn, np.array([1.037, 0.021, 1.253, 0.013, 0.987, -1.531, 0.0137, 0.0213])])
case("affine_transform", x(2, 5, 6, 3), turn)
for fill_mode in ("constant", "nearest", "wrap", "mirror", "reflect"):
    case("affine_transform", x(2, 5, 6, 3), TURNS, fill_mode=fill_mode, fill_value=0.5)
case("affine_transform", x(3, 5, 6), turn, "nearest", data_format="channels_first", grad=False, batch=())
case(
    "affine_transform",
    x(2, 4, 5, 1),
    np.array([1.0, 0, 2, 0, 1, -1, 0, 0]),
    grad=False,  # corners: by whole cells
    ref=lambda x, _: np.pad(x[:, :3, 2:], [(0, 0), (1, 0), (0, 2), (0, 0)]),
)
CORNERS = np.array([[0.0, 0], [5, 0], [0, 4], [5, 4]])
case(
    "perspective_transform",
    x(2, 5, 6, 3),
    CORNERS,
    CORNERS[[1, 0, 3, 2]],
    "nearest",
    ref=lambda x, *_: x[:, :, ::-1],
    grad=False,
)
near = CORNERS + share(2, 4, 2)
case("perspective_transform", x(2, 5, 6, 3), near, CORNERS + share(2, 4, 2), fill_value=0.5, tol=1e-4)
case("perspective_transform", x(3, 5, 6), near[0], CORNERS, data_format="channels_first", batch=(), tol=1e-4)
# The engines draw other numbers; these results are the same whatever they are.
case("elastic_transform", x(2, 5, 6, 3), 0.0, 2.0, seed=1, ref=lambda x, *_, **__: x, grad=False)
case("elastic_transform", np.full((2, 5, 6, 3), 0.7), seed=1, ref=lambda x, **_: x, grad=False)
case(
    "elastic_transform",
    np.full((3, 5, 6), 0.7),
    seed=1,
    data_format="channels_first",
    ref=lambda x, **_: x,
    grad=False,
    batch=(),
)
