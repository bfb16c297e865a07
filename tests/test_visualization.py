"""Pictures: pixels that OpenCV draws for Keras, masks by hand, matrices counted by hand, and what figures show."""

import subprocess
import sys
import types

import numpy as np
import pytest
from matplotlib import colors
from PIL import Image

import kerata
from kerata import errors, visualization
from kerata.visualization import figures

# Boxes ---------------------------------------------------------------------------------------------------------


def drawing(image):
    """Return an image as text, `#` being what is not black."""
    return "\n".join("".join("#" if pixel.any() else "." for pixel in row) for row in image)


BOXES = [  # size of the image, box (x0, y0, x1, y1), thickness, what OpenCV 4 draws
    (7, (1, 2, 5, 4), 1, ".......\n.......\n.#####.\n.#...#.\n.#####.\n.......\n......."),
    (7, (5, 4, 1, 2), 1, ".......\n.......\n.#####.\n.#...#.\n.#####.\n.......\n......."),
    (7, (2, 2, 20, 20), 2, ".......\n..#####\n.######\n.######\n.###...\n.###...\n.###..."),
    (7, (3, 3, 30, 30), 3, ".......\n...####\n..#####\n.######\n.######\n.######\n.#####."),
    (8, (-3, 2, 4, 30), 2, "........\n#####...\n######..\n######..\n...###..\n...###..\n...###..\n...###.."),
    (5, (1, 1, 3, 2), -1, ".....\n.###.\n.###.\n.....\n....."),
]  # fmt: skip


@pytest.mark.parametrize("size, box, thickness, expected", BOXES)
def test_frames(size, box, thickness, expected):
    boxes = {"boxes": [[box, (0, 0, 1, 1)]], "labels": [[3, -1]]}  # -1 is no box
    given = np.zeros((1, size, size, 3), "uint8")
    image = visualization.draw_bounding_boxes(given, boxes, "xyxy", color=(9, 8, 7), line_thickness=thickness)
    assert drawing(image[0]) == expected
    assert set(map(tuple, image.reshape(-1, 3).tolist())) == {(0, 0, 0), (9, 8, 7)}
    assert image.dtype == np.uint8
    assert not given.any()


def test_formats_layouts_and_ranges():
    boxes = {"boxes": np.array([[[0.25, 0.5, 0.5, 0.75]]], "float32"), "labels": np.array([[0]])}
    image = np.full((1, 8, 8, 3), 0.5, "float32")  # floats up to 1 are shares
    drawn = visualization.draw_bounding_boxes(image, boxes, "rel_xyxy", color=(255, 0, 0), line_thickness=1)
    assert drawn[0, 4, 2].tolist() == [255, 0, 0]
    assert drawn[0, 0, 0].tolist() == [127, 127, 127]
    first = visualization.draw_bounding_boxes(
        image.transpose(0, 3, 1, 2), boxes, "rel_xyxy", None, (255, 0, 0), 1, data_format="channels_first"
    )
    np.testing.assert_array_equal(first, drawn.transpose(0, 3, 1, 2))
    for channels, color in ((1, [255]), (4, [255, 0, 0, 255])):
        drawn = visualization.draw_bounding_boxes(
            np.zeros((1, 8, 8, channels)), boxes, "rel_xyxy", color=(255, 0, 0), line_thickness=1
        )
        assert drawn[0, 4, 2].tolist() == color


def test_names_of_boxes():
    """Only known labels are named: above the box, or inside it where there is no room above."""
    boxes = {"boxes": [[[5, 60, 95, 90]], [[5, 5, 95, 90]]], "labels": [[1], [1]]}
    black = np.zeros((2, 100, 100, 3), "uint8")

    def inked(names, **more):
        image = visualization.draw_bounding_boxes(black, {**boxes, **more}, "xyxy", names, line_thickness=1)
        bare = visualization.draw_bounding_boxes(black, boxes, "xyxy", line_thickness=1)
        return [np.flatnonzero((a != b).any((1, 2))) for a, b in zip(image, bare)]

    above, inside = inked({1: "HH"})
    # On the base line; OpenCV's letters are 21 pixels high, those of Pillow's versions about as much.
    assert (above.max(), inside.max()) == (60 - 8 - 1, 5 + 24 + 4 - 1)
    assert 19 <= len(above) <= 23
    assert len(inside) == len(above)
    assert [len(rows) for rows in inked({2: "HH"})] == [0, 0]
    assert len(inked({1: "HH"}, confidences=[[0.5], [0.5]])[0]) > len(above)  # the bar between is higher


REFUSED = [  # what is called, its error, a word of the message
    (lambda v: v.draw_bounding_boxes(np.zeros((4, 4, 3)), {"boxes": [], "labels": []}, "xyxy"), "batch"),
    (lambda v: v.draw_bounding_boxes(np.zeros((1, 4, 4, 3)), [[0, 0, 1, 1]], "xyxy"), "dictionary"),
    (lambda v: v.draw_bounding_boxes(np.zeros((1, 4, 4, 3)), {"boxes": []}, "xyxy"), "labels"),
    (lambda v: v.draw_segmentation_masks(np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4))), "integer"),
    (lambda v: v.draw_segmentation_masks(np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 5), int)), r"\(1, 4, 5\)"),
    (lambda v: v.plot_image_gallery(np.zeros((1, 4, 4, 3)), path="a.png", show=True), "either"),
    (lambda v: v.plot_image_gallery(np.zeros((1, 4, 4, 3)), data_format="last"), "channels_last"),
    (lambda v: v.plot_bounding_box_gallery(np.zeros((1, 4, 4, 3)), "xyxy", legend=True, legend_handles=[1]), "legend"),
    (lambda v: v.plot_samples(np.zeros(4)), "curves"),
    (lambda v: v.plot_samples(np.zeros((4, 3)), y_true=[1]), "y_true"),
    (lambda v: v.plot_samples(np.zeros((4, 3)), only_wrong=True), "y_pred"),
    (lambda v: v.confusion_matrix([0, 1], [0, 1, 1]), "2 predictions"),
    (lambda v: v.confusion_matrix([0, 3], [0, 1], num_classes=3), "0 … 2"),
    (lambda v: v.confusion_matrix([0, 1], [-0.3, 1.2]), "sigmoid"),
    (lambda v: v.confusion_matrix([0, 1], [0, 1], normalize="rows"), "'true'|true"),
]


@pytest.mark.parametrize("call, word", REFUSED, ids=[word for _, word in REFUSED])
def test_what_is_refused(call, word):
    with pytest.raises(errors.KerataError, match=word):
        call(visualization)


# Masks ---------------------------------------------------------------------------------------------------------


def test_masks_by_hand():
    image, mask = np.full((1, 1, 4, 3), 100, "uint8"), np.array([[[0, 1, 2, -1]]])
    palette = [(0, 0, 0), (2**25 - 1) % 255, (2**15 - 1) % 255, (2**21 - 1) % 255]
    drawn = visualization.draw_segmentation_masks(image, mask, alpha=0.5)
    assert drawn.dtype == np.uint8
    assert drawn[0, 0, 0].tolist() == [50, 50, 50]  # the background is black
    assert drawn[0, 0, 1].tolist() == [(100 + c) // 2 for c in palette[1:]]
    assert drawn[0, 0, 2].tolist() == [(100 + 2 * c % 255) // 2 for c in palette[1:]]
    assert drawn[0, 0, 3].tolist() == [100, 100, 100]  # ignored
    named = {"color_mapping": {2: (200, 0, 10)}, "ignore_index": 0}
    bare = visualization.draw_segmentation_masks(image, mask[..., None], blend=False, **named)
    assert bare[0, 0].tolist() == [[100] * 3, [100] * 3, [200, 0, 10], [100] * 3]
    gray = visualization.draw_segmentation_masks(image[..., :1], mask, blend=False, **named)
    np.testing.assert_array_equal(gray, bare)
    clear = np.concatenate([image, image[..., :1]], axis=-1)
    painted = visualization.draw_segmentation_masks(clear, mask, blend=False, **named)
    assert painted[0, 0, 2].tolist() == [200, 0, 10, 100]
    first = visualization.draw_segmentation_masks(
        image.transpose(0, 3, 1, 2), mask[:, None], blend=False, data_format="channels_first", **named
    )
    np.testing.assert_array_equal(first, bare)


# Matrices ------------------------------------------------------------------------------------------------------

TRUE, PREDICTED = [0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0]
COUNTS = [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
MATRICES = [  # y_true, y_pred, more arguments, the matrix
    (TRUE, PREDICTED, {}, COUNTS),
    (np.eye(3)[TRUE], np.eye(3)[PREDICTED] * 0.6 + 0.1, {}, COUNTS),
    (np.array(TRUE)[:, None], kerata.utils.to_categorical(PREDICTED, 3), {}, COUNTS),
    ([0, 1, 1], [[0.2], [0.9], [0.4]], {}, [[1, 0], [1, 1]]),
    ([0.0, 1.0], [1.0, 1.0], {"num_classes": 3}, [[0, 1, 0], [0, 1, 0], [0, 0, 0]]),
    ([], [], {}, np.zeros((0, 0))),
    (TRUE, PREDICTED, {"normalize": "true"}, [[1 / 2, 1 / 2, 0], [0, 1, 0], [1 / 3, 0, 2 / 3]]),
    (TRUE, PREDICTED, {"normalize": "pred"}, [[1 / 2, 1 / 2, 0], [0, 1 / 2, 0], [1 / 2, 0, 1]]),
    (TRUE, PREDICTED, {"normalize": "all"}, np.array(COUNTS) / 6),
    ([0, 0], [1, 1], {"normalize": "true"}, [[0, 1], [0, 0]]),
]


@pytest.mark.parametrize("y_true, y_pred, arguments, expected", MATRICES, ids=range(len(MATRICES)))
def test_confusion_matrix(y_true, y_pred, arguments, expected):
    np.testing.assert_allclose(visualization.confusion_matrix(y_true, y_pred, **arguments), expected, rtol=1e-12)


def test_confusion_matrix_as_a_figure(tmp_path):
    path = tmp_path / "matrix.png"
    figure = visualization.plot_confusion_matrix(TRUE, PREDICTED, ["cat", "dog", "a mouse"], path=path)
    (ax,) = figure.axes
    assert {t.get_position(): t.get_text() for t in ax.texts} == {
        (0, 0): "1", (1, 0): "1", (1, 1): "1", (0, 2): "1", (2, 2): "2"
    }  # fmt: skip
    assert [t.get_text() for t in ax.get_yticklabels()] == ["cat", "dog", "a mouse"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("predicted", "true", "66.7% right")
    assert Image.open(path).format == "PNG"
    names = {0: "cat", 3: "dog"}
    (ax,) = visualization.plot_confusion_matrix([0], [1], names, normalize="true", show=False).axes
    assert [t.get_text() for t in ax.get_xticklabels()] == ["cat", "Unknown", "Unknown", "dog"]
    assert [t.get_text() for t in ax.texts] == ["1.00"]


# Samples and galleries -----------------------------------------------------------------------------------------


def shown(figure):
    """Return for each field with something in it: its title, and the array or curve that it shows."""
    return [
        (ax.get_title(), (ax.images[0].get_array() if ax.images else ax.lines[0].get_ydata()))
        for ax in figure.axes
        if ax.images or ax.lines
    ]


def test_samples_mark_what_is_wrong():
    x = np.arange(4 * 6).reshape(4, 2, 3).astype("uint8")
    scores = np.eye(3)[[0, 2, 2, 1]]
    figure = visualization.plot_samples(x, [0, 1, 2, 0], scores, ["a", "b", "c"], show=False)
    assert [title for title, _ in shown(figure)] == ["a", "✗ c, not b", "c", "✗ b, not a"]
    np.testing.assert_array_equal(shown(figure)[1][1], x[1])
    frames = [ax.spines["left"] for ax in figure.axes]
    assert [frame.get_visible() for frame in frames] == [False, True, False, True]
    assert colors.to_hex(frames[1].get_edgecolor()) == colors.to_hex("crimson")
    wrong = visualization.plot_samples(x, [0, 1, 2, 0], scores, only_wrong=True, count=1, show=False)
    assert [title for title, _ in shown(wrong)] == ["✗ 2, not 1"]
    assert shown(visualization.plot_samples(x, [0] * 4, [0] * 4, only_wrong=True, show=False)) == []


def test_samples_of_other_kinds():
    curves = visualization.plot_samples(np.array([[1.0, 3, 2], [0, 0, 1]]), [0, 1], show=False)
    assert [(title, y.tolist()) for title, y in shown(curves)] == [("0", [1, 3, 2]), ("1", [0, 0, 1])]
    for image, expected in (([0.0, 1.0], [0, 255]), ([-1.0, 1.0], [0, 255]), ([True, False], [255, 0])):
        figure = visualization.plot_samples(np.array([[image]]), show=False)
        assert [array.tolist() for _, array in shown(figure)] == [[expected]]
    figure = visualization.plot_samples(np.zeros((7, 2, 2, 3)), count=5, columns=2, show=False)
    assert (len(shown(figure)), figure.axes[0].get_gridspec().get_geometry()) == (5, (3, 2))


def test_galleries_show_every_image(tmp_path):
    images = np.linspace(0, 1, 5 * 2 * 2).reshape(5, 2, 2, 1)
    figure = visualization.plot_image_gallery(
        images, y_true=np.arange(5), y_pred=[1, 1, 1], label_map={0: "a", 1: "b"}, value_range=(0, 1), show=False
    )
    titles = ["Label: a  Pred: b", "Label: b  Pred: b", "Label: Unknown  Pred: b", "Label: Unknown", "Label: Unknown"]
    assert [title for title, _ in shown(figure)] == titles
    np.testing.assert_array_equal(shown(figure)[4][1], (images[4, ..., 0] * 255).astype("uint8"))
    first = visualization.plot_image_gallery(images.transpose(0, 3, 1, 2), data_format="channels_first", show=False)
    assert shown(first)[0][1].shape == (2, 2)
    boxes = {"boxes": [[[2, 2, 5, 5]]], "labels": [[0]]}
    black = np.zeros((1, 12, 12, 3))
    figure = visualization.plot_bounding_box_gallery(
        black, "xyxy", boxes, {"boxes": [[[7, 7, 10, 10]]], "labels": [[0]]}, value_range=(0, 1), line_thickness=1,
        legend=True, show=False,
    )  # fmt: skip
    picture = shown(figure)[0][1]
    assert picture[2, 2].tolist() == [0, 188, 212]
    assert picture[7, 7].tolist() == [255, 235, 59]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["Ground Truth", "Prediction"]
    masks = np.ones((2, 2, 2, 1), int)
    figure = visualization.plot_segmentation_mask_gallery(
        images[:2], 2, (0, 1), masks, masks, color_mapping={1: (0, 0, 200)}, blend=False, show=False
    )
    assert [np.unique(array.reshape(-1, 3), axis=0).tolist() == [[0, 0, 200]] for _, array in shown(figure)] == [
        False, True, True, False, True, True
    ]  # fmt: skip


# Where figures go ----------------------------------------------------------------------------------------------

IMAGE = np.zeros((1, 2, 2, 3), "uint8")


def test_notebooks_show_figures(monkeypatch):
    shown_now = []
    display = types.SimpleNamespace(display=shown_now.append)
    kernel = types.SimpleNamespace(kernel=None)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: kernel))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    figure = visualization.plot_image_gallery(IMAGE)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert shown_now == []  # the cell shows what it returns
    assert visualization.plot_image_gallery(IMAGE, show=True) is None
    assert len(shown_now) == 1


def test_programs_open_a_window_where_there_is_a_screen(monkeypatch):
    import matplotlib.pyplot as plt

    opened = []
    monkeypatch.setattr(plt, "show", lambda: opened.append(plt.get_fignums()))
    plt.switch_backend("agg")
    visualization.plot_image_gallery(IMAGE)
    assert opened == []
    monkeypatch.setattr(figures, "_has_screen", lambda: True)
    assert visualization.plot_image_gallery(IMAGE, show=True) is None
    visualization.plot_image_gallery(IMAGE)
    assert len(opened) == 2
    assert all(opened)
    visualization.plot_image_gallery(IMAGE, show=False)
    assert len(opened) == 2
    assert plt.get_fignums() == []


def test_matplotlib_and_pillow_are_asked_for_when_they_are_used(monkeypatch):
    program = (
        "import sys, kerata\nkerata.visualization.confusion_matrix([0], [0])\n"
        "kerata.callbacks.History()\nraise SystemExit(any(m in sys.modules for m in ('matplotlib', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
    figures._figure_class.cache_clear()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="plot_samples.*\n.*pip install matplotlib"):
        visualization.plot_samples(IMAGE)
    monkeypatch.setitem(sys.modules, "PIL", None)
    boxes = {"boxes": [[[0, 0, 1, 1]]], "labels": [[0]]}
    visualization.draw_bounding_boxes(IMAGE, boxes, "xyxy")
    with pytest.raises(ImportError, match="pip install pillow"):
        visualization.draw_bounding_boxes(IMAGE, boxes, "xyxy", {0: "a"})


# Curves of a training ------------------------------------------------------------------------------------------


def test_history_as_curves(tmp_path):
    history = kerata.callbacks.History()
    with pytest.raises(errors.StateError, match="no epoch"):
        history.plot()
    history.on_train_begin()
    for epoch in range(4):
        logs = {"loss": 1 / (epoch + 1), "<lambda>": np.float32(epoch) if epoch != 2 else float("nan")}
        history.on_epoch_end(epoch, {**logs, "val_loss": 2.0 + epoch} if epoch % 2 else logs)
    figure = history.plot(path=tmp_path / "curves.png")
    loss, other = figure.axes
    assert (loss.get_title(), other.get_title()) == ("loss", "<lambda>")
    curves = {line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist()) for line in loss.lines}
    assert curves == {"training": ([1, 2, 3, 4], [1, 1 / 2, 1 / 3, 1 / 4]), "validation": ([2, 4], [3.0, 5.0])}
    assert np.isnan(other.lines[0].get_ydata()).tolist() == [False, False, True, False]
    assert Image.open(tmp_path / "curves.png").format == "PNG"
    (only,) = history.plot("loss", show=False).axes
    assert only.get_title() == "loss"
    with pytest.raises(errors.UnknownName, match="did you mean 'loss'"):
        history.plot("los")
    html = history._repr_html_()
    assert "<th>&lt;lambda&gt;</th>" in html
    assert "<tr><td>2</td><td>0.5</td><td>1</td><td>3</td></tr>" in html
    assert "<tr><td>3</td><td>0.3333</td><td>nan</td><td></td></tr>" in html
