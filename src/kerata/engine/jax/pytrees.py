"""JAX's pytrees, which know the containers of other libraries (flax, haiku …) too, and its typed random keys.

Nothing above this floor imports JAX; a layer that holds a nest of another library's asks here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from kerata.engine.protocol import Array, Tree

__all__ = ["key_data", "key_kind", "leaves_by_path", "map_with_path", "typed_key"]


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def map_with_path(function: Callable[[str, Any], Any], tree: Tree) -> Tree:
    """Return `tree` with `function(path, leaf)` in the place of each leaf; a path reads "dense/kernel"."""
    return jax.tree_util.tree_map_with_path(lambda path, leaf: function(_name(path), leaf), tree)


def leaves_by_path(tree: Tree) -> dict[str, Any]:
    """Return the leaves in order by their paths; the types of containers do not matter, and None is no leaf."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def key_kind(x: Any) -> Any:
    """Return how a typed key is computed with, or None for anything else."""
    typed = isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jax.random.key_impl(x) if typed else None


def key_data(key: Array) -> Array:
    """Return the numbers in a typed key."""
    return jax.random.key_data(key)


def typed_key(data: Array, kind: Any) -> Array:
    """Return the typed key with these numbers."""
    return jax.random.wrap_key_data(data, impl=kind)
