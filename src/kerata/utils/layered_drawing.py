"""A directed graph as SVG: boxes in layers, each below those that lead to it (after Sugiyama et al. 1981)."""

from __future__ import annotations

import dataclasses
import html

__all__ = ["DIRECTIONS", "Box", "Drawing", "Group", "svg"]

DIRECTIONS = ("TB", "LR", "BT", "RL")

CHARACTER, LINE, PADDING = 7.3, 20, 12  # the width of a letter, the height of a row, the space around text
GAP, LAYER_GAP, MARGIN = 28, 44, 20  # between boxes of a layer, between layers, around everything
THROUGH = 12  # the width that an edge takes in a layer that it passes through


@dataclasses.dataclass(frozen=True)
class Group:
    """A frame around boxes."""

    key: str
    name: str


@dataclasses.dataclass
class Box:
    """A box: a heading, and rows of a name and a value."""

    key: str
    heading: str
    rows: list[tuple[str, str]]
    groups: tuple[Group, ...] = ()

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        texts = [self.heading, *(f"{name}: {value}" for name, value in self.rows)]
        return max(map(len, texts)) * CHARACTER + 2 * PADDING, len(texts) * LINE + 8


@dataclasses.dataclass
class Drawing:
    """Boxes in an order in which edges go forward (but for those that go round), and edges between their keys."""

    boxes: list[Box] = dataclasses.field(default_factory=list)
    edges: list[tuple[str, str]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Place:
    """Something that stands in a layer: a box, or a point of an edge that passes through."""

    key: str
    layer: int
    size: tuple[float, float]
    groups: tuple[Group, ...]
    passes: bool = False
    x: float = 0.0
    y: float = 0.0
    above: list[str] = dataclasses.field(default_factory=list)
    below: list[str] = dataclasses.field(default_factory=list)


def svg(drawing: Drawing, direction: str = "TB", splines: str = "ortho") -> str:
    """Return the drawing as the text of an SVG file."""
    sideways = direction in ("LR", "RL")
    places, routes = _arranged(drawing)
    _position(places, sideways)
    if direction in ("BT", "RL"):
        for place in places.values():
            if sideways:
                place.x = -place.x
            else:
                place.y = -place.y
    frames = _frames(drawing, places)
    corners = [(p.x - p.size[0] / 2, p.y - p.size[1] / 2, p.x + p.size[0] / 2, p.y + p.size[1] / 2) for p in
               places.values()] + [frame[:4] for frame in frames]  # fmt: skip
    left, top = min(c[0] for c in corners) - MARGIN, min(c[1] for c in corners) - MARGIN
    width, height = max(c[2] for c in corners) + MARGIN - left, max(c[3] for c in corners) + MARGIN - top
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{left:.1f} {top:.1f} {width:.1f} {height:.1f}" font-family="Helvetica, Arial, sans-serif" '
        'font-size="13">',
        '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z"/></marker></defs>',
        f'<rect x="{left:.1f}" y="{top:.1f}" width="100%" height="100%" fill="white"/>',
    ]
    for x0, y0, x1, y1, name in frames:
        parts.append(
            f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" fill="none" stroke="#666" '
            f'stroke-dasharray="5 4"/><text x="{x0 + 8:.1f}" y="{y0 + 15:.1f}" fill="#666">{html.escape(name)}</text>'
        )
    for route in routes:
        path = _path([places[key] for key in route], direction, splines)
        parts.append(f'<path d="{path}" fill="none" stroke="black" stroke-width="1.5" marker-end="url(#arrow)"/>')
    parts += [_drawn(box, places[box.key]) for box in drawing.boxes]
    return "\n".join([*parts, "</svg>", ""])


def _arranged(drawing: Drawing) -> tuple[dict[str, _Place], list[list[str]]]:
    """Put the boxes into layers and break long edges; return all places, and the places along each edge."""
    number = {box.key: i for i, box in enumerate(drawing.boxes)}
    layer = dict.fromkeys(number, 0)
    forward = sorted((e for e in drawing.edges if number[e[0]] < number[e[1]]), key=lambda e: number[e[1]])
    for source, target in forward:  # in the order of the targets: a source has its layer already
        layer[target] = max(layer[target], layer[source] + 1)
    # What nothing leads to comes down to where it is used.
    for source, _ in sorted(forward, key=lambda e: number[e[0]], reverse=True):
        if not any(source == b for _, b in forward):
            layer[source] = min(layer[b] for a, b in forward if a == source) - 1
    places = {box.key: _Place(box.key, layer[box.key], box.size, box.groups) for box in drawing.boxes}
    routes = []
    for source, target in drawing.edges:
        route = [source]
        step = 1 if layer[source] < layer[target] else -1
        for between in range(layer[source] + step, layer[target], step):
            key = f"{source} {target} {between}"
            common = tuple(g for g in places[source].groups if g in places[target].groups)
            places[key] = _Place(key, between, (THROUGH, THROUGH), common, passes=True)
            route.append(key)
        route.append(target)
        routes.append(route)
        for a, b in zip(route, route[1:]):
            places[a].below.append(b)
            places[b].above.append(a)
    return places, routes


def _position(places: dict[str, _Place], sideways: bool) -> None:
    """Give each place its x and y: layers below each other, and in a layer near to its neighbours."""
    across, along = (1, 0) if sideways else (0, 1)
    layers: dict[int, list[_Place]] = {}
    for place in places.values():
        layers.setdefault(place.layer, []).append(place)
    ordered = [layers[n] for n in sorted(layers)]
    at: dict[str, float] = {p.key: float(i) for row in ordered for i, p in enumerate(row)}

    def mean(keys: list[str], otherwise: float) -> float:
        return sum(at[k] for k in keys) / len(keys) if keys else otherwise

    def pack(row: list[_Place]) -> None:
        """Set the row's places next to each other, each as near to where it wants to be as the order allows."""
        wants = [at[p.key] for p in row]
        position = -float("inf")
        found = []
        for place, want in zip(row, wants):
            half = place.size[across] / 2
            position = max(want, position + half)
            found.append(position)
            position += half + GAP
        shift = sum(w - f for w, f in zip(wants, found)) / len(row)
        for place, f in zip(row, found):
            at[place.key] = f + shift

    for row in ordered:
        pack(row)
    for sweep in range(6):
        downwards = sweep % 2 == 0
        for row in ordered if downwards else ordered[::-1]:
            wish = {p.key: mean(p.above if downwards else p.below, at[p.key]) for p in row}
            members: dict[tuple[Group, ...], list[float]] = {}
            for p in row:
                members.setdefault(p.groups[:1], []).append(wish[p.key])
            centre = {group: sum(values) / len(values) for group, values in members.items()}
            row.sort(key=lambda p: (centre[p.groups[:1]], wish[p.key]) if p.groups else (wish[p.key], wish[p.key]))
            at.update(wish)
            pack(row)
    start = 0.0
    for row in ordered:
        depth = max(p.size[along] for p in row)
        for p in row:
            if p.passes:  # straight through the whole layer
                p.size = (depth, THROUGH) if sideways else (THROUGH, depth)
            middle = start + p.size[along] / 2
            p.x, p.y = (middle, at[p.key]) if sideways else (at[p.key], middle)
        start += depth + LAYER_GAP


def _frames(drawing: Drawing, places: dict[str, _Place]) -> list[tuple[float, float, float, float, str]]:
    """Return a rectangle and a name for each group, the outer ones first."""
    members: dict[Group, list[_Place]] = {}
    depths: dict[Group, int] = {}
    innermost = max((len(box.groups) for box in drawing.boxes), default=0)
    for box in drawing.boxes:
        for depth, group in enumerate(box.groups):
            members.setdefault(group, []).append(places[box.key])
            depths[group] = depth
    frames = []
    for group, inside in sorted(members.items(), key=lambda item: depths[item[0]]):
        space = 6 + 5 * (innermost - depths[group])
        frames.append((
            min(p.x - p.size[0] / 2 for p in inside) - space,
            min(p.y - p.size[1] / 2 for p in inside) - space - 10,
            max(p.x + p.size[0] / 2 for p in inside) + space,
            max(p.y + p.size[1] / 2 for p in inside) + space,
            group.name,
        ))  # fmt: skip
    return frames


def _path(route: list[_Place], direction: str, splines: str) -> str:
    """Return an edge as path data, from the end of its first box to the beginning of its last."""
    sign = 1 if direction in ("TB", "LR") else -1
    sideways = direction in ("LR", "RL")
    sign = sign if route[0].layer <= route[-1].layer else -sign

    def end(place: _Place, side: int) -> tuple[float, float]:
        if sideways:
            return place.x + side * sign * place.size[0] / 2, place.y
        return place.x, place.y + side * sign * place.size[1] / 2

    points = [end(route[0], 1), *(end(p, side) for p in route[1:-1] for side in (-1, 1)), end(route[-1], -1)]
    text = "M{:.1f} {:.1f}".format(*points[0])
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        mx, my = x1 - sign * LAYER_GAP / 2, y1 - sign * LAYER_GAP / 2  # between the layers, where nothing stands
        if splines in ("line", "polyline", "false") or abs(x0 - x1) < 0.05 or abs(y0 - y1) < 0.05:
            text += f"L{x1:.1f} {y1:.1f}"
        elif splines == "ortho":
            text += f"H{mx:.1f}V{y1:.1f}H{x1:.1f}" if sideways else f"V{my:.1f}H{x1:.1f}V{y1:.1f}"
        elif sideways:
            text += f"C{mx:.1f} {y0:.1f} {mx:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        else:
            text += f"C{x0:.1f} {my:.1f} {x1:.1f} {my:.1f} {x1:.1f} {y1:.1f}"
    return text


def _drawn(box: Box, place: _Place) -> str:
    width, height = place.size
    x, y = place.x - width / 2, place.y - height / 2
    head = LINE + 6 if box.rows else height
    parts = [
        f'<g><rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="white" stroke="black"/>',
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{head:.1f}"/>',
        f'<text x="{place.x:.1f}" y="{y + 18:.1f}" fill="white" font-weight="bold" text-anchor="middle">'
        f"{html.escape(box.heading)}</text>",
    ]
    for i, (name, value) in enumerate(box.rows):
        shown = f"{html.escape(name)}: <tspan font-weight='bold'>{html.escape(value)}</tspan>" if value else name
        parts.append(f'<text x="{place.x:.1f}" y="{y + head + 16 + i * LINE:.1f}" text-anchor="middle">{shown}</text>')
    return "".join([*parts, "</g>"])
