"""Layers that change the colors of images, mix images, or choose among changes, beside Keras's."""

from __future__ import annotations

import random as python_random
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
IMAGES = RNG.uniform(0, 255, (6, 6, 8, 3)).round().astype("float32")
LABELS = np.eye(6, dtype="float32")
BOXES = {"boxes": RNG.uniform(0, 6, (6, 2, 4)).astype("float32"), "labels": np.arange(12).reshape(6, 2)}


@dataclass(frozen=True, eq=False)
class Row:
    layer: str
    kwargs: dict[str, Any]
    differs: dict[str, str] = field(default_factory=dict)
    """Where Keras is wrong ("images", "config", "outside" of training, what it reads of "files"), and why."""

    def __str__(self) -> str:
        return f"{self.layer}({','.join(f'{k}={v}' for k, v in self.kwargs.items())})".replace(" ", "")

    @property
    def first(self) -> bool:
        return self.kwargs.get("data_format") == "channels_first"

    @property
    def images(self) -> np.ndarray:
        low, high = self.kwargs.get("value_range", (0, 255))
        images = (IMAGES * ((high - low) / 255) + low).astype("float32")
        return np.moveaxis(images, -1, 1) if self.first else images

    def ours(self, **more: Any) -> Any:
        return getattr(LAYERS, self.layer)(**{**self.kwargs, **more})

    def theirs(self, **more: Any) -> Any:
        return getattr(keras.layers, self.layer)(**{**self.kwargs, **more})


def row(layer: str, differs: dict[str, str] | None = None, **kwargs: Any) -> Row:
    return Row(layer, kwargs, differs or {})


FIRST = {"data_format": "channels_first"}
LOWER = {"config": "Keras says that one number f is (f, f), and takes (0, f)"}
BITS = {"config": "Keras says that one number n is so many bits, and draws from 1 to n - 1"}
BELOW = {"config": "Keras says that one number f is 0 to f, and takes -f to f, which makes colors gray or glaring"}
NO_SEED = {"config": "Keras leaves the seed out"}
GLARING = {**BELOW, "images": "Keras cuts saturation at the end of the value range instead of 1"}
NEGATIVE = {"images": "Keras takes high - x, which leaves a value range that does not begin at 0"}
ROWS_AS_CHANNELS = {"images": "Keras takes height and width to be the second and third axis with channels first, too"}
ONE_HISTOGRAM = {"images": "Keras makes one histogram of the whole batch"}
NO_FORMAT = {"images": "Keras does not tell the layers inside where the channels are"}

TABLE = [
    row("RandomBrightness", factor=0.2),
    row("RandomBrightness", factor=(-0.5, 0.9), value_range=(-1, 1), seed=1, **FIRST),
    row("RandomContrast", factor=(0.2, 0.6), value_range=(0, 1)),
    row("RandomContrast", LOWER, factor=0.5, **FIRST),
    row("RandomColorDegeneration", factor=(0.2, 0.9)),
    row("RandomColorDegeneration", BELOW, factor=0.8, value_range=(0, 1), **FIRST),
    row("RandomGrayscale", NO_SEED),
    row("RandomGrayscale", NO_SEED, factor=0.7, seed=3, **FIRST),
    row("RandomHue", factor=0.4),
    row("RandomHue", factor=(0.3, 0.9), value_range=(-1, 1), **FIRST),
    row("RandomSaturation", BELOW, factor=0.8, value_range=(0, 1)),
    row("RandomSaturation", factor=(0.2, 0.9), value_range=(0, 1), **FIRST),
    row("RandomSaturation", factor=(0.2, 0.5)),
    row("RandomInvert"),
    row("RandomInvert", NEGATIVE, factor=(0.9, 1.0), value_range=(-1, 1), **FIRST),
    row("RandomPosterization", factor=(2, 6)),
    row("RandomPosterization", BITS, factor=5, value_range=(0, 1), **FIRST),
    row("Solarization", addition_factor=0.3, threshold_factor=0.6),
    row("Solarization", addition_factor=(0.1, 0.3), threshold_factor=(0.4, 0.5), value_range=(-1, 1)),
    row("RandomGaussianBlur", factor=(0.5, 1.0), kernel_size=(3, 5), sigma=(0.3, 1.0)),
    row("RandomGaussianBlur", kernel_size=5, value_range=(0, 1), **FIRST),
    row("RandomSharpness", factor=1.0),
    row("RandomSharpness", factor=(0.1, 0.3), value_range=(-1, 1), **FIRST),
    row("AutoContrast", value_range=(0, 1)),
    row("AutoContrast", ROWS_AS_CHANNELS, **FIRST),
    row("Equalization", ONE_HISTOGRAM, bins=8),
    row("Equalization", ONE_HISTOGRAM, bins=9, value_range=(-1, 1), **FIRST),
    row("ContrastLimitedAdaptiveHistogramEqualization", tile_grid_size=(2, 2), clip_limit=20.0),
    row("ContrastLimitedAdaptiveHistogramEqualization", tile_grid_size=(4, 3), value_range=(0, 1), **FIRST),
    row("RandomErasing"),
    row("RandomErasing", factor=(0.5, 1.0), scale=(0.2, 0.6), fill_value=9.0, seed=2, **FIRST),
    row("CutMix", factor=(0.6, 1.0)),
    row("CutMix", seed=4, **FIRST),
    row("MixUp"),
    row("MixUp", alpha=2.0, **FIRST),
]
FIXED = {
    "brightness_factor": (0.1, 0.1), "contrast_factor": (0.3, -0.3), "saturation_factor": (0.4, 0.4),
    "hue_factor": (0.0, 0.0),
}  # fmt: skip
COMPOSED = [
    row("RandomColorJitter", **{**FIXED, "contrast_factor": (-0.2, 0.2)}),
    row("RandomColorJitter", NO_FORMAT, hue_factor=0.0, brightness_factor=(-0.1, -0.1), **FIRST),
    row("RandAugment", num_ops=2, factor=0.3),
    row("RandAugment", factor=(0.1, 0.4), value_range=(0, 1), interpolation="nearest", seed=1, **FIRST),
    row("AugMix"),
    row("AugMix", num_chains=2, chain_depth=2, all_ops=False, alpha=2.0, value_range=(0, 1), **FIRST),
    row("RandomErasing", scale=0.9, fill_value=(1.0, 2.0, 300.0)),  # of which Keras makes no image on JAX
]
EVERY = [*TABLE, *COMPOSED]


def ids(rows: list[Row]) -> list[str]:
    return [f"{i}-{r.layer}" for i, r in enumerate(rows)]


every_row = pytest.mark.parametrize("row", EVERY, ids=ids(EVERY))


def same(ours: Any, theirs: Any, tolerance: float = 1e-3) -> None:
    ours, theirs = np.asarray(ours, "float32"), np.asarray(theirs, "float32")
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def given_to_keras(x: Any) -> Any:
    return keras.tree.map_structure(keras.ops.convert_to_tensor, x)


# Beside Keras ---------------------------------------------------------------------------------------------------


@every_row
def test_configs_are_exchanged(row: Row):
    by_us = as_json(LAYERS.serialize(row.ours(name="it")))
    by_them = as_json(keras.layers.serialize(row.theirs(name="it")))
    for different in ("factor", "seed") if "config" in row.differs else ():
        by_us["config"].pop(different, None), by_them["config"].pop(different, None)
    assert by_us == {**by_them, **{key: by_us[key] for key in by_us if key == "build_config"}}
    theirs = keras.layers.serialize(row.theirs(name="it"))
    assert as_json(LAYERS.deserialize(theirs).get_config())["name"] == "it"
    if "config" not in row.differs:
        assert as_json(LAYERS.deserialize(theirs).get_config()) == as_json(row.ours(name="it").get_config())
    read = keras.layers.deserialize(LAYERS.serialize(row.ours(name="it"))).get_config()
    if "factor" in read and row.layer != "RandomGrayscale":
        assert as_json(read)["factor"] == as_json(row.ours().get_config())["factor"]


@pytest.mark.parametrize("row", TABLE, ids=ids(TABLE))
def test_same_draws_make_the_same_images(row: Row):
    ours, theirs = row.ours(), row.theirs()
    drawn, mine = (layer.get_random_transformation(row.images, training=True) for layer in (theirs, ours))
    assert type(mine) is type(drawn)
    if isinstance(drawn, dict):
        assert sorted(mine) == sorted(drawn)
    found = np.asarray(ours.transform_images(row.images, drawn, training=True))
    low, high = row.kwargs.get("value_range", (0, 255))
    assert found.min() >= low and found.max() <= high
    if row.differs.get("images") is ONE_HISTOGRAM["images"]:
        expected = [theirs.transform_images(given_to_keras(one[None]), None, training=True)[0] for one in row.images]
    elif row.differs.get("images") is ROWS_AS_CHANNELS["images"]:
        layer = keras.layers.AutoContrast()
        expected = np.moveaxis(layer.transform_images(given_to_keras(np.moveaxis(row.images, 1, -1))), -1, 1)
    elif row.differs.get("images") is NEGATIVE["images"]:
        chosen = np.asarray(drawn["apply_inversion"])[:, None, None, None]
        expected = np.where(chosen, -row.images, row.images)
    else:
        expected = theirs.transform_images(given_to_keras(row.images), drawn, training=True)
    off = np.abs(found - np.asarray(expected)) > 1e-3 * (high - low)
    # A step of a staircase may fall to either side of a value that both have rounded.
    assert off.mean() <= (0.01 if row.layer in ("RandomPosterization", "Equalization") else 0)


@every_row
def test_outside_of_training(row: Row):
    layer, works = row.ours(), row.layer in ("AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization")
    found = np.asarray(layer(row.images, training=False))
    if works and "images" not in row.differs:
        same(found, row.theirs()(row.images, training=False), 0.02)
    elif not works:
        same(found, row.images)
    same(layer(row.images[0], training=False), found[0])
    integers = layer(row.images.astype("uint8"), training=False)
    assert integers.dtype == "float32"  # in Keras some layers give integers here, and floats in training
    assert works or np.array_equal(np.asarray(integers), row.images.astype("uint8"))
    assert row.ours().get_random_transformation(row.images, training=False) is None


def test_saturation_is_one_at_most():
    x = np.array([[[[200.0, 100.0, 50.0]]]], "float32")
    found = LAYERS.RandomSaturation((0.9, 0.9)).transform_images(x, {"factor": np.array([4.0], "float32")})
    same(found, [[[[200.0, 200 / 3, 0.0]]]])
    theirs = keras.layers.RandomSaturation((0.9, 0.9)).transform_images(given_to_keras(x), {"factor": np.array([4.0])})
    assert np.asarray(theirs).min() < -100  # the reason why ours differs


@pytest.mark.parametrize("layer", ["CutMix", "MixUp"])
def test_labels_boxes_and_masks_are_mixed(layer: str):
    ours, theirs = getattr(LAYERS, layer)(), getattr(keras.layers, layer)()
    drawn = theirs.get_random_transformation(IMAGES)
    same(ours.transform_labels(LABELS, drawn), theirs.transform_labels(given_to_keras(LABELS), drawn), 1e-6)
    if layer == "CutMix":
        masks = ours.transform_segmentation_masks((IMAGES / 9).astype("int32"), drawn)
        assert masks.dtype == "int32"
        same(masks, theirs.transform_segmentation_masks(given_to_keras((IMAGES / 9).astype("int32")), drawn))
        with pytest.raises(NotImplementedError, match="hide a part of a box"):
            ours.transform_bounding_boxes(BOXES, drawn)
    else:
        weight, order = (np.asarray(drawn[name]) for name in ("mix_weight", "permutation_order"))
        masks, expected = IMAGES > 100, theirs.transform_bounding_boxes(given_to_keras(BOXES), drawn)
        # Keras takes single cells of the other masks, and puts the labels of boxes below each other.
        wanted = masks * weight[:, None, None, None] + masks[order] * (1 - weight[:, None, None, None])
        same(ours.transform_segmentation_masks(masks.astype("float32"), drawn), wanted, 1e-5)
        boxes = ours.transform_bounding_boxes(BOXES, drawn)
        same(boxes["boxes"], expected["boxes"])
        same(boxes["labels"], np.concatenate([BOXES["labels"], BOXES["labels"][order]], axis=1))
    with pytest.raises(kerata.errors.InvalidArgument, match="one_hot"):
        ours.transform_labels(np.arange(6), drawn)
    same(ours.transform_labels(np.zeros(6, "float32"), drawn), np.zeros(6))


def test_cutmix_labels_say_what_is_in_the_picture():
    pure = np.ones((6, 6, 8, 3), "float32") * np.arange(6)[:, None, None, None]
    found = LAYERS.CutMix((1, 1), seed=1)({"images": pure, "labels": LABELS, "segmentation_masks": pure.astype("int8")})
    shares = [[np.mean(image == k) for k in range(6)] for image in np.asarray(found["images"])]
    same(found["labels"], shares, 1e-6)
    same(found["segmentation_masks"], found["images"])


# Compositions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", COMPOSED[:1], ids=ids(COMPOSED[:1]))
def test_color_jitter(row: Row):
    same(row.ours()(row.images), row.theirs()(row.images), 0.05)
    parts = [
        LAYERS.RandomBrightness((0.1, 0.1)), LAYERS.RandomContrast((-0.2, 0.2)), LAYERS.RandomSaturation((0.4, 0.4)),
    ]  # fmt: skip
    found = np.moveaxis(row.images, -1, 1)
    for part in parts:
        found = np.moveaxis(part(np.moveaxis(found, 1, -1)), -1, 1)
    same(row.ours(**FIRST)(np.moveaxis(row.images, -1, 1)), found, 0.05)


def with_few_bins(ours: Any, theirs: Any) -> None:
    """Let Keras take 8 bins, each of which costs it a pass over the image."""
    theirs.equalization.bins = ours._layers[ours._names.index("equalization")].bins = 8


@pytest.mark.parametrize("row", COMPOSED[2:4], ids=ids(COMPOSED[2:4]))
def test_rand_augment(row: Row):
    ours, theirs = row.ours(num_ops=2), row.theirs(num_ops=2)
    with_few_bins(ours, theirs)
    images = row.images[:1]
    for chosen in ([0, 8], [1, 10]) if row.first else ([7, 1], [4, 2], [9, 6]):
        drawn = {**theirs.get_random_transformation(images), "layer_idxes": np.array(chosen)}
        expected = np.asarray(theirs.transform_images(given_to_keras(images), drawn))
        found = np.asarray(ours.transform_images(images, drawn))
        assert list(ours.get_random_transformation(images)) == list(drawn)
        assert (np.abs(found - expected) > 2e-3 * images.max()).mean() < 0.04  # steps, as of posterization
        masks = (images > images.mean()).astype("float32")
        expected = theirs.transform_segmentation_masks(given_to_keras(masks), drawn)
        assert np.mean(np.asarray(ours.transform_segmentation_masks(masks, drawn)) != np.asarray(expected)) < 0.04


def test_rand_augment_moves_boxes_with_their_images():
    painted = np.zeros((8, 40, 48, 3), "float32")
    painted[:, 10:24, 14:30] = 255
    layer = LAYERS.RandAugment(num_ops=2, factor=0.15, seed=3, bounding_box_format="xyxy")
    for moving in layer._layers[:3]:
        moving.fill_mode = "constant"  # without a mirror image of the rectangle
    data = {"images": painted, "bounding_boxes": {"boxes": [[[14, 10, 30, 24]]] * 8, "labels": np.ones((8, 1))}}
    drawn = layer.get_random_transformation(data)
    drawn["layer_idxes"] = np.array([[0, 0, 1, 1, 2, 2, 3, 9], [1, 2, 2, 9, 9, 0, 1, 9]])
    images = np.asarray(layer.transform_segmentation_masks(painted, drawn))
    boxes = layer.transform_bounding_boxes(
        {"boxes": np.array([[[14.0, 10, 30, 24]]] * 8), "labels": np.ones((8, 1))}, drawn
    )
    for image, box in zip(images[..., 0], np.asarray(boxes["boxes"])[:, 0]):
        rows, columns = np.nonzero(image > 127)
        np.testing.assert_allclose(
            box, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], atol=3.5
        )  # a box about a box that was turned is larger than what is in it
    assert np.abs(np.asarray(boxes["boxes"])[:7, 0] - [14, 10, 30, 24]).max(axis=1).min() > 0.5


@pytest.mark.parametrize("row", COMPOSED[4:6], ids=ids(COMPOSED[4:6]))
def test_aug_mix(row: Row):
    ours, theirs = row.ours(), row.theirs()
    with_few_bins(ours, theirs)
    images, compared = row.images[:1], 0
    for seed in range(3):
        python_random.seed(seed)  # with which Keras chooses layers
        drawn = theirs.get_random_transformation(images)
        mine = ours.get_random_transformation(images)
        names = [[step["layer_name"] for step in chain] for chain in drawn["chain_transforms"]]
        if row.first and "auto_contrast" in sum(names, []):
            continue
        compared += 1
        assert list(mine) == list(drawn)
        mine["chain_mixing_weights"] = np.asarray(drawn["chain_mixing_weights"])[None]
        mine["weight_sample"] = np.asarray(drawn["weight_sample"])[None]
        for depth, step in enumerate(mine["chain_transforms"]):
            step["layer_idxes"] = np.full(len(names), len(ours._names))
            for k, chain in enumerate(drawn["chain_transforms"]):
                if depth < len(chain):
                    name, theirs_drawn = chain[depth]["layer_name"], chain[depth]["transformation"]
                    step["layer_idxes"][k] = ours._names.index(name)
                    for key, value in (theirs_drawn or {}).items():
                        if hasattr(value, "ndim") and value.ndim:
                            whole = np.array(step["transforms"][name][key])
                            whole[k] = np.asarray(value)[0]
                            step["transforms"][name][key] = whole
        found = np.asarray(ours.transform_images(images, mine))
        expected = np.asarray(theirs.transform_images(given_to_keras(images), drawn))
        assert (np.abs(found - expected) > 2e-3 * images.max()).mean() < 0.04
    assert compared >= 2


# Draws ----------------------------------------------------------------------------------------------------------

MANY = np.zeros((4000, 2, 3, 3), "float32")
RANGES = [
    ("RandomBrightness", {"factor": 0.2}, lambda t: t["rgb_delta"], (-51, 51)),
    ("RandomColorDegeneration", {"factor": 0.5}, lambda t: t["factor"], (0, 0.5)),
    ("RandomContrast", {"factor": 0.3}, lambda t: t["contrast_factor"], (0.7, 1.3)),
    ("RandomContrast", {"factor": (0.2, 0.6)}, lambda t: t["contrast_factor"], (0.8, 1.6)),
    ("RandomHue", {"factor": 0.4}, lambda t: t["factor"], (-0.2, 0.2)),
    ("RandomSaturation", {"factor": 0.5}, lambda t: t["factor"] / (1 + t["factor"]), (0, 0.5)),
    ("Solarization", {"addition_factor": (0.1, 0.3)}, lambda t: t["additions"], (25.5, 76.5)),
    ("Solarization", {"threshold_factor": 0.4}, lambda t: t["thresholds"], (0, 102)),
    ("RandomSharpness", {"factor": (0.2, 0.6)}, lambda t: t["factor"], (0.2, 0.6)),
    ("RandomGaussianBlur", {"sigma": (0.5, 1)}, lambda t: t["blur_factor"][:, 0], (0.5, 1.00001)),
    ("RandomGaussianBlur", {"sigma": 0.5}, lambda t: t["blur_factor"][:, 1], (0, 0.50001)),
]


@pytest.mark.parametrize(("name", "kwargs", "of", "ends"), RANGES, ids=[f"{r[0]}{i}" for i, r in enumerate(RANGES)])
def test_draws_are_even_and_each_images_own(name: str, kwargs: dict, of: Any, ends: tuple):
    drawn = np.asarray(of(getattr(LAYERS, name)(**kwargs, seed=1).get_random_transformation(MANY))).reshape(-1)
    low, high = ends
    assert drawn.shape == (4000,) and len(np.unique(drawn)) > 3900
    assert low <= drawn.min() < low + 0.01 * (high - low) and high - 0.01 * (high - low) < drawn.max() <= high
    for quantile in (0.25, 0.5, 0.75):
        assert abs(np.quantile(drawn, quantile) - (low + quantile * (high - low))) < 0.03 * (high - low)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.06


CHANCES = [
    ("RandomGrayscale", {"factor": 0.3}, lambda t: t, 0.3),
    ("RandomInvert", {"factor": 0.8}, lambda t: t["apply_inversion"], 0.4),
    ("RandomInvert", {"factor": (1.0, 1.0)}, lambda t: t["apply_inversion"], 1.0),
    ("RandomGaussianBlur", {"factor": (0.2, 0.4)}, lambda t: t["should_apply_blur"], 0.3),
    ("RandomErasing", {"factor": (0.3, 0.3)}, lambda t: t["apply_erasing"], 0.3),
]


@pytest.mark.parametrize(("name", "kwargs", "of", "share"), CHANCES, ids=[f"{r[0]}{i}" for i, r in enumerate(CHANCES)])
def test_chances(name: str, kwargs: dict, of: Any, share: float):
    drawn = np.asarray(of(getattr(LAYERS, name)(**kwargs, seed=1).get_random_transformation(MANY))).reshape(-1)
    assert drawn.shape == (4000,) and drawn.dtype == bool and abs(drawn.mean() - share) < 0.03


def test_what_else_is_drawn():
    bits = 8 - np.asarray(LAYERS.RandomPosterization((3, 5)).get_random_transformation(MANY)["shift_factor"])
    assert np.bincount(bits, minlength=6)[3:].min() > 1200 and set(bits) == {3, 4, 5}
    assert set(8 - np.asarray(LAYERS.RandomPosterization(8).get_random_transformation(MANY)["shift_factor"])) == {8}

    large = np.zeros((400, 20, 30, 1), "float32")
    masks = np.asarray(LAYERS.RandomErasing(scale=(0.25, 0.25)).get_random_transformation(large)["batch_masks"])
    assert masks.shape == (400, 20, 30, 1) and masks.sum(axis=(1, 2, 3)).min() == masks.sum(axis=(1, 2, 3)).max() == 150
    rows = masks.any(axis=(2, 3)).mean(axis=0)
    assert rows[10] > 0.9 and np.all(np.abs(rows[[0, -1]] - 0.05) < 0.04)  # Keras never reaches the first row
    noise = np.asarray(LAYERS.RandomErasing(seed=1).get_random_transformation(large)["fill_value"])
    assert noise.shape == large.shape and 0.45 < np.mean(noise == 0) < 0.55 and noise.max() == 255

    mix = LAYERS.MixUp(seed=1).get_random_transformation(MANY)
    weight, order = np.asarray(mix["mix_weight"]), np.asarray(mix["permutation_order"])
    assert abs(weight.mean() - 0.5) < 0.03 and abs(weight.var() - 1 / (4 * 1.4)) < 0.01  # of the beta distribution
    assert sorted(order) == list(range(4000)) and abs(np.corrcoef(order, np.arange(4000))[0, 1]) < 0.05

    cut = LAYERS.CutMix((1, 1), seed=1).get_random_transformation(large)
    weight = np.asarray(cut["mix_weight"]).reshape(-1)
    same(weight, 1 - np.asarray(cut["batch_masks"]).mean(axis=(1, 2, 3)), 1e-6)
    assert abs(weight.mean() - 0.5) < 0.06 and abs(weight.var() - 1 / 12) < 0.02
    assert LAYERS.CutMix().get_random_transformation(large[0]) is None

    chosen = np.asarray(LAYERS.RandAugment(seed=1).get_random_transformation(MANY)["layer_idxes"])
    assert chosen.shape == (2, 4000) and np.bincount(chosen.reshape(-1)).shape == (11,)
    assert np.bincount(chosen.reshape(-1)).min() > 600 and abs(np.corrcoef(chosen)[0, 1]) < 0.05
    augmix = LAYERS.AugMix(seed=1).get_random_transformation(MANY)
    weights = np.asarray(augmix["chain_mixing_weights"])
    assert weights.shape == (4000, 3)
    same(weights.sum(axis=1), np.ones(4000), 1e-5)
    same(weights.mean(axis=0), np.full(3, 1 / 3), 0.02)
    for step in augmix["chain_transforms"]:
        assert np.bincount(np.asarray(step["layer_idxes"])).shape == (12,)


DRAWING = {
    "RandomBrightness": {"factor": 0.2}, "RandomContrast": {"factor": 0.5}, "RandomColorDegeneration": {"factor": 0.8},
    "RandomGrayscale": {}, "RandomHue": {"factor": 0.4}, "RandomSaturation": {"factor": 0.8}, "RandomInvert": {},
    "RandomPosterization": {"factor": (1, 5)}, "Solarization": {"addition_factor": 0.3, "threshold_factor": 0.6},
    "RandomGaussianBlur": {}, "RandomSharpness": {"factor": 1.0}, "MixUp": {"alpha": 1.0}, "CutMix": {},
    "RandomErasing": {"fill_value": (1.0, 2.0, 3.0)}, "RandAugment": {"num_ops": 1},
    "AugMix": {"num_chains": 2, "chain_depth": 1, "all_ops": False},
    "RandomColorJitter": {
        "brightness_factor": 0.2, "contrast_factor": 0.5, "saturation_factor": 0.8, "hue_factor": 0.2,
    },
}  # fmt: skip
every_draw = pytest.mark.parametrize("name", DRAWING)


@every_draw
def test_a_seed_gives_the_same_images_compiled_or_not(name: str):
    eager, compiled, other = (getattr(LAYERS, name)(**DRAWING[name], seed=seed) for seed in (5, 5, 6))
    assert len(eager.variables) == 1  # one generator, whatever is inside
    program = kerata.jit(lambda x: compiled(x))
    rounds = [(np.asarray(eager(IMAGES)), np.asarray(program(IMAGES))) for _ in range(2)]
    for one, two in rounds:
        assert (np.abs(one - two) > 0.05).mean() < 0.02  # steps of a staircase
    assert np.abs(rounds[0][0] - rounds[1][0]).max() > 1
    assert np.abs(rounds[0][0] - np.asarray(other(IMAGES))).max() > 1


@every_draw
def test_formats_and_dtypes(name: str):
    def made(x: Any, **more: Any) -> np.ndarray:
        return np.asarray(getattr(LAYERS, name)(**{**DRAWING[name], **more}, seed=5)(x), "float32")

    expected = made(IMAGES)
    first = np.moveaxis(made(np.moveaxis(IMAGES, -1, 1), data_format="channels_first"), 1, -1)
    assert (np.abs(first - expected) > 0.05).mean() < 0.02
    assert (np.abs(made(IMAGES.astype("uint8")) - expected) > 0.05).mean() < 0.02
    integers = getattr(LAYERS, name)(**DRAWING[name], seed=5, dtype="uint8")(IMAGES.astype("uint8"))
    assert integers.dtype == "uint8"
    assert (np.abs(np.asarray(integers, "float32") - expected) > 1).mean() < 0.02
    half = getattr(LAYERS, name)(**DRAWING[name], seed=5, dtype="mixed_bfloat16")(IMAGES)
    assert half.dtype == "bfloat16" and half.shape == IMAGES.shape
    assert getattr(LAYERS, name)(**DRAWING[name])(kerata.KerasTensor((None, None, 8, 3))).shape == (None, None, 8, 3)


def on_this_engine(x: Any) -> Any:
    return kerata.tree.map_structure(lambda v: kerata.ops.convert_to_tensor(v) if isinstance(v, np.ndarray) else v, x)


UNDRAWN = ("AutoContrast", "Equalization", "ContrastLimitedAdaptiveHistogramEqualization")


@pytest.mark.parametrize("name", [*DRAWING, *UNDRAWN])
def test_on_torch(name: str):
    """Draws are other ones; made of the same, images are the same."""
    kwargs = DRAWING.get(name, {})
    layer = getattr(LAYERS, name)(**kwargs, **({"seed": 5} if name in DRAWING else {}))
    drawn = layer.get_random_transformation(IMAGES)
    expected = np.asarray(layer.transform_images(IMAGES, drawn))
    there = kerata.tree.map_structure(lambda v: np.array(v) if hasattr(v, "dtype") else v, drawn)
    with engines.using("torch"):
        layer = getattr(LAYERS, name)(**kwargs)
        found = kerata.ops.convert_to_numpy(layer.transform_images(on_this_engine(IMAGES), on_this_engine(there)))
        assert (np.abs(found - expected) > 0.05).mean() < 0.02
        given = {"images": IMAGES.astype("uint8"), "segmentation_masks": IMAGES[..., :1]}
        found = layer({**given, "labels": np.eye(6)})
        assert kerata.ops.convert_to_numpy(found["images"]).shape == IMAGES.shape
        assert kerata.ops.convert_to_numpy(found["labels"]).sum() == pytest.approx(6, abs=1e-4)
        assert layer(kerata.KerasTensor((None, 6, 8, 3))).shape == (None, 6, 8, 3)


def test_training_compiles():
    model = kerata.Sequential([
        LAYERS.RandomColorJitter((0, 1), 0.2, 0.2, 0.6, 0.1, seed=1), LAYERS.RandomErasing(value_range=(0, 1)),
        LAYERS.Equalization((0, 1)), LAYERS.Flatten(), LAYERS.Dense(1),
    ])  # fmt: skip
    model.compile("sgd", "mse")
    model.fit(IMAGES / 255, np.ones((6, 1)), epochs=2, batch_size=3, verbose=0)
    assert np.isfinite(model.evaluate(IMAGES / 255, np.ones((6, 1)), verbose=0))


def test_flat_channels_stay():
    flat = np.full((6, 6, 8, 3), 40.0, "float32")
    for name in ("AutoContrast", "Equalization"):
        same(getattr(LAYERS, name)()(flat), flat)
    half = (flat + (np.arange(8) > 3)[:, None]).astype("float32")
    for name in ("AutoContrast", "Equalization"):
        assert sorted(set(np.asarray(getattr(LAYERS, name)()(half)).reshape(-1))) == [0, 255]
    layer = LAYERS.ContrastLimitedAdaptiveHistogramEqualization(clip_limit=0, tile_grid_size=(1, 1))
    assert sorted(set(np.asarray(layer(half)).reshape(-1))) == [127.5, 255]  # the shares of cells up to a value


WRONG = [
    (lambda: LAYERS.RandomBrightness(1.5), "`factor` cannot be this"),
    (lambda: LAYERS.RandomBrightness(0.1, value_range=3), "`value_range` cannot be this"),
    (lambda: LAYERS.RandomContrast("much"), "`factor` cannot be this"),
    (lambda: LAYERS.RandomGrayscale(1.5), "0 <= factor <= 1"),
    (lambda: LAYERS.RandomPosterization(9), "`factor` cannot be this"),
    (lambda: LAYERS.Solarization(threshold_factor=(0.5, 1.5)), "`threshold_factor` cannot be this"),
    (lambda: LAYERS.RandomGaussianBlur(kernel_size=4), "odd sides"),
    (lambda: LAYERS.RandomErasing(fill_value="black"), "`fill_value` cannot be this"),
    (lambda: LAYERS.RandAugment(num_ops=0), "`num_ops` cannot be this"),
    (lambda: LAYERS.RandomHue(0.1)(np.ones((2, 4, 4, 1))), "three channels"),
    (lambda: LAYERS.CutMix()({"images": IMAGES, "labels": np.arange(6)}), "numbers of classes cannot be mixed"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), WRONG, ids=[f"{i}-{said}" for i, (_, said) in enumerate(WRONG)])
def test_errors(make: Any, said: str):
    with pytest.raises(kerata.errors.KerataError, match=said):
        make()
