"""`ops.image`, `ctc_decode` and `rearrange` beside Keras's: signatures, values, dtypes, shapes, files."""

import inspect
import json

import keras
import numpy as np
import pytest

import kerata

RNG = np.random.default_rng(11)


def real(*shape):
    return RNG.normal(size=shape).astype("float32")


def share(*shape):
    return RNG.uniform(0.02, 0.98, shape).astype("float32")


FIRST = {"data_format": "channels_first"}
LAST = {"data_format": "channels_last"}
MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
TURN = np.array([[0.9, -0.3, 1.2, 0.2, 1.1, -0.7, 0, 0], [1.1, 0.2, -0.3, -0.1, 0.8, 1.4, 0, 0]], "float32")
POINTS = np.array([[0, 0], [6, 0], [0, 5], [6, 5]], "float32") + 2 * share(2, 4, 2)
PLACES = RNG.uniform(-9, 14, (2, 30)).astype("float32")

# (op, tensors, settings)
ROWS = [
    ("rgb_to_grayscale", (share(2, 4, 5, 3),), {}),
    ("rgb_to_grayscale", (share(3, 4, 5),), FIRST),
    ("rgb_to_hsv", (share(2, 4, 5, 3),), {}),
    ("rgb_to_hsv", (share(3, 4, 5),), FIRST),
    ("hsv_to_rgb", (3 * real(2, 4, 5, 3),), {}),
    ("hsv_to_rgb", (share(3, 4, 5),), FIRST),
    ("crop_images", (real(2, 6, 7, 3),),
     {"top_cropping": 1, "left_cropping": 0, "target_height": 3, "target_width": 5}),
    ("crop_images", (real(3, 6, 7),), {"top_cropping": 1, "bottom_cropping": 2, "left_cropping": 0, "right_cropping": 3}
     | FIRST),
    ("pad_images", (real(2, 6, 7, 3),),
     {"bottom_padding": 1, "right_padding": 2, "target_height": 9, "target_width": 9}),
    ("pad_images", (real(3, 6, 7),), {"top_padding": 1, "bottom_padding": 2, "left_padding": 0, "right_padding": 3}
     | FIRST),
    ("extract_patches", (real(2, 7, 8, 3),), {"size": 3}),
    ("extract_patches", (real(2, 7, 8, 3),), {"size": (3, 2), "strides": (2, 1), "padding": "same"}),
    ("extract_patches", (real(7, 8, 3),), {"size": 2, "strides": 1, "dilation_rate": 2}),
    ("extract_patches", (real(2, 3, 8, 8),), {"size": 4} | FIRST),
    ("extract_patches", (real(2, 4, 6, 5, 2),), {"size": (2, 3, 2), "strides": (1, 2, 2)}),
    ("extract_patches_3d", (real(2, 4, 6, 5, 2),), {"size": 2, "padding": "same"}),
    ("extract_patches_3d", (real(2, 4, 6, 4),), {"size": 2} | FIRST),
    ("gaussian_blur", (real(2, 7, 8, 3),), LAST),
    ("gaussian_blur", (real(2, 7, 8, 3),), {"kernel_size": (5, 3), "sigma": (2.0, 0.7)} | LAST),
    ("gaussian_blur", (real(3, 7, 8),), {"kernel_size": (4, 4), "sigma": (1.5, 1.5)} | FIRST),
    ("sobel_edges", (real(2, 7, 8, 3),), {}),
    ("sobel_edges", (real(2, 3, 7, 8),), FIRST),
    ("ssim", (share(2, 13, 12, 3), share(2, 13, 12, 3)), {}),
    ("ssim", (255 * share(13, 12, 3), 255 * share(13, 12, 3)), {"max_val": 255, "filter_size": 7, "filter_sigma": 2.0}),
    ("ssim", (share(2, 3, 13, 12), share(2, 3, 13, 12)), {"k1": 0.1, "k2": 0.2} | FIRST),
    *(
        ("scale_and_translate", (real(2, 5, 6, 3),),
         {"output_shape": (2, 7, 4, 3), "scale": np.array([1.3, 0.6], "float32"),
          "translation": np.array([0.4, -0.3], "float32"), "spatial_dims": (1, 2), "method": method})
        for method in ("linear", "bilinear", "trilinear", "cubic", "bicubic", "tricubic", "lanczos3", "lanczos5")
    ),
    ("scale_and_translate", (real(9, 3),),
     {"output_shape": (4, 3), "scale": np.array([0.4], "float32"), "translation": np.array([0.1], "float32"),
      "spatial_dims": (0,), "method": "cubic", "antialias": False}),
    *(
        ("map_coordinates", (real(5, 6), PLACES), {"order": order, "fill_mode": mode, "fill_value": 1.5})
        for order in (0, 1) for mode in MODES
    ),
    ("map_coordinates", (real(4, 3, 2), share(3, 5, 2)), {"order": 1}),
    *(
        ("affine_transform", (real(2, 6, 7, 3), TURN), {"interpolation": way, "fill_mode": mode, "fill_value": 0.5})
        for way in ("nearest", "bilinear") for mode in MODES
    ),
    ("affine_transform", (real(3, 6, 7), TURN[0]), FIRST),
    *(
        ("perspective_transform", (real(2, 6, 7, 3), POINTS, POINTS[::-1]), {"interpolation": way, "fill_value": 0.5})
        for way in ("nearest", "bilinear")
    ),
    ("perspective_transform", (real(3, 6, 7), POINTS[0], POINTS[1]), FIRST),
    ("rearrange", (real(2, 4, 6, 3),), {"pattern": "b h w c -> h (b w) c"}),
    ("rearrange", (real(2, 4, 6, 3),), {"pattern": "b (p h) (w q) c -> (b p) h w (c q)", "p": 2, "q": 3}),
    *(
        ("ctc_decode", (3 * real(3, 6, 4), np.array([6, 4, 1])), settings)
        for settings in (
            {}, {"merge_repeated": False}, {"mask_index": 2}, {"mask_index": None},
            {"strategy": "beam_search", "beam_width": 20, "top_paths": 3},
            {"strategy": "beam_search", "beam_width": 3, "mask_index": None},
        )
    ),
]  # fmt: skip


def over(rows):
    return pytest.mark.parametrize(
        ("name", "tensors", "settings"),
        [
            pytest.param(*row, id="-".join([row[0], *(f"{k}={v}" for k, v in row[2].items() if np.ndim(v) == 0)]))
            for row in rows
        ],
    )


def op_of(k, name):
    return getattr(k.ops.image, name, None) or getattr(k.ops, name)


def results(x):
    return [np.asarray(leaf) for leaf in x] if isinstance(x, (list, tuple)) else [np.asarray(x)]


@over(ROWS)
def test_value_and_dtype(name, tensors, settings):
    ours, theirs = (results(op_of(k, name)(*tensors, **settings)) for k in (kerata, keras))
    for a, b in zip(ours, theirs, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=2e-4 if name == "ssim" else 1e-4, atol=2e-5)


def graph(k, name, tensors, settings):
    inputs = [k.Input(batch_shape=a.shape, dtype="int32" if a.dtype.kind == "i" else str(a.dtype)) for a in tensors]
    return k.Model(inputs, op_of(k, name)(*inputs, **settings))


@pytest.mark.parametrize("kinds", [(keras, kerata), (kerata, keras)], ids=["there to here", "here to there"])
def test_each_can_be_in_a_graph_of_a_file(kinds):
    source, target = kinds
    for name, tensors, settings in {row[0]: row for row in reversed(ROWS)}.values():
        model = graph(source, name, tensors, settings)
        config = json.loads(json.dumps(source.saving.serialize_keras_object(model)))
        loaded = target.saving.deserialize_keras_object(config)
        tensors = [a.astype("int32") if a.dtype.kind == "i" else a for a in tensors]
        for a, b in zip(results(loaded(list(tensors))), results(model(list(tensors))), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5, err_msg=name)


# (op, arguments): the dtype of the result follows that of the images.
BY_DTYPE = [
    ("rgb_to_grayscale", ()),
    ("crop_images", (1, 1, 1, 1)),
    ("pad_images", (1, 1, 1, 1)),
    ("affine_transform", (TURN[0],)),
    ("perspective_transform", (POINTS[0], POINTS[1])),
]
FLOATS_ONLY = [("rgb_to_hsv", ()), ("hsv_to_rgb", ()), ("extract_patches", (2,)), ("sobel_edges", ())]


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16"])
def test_dtypes(dtype):
    images = RNG.integers(0, 255, (1, 6, 7, 3)).astype("float32")
    for name, arguments in BY_DTYPE + (FLOATS_ONLY if "float" in dtype else []):
        scaled = images / 255 if name in ("rgb_to_hsv", "hsv_to_rgb") else images
        ours, theirs = (op_of(k, name)(k.ops.cast(scaled, dtype), *arguments) for k in (kerata, keras))
        assert keras.backend.standardize_dtype(ours.dtype) == keras.backend.standardize_dtype(theirs.dtype), name
        a, b = np.asarray(ours, "float32"), np.asarray(theirs, "float32")
        np.testing.assert_allclose(a, b, rtol=0.02, atol=1 if "int" in dtype else 0.02, err_msg=name)


@pytest.mark.parametrize("area", ["", "image", "linalg", "nn", "numpy"])
def test_every_op_is_here_with_the_same_signature(area):
    theirs, ours = ((getattr(k.ops, area) if area else k.ops) for k in (keras, kerata))
    for name in dir(theirs):
        function = getattr(theirs, name)
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        if name == "multi_hot":  # Keras's takes an old name of `num_classes` too
            continue
        assert hasattr(ours, name), f"ops.{area}.{name}"
        a, b = (
            [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
            for f in (getattr(ours, name), function)
        )
        assert a == b, f"ops.{area}.{name}"


def test_elastic_transform_moves_cells_as_far_as_keras():
    """The numbers drawn differ. The image of columns shows the distance by which its cells have moved."""
    columns = np.tile(np.arange(60, dtype="float32"), (2, 60, 1))[..., None]
    rows = columns.transpose(0, 2, 1, 3)
    settings = {"alpha": 3.0, "sigma": 2.0, "seed": 3, "data_format": "channels_last"}

    def moved(k, image):
        return (np.asarray(k.ops.image.elastic_transform(image, **settings)) - image)[:, 12:-12, 12:-12]

    theirs, across, down = moved(keras, columns), moved(kerata, columns), moved(kerata, rows)
    for ours in (across, down):
        assert abs(ours.std() / theirs.std() - 1) < 0.3
    assert abs(np.corrcoef(across.ravel(), down.ravel())[0, 1]) < 0.4  # Keras moves both by the same numbers
    np.testing.assert_array_equal(moved(kerata, columns), across)
    settings["seed"] = 4
    assert np.abs(moved(kerata, columns) - across).max() > 0.1


def test_a_projective_transform_is_the_one_of_its_four_points():
    """Keras with JAX leaves out the division by c₀ x + c₁ y + 1, so `perspective_transform` is the oracle."""
    numbers = np.array([1.1, 0.1, 0.3, 0.05, 0.9, 0.2, 0.02, -0.01])
    end = np.array([[0, 0], [6, 0], [0, 5], [6, 5]], "float64")
    a, b, c = numbers[:3], numbers[3:6], np.append(numbers[6:], 1)
    points = np.concatenate([end, np.ones((4, 1))], 1)
    start = np.stack([points @ a, points @ b], 1) / (points @ c)[:, None]
    image = real(6, 7, 3)
    np.testing.assert_allclose(
        kerata.ops.image.affine_transform(image, numbers.astype("float32")),
        keras.ops.image.perspective_transform(image, start.astype("float32"), end.astype("float32")),
        atol=1e-3,
    )


IMAGES = np.ones((2, 6, 7, 3), "float32")
REFUSED = [
    ("rank", lambda ops: ops.image.gaussian_blur(np.ones((6, 7)), data_format="channels_last"), "4 for a batch"),
    ("channels", lambda ops: ops.image.rgb_to_grayscale(IMAGES[..., :2]), "three channels"),
    ("ints", lambda ops: ops.image.rgb_to_hsv(IMAGES.astype("uint8")), "a float dtype"),
    ("one edge", lambda ops: ops.image.crop_images(IMAGES, 1, 1, None, 1), "two of top_cropping"),
    ("three edges", lambda ops: ops.image.pad_images(IMAGES, 1, 1, 1, 1, 8), "two of top_padding"),
    ("too large", lambda ops: ops.image.crop_images(IMAGES, 0, 0, target_height=9, target_width=2), "negative"),
    ("too small", lambda ops: ops.image.pad_images(IMAGES, 0, 0, target_height=3, target_width=9), "negative"),
    ("size", lambda ops: ops.image.extract_patches(IMAGES, (1, 2, 3, 4)), "2 or 3 ints"),
    ("order", lambda ops: ops.image.map_coordinates(IMAGES[0, :, :, 0], np.ones((2, 3)), 2), "0 or 1"),
    ("coordinates", lambda ops: ops.image.map_coordinates(IMAGES, np.ones((2, 3)), 1), "(4, …)"),
    ("fill mode", lambda ops: ops.image.affine_transform(IMAGES, TURN, fill_mode="reflekt"), "reflect"),
    ("interpolation", lambda ops: ops.image.affine_transform(IMAGES, TURN, "linear"), "interpolation"),
    ("transform", lambda ops: ops.image.affine_transform(IMAGES, TURN[:, :6]), "eight numbers"),
    ("points", lambda ops: ops.image.perspective_transform(IMAGES, POINTS[:, :3], POINTS), "four points"),
    ("method", lambda ops: ops.image.scale_and_translate(IMAGES[0, 0], (9, 3), [1.0], [0.0], (0,), "area"), "method"),
    ("shape", lambda ops: ops.image.scale_and_translate(IMAGES[0, 0], (9, 4), [1.0], [0.0], (0,), "cubic"), "scaled"),
    ("two images", lambda ops: ops.image.ssim(IMAGES, IMAGES[:1]), "one shape"),
    ("strategy", lambda ops: ops.ctc_decode(np.ones((1, 2, 3)), [2], "beam"), "beam_search"),
    ("paths", lambda ops: ops.ctc_decode(np.ones((1, 2, 3)), [2], "beam_search", 2, 3), "top_paths=3"),
    ("pattern", lambda ops: ops.rearrange(IMAGES, "b h w c"), "cannot be read"),
    ("names", lambda ops: ops.rearrange(IMAGES, "b h w c -> b h w"), "once on the right"),
    ("a length too many", lambda ops: ops.rearrange(IMAGES, "b h w c -> b (h w) c", q=2), "once on the right"),
    ("axes", lambda ops: ops.rearrange(IMAGES, "b h w -> w b h"), "3 axes"),
    ("length", lambda ops: ops.rearrange(IMAGES, "b (h p) w c -> b h w (p c)", p=4), "a multiple of 4"),
    ("unknown", lambda ops: ops.rearrange(IMAGES, "b (h p) w c -> b h w (p c)"), "give h=… or p=…"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "words"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_refused(call, words):
    with pytest.raises(kerata.errors.InvalidArgument) as caught:
        call(kerata.ops)
    assert words in str(caught.value)
