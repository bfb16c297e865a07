"""Nested structures (lists, tuples, dicts, named tuples) as trees, on optree.

`None` is a leaf, as in Keras. Dictionaries are walked in sorted order of their keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import optree

from kerata import errors

__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path", "is_nested",
    "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to", "pack_sequence_as", "traverse",
]  # fmt: skip

_NAMESPACE = "kerata"


class MAP_TO_NONE:  # noqa: N801  (Keras's name)
    """Returned by the function given to `traverse` to put `None` in place of a subtree."""


def is_nested(structure: Any) -> bool:
    """Return whether `structure` is a container that `flatten` would open."""
    return not optree.tree_is_leaf(structure, none_is_leaf=True, namespace=_NAMESPACE)


def flatten(structure: Any) -> list[Any]:
    """Return the leaves of `structure` in order."""
    return optree.tree_leaves(structure, none_is_leaf=True, namespace=_NAMESPACE)


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """Return `(path, leaf)` pairs; a path is the tuple of keys and indices that lead to the leaf."""
    paths, leaves, _ = optree.tree_flatten_with_path(structure, none_is_leaf=True, namespace=_NAMESPACE)
    return list(zip(paths, leaves))


def unflatten_function(structure: Any) -> tuple[list[Any], Callable[[Iterable[Any]], Any]]:
    """Return the leaves and the function that puts other leaves in their places."""
    leaves, spec = optree.tree_flatten(structure, none_is_leaf=True, namespace=_NAMESPACE)
    return leaves, spec.unflatten


def flatten_with_spec(structure: Any) -> tuple[list[Any], Any]:
    """Return the leaves and a hashable description of the structure with an `unflatten` method."""
    return optree.tree_flatten(structure, none_is_leaf=True, namespace=_NAMESPACE)


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """Apply `func` to the matching leaves of `structures`, all of one structure."""
    if not structures:
        raise errors.InvalidArgument("needs at least one structure.", where="tree.map_structure")
    try:
        return optree.tree_map(func, *structures, none_is_leaf=none_is_leaf, namespace=_NAMESPACE)
    except ValueError as error:
        if len(structures) > 1:
            for other in structures[1:]:
                assert_same_structure(structures[0], other)
        raise error


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """Apply `func` to the subtrees of `structures` that stand where `shallow_structure` has leaves."""
    leaves, spec = flatten_with_spec(shallow_structure)
    if not leaves and not is_nested(shallow_structure):
        return func(*structures)
    parts = [spec.flatten_up_to(structure) for structure in structures]
    return spec.unflatten(func(*group) for group in zip(*parts))


def assert_same_structure(a: Any, b: Any, check_types: Any = None) -> None:
    """Raise if `a` and `b` differ in structure (types of containers, keys, lengths); `check_types` is of old Keras."""
    first = optree.tree_structure(a, none_is_leaf=True, namespace=_NAMESPACE)
    second = optree.tree_structure(b, none_is_leaf=True, namespace=_NAMESPACE)
    if first != second:
        raise errors.InvalidArgument("two nested structures differ.", expected=first, got=second)


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise if the leaves of `a` and `b` stand at different paths; the containers' types may differ."""
    first, second = ([path for path, _ in flatten_with_path(s)] for s in (a, b))
    if first != second:
        raise errors.InvalidArgument("two nested structures have different paths.", expected=first, got=second)


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """Return `structure` with its leaves replaced, in order, by `flat_sequence`."""
    flat = list(flat_sequence)
    leaves, spec = flatten_with_spec(structure)
    if len(leaves) != len(flat):
        raise errors.InvalidArgument(
            "the structure and the sequence do not match.", expected=f"{len(leaves)} leaves", got=f"{len(flat)} leaves"
        )
    return spec.unflatten(flat)


def lists_to_tuples(structure: Any) -> Any:
    """Return `structure` with every list turned into a tuple."""
    return traverse(lambda s: tuple(s) if isinstance(s, list) else None, structure, top_down=False)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """Apply `func` to each shape (a tuple or list of ints and Nones) in `structure`."""

    def is_shape(x: Any) -> bool:
        return isinstance(x, (list, tuple)) and all(d is None or isinstance(d, int) for d in x)

    return optree.tree_map(func, structure, is_leaf=is_shape, none_is_leaf=True, namespace=_NAMESPACE)


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Walk every node of `structure`; where `func` returns something other than None, that replaces the node."""

    def replaced(value: Any) -> Any:
        return None if value is MAP_TO_NONE else value

    def walk(node: Any) -> Any:
        if top_down and (value := func(node)) is not None:
            return replaced(value)
        if is_nested(node):
            children, _, _, unflatten = optree.tree_flatten_one_level(node, none_is_leaf=True, namespace=_NAMESPACE)
            node = unflatten(_metadata(node), [walk(child) for child in children])
        if not top_down and (value := func(node)) is not None:
            return replaced(value)
        return node

    def _metadata(node: Any) -> Any:
        return optree.tree_flatten_one_level(node, none_is_leaf=True, namespace=_NAMESPACE)[1]

    return walk(structure)
