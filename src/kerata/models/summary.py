"""What `summary()` shows: a table of the layers, with shapes, numbers of parameters and bytes."""

from __future__ import annotations

import html as html_module
import io
import re
from typing import Any

from kerata import errors, tree
from kerata.core.symbolic import KerasTensor
from kerata.core.tracking import unique

__all__ = ["html", "show"]

_BITS = {"bool": 8, "bfloat16": 16}


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


def _shape_of(layer: Any) -> str:
    nodes = layer._inbound_nodes
    if not nodes:
        return "?"
    shapes = tree.map_structure(lambda t: t.shape if isinstance(t, KerasTensor) else None, nodes[0].output_structure)
    return str(shapes)


def _sources(layer: Any, kept: set[int]) -> str:
    names = []
    for node in layer._inbound_nodes:
        if kept and id(node) not in kept:
            continue
        for tensor in node.inputs:
            if tensor._history:
                names.append(tensor._history.operation.name)
    return ", ".join(unique_strings(names)) or "–"


def unique_strings(names: list[str]) -> list[str]:
    """Return `names` without repetitions, in order."""
    return list(dict.fromkeys(names))


def _rows(model: Any, expand: bool, layer_range: Any = None) -> list[tuple[int, Any, list[str]]]:
    graph = getattr(model, "_graph", None)
    linear = graph is None or type(model).__name__ == "Sequential"
    kept = {id(n) for n in graph.nodes} if graph is not None else set()
    layers = list(model.layers)
    if layer_range is not None:
        names = [layer.name for layer in layers]
        found = [i for i, n in enumerate(names) if re.fullmatch(layer_range[0], n)]
        last = [i for i, n in enumerate(names) if re.fullmatch(layer_range[1], n)]
        if not found or not last:
            raise errors.UnknownName("layer", layer_range, names, where="summary: layer_range")
        layers = layers[found[0] : last[-1] + 1]
    rows = []
    for layer in layers:
        count = f"{layer.count_params():,}" if layer.built else "not built"
        source = "" if linear else _sources(layer, kept)
        rows.append((0, layer, [f"{layer.name} ({type(layer).__name__})", _shape_of(layer), count, source]))
        if expand and getattr(layer, "layers", None):
            rows += [(depth + 1, inner, cells) for depth, inner, cells in _rows(layer, expand)]
    return rows


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


def _columns(rows: list[Any], show_trainable: bool) -> list[str]:
    names = ["Layer (type)", "Output shape", "Parameters"]
    if any(cells[3] for _, _, cells in rows):
        names.append("Connected to")
    return [*names, "Trainable"] if show_trainable else names


def _cells(layer: Any, depth: int, cells: list[str], columns: list[str]) -> list[str]:
    shown = ["  " * depth + cells[0], *cells[1:3]]
    if "Connected to" in columns:
        shown.append(cells[3])
    if "Trainable" in columns:
        shown.append("yes" if layer.trainable else "no")
    return shown


def show(
    model: Any, line_length: int | None, print_fn: Any, expand_nested: bool, show_trainable: bool, layer_range: Any
) -> None:
    """Print the table with rich, or hand its text to `print_fn`."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows = _rows(model, expand_nested, layer_range)
    columns = _columns(rows, show_trainable)
    table = Table(title=f"Model: {model.name!r}", title_justify="left", title_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name == "Parameters" else "left", overflow="fold")
    for depth, layer, cells in rows:
        table.add_row(*(escape(cell) for cell in _cells(layer, depth, cells, columns)))
    lines = [
        f"{name} parameters: {sum(v.size for v in group):,} ({readable(byte_size(group))})"
        for name, group in totals(model)
    ]
    if print_fn is None:
        console = Console(width=line_length)
        console.print(table)
        for line in lines:
            console.print(line, highlight=False)
        return
    console = Console(width=line_length or 100, no_color=True, record=True, file=io.StringIO())
    console.print(table)
    for line in lines:
        console.print(line, highlight=False)
    print_fn(console.export_text())



def html(model: Any) -> str:
    """Return the table as HTML, for Jupyter."""
    title = f"<b>{html_module.escape(type(model).__name__)}</b> “{html_module.escape(model.name)}”"
    if not model.layers:
        return f"<p>{title}: no layers yet</p>"
    rows = _rows(model, expand=False)
    columns = _columns(rows, show_trainable=False)
    head = "".join(f"<th>{c}</th>" for c in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html_module.escape(c)}</td>" for c in _cells(layer, depth, cells, columns)) + "</tr>"
        for depth, layer, cells in rows
    )
    lines = "<br>".join(
        f"{name} parameters: {sum(v.size for v in group):,} ({readable(byte_size(group))})"
        for name, group in totals(model)
    )
    return f"<p>{title}</p><table><tr>{head}</tr>{body}</table><p>{lines}</p>"
