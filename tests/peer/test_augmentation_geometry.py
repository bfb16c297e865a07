"""Layers that crop, flip, turn and bend images, beside Keras's: the same result from the same draws, and good draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pytest
from layer_pairs import as_json

import kerata
from kerata import engine as engines

LAYERS = kerata.layers
RNG = np.random.default_rng(0)
IMAGES = {size: RNG.uniform(0, 255, (3, *size, 3)).astype("float32") for size in ((8, 8), (7, 10))}


@dataclass(frozen=True, eq=False)
class Row:
    layer: str
    kwargs: dict[str, Any]
    size: tuple[int, int] = (7, 10)
    boxes: float | None = None
    """How far boxes may lie from Keras's, in cells; None where Keras's are plainly wrong."""
    differs: dict[str, str] = field(default_factory=dict)
    """Where Keras is wrong, and why."""

    def __str__(self) -> str:
        return f"{self.layer}({','.join(f'{k}={v}' for k, v in self.kwargs.items())})".replace(" ", "")

    @property
    def first(self) -> bool:
        return self.kwargs.get("data_format") == "channels_first"

    @property
    def images(self) -> np.ndarray:
        return np.moveaxis(IMAGES[self.size], -1, 1) if self.first else IMAGES[self.size]

    @property
    def masks(self) -> np.ndarray:
        return (self.images[:, :1] if self.first else self.images[..., :1]).astype("uint8")

    def ours(self, **more: Any) -> Any:
        return getattr(LAYERS, self.layer)(**self.kwargs, **more)

    def theirs(self, **more: Any) -> Any:
        return getattr(keras.layers, self.layer)(**self.kwargs, **more)


def row(
    layer: str, boxes: float | None = None, size: tuple = (7, 10), differs: dict | None = None, **kwargs: Any
) -> Row:
    return Row(layer, kwargs, size, boxes, differs or {})


CENTRES = 1.5
"""Keras turns boxes about the centre of the cells' grid, and takes their corners for centres of cells."""
NOT_READ = {"files": "Keras refuses what its own config says: the range from -f to f for a shear f"}
NOT_TOLD = {"config": "Keras leaves `fill_value` out"}
MIXED = {"masks": "Keras takes means of classes where it resizes"}
KEPT = {"dtype": "Keras's RandomCrop gives integers outside of training, and floats in it"}
PROPORTIONS = {**MIXED, **KEPT, "images": "Keras takes a part of other proportions than the result"}

WARPING = [
    row("RandomRotation", CENTRES, factor=0.2),
    row("RandomRotation", CENTRES, factor=(-0.5, 0.25), fill_mode="constant", fill_value=7.0, seed=1),
    row("RandomRotation", factor=0.3, fill_mode="wrap", interpolation="nearest", data_format="channels_first"),
    row("RandomTranslation", 1e-4, height_factor=0.4, width_factor=(0.1, 0.5)),
    row("RandomTranslation", height_factor=0.4, width_factor=0, fill_mode="nearest", data_format="channels_first"),
    row("RandomZoom", 0.5, height_factor=(0.2, 0.5), fill_mode="constant"),
    row("RandomZoom", 0.5, height_factor=(-0.4, -0.2), width_factor=0.3, interpolation="nearest"),
    row("RandomZoom", height_factor=0.3, data_format="channels_first"),
    row("RandomShear", 0.5, (8, 8), NOT_READ, x_factor=0.3),
    row("RandomShear", 0.5, (8, 8), y_factor=(0.1, 0.3), fill_mode="constant", seed=3),
    row("RandomShear", x_factor=(0.0, 0.2), y_factor=(0.1, 0.3), data_format="channels_first"),
    row("RandomPerspective", CENTRES, scale=0.3),
    row("RandomPerspective", factor=(1.0, 1.0), scale=0.5, fill_value=3.0, interpolation="nearest"),
    row("RandomPerspective", factor=0.5, data_format="channels_first"),
]
FRAMING = [
    row("CenterCrop", 1e-4, height=4, width=5),
    row("CenterCrop", 1e-4, (8, 8), MIXED, height=10, width=5),
    row("CenterCrop", 1e-4, (8, 8), MIXED, height=4, width=16, data_format="channels_first"),
    row("RandomCrop", differs=KEPT, height=4, width=5, seed=2),
    row("RandomCrop", differs=KEPT, height=7, width=10, seed=2),
    row("RandomCrop", None, (8, 8), {**MIXED, **KEPT}, height=12, width=12, data_format="channels_first", seed=2),
    row("RandomCrop", None, (8, 8), PROPORTIONS, height=12, width=6, seed=2),
    row("Resizing", 1e-4, height=5, width=20),
    row("Resizing", 0.5, (8, 8), height=10, width=5, pad_to_aspect_ratio=True, fill_value=9.0),
    row("Resizing", 1e-4, (8, 8), height=4, width=8, crop_to_aspect_ratio=True),
    row("Resizing", height=3, width=4, interpolation="bicubic", antialias=True, data_format="channels_first"),
    row("Resizing", height=3, width=4, interpolation="nearest"),
]
FLIPS = [
    row("RandomFlip", 1e-4),
    row("RandomFlip", 1e-4, mode="horizontal", seed=1),
    row("RandomFlip", mode="vertical", data_format="channels_first"),
]
ELASTIC = [
    row("RandomElasticTransform", factor=0.8, scale=0.7, value_range=(0, 255)),
    row("RandomElasticTransform", scale=(0.7, 0.7), fill_mode="constant", data_format="channels_first", seed=4),
]
BOXES = [row("MaxNumBoundingBoxes", 1e-4, differs=NOT_TOLD, max_number=n) for n in (2, 4)]
TABLE = [*WARPING, *FRAMING, *FLIPS, *ELASTIC, *BOXES]

GIVEN_BOXES = {
    "boxes": np.array([[[1.0, 2, 5, 6], [0, 1, 3, 3], [4, 4, 8, 7]]] * 3, "float32"),
    "labels": np.array([[1, 2, 3]] * 3, "int32"),
}
every_row = pytest.mark.parametrize("row", TABLE, ids=str)


def same(ours: Any, theirs: Any, tolerance: float = 1e-3) -> None:
    ours, theirs = np.asarray(ours, "float32"), np.asarray(theirs, "float32")
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def copied(boxes: dict) -> dict:
    return {name: np.array(value) for name, value in boxes.items()}


def transformation_of(layer: Any, data: Any) -> Any:
    """Return what Keras draws; on the CPU it takes a batch's sizes from the data."""
    return layer.get_random_transformation(data, training=True)


# Beside Keras ---------------------------------------------------------------------------------------------------


@every_row
def test_configs_are_exchanged(row: Row):
    ours, theirs = row.ours(name="it", bounding_box_format="xyxy"), row.theirs(name="it", bounding_box_format="xyxy")
    by_us, by_them = as_json(LAYERS.serialize(ours)), as_json(keras.layers.serialize(theirs))
    if "config" in row.differs:
        by_us["config"].pop("fill_value")
    assert by_us == {**by_them, **{key: by_us[key] for key in by_us if key == "build_config"}}
    assert as_json(LAYERS.deserialize(by_them).get_config()) == as_json(ours.get_config())
    if "files" not in row.differs:
        assert as_json(keras.layers.deserialize(by_us).get_config()) == by_them["config"]


@pytest.mark.parametrize("row", [*WARPING, *FRAMING, *FLIPS, *BOXES], ids=str)
def test_same_draws_make_the_same_images(row: Row):
    ours, theirs = row.ours(bounding_box_format="xyxy"), row.theirs(bounding_box_format="xyxy")
    drawn = transformation_of(theirs, row.images)
    images, masks = (row.images, row.masks)
    found = ours.transform_images(images, drawn, training=True)
    assert isinstance(ours.get_random_transformation(images), type(drawn))
    if isinstance(drawn, dict):
        assert list(ours.get_random_transformation(images)) == list(drawn)
    if "images" not in row.differs:
        same(found, theirs.transform_images(keras.ops.convert_to_tensor(images), drawn, training=True))
    if "masks" not in row.differs:
        expected = theirs.transform_segmentation_masks(keras.ops.convert_to_tensor(masks), drawn, training=True)
        segmentation = ours.transform_segmentation_masks(masks, drawn, training=True)
        assert segmentation.dtype == "uint8"
        assert np.mean(np.asarray(segmentation) != np.asarray(expected)) < 0.01  # nearest, where two are as near
    if row.boxes is not None:
        expected = theirs.transform_bounding_boxes(
            {k: keras.ops.convert_to_tensor(v) for k, v in copied(GIVEN_BOXES).items()}, drawn, training=True
        )
        boxes = ours.transform_bounding_boxes(copied(GIVEN_BOXES), drawn, training=True)
        same(boxes["boxes"], expected["boxes"], row.boxes)
        if row.boxes < 0.1:
            assert np.asarray(boxes["labels"]).tolist() == np.asarray(expected["labels"]).tolist()


@every_row
def test_outside_of_training(row: Row):
    ours, theirs = row.ours(), row.theirs()
    for images in (row.images, row.images.astype("uint8"), row.images[0]):
        found, expected = ours(images, training=False), theirs(images, training=False)
        assert found.dtype == str(expected.dtype) or "dtype" in row.differs
        same(found, expected, 1e-3 if images.dtype != "uint8" else 1)  # halves are rounded up or down


@every_row
def test_symbolic_shape(row: Row):
    channels = row.images.shape[1] if row.first else row.images.shape[-1]
    for sizes in (row.images.shape[2:] if row.first else row.images.shape[1:3], (None, None)):
        shape = (None, channels, *sizes) if row.first else (None, *sizes, channels)
        if row.layer == "RandomCrop" and None in sizes:
            continue  # Keras wants to know them
        assert row.ours()(kerata.KerasTensor(shape)).shape == row.theirs().compute_output_shape(shape)


def test_a_model_is_exchanged(tmp_path):
    def model(library) -> Any:
        layers = library.layers
        inside = [layers.RandomZoom(0.2, name="zoom"), layers.RandomPerspective(0.5, 0.3, name="view")]
        return library.Sequential([
            library.Input((8, 8, 3)), layers.RandomFlip("horizontal"), layers.RandomRotation(0.1),
            layers.Pipeline(inside), layers.RandomCrop(8, 8), layers.Resizing(4, 4), layers.Dense(2),
        ])  # fmt: skip

    ours, theirs, x = model(kerata), model(keras), IMAGES[8, 8]
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    same(keras.saving.load_model(tmp_path / "ours.keras")(x, training=False), ours(x, training=False))
    same(kerata.saving.load_model(tmp_path / "theirs.keras")(x, training=False), theirs(x, training=False))


# Boxes move as images do ----------------------------------------------------------------------------------------

RECTANGLE = (14, 10, 30, 24)  # x1, y1, x2, y2 in an image of 40 rows and 48 columns
MOVING = [
    ("RandomFlip", {}),
    ("RandomFlip", {"mode": "vertical", "data_format": "channels_first"}),
    ("RandomRotation", {"factor": (0.25, 0.25), "fill_mode": "constant"}),
    ("RandomTranslation", {"height_factor": 0.4, "width_factor": 0.4, "fill_mode": "constant"}),
    ("RandomZoom", {"height_factor": 0.3, "width_factor": 0.3, "fill_mode": "constant"}),
    ("RandomShear", {"x_factor": 0.3, "fill_mode": "constant"}),
    ("RandomPerspective", {"factor": (1, 1), "scale": 0.2}),
    ("CenterCrop", {"height": 20, "width": 22}),
    ("CenterCrop", {"height": 60, "width": 30}),
    ("RandomCrop", {"height": 20, "width": 30, "data_format": "channels_first"}),
    ("RandomCrop", {"height": 30, "width": 60}),
    ("Resizing", {"height": 20, "width": 72}),
    ("Resizing", {"height": 60, "width": 50, "pad_to_aspect_ratio": True}),
    ("Resizing", {"height": 60, "width": 50, "crop_to_aspect_ratio": True, "data_format": "channels_first"}),
]


MOVING_IN_FORMATS = [(*moving, ("xyxy", "rel_center_xywh", "yxyx")[i % 3]) for i, moving in enumerate(MOVING)]


@pytest.mark.parametrize(("name", "kwargs", "box_format"), MOVING_IN_FORMATS, ids=lambda value: str(value)[:60])
def test_a_painted_rectangle_keeps_its_box(name: str, kwargs: dict, box_format: str):
    x1, y1, x2, y2 = RECTANGLE
    painted = np.zeros((4, 40, 48, 1), "float32")
    painted[:, y1:y2, x1:x2] = 1
    first = kwargs.get("data_format") == "channels_first"
    layer = getattr(LAYERS, name)(**kwargs, bounding_box_format=box_format, seed=3) if name.startswith("Random") else (
        getattr(LAYERS, name)(**kwargs, bounding_box_format=box_format)
    )  # fmt: skip
    convert = kerata.utils.bounding_boxes.convert_format
    data = {
        "images": np.moveaxis(painted, -1, 1) if first else painted,
        "segmentation_masks": (np.moveaxis(painted, -1, 1) if first else painted).astype("int32"),
        "bounding_boxes": {
            "boxes": convert([[RECTANGLE]] * 4, "xyxy", box_format, 40, 48), "labels": np.full((4, 1), 5),
        },
        "labels": np.arange(4),
        "path": "of the data",
    }  # fmt: skip
    before = data["bounding_boxes"]["boxes"]
    result = layer(data)
    assert data["bounding_boxes"]["boxes"] is before and data["images"].shape[0] == 4  # what was given is as it was
    assert result["path"] == "of the data" and np.asarray(result["labels"]).tolist() == [0, 1, 2, 3]
    images = np.squeeze(np.asarray(result["images"]), 1 if first else -1)
    masks = np.squeeze(np.asarray(result["segmentation_masks"]), 1 if first else -1)
    boxes = np.asarray(convert(result["bounding_boxes"]["boxes"], box_format, "xyxy", *images.shape[1:]))
    assert np.asarray(result["bounding_boxes"]["labels"]).tolist() == [[5]] * 4
    for image, mask, box in zip(images, masks, boxes[:, 0]):
        rows, columns = np.nonzero(image > 0.5)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(box, found, atol=1.0 if name in ("RandomShear", "RandomPerspective") else 0.76)
        assert np.mean((image > 0.5) != (mask > 0)) < 0.03


def test_boxes_of_half_precision_and_of_one_image():
    layer = LAYERS.RandomTranslation((0, 0), (0, 0), bounding_box_format="xyxy", dtype="mixed_bfloat16")
    boxes = {"boxes": np.array([[1.0, 257, 300, 301]]), "labels": np.array([7])}
    found = layer({"images": np.ones((400, 400, 1), "float32"), "bounding_boxes": boxes})
    assert found["images"].dtype == "bfloat16" and found["images"].shape == (400, 400, 1)
    assert np.asarray(found["bounding_boxes"]["boxes"]).tolist() == [[1, 257, 300, 301]]
    assert np.asarray(found["bounding_boxes"]["labels"]).tolist() == [7]


WRONG = [
    (lambda: LAYERS.RandomFlip()({"images": IMAGES[8, 8], "bounding_boxes": GIVEN_BOXES}), "their format is not known"),
    (
        lambda: LAYERS.RandomElasticTransform(bounding_box_format="xyxy")(
            {"images": IMAGES[8, 8], "bounding_boxes": GIVEN_BOXES}
        ),
        "a box that is bent",
    ),
    (lambda: LAYERS.RandomFlip(bounding_box_format="xyxy")({"images": IMAGES[8, 8], "bounding_boxes": 3}), "no bound"),
    (lambda: LAYERS.RandomFlip()(np.ones((3, 3))), "these are no images"),
    (lambda: LAYERS.RandomFlip("diagonal"), "`mode` cannot be this"),
    (lambda: LAYERS.RandomRotation("much"), "`factor` cannot be this"),
    (lambda: LAYERS.RandomRotation(1.5), "`factor` cannot be this"),
    (lambda: LAYERS.RandomTranslation((0, 1.5), 0), "`height_factor` cannot be this"),
    (lambda: LAYERS.RandomShear((-0.2, 0.1)), "`x_factor` cannot be this"),
    (lambda: LAYERS.RandomZoom(0.1, fill_mode="mirrored"), "`fill_mode` cannot be this"),
    (lambda: LAYERS.RandomPerspective(scale=2), "`scale` cannot be this"),
    (lambda: LAYERS.CenterCrop(0, 3), "`height` cannot be this"),
]


@pytest.mark.parametrize(("make", "said"), WRONG, ids=[said for _, said in WRONG])
def test_errors(make: Any, said: str):
    with pytest.raises(kerata.errors.KerataError, match=said):
        make()


# Draws ----------------------------------------------------------------------------------------------------------

MANY = np.zeros((4000, 4, 6, 1), "float32")
MOVED = {"height_factor": (-0.5, 0), "width_factor": 0.5}
RANGES = [
    ("RandomRotation", {"factor": (-0.1, 0.3)}, lambda t: t["angle"], (-36, 108)),
    ("RandomTranslation", MOVED, lambda t: t["translations"][:, 0], (-3, 3)),
    ("RandomTranslation", MOVED, lambda t: t["translations"][:, 1], (-2, 0)),
    ("RandomZoom", {"height_factor": 0.2, "width_factor": (0.5, 0.9)}, lambda t: t["height_zoom"], (0.8, 1.2)),
    ("RandomZoom", {"height_factor": 0.2, "width_factor": (0.5, 0.9)}, lambda t: t["width_zoom"], (1.5, 1.9)),
    ("RandomShear", {"x_factor": 0.3}, lambda t: t["shear_factor"][:, 0], (-0.3, 0.3)),
    ("RandomShear", {"y_factor": (0.0, 0.4)}, lambda t: t["shear_factor"][:, 1], (-0.4, 0.4)),
    ("RandomPerspective", {"scale": 0.4}, lambda t: t["end_points"][:, 3, 0] / 5, (0.8, 1.2)),
]


@pytest.mark.parametrize(("name", "kwargs", "of", "ends"), RANGES, ids=[f"{r[0]}{i}" for i, r in enumerate(RANGES)])
def test_draws_are_even_and_each_images_own(name: str, kwargs: dict, of: Any, ends: tuple):
    drawn = np.asarray(of(getattr(LAYERS, name)(**kwargs, seed=1).get_random_transformation(MANY))).reshape(-1)
    theirs = np.asarray(of(getattr(keras.layers, name)(**kwargs, seed=1).get_random_transformation(MANY))).reshape(-1)
    low, high = ends
    assert drawn.shape == (4000,) and len(np.unique(drawn)) > 3900
    assert low <= drawn.min() < low + 0.01 * (high - low) and high - 0.01 * (high - low) < drawn.max() <= high
    for quantile in (0.25, 0.5, 0.75):
        assert abs(np.quantile(drawn, quantile) - (low + quantile * (high - low))) < 0.03 * (high - low)
        assert abs(np.quantile(drawn, quantile) - np.quantile(theirs, quantile)) < 0.05 * (high - low)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.06


def test_chances_and_places():
    flips = np.asarray(LAYERS.RandomFlip(seed=1).get_random_transformation(MANY)["flips"])
    assert flips.shape == (4000, 1, 1, 1) and 0.46 < flips.mean() < 0.54
    for factor, share in ((1.0, 0.5), ((1.0, 1.0), 1.0), (0.4, 0.2), (0.0, 0.0)):  # a chance is drawn, 0 to `factor`
        applied = LAYERS.RandomPerspective(factor, seed=2).get_random_transformation(MANY)["apply_perspective"]
        assert abs(np.asarray(applied).mean() - share) < 0.03
    crop = LAYERS.RandomCrop(3, 4, seed=1)
    places = {tuple(map(int, crop.get_random_transformation(MANY[:1]))) for _ in range(60)}
    assert places == {(top, left) for top in range(2) for left in range(3)}


DRAWING = [
    ("RandomFlip", {}),
    ("RandomRotation", {"factor": 0.2}),
    ("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.3}),
    ("RandomZoom", {"height_factor": 0.3}),
    ("RandomShear", {"x_factor": 0.3, "y_factor": 0.1}),
    ("RandomPerspective", {"scale": 0.3}),
    ("RandomElasticTransform", {"factor": (1, 1)}),
    ("RandomCrop", {"height": 5, "width": 6}),
]
every_draw = pytest.mark.parametrize(("name", "kwargs"), DRAWING, ids=[name for name, _ in DRAWING])


@every_draw
def test_a_seed_gives_the_same_images_compiled_or_not(name: str, kwargs: dict):
    eager, compiled, other = (getattr(LAYERS, name)(**kwargs, seed=seed) for seed in (5, 5, 6))
    program = kerata.jit(lambda x: compiled(x))
    x = np.concatenate([IMAGES[7, 10]] * 4)
    rounds = [(np.asarray(eager(x)), np.asarray(program(x))) for _ in range(3)]
    for one, two in rounds:
        same(one, two, 0.05)
    assert any(np.abs(rounds[0][0] - later).max() > 1 for later, _ in rounds[1:])
    assert np.abs(rounds[0][0] - np.asarray(other(x))).max() > 1


@every_draw
def test_on_torch(name: str, kwargs: dict):
    """Draws are other ones; made of the same, images are the same."""
    x = np.concatenate([IMAGES[7, 10]] * 2)
    layer = getattr(LAYERS, name)(**kwargs, seed=5)
    drawn = layer.get_random_transformation(x)
    expected = None if name == "RandomElasticTransform" else np.asarray(layer.transform_images(x, drawn))
    with engines.using("torch"):
        layer = getattr(LAYERS, name)(**kwargs, seed=5, bounding_box_format="xyxy")
        if expected is not None:
            there = {k: v if isinstance(v, (int, tuple)) else np.array(v) for k, v in drawn.items()} if isinstance(
                drawn, dict
            ) else tuple(int(v) for v in drawn)  # fmt: skip
            there = kerata.tree.map_structure(
                lambda v: kerata.ops.convert_to_tensor(v) if isinstance(v, np.ndarray) else v, there
            )
            same(kerata.ops.convert_to_numpy(layer.transform_images(x, there)), expected, 0.05)
        given = {"images": x, "segmentation_masks": x.astype("uint8")}
        if name != "RandomElasticTransform":
            given["bounding_boxes"] = {k: np.concatenate([v] * 2) for k, v in GIVEN_BOXES.items()}
        found = layer(given)
        images = kerata.ops.convert_to_numpy(found["images"])
        assert images.shape == (6, *expected.shape[1:]) if expected is not None else images.shape == x.shape
        assert images.shape != x.shape or np.abs(images - x).max() > 1
        assert layer(kerata.KerasTensor((None, 7, 10, 3))).shape == (None, *images.shape[1:])
        same(kerata.ops.convert_to_numpy(layer(x, training=False)), x)


@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_the_others_on_both_engines(engine: str):
    with engines.using(engine):
        layers = [
            LAYERS.CenterCrop(4, 5), LAYERS.CenterCrop(9, 5), LAYERS.Resizing(4, 6, pad_to_aspect_ratio=True),
            LAYERS.MaxNumBoundingBoxes(2), LAYERS.Resizing(4, 6, dtype="uint8"),
        ]  # fmt: skip
        for layer in layers:
            layer.bounding_box_format = "rel_xyxy"
            boxes = {"boxes": GIVEN_BOXES["boxes"] / 10, "labels": GIVEN_BOXES["labels"]}
            found = layer({"images": IMAGES[7, 10].astype("uint8"), "bounding_boxes": boxes})
            assert kerata.ops.convert_to_numpy(found["bounding_boxes"]["boxes"]).shape[::2] == (3, 4)


def test_integers_and_half_precision():
    x = IMAGES[8, 8].astype("uint8")
    for dtype, found in (("uint8", "uint8"), (None, "float32"), ("mixed_float16", "float16")):
        for name, kwargs in DRAWING:
            y = getattr(LAYERS, name)(**kwargs, dtype=dtype)(x)
            assert y.dtype == found and np.asarray(y, "float32").max() > 100, (name, dtype)


def test_elastic_masks_follow_their_images():
    squares = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((4, 4)))[None, ..., None]
    layer = LAYERS.RandomElasticTransform((1, 1), (1, 1), value_range=(0, 1), seed=3)
    found = layer({"images": squares.astype("float32"), "segmentation_masks": squares.astype("int32")})
    images, masks = np.asarray(found["images"]), np.asarray(found["segmentation_masks"])
    assert np.mean(images.round() != squares) > 0.02 and np.mean(images.round() != masks) < 0.02
    key = layer.get_random_transformation(squares)["seed"]
    given = {"apply_transform": np.array([True]), "distortion_factor": 0.6, "seed": key}
    narrow = LAYERS.RandomElasticTransform((1, 1), (0.6, 0.6), value_range=(0, 1))
    alpha, sigma = narrow.get_elastic_transform_params(32, 32, 0.6)
    same(
        narrow.transform_images(squares.astype("float32"), given),
        kerata.ops.image.elastic_transform(squares.astype("float32"), alpha, sigma, seed=key), 1e-5,
    )  # fmt: skip


def test_training_compiles_and_a_pipeline_passes_what_it_gets():
    augment = LAYERS.Pipeline([LAYERS.RandomFlip(seed=1), LAYERS.RandomRotation(0.1, seed=2), LAYERS.CenterCrop(6, 6)])
    assert len(augment.variables) == 2 and not augment.weights
    found = augment({"images": IMAGES[8, 8], "labels": np.arange(3)}, training=False)
    same(found["images"], IMAGES[8, 8][:, 1:7, 1:7])
    model = kerata.Sequential([augment, LAYERS.RandomZoom(0.2), LAYERS.Flatten(), LAYERS.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(IMAGES[8, 8] / 255, np.ones((3, 1)), epochs=2, batch_size=2, verbose=0)
    assert np.isfinite(model.evaluate(IMAGES[8, 8] / 255, np.ones((3, 1)), verbose=0))
    again = LAYERS.Pipeline.from_config(augment.get_config())
    assert as_json(again.get_config()) == as_json(augment.get_config())
    assert [type(layer) for layer in again.layers] == [LAYERS.RandomFlip, LAYERS.RandomRotation, LAYERS.CenterCrop]


# The arithmetic of boxes ----------------------------------------------------------------------------------------

OURS, THEIRS = kerata.utils.bounding_boxes, keras.utils.bounding_boxes
FORMATS = (
    "xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh",
)  # fmt: skip
SOME = np.sort(RNG.uniform(0, 30, (2, 5, 2, 2)), axis=2).reshape(2, 5, 4).astype("float32")
OTHERS = np.sort(RNG.uniform(0, 30, (2, 3, 2, 2)), axis=2).reshape(2, 3, 4).astype("float32")
ANGLE = np.array([10.0, -70.0], "float32")
ZERO, SMALL = np.zeros(2, "float32"), np.array([0.1, -0.2], "float32")
IMAGE = (40, 30, 3)


def test_every_format_into_every_other():
    for source in FORMATS:
        for target in FORMATS:
            expected = THEIRS.convert_format(SOME, source.upper(), target, height=40, width=30)
            same(OURS.convert_format(SOME, source.upper(), target, height=40, width=30), expected, 2e-3)
    with pytest.raises(kerata.errors.InvalidArgument, match="shares need"):
        OURS.convert_format(SOME, "xyxy", "rel_xyxy")
    with pytest.raises(kerata.errors.UnknownName, match="center_xywh"):
        OURS.convert_format(SOME, "xyxy", "centre_xywh")
    given = {"boxes": SOME, "labels": 3}
    assert OURS.convert_format(given, "xyxy", "yxyx")["labels"] == 3 and given["boxes"] is SOME


CALLS = [
    ("crop", (SOME, 4, 6, 15, 12), {}),
    ("pad", (SOME, 4, 6), {}),
    ("affine_transform", (SOME, ANGLE, ZERO, ZERO, ZERO + 1, ZERO, ZERO, 40, 30), {}),
    ("affine_transform", (SOME, ANGLE, SMALL, -SMALL, SMALL + 1, ANGLE / 3, ANGLE / 5, 40, 30, 0.2, 0.7), {}),
    ("compute_iou", (SOME, OTHERS, "xyxy"), {}),
    ("compute_iou", (SOME[0], OTHERS[0], "yxyx"), {}),
    ("compute_iou", (SOME, OTHERS[0], "xywh"), {}),
    ("compute_iou", (SOME / 30, OTHERS / 30, "rel_xyxy"), {"image_shape": IMAGE}),
    ("compute_iou", (SOME - 20, OTHERS - 18, "xyxy"), {"use_masking": True, "mask_val": -3}),
    ("compute_ciou", (SOME[:, :3], OTHERS, "xyxy"), {}),
    ("compute_ciou", (SOME[0, 0], OTHERS[0, 0], "center_xywh"), {}),
    ("encode_box_to_deltas", (SOME[0], SOME[1], "xyxy", "xyxy"), {}),
    (
        "encode_box_to_deltas", (SOME[0], SOME / 30, "xyxy", "rel_xyxy", "center_xywh"),
        {"variance": [0.1, 0.1, 0.2, 0.2], "image_shape": IMAGE},
    ),
    ("decode_deltas_to_boxes", (SOME[0], SMALL[0] * OTHERS[:, [0, 1, 2, 0, 1]] / 9, "xyxy", "xywh"), {}),
    (
        "decode_deltas_to_boxes", ({"a": SOME[0]}, {"a": SOME / 30}, "yxyx", "rel_xyxy", "center_xywh"),
        {"variance": [0.1, 0.1, 0.2, 0.2], "image_shape": IMAGE},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs"), CALLS, ids=[f"{c[0]}{i}" for i, c in enumerate(CALLS)])
def test_arithmetic(name: str, args: tuple, kwargs: dict):
    found, expected = getattr(OURS, name)(*args, **kwargs), getattr(THEIRS, name)(*args, **kwargs)
    if isinstance(expected, dict):
        found, expected = found["a"], expected["a"]
    same(found, expected)


@pytest.mark.parametrize("box_format", ["xyxy", "rel_xyxy"])
def test_clipping(box_format: str):
    given = {"boxes": (SOME - 10) / (20 if box_format == "rel_xyxy" else 1), "labels": np.arange(10).reshape(2, 5)}
    found = OURS.clip_to_image_size(dict(given), 12, 15, box_format)
    expected = THEIRS.clip_to_image_size(dict(given), 12, 15, box_format)
    same(found["boxes"], expected["boxes"])
    assert np.asarray(found["labels"]).tolist() == np.asarray(expected["labels"]).tolist()
    assert -1 in np.asarray(found["labels"])
    assert set(OURS.clip_to_image_size({"boxes": SOME}, 12, 15)) == {"boxes"}


@pytest.mark.parametrize("name", [n for n in dir(THEIRS) if not n.startswith("_")])
def test_signatures_of_the_arithmetic(name: str):
    import inspect

    def parameters(item):
        return [(p.name, p.default) for p in inspect.signature(item).parameters.values()]

    assert parameters(getattr(OURS, name)) == parameters(getattr(THEIRS, name))
