"""What `summary()` shows: a table of the layers, with shapes, numbers of parameters and bytes."""

from __future__ import annotations

import html as html_module
import re
from collections.abc import Callable
from typing import Any

from kerata import errors, tree
from kerata.core.symbolic import KerasTensor
from kerata.core.tracking import unique
from kerata.models import tables
from kerata.models.tables import Named, Row, Table

__all__ = ["html", "show", "table"]

_BITS = {"bool": 8, "bfloat16": 16}


def show(
    model: Any,
    line_length: int | None,
    print_fn: Any,
    expand_nested: bool,
    show_trainable: bool,
    layer_range: Any,
    format: str = "text",
) -> str | None:
    """Print the table as text, or return it as HTML or Markdown; `print_fn` takes it instead, where it is given."""
    tables.check_format(format, "summary")
    found = table(model, expand_nested, show_trainable, layer_range)
    if format == "text" and print_fn is None:
        found.print(line_length)
        return None
    shown = {"text": lambda: found.text(line_length), "html": found.html, "markdown": found.markdown}[format]()
    if print_fn is None:
        return shown
    print_fn(shown)
    return None


def html(model: Any) -> str:
    """Return the table as HTML, for Jupyter."""
    if not model.layers:
        return f"<p>{html_module.escape(repr(model))}: no layers yet</p>"
    return table(model).html()


def table(
    model: Any, expand_nested: bool = False, show_trainable: bool = False, layer_range: Any = None
) -> Table:
    """Return the table. A column tells which layers learn, where some do not or `show_trainable` asks for it."""
    rows = _rows(model, expand_nested, layer_range)
    columns: dict[str, Callable[[Any, Any], str | Named]] = {
        "Layer (type)": lambda layer, _: Named(layer.name, _kind(layer)),
        "Output shape": lambda layer, _: _shape_of(layer),
        "Parameters": lambda layer, _: _count(layer),
    }
    if not all(_is_linear(owner) for _, _, owner in rows):
        columns["Connected to"] = _sources
    if show_trainable or any(_learns(layer) in ("no", "partly") for _, layer, _ in rows):
        columns["Trainable"] = lambda layer, _: _learns(layer)
    cells = [Row([cell(layer, owner) for cell in columns.values()], depth) for depth, layer, owner in rows]
    title = Named(model.name, type(model).__name__)
    return Table("Model", title, list(columns), cells, _lines(model), right=("Parameters",))


# Rows ---------------------------------------------------------------------------------------------------------


def _is_linear(model: Any) -> bool:
    return getattr(model, "_graph", None) is None or type(model).__name__ == "Sequential"


def _rows(model: Any, expand: bool, layer_range: Any = None) -> list[tuple[int, Any, Any]]:
    """Return how deep inside it lies, the layer (or the op between layers), and the model that it is a part of."""
    layers = list(model.layers if _is_linear(model) else model._graph.operations)
    if layer_range is not None:
        names = [layer.name for layer in layers]
        found = [i for i, n in enumerate(names) if re.fullmatch(layer_range[0], n)]
        last = [i for i, n in enumerate(names) if re.fullmatch(layer_range[1], n)]
        if not found or not last:
            raise errors.UnknownName("layer", layer_range, names, where="summary: layer_range")
        layers = layers[found[0] : last[-1] + 1]
    rows = []
    for layer in layers:
        rows.append((0, layer, model))
        if expand and getattr(layer, "layers", None):
            rows += [(depth + 1, inner, owner) for depth, inner, owner in _rows(layer, expand)]
    return rows


def _kind(layer: Any) -> str:
    op = getattr(layer, "op", None)
    return op.__name__ if callable(op) and hasattr(op, "__name__") else type(layer).__name__


def _shape_of(layer: Any) -> str:
    nodes = layer._inbound_nodes
    if not nodes:
        return "?"
    shapes = tree.map_structure(lambda t: t.shape if isinstance(t, KerasTensor) else None, nodes[0].output_structure)
    return str(shapes)


def _count(layer: Any) -> str:
    if not hasattr(layer, "count_params"):  # an op
        return "0"
    return f"{layer.count_params():,}" if layer.built else "not built"


def _sources(layer: Any, model: Any) -> str:
    if _is_linear(model):
        return ""
    nodes = [node for node in model._graph.nodes if node.operation is layer]
    names = [t._history.operation.name for node in nodes for t in node.inputs if t._history]
    return ", ".join(dict.fromkeys(names)) or "–"


def _learns(layer: Any) -> str:
    """Return whether the weights of a layer are trained; statistics that no layer trains do not count."""
    if not getattr(layer, "weights", None):
        return "–"
    if not layer.trainable:
        return "no"
    frozen = any(inner.weights and not inner.trainable for inner in layer._flatten_layers(include_self=False))
    return "partly" if frozen else "yes"


# Lines below --------------------------------------------------------------------------------------------------


def _lines(model: Any) -> list[str]:
    return [
        f"{name} parameters: {sum(v.size for v in group):,} ({readable(byte_size(group))})"
        for name, group in totals(model)
    ]


def totals(model: Any) -> list[tuple[str, list[Any]]]:
    """Return the groups of weights that the last lines count."""
    weights = unique(model.weights)
    groups = [
        ("Trainable", [w for w in weights if w.trainable]),
        ("Not trainable", [w for w in weights if not w.trainable]),
    ]
    if getattr(model, "optimizer", None) is not None and model.optimizer.variables:
        groups.append(("Optimizer", list(model.optimizer.variables)))
    return [("All", [v for _, group in groups for v in group]), *groups]


def byte_size(variables: list[Any]) -> int:
    """Return the bytes that `variables` take."""

    def bits(dtype: str) -> int:
        return _BITS.get(dtype) or int(re.sub(r"\D", "", dtype.split("_")[0]) or 32)

    return sum(v.size * bits(v._dtype) // 8 for v in variables)


def readable(size: float) -> str:
    """Return a number of bytes for people, as in "1.25 MB"."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.2f} {unit}"
        size /= 1024
    raise AssertionError
