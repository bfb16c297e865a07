"""Drawings of models: by Graphviz where it is installed, and else as a small SVG of our own."""

from __future__ import annotations

import contextlib
import dataclasses
import html
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

from kerata import errors, tree
from kerata.core.packages import package
from kerata.core.symbolic import KerasTensor
from kerata.utils import layered_drawing
from kerata.utils.layered_drawing import Box, Drawing, Group

__all__ = ["model_to_dot", "plot_model"]


@dataclasses.dataclass
class _Shown:
    """What a box tells of its layer."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool


@errors.user_facing
def plot_model(
    model: Any,
    to_file: Any = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Write a drawing of a model to a file.

    With Graphviz and pydot the ending of `to_file` says which kind of file. Without them an SVG is written: to
    `to_file` where it ends with `.svg`, and else, with a warning, to a file of the same name with that ending.

    Args:
        show_shapes: show the shapes that go into a layer and come out of it.
        show_dtype: show the dtype that comes out of a layer.
        show_layer_names: show the names of layers beside their classes.
        rankdir: "TB" from top to bottom, "LR" from left to right, or "BT", "RL".
        expand_nested: draw the layers of models inside the model.
        dpi: dots per inch, of pixel images.
        show_layer_activations: show the activations of layers.
        show_trainable: show whether the weights of a layer learn.
        splines: "ortho" for edges with right angles, "curved" or "spline" for round ones, "line" or "polyline" for
            straight ones.

    Returns:
        In a notebook the image, to be shown; else None.

    Example:
        >>> model = kerata.Sequential([kerata.Input((3,)), kerata.layers.Dense(2)])
        >>> kerata.utils.plot_model(model, "model.svg", show_shapes=True)
    """
    shown = _Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    _refuse(kwargs, rankdir, "plot_model")
    path = Path(to_file)
    path = path if path.suffix else path.with_suffix(".png")
    if _pydot() is not None and shutil.which("dot"):
        dot = _dot(model, shown, rankdir, expand_nested, dpi, splines, subgraph=False)
        dot.write(str(path), format=path.suffix[1:])
    else:
        if path.suffix != ".svg":
            path = path.with_suffix(".svg")
            warnings.warn(
                f"only an SVG can be drawn without Graphviz, so here it is: {path}. For other kinds of files install "
                "pydot (pip install pydot) and Graphviz (graphviz.org/download).", stacklevel=3,
            )  # fmt: skip
        drawing = _drawing(model, shown, expand_nested, "plot_model")
        path.write_text(layered_drawing.svg(drawing, rankdir, splines), encoding="utf-8")
    if "IPython" in sys.modules and path.suffix in (".svg", ".png", ".jpg", ".jpeg", ".gif"):
        from IPython import display  # type: ignore[import-not-found]

        return (display.SVG if path.suffix == ".svg" else display.Image)(filename=str(path))
    return None


@errors.user_facing
def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Return a drawing of a model for Graphviz: a `pydot.Dot`, or a `pydot.Cluster` with `subgraph`.

    The arguments are those of `plot_model`. Needs pydot, though not Graphviz itself.
    """
    _refuse(kwargs, rankdir, "model_to_dot")
    package("pydot", "model_to_dot", otherwise="plot_model(model, 'model.svg'), which needs nothing")
    shown = _Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    return _dot(model, shown, rankdir, expand_nested, dpi, splines, subgraph)


def _pydot() -> Any:
    try:
        import pydot  # type: ignore[import-not-found]
    except ImportError:
        return None
    return pydot


def _refuse(kwargs: dict[str, Any], rankdir: str, where: str) -> None:
    if kwargs:
        raise errors.InvalidArgument("unknown arguments.", where=where, got=sorted(kwargs))
    if rankdir not in layered_drawing.DIRECTIONS:
        raise errors.UnknownName("rankdir", rankdir, layered_drawing.DIRECTIONS, where=where)


# What is drawn -------------------------------------------------------------------------------------------------


def _drawing(model: Any, shown: _Shown, expand_nested: bool, where: str) -> Drawing:
    """Return boxes and edges of a model."""
    if not getattr(model, "built", False):
        raise errors.NotBuilt(
            "the model is not built yet.", where=where, hint="call it on data, or start it with kerata.Input(shape)"
        )
    drawing = Drawing()
    if getattr(model, "_graph", None) is None:
        drawing.boxes.append(_box(model, shown, ()))
    else:
        _add(drawing, model, shown, expand_nested, ())
    return drawing


def _is_graph(operation: Any) -> bool:
    return getattr(operation, "_graph", None) is not None and hasattr(operation, "layers")


def _is_stack(model: Any) -> bool:
    """Return whether a model is drawn as Sequential ones are: without a box for its input."""
    return type(model).__name__ == "Sequential"


def _add(drawing: Drawing, model: Any, shown: _Shown, expand: bool, groups: tuple[Group, ...]) -> None:
    operations = model.layers if _is_stack(model) else model._graph.operations
    for operation in operations:
        if expand and _is_graph(operation):
            _add(drawing, operation, shown, expand, (*groups, Group(str(id(operation)), operation.name)))
        elif all(box.key != str(id(operation)) for box in drawing.boxes):  # a shared layer has one box
            drawing.boxes.append(_box(operation, shown, groups))
    if _is_stack(model):
        pairs: list[Any] = [((a, 0), (b, 0)) for a, b in zip(operations, operations[1:])]
    else:
        pairs = [
            ((t._history.operation, t._history.tensor_index), (node.operation, i))
            for node in model._graph.nodes
            for i, t in enumerate(node.inputs)
            if t._history is not None
        ]
    for (source, output), (target, given) in pairs:
        edge = (str(id(_last(source, output, expand))), str(id(_first(target, given, expand))))
        if edge not in drawing.edges:
            drawing.edges.append(edge)


def _last(operation: Any, index: int, expand: bool) -> Any:
    """Return the layer whose box output `index` of an operation comes out of."""
    while expand and _is_graph(operation):
        if _is_stack(operation):
            operation = operation.layers[-1]
        else:
            history = operation._graph.outputs[index]._history
            operation, index = history.operation, history.tensor_index
    return operation


def _first(operation: Any, index: int, expand: bool) -> Any:
    """Return the layer whose box input `index` of an operation goes into."""
    while expand and _is_graph(operation):
        if _is_stack(operation):
            operation, index = operation.layers[0], 0
        else:
            operation = operation._graph.inputs[index]._history.operation
    return operation


def _box(layer: Any, shown: _Shown, groups: tuple[Group, ...]) -> Box:
    op = getattr(layer, "op", None)
    title = op.__name__ if op is not None and callable(op) else type(layer).__name__
    heading = f"{layer.name} ({title})" if shown.names else title
    box = Box(str(id(layer)), heading, [], groups)
    activation = getattr(layer, "activation", None)
    if shown.activations and activation is not None:
        box.rows.append(("Activation", getattr(activation, "name", None) or getattr(activation, "__name__", "?")))
    if shown.shapes:
        if title != "InputLayer":
            box.rows.append(("Input shape", _told(layer, "input", "shape")))
        box.rows.append(("Output shape", _told(layer, "output", "shape")))
    if shown.dtype:
        box.rows.append(("Output dtype", _told(layer, "output", "dtype")))
    if shown.trainable and getattr(layer, "weights", None):
        box.rows.append(("Trainable" if layer.trainable else "Not trainable", ""))
    return box


def _told(layer: Any, side: str, what: str) -> str:
    """Return shapes or dtypes of what goes into a layer or comes out of it, "?" where nobody knows."""
    with contextlib.suppress(errors.KerataError, AttributeError):
        tensors = getattr(layer, side)
        value = tree.map_structure(lambda t: getattr(t, what) if isinstance(t, KerasTensor) else None, tensors)
        if isinstance(value, dict):
            return ", ".join(f"{name}: {one}" for name, one in value.items())
        return str(value)
    return "?"


# By Graphviz ---------------------------------------------------------------------------------------------------


def _dot(
    model: Any, shown: _Shown, rankdir: str, expand_nested: bool, dpi: int, splines: str, subgraph: bool
) -> Any:
    pydot = _pydot()
    drawing = _drawing(model, shown, expand_nested, "model_to_dot")
    if subgraph:
        graph = pydot.Cluster(graph_name=model.name, label=model.name, style="dashed", labeljust="l")
    else:
        graph = pydot.Dot(graph_type="digraph", rankdir=rankdir, dpi=dpi, splines=splines, concentrate="true")
    clusters: dict[tuple[Group, ...], Any] = {(): graph}
    for box in drawing.boxes:
        for depth in range(1, len(box.groups) + 1):
            path = box.groups[:depth]
            if path not in clusters:
                name = path[-1].name
                clusters[path] = pydot.Cluster(graph_name=path[-1].key, label=name, style="dashed", labeljust="l")
        node = pydot.Node(box.key, label=_label(box), shape="plaintext", fontname="Helvetica", margin="0")
        clusters[box.groups].add_node(node)
    for path, cluster in clusters.items():
        if path:
            clusters[path[:-1]].add_subgraph(cluster)
    for source, target in drawing.edges:
        graph.add_edge(pydot.Edge(source, target, penwidth="2"))
    return graph


def _label(box: Box) -> str:
    cells = "".join(
        f'<tr><td bgcolor="white">{html.escape(name)}{": " if value else ""}<b>{html.escape(value)}</b></td></tr>'
        if value
        else f'<tr><td bgcolor="white">{html.escape(name)}</td></tr>'
        for name, value in box.rows
    )
    head = f'<tr><td bgcolor="black"><font color="white"><b>{html.escape(box.heading)}</b></font></td></tr>'
    return f'<<table border="0" cellborder="1" cellspacing="0" cellpadding="8">{head}{cells}</table>>'
