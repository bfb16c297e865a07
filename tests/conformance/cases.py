"""What a row of the table of ops is: a call on NumPy arrays, and what it gives in float64. The rows are in `rows/`.

`case(name, *args, ref=…, **kwargs)` is one row. Arrays anywhere among the arguments are the op's tensors, numbered in
order; the rest is fixed. Without `ref` the float64 run of the NumPy engine is the reference.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerata import config, tree

__all__ = ["CASES", "INSTALLED", "Case", "case", "definite", "flags", "positive", "unit", "whole", "with_nan", "x"]


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One row.

    Args:
        reference: float64 arrays in, the expected result out.
        batch: which tensors have an unknown first dimension in the symbolic test.
        gradient: whether slopes are compared.
        view: applied to the result before anything is compared, where the result itself is not unique.
        static: whether the result's shape depends on values, so that there is no symbolic and no compiled call.
    """

    name: str
    args: tuple
    kwargs: dict[str, Any]
    reference: Callable[..., Any] | None
    batch: tuple[int, ...]
    gradient: bool
    view: Callable[[Any], Any]
    static: bool
    tolerance: float

    @property
    def arrays(self) -> list[np.ndarray]:
        """The tensors, in order."""
        return [leaf for leaf in tree.flatten((self.args, self.kwargs)) if isinstance(leaf, np.ndarray)]

    def filled(self, tensors: Sequence[Any]) -> tuple[tuple, dict[str, Any]]:
        """The arguments with other tensors in the place of the arrays."""
        leaves, spec = tree.flatten_with_spec((self.args, self.kwargs))
        rest = iter(tensors)
        return spec.unflatten([next(rest) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves])


CASES: list[Case] = []

INSTALLED = [name for name in config.ENGINES if importlib.util.find_spec(name)]
"""The engines whose library is here."""


def case(
    name: str,
    *args: Any,
    ref: Callable[..., Any] | None = None,
    batch: tuple[int, ...] | None = None,
    grad: bool = True,
    view: Callable[[Any], Any] = lambda result: result,
    static: bool = False,
    tol: float = 1e-5,
    **kwargs: Any,
) -> None:
    row = Case(name, args, kwargs, ref, (), grad, view, static, tol)
    if batch is None:  # every tensor that has the first one's length
        arrays = row.arrays
        length = arrays[0].shape[:1] if arrays else ()
        batch = tuple(i for i, a in enumerate(arrays) if length and a.shape[:1] == length)
    CASES.append(dataclasses.replace(row, batch=batch))


RNG = np.random.default_rng(3)


def x(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def positive(*shape: int) -> np.ndarray:
    return RNG.uniform(0.5, 2, shape)


def unit(*shape: int) -> np.ndarray:
    return RNG.uniform(-0.9, 0.9, shape)


def whole(*shape: int, low: int = 0, high: int = 9) -> np.ndarray:
    return RNG.integers(low, high, shape)


def flags(*shape: int) -> np.ndarray:
    return RNG.random(shape) < 0.5


def definite(*shape: int) -> np.ndarray:
    """Symmetric matrices with positive, well separated eigenvalues."""
    a = x(*shape)
    return a @ np.swapaxes(a, -1, -2) + np.diag(np.arange(1.0, shape[-1] + 1))


def with_nan(*shape: int) -> np.ndarray:
    a = x(*shape)
    a.flat[1] = np.nan
    return a
