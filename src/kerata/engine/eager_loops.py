"""Loops and choices as plain Python, for engines that compute one operation after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerata import tree
from kerata.engine.protocol import Array, Spec, Tree

__all__ = ["Loops", "per_leaf"]


class Loops:
    """The loops of an engine's transforms.

    Args:
        as_array: makes an array of a number.
        unknown: tells whether a value is not there yet, so that only the shapes of a result can be found. It may
            raise where a result without values would be wrong.
        valueless: tells whether a value is missing because abstract evaluation asks for shapes alone.
        namespace: the engine's NumPy-like namespace.
        abstract: the engine's abstract evaluation.
    """

    def __init__(
        self, as_array: Callable[[Any], Array], unknown: Callable[[Any], bool], valueless: Callable[[Any], bool],
        namespace: Any, abstract: Callable[..., Tree],
    ) -> None:  # fmt: skip
        self._as_array, self._unknown, self._valueless = as_array, unknown, valueless
        self._numpy, self._abstract = namespace, abstract

    def _arrays(self, x: Tree) -> Tree:
        """Return `x` with its Python numbers as arrays, as they are inside a loop."""
        return tree.map_structure(
            lambda leaf: leaf if leaf is None or hasattr(leaf, "shape") else self._as_array(leaf), x
        )

    def scan(self, step: Callable, init: Tree, xs: Tree, length: int | None, reverse: bool) -> tuple[Tree, Tree]:
        lengths = [x.shape[0] for x in tree.flatten(xs) if x is not None]
        steps = range(lengths[0] if length is None else length)

        def inputs(i: int) -> Tree:
            return tree.map_structure(lambda x: None if x is None else x[i], xs)

        carry, outputs = self._arrays(init), []
        if len(steps) > 1 and any(map(self._valueless, tree.flatten((carry, xs)))):  # each step has the first's shapes
            carry, output = step(carry, inputs(0))
            return carry, tree.map_structure(
                lambda y: None if y is None else self._numpy.broadcast_to(y, (len(steps), *y.shape)),
                self._arrays(output),
            )
        for i in reversed(steps) if reverse else steps:
            carry, output = step(carry, inputs(i))
            outputs.append(self._arrays(output))
        if not outputs:
            first = tree.map_structure(lambda x: None if x is None else Spec(tuple(x.shape[1:]), x.dtype), xs)
            _, specs = self._abstract(step, carry, first)
            return carry, tree.map_structure(lambda s: s and self._numpy.zeros((0, *s.shape), s.dtype), specs)
        if reverse:
            outputs.reverse()
        return carry, tree.map_structure(lambda *ys: None if ys[0] is None else self._numpy.stack(ys), *outputs)

    def fori_loop(self, start: Any, stop: Any, body: Callable[[Any, Tree], Tree], init: Tree) -> Tree:
        state = self._arrays(init)
        if self._unknown(start) or self._unknown(stop):
            return body(self._as_array(start), state)  # any number of steps leaves the shapes of one
        for i in range(int(start), int(stop)):
            state = body(self._as_array(i), state)
        return state

    def while_loop(self, cond: Callable[[Tree], Any], body: Callable[[Tree], Tree], init: Tree) -> Tree:
        state = self._arrays(init)
        while not self._unknown(going := cond(state)) and going:
            state = body(state)
        return body(state) if self._unknown(going) else state

    def associative_scan(self, function: Callable, elems: Tree, reverse: bool, axis: int) -> Tree:
        flat = tree.flatten(elems)
        places = [(slice(None),) * (axis % flat[0].ndim) + (slice(i, i + 1),) for i in range(flat[0].shape[axis])]
        if not places:
            return elems
        slices = [tree.map_structure(lambda x, place=place: x[place], elems) for place in places]
        if reverse:
            slices.reverse()
        results = slices[:1]
        for element in slices[1:]:
            results.append(function(results[-1], element))
        if reverse:
            results.reverse()
        return tree.map_structure(lambda *parts: self._numpy.concatenate(parts, axis), *results)


def per_leaf(axes: Any, structure: Tree) -> list[int | None]:
    """Return the axis of each leaf of `structure`; an axis in `axes` speaks for all leaves below it."""
    spread = tree.map_structure_up_to(
        axes, lambda axis, below: tree.map_structure(lambda _: axis, below), axes, structure
    )
    return tree.flatten(spread)
