"""Drawings of models: the boxes and edges that Keras draws, and an SVG in which nothing overlaps."""

import os
import re
import shutil
import xml.etree.ElementTree as xml

import pytest

import kerata
from kerata import errors, layers, utils
from kerata.utils import layered_drawing
from kerata.utils.layered_drawing import Box, Drawing, Group

os.environ["KERAS_BACKEND"] = "jax"  # before anything imports keras


def stack(k):
    return k.Sequential(
        [k.Input((8,)), k.layers.Dense(4, activation="relu", name="one"), k.layers.Dropout(0.1), k.layers.Dense(2)]
    )


def branches(k):
    a, b = k.Input((8,), name="a"), k.Input((8,), name="b")
    shared = k.layers.Dense(4, name="shared")
    x, y = shared(a), shared(b)
    z = k.layers.Add(name="sum")([x, y])
    return k.Model([a, b], [k.layers.Dense(1, name="end")(z), k.layers.Concatenate(name="join")([z, x])])


def nested(k):
    inner = k.Input((4,), name="in")
    first = k.layers.Dense(4, name="first")(inner)
    pair = k.Model(inner, [first, k.layers.Dense(3, name="second")(first)], name="pair")
    tower = k.Sequential([k.Input((3,)), k.layers.Dense(3, name="t1"), k.layers.Dense(4, name="t2")], name="tower")
    outer = k.Model(x := k.Input((4,), name="x"), tower(pair(x)[1]), name="outer")
    a = k.Input((4,), name="a")
    u, _ = pair(outer(a))
    return k.Model(a, k.layers.Dense(1, name="end")(u))


MODELS = [stack, branches, nested]


def boxes_and_edges(dot):
    """Return labels, and pairs of labels, of a graph of pydot with all its clusters."""
    nodes, edges = [], []

    def walk(graph):
        nodes.extend(n for n in graph.get_nodes() if n.get_name().isdigit())
        edges.extend((e.get_source(), e.get_destination()) for e in graph.get_edges())
        for inner in graph.get_subgraphs():
            walk(inner)

    walk(dot)
    names = {n.get_name(): re.sub("<[^>]*>", " ", n.get_label()[1:-1]).split() for n in nodes}
    names = {key: " ".join(words[:2]) for key, words in names.items()}
    return set(names.values()), {(names[a], names[b]) for a, b in edges}  # Keras repeats a model that is shared


@pytest.mark.parametrize("expand", [False, True], ids=["whole", "expanded"])
@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_as_keras_draws_it(make, expand):
    pytest.importorskip("pydot")
    keras = pytest.importorskip("keras")
    keras.utils.clear_session()
    kerata.utils.clear_session()
    drawn = []
    for k in (kerata, keras):
        dot = k.utils.model_to_dot(make(k), expand_nested=expand)
        assert dot.get_rankdir() == "TB"
        drawn.append(boxes_and_edges(dot))
    assert drawn[0] == drawn[1]


def test_shared_models_stand_once(tmp_path, without_graphviz):
    utils.plot_model(nested(kerata), tmp_path / "a.svg", expand_nested=True, show_layer_names=True)
    texts = texts_of(tmp_path / "a.svg")
    assert len(texts) == len(set(texts))
    assert {"outer", "pair", "first (Dense)", "t2 (Dense)"} <= set(texts)


def test_clusters():
    pydot = pytest.importorskip("pydot")
    dot = utils.model_to_dot(nested(kerata), expand_nested=True, rankdir="LR")
    assert dot.get_rankdir() == "LR"
    (outer,) = dot.get_subgraphs()
    assert outer.get_label() == "outer"
    assert {inner.get_label() for inner in outer.get_subgraphs()} == {"pair", "tower"}
    assert isinstance(utils.model_to_dot(stack(kerata), subgraph=True), pydot.Cluster)


# Our own SVG ---------------------------------------------------------------------------------------------------


def texts_of(path):
    root = xml.parse(path).getroot()
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def without_graphviz(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)


SHOWN = [  # arguments, what stands in the box of layer "one", and what does not
    ({}, ["Dense"], ["one", "Activation", "shape", "dtype", "rainable"]),
    ({"show_layer_names": True}, ["one (Dense)"], ["Activation"]),
    ({"show_shapes": True}, ["Input shape: (None, 8)", "Output shape: (None, 4)"], ["dtype"]),
    ({"show_dtype": True}, ["Output dtype: float32"], ["shape"]),
    ({"show_layer_activations": True}, ["Activation: relu", "Activation: linear"], ["shape"]),
    ({"show_trainable": True}, ["Trainable", "Not trainable"], ["shape"]),
]


@pytest.mark.parametrize("arguments, shown, hidden", SHOWN, ids=lambda x: str(x)[:40])
def test_what_boxes_show(tmp_path, without_graphviz, arguments, shown, hidden):
    model = stack(kerata)
    model.layers[-1].trainable = False
    utils.plot_model(model, tmp_path / "a.svg", **arguments)
    texts = texts_of(tmp_path / "a.svg")
    for words in shown:
        assert words in texts
    for words in hidden:
        assert not [text for text in texts if words in text]


def test_file_kinds(tmp_path, without_graphviz):
    model = stack(kerata)
    with pytest.warns(UserWarning, match="pip install pydot"):
        utils.plot_model(model, str(tmp_path / "model.png"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.svg"]
    assert texts_of(tmp_path / "model.svg").count("Dense") == 2


def test_ops_subclasses_and_odd_names(tmp_path, without_graphviz):
    class Own(kerata.Model):
        def call(self, x):
            return x

    own = Own(name="own<&>")
    with pytest.raises(errors.NotBuilt, match="kerata.Input"):
        utils.plot_model(own, tmp_path / "a.svg")
    own(kerata.ops.ones((1, 2)))
    utils.plot_model(own, tmp_path / "a.svg", show_layer_names=True)
    assert texts_of(tmp_path / "a.svg") == ["own<&> (Own)"]
    x = kerata.Input((2,))
    utils.plot_model(kerata.Model(x, kerata.ops.relu(x) * 2), tmp_path / "b.svg")
    assert texts_of(tmp_path / "b.svg") == ["InputLayer", "relu", "multiply"]


def test_what_is_refused():
    model = stack(kerata)
    with pytest.raises(errors.UnknownName, match="rankdir"):
        utils.plot_model(model, rankdir="UP")
    with pytest.raises(errors.InvalidArgument, match="layer_range"):
        utils.plot_model(model, layer_range=["a", "b"])


def numbers(element, *names):
    return [float(element.get(name)) for name in names]


def parsed(drawing, direction, splines="ortho"):
    """Return the rectangles of boxes (x0, y0, x1, y1), and the corners of each edge."""
    root = xml.fromstring(layered_drawing.svg(drawing, direction, splines))
    space = "{http://www.w3.org/2000/svg}"
    rectangles = []
    for group in root.iter(f"{space}g"):
        x, y, width, height = numbers(next(group.iter(f"{space}rect")), "x", "y", "width", "height")
        rectangles.append((x, y, x + width, y + height))
    edges = []
    for path in root.findall(f"{space}path"):
        x = y = 0.0
        corners = []
        for command, values in re.findall(r"([MLHVC])([^MLHVC]*)", path.get("d")):
            values = [float(v) for v in values.split()]
            x = values[-2] if command in "MLC" else values[0] if command == "H" else x
            y = values[-1] if command in "MLC" else values[0] if command == "V" else y
            corners.append((x, y))
        edges.append(corners)
    return rectangles, edges


def crosses(rectangle, a, b):
    """Return whether an upright or level line goes through the inside of a rectangle."""
    x0, y0, x1, y1 = rectangle
    (ax, ay), (bx, by) = sorted([a, b])
    low, high = sorted([ay, by])
    return ax < x1 - 0.2 and bx > x0 + 0.2 and low < y1 - 0.2 and high > y0 + 0.2


def random_drawing(seed):
    import random

    draw = random.Random(seed)
    count = draw.randint(2, 14)
    frame = (Group("g", "frame"),)
    boxes = [
        Box(str(i), "x" * draw.randint(1, 30), [("row", "value")] * draw.randint(0, 4), frame if 3 < i < 7 else ())
        for i in range(count)
    ]
    edges = {(str(draw.randrange(i)), str(i)) for i in range(1, count) for _ in range(draw.randint(0, 3))}
    return Drawing(boxes, sorted(edges))


@pytest.mark.parametrize("direction", layered_drawing.DIRECTIONS)
def test_nothing_overlaps(direction):
    """Boxes keep apart, edges lead the right way and run between boxes, and the ends of edges touch their boxes."""
    for seed in range(40):
        drawing = random_drawing(seed)
        rectangles, edges = parsed(drawing, direction)
        for i, a in enumerate(rectangles):
            for b in rectangles[:i]:
                assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (seed, a, b)
        assert len(edges) == len(drawing.edges)
        for (source, target), corners in zip(drawing.edges, edges):
            s, t = rectangles[int(source)], rectangles[int(target)]
            side = {"TB": s[3] <= t[1], "BT": t[3] <= s[1], "LR": s[2] <= t[0], "RL": t[2] <= s[0]}[direction]
            assert side
            for (x, y), box in ((corners[0], s), (corners[-1], t)):
                assert box[0] - 0.2 <= x <= box[2] + 0.2
                assert box[1] - 0.2 <= y <= box[3] + 0.2
            for a, b in zip(corners, corners[1:]):
                assert abs(a[0] - b[0]) < 0.2 or abs(a[1] - b[1]) < 0.2  # right angles
                assert not [r for r in rectangles if crosses(r, a, b)], (seed, source, target)


def test_loops_and_other_lines():
    """A layer that is called on what came of it makes edges that go back."""
    dense = layers.Dense(2, name="again")
    x = kerata.Input((2,))
    y = kerata.layers.ReLU(name="between")(dense(x))
    model = kerata.Model(x, dense(y))
    from kerata.utils import plotting

    shown = plotting._Shown(False, False, True, False, False)
    drawing = plotting._drawing(model, shown, False, "test")
    assert len(drawing.edges) == 3
    for splines in ("ortho", "curved", "line"):
        rectangles, edges = parsed(drawing, "TB", splines)
        assert (len(rectangles), len(edges)) == (3, 3)
    single = Drawing([Box("0", "self", [])], [("0", "0")])
    assert len(parsed(single, "LR")[1]) == 1
