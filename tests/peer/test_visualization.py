"""What Keras draws: masks to the pixel, and galleries to the pixel of the written file."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

import kerata

keras = pytest.importorskip("keras")
RANDOM = np.random.default_rng(7)
IMAGES = RANDOM.integers(0, 256, (4, 6, 7, 3)).astype("uint8")
MASKS = RANDOM.integers(-1, 4, (4, 6, 7, 1)).astype("int32")

MASK_ARGUMENTS = [
    {},
    {"alpha": 0.3},
    {"blend": False},
    {"ignore_index": 2},
    {"color_mapping": {i: (9 * i, 5 * i, 200) for i in range(4)}},
]


@pytest.mark.parametrize("arguments", MASK_ARGUMENTS, ids=str)
def test_masks(arguments):
    theirs = np.asarray(keras.visualization.draw_segmentation_masks(IMAGES, MASKS, num_classes=4, **arguments))
    ours = kerata.visualization.draw_segmentation_masks(IMAGES, MASKS, num_classes=4, **arguments)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


NAMES = dict(enumerate("abcd"))
GALLERIES = {  # function -> its arguments
    "plot_image_gallery": {"images": IMAGES, "y_true": np.arange(4), "y_pred": np.array([0, 2, 1, 9]),
                           "label_map": NAMES},
    "plot_segmentation_mask_gallery": {"images": IMAGES, "num_classes": 4, "y_true": MASKS, "y_pred": MASKS[::-1],
                                       "transparent": False},
}  # fmt: skip


@pytest.mark.parametrize("name", GALLERIES)
def test_galleries(name, tmp_path):
    matplotlib.use("agg")
    for k in (keras, kerata):
        getattr(k.visualization, name)(path=tmp_path / f"{k.__name__}.png", **GALLERIES[name])
    theirs, ours = (np.asarray(Image.open(tmp_path / f"{k}.png")) for k in ("keras", "kerata"))
    np.testing.assert_array_equal(ours, theirs)
