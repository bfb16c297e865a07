"""Quantizing a matrix with a look at what it is multiplied with: GPTQ and AWQ. Computed with NumPy, once for a model.

A matrix is (O, I), outputs times inputs, as the papers have it; levels are whole numbers from 0 to 2^bits - 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Levels", "awq", "gptq"]


class Levels(NamedTuple):
    """A matrix as levels: a cell is about scale · (level - zero), with scale and zero of its output and group."""

    values: np.ndarray
    """(O, I)"""
    scale: np.ndarray
    """(O, G)"""
    zero: np.ndarray
    """(O, G)"""
    groups: np.ndarray
    """(I,): the group of each input."""

    @property
    def matrix(self) -> np.ndarray:
        """The floats that are meant, (O, I)."""
        return self.scale[:, self.groups] * (self.values - self.zero[:, self.groups])


def _range(matrix: np.ndarray, bits: int, symmetric: bool = False, per_channel: bool = True) -> tuple:
    """Return scale and zero, (O, 1), of one group of inputs; the zero is to be a whole number from 0 to 255."""
    axis = 1 if per_channel else None
    highest = 2**bits - 1
    least = np.minimum(np.min(matrix, axis=axis, keepdims=True), 0)
    most = np.maximum(np.max(matrix, axis=axis, keepdims=True), least * (1 - highest / 255))
    if symmetric:
        most = np.maximum(most, -least)
        least = -most
    scale = np.where(most > least, most - least, 1) / highest
    zero = np.full_like(scale, (highest + 1) // 2) if symmetric else np.round(-least / scale)
    shape = (len(matrix), 1)
    return np.broadcast_to(scale, shape), np.broadcast_to(zero, shape)


def _levels(matrix: np.ndarray, scale: np.ndarray, zero: np.ndarray, bits: int) -> np.ndarray:
    return np.clip(np.round(matrix / scale + zero), 0, 2**bits - 1)


def gptq(
    matrix: np.ndarray,
    hessian: np.ndarray,
    bits: int = 4,
    group_size: int = -1,
    damping: float = 0.01,
    symmetric: bool = False,
    per_channel: bool = True,
    activation_order: bool = False,
    block: int = 128,
) -> Levels:
    """Round one input's column after the other; the columns to come make up for the error as well as they can.

    Args:
        matrix: (O, I).
        hessian: (I, I), the mean of x xᵀ over inputs x, times any number.
        damping: what is added to the Hessian's diagonal, as a fraction of its mean.
        block: how many columns are brought up to date at once.

    Source: Frantar et al. (2023), GPTQ: accurate post-training quantization for generative pre-trained transformers,
    algorithm 1: the rows of the Cholesky factor of the inverse are the updates of all steps.
    """
    w, h = matrix.astype("float64"), hessian.astype("float64")
    size = w.shape[1]
    dead = np.diag(h) == 0
    h = h + np.diag(np.where(dead, 1.0, 0.0))
    h = h + damping * np.mean(np.diag(h)) * np.eye(size)
    order = np.argsort(-np.diag(h), kind="stable") if activation_order else np.arange(size)
    w, h = w[:, order], h[np.ix_(order, order)]
    update = np.linalg.cholesky(np.linalg.inv(h)).T  # upper triangular
    group_size = size if group_size == -1 else group_size
    block = group_size * max(1, block // group_size) if group_size < size else block  # no group crosses a border
    values, scales, zeros = np.zeros_like(w), [], []
    for start in range(0, size, block):
        end = min(start + block, size)
        errors = np.zeros((len(w), end - start))
        for i in range(start, end):
            if i % group_size == 0:
                scale, zero = _range(w[:, i : i + group_size], bits, symmetric, per_channel)
                scales.append(scale)
                zeros.append(zero)
            values[:, i : i + 1] = _levels(w[:, i : i + 1], scales[-1], zeros[-1], bits)
            rounded = scales[-1] * (values[:, i : i + 1] - zeros[-1])
            error = (w[:, i : i + 1] - rounded) / update[i, i]
            w[:, i + 1 : end] -= error * update[i, i + 1 : end]
            errors[:, i - start] = error[:, 0]
        w[:, end:] -= errors @ update[start:end, end:]
    back = np.argsort(order)
    groups = (np.arange(size) // group_size)[back]
    return Levels(values[:, back], np.concatenate(scales, 1), np.concatenate(zeros, 1), groups)


def _rounded(matrix: np.ndarray, bits: int, group_size: int) -> Levels:
    """Round each cell to the nearest level."""
    size = matrix.shape[1]
    group_size = size if group_size == -1 else group_size
    pairs = [_range(matrix[:, i : i + group_size], bits) for i in range(0, size, group_size)]
    scale, zero = (np.concatenate(each, 1) for each in zip(*pairs))
    groups = np.arange(size) // group_size
    return Levels(_levels(matrix, scale[:, groups], zero[:, groups], bits), scale, zero, groups)


def awq(
    matrix: np.ndarray, largest: np.ndarray, bits: int = 4, group_size: int = -1, points: int = 20
) -> tuple[Levels, np.ndarray]:
    """Return the levels of matrix · s, and s (I,): inputs that can be large are scaled up, and so rounded less.

    s = largest^r for the r between 0 and 1 with the least error of the outputs.

    Args:
        matrix: (O, I).
        largest: (I,), the largest absolute value of each input.
        points: how many r are tried besides 0.

    Source: Lin et al. (2024), AWQ: activation-aware weight quantization for LLM compression and acceleration.
    """
    largest = np.where(largest < 1e-8, 1.0, largest)
    best: tuple = (np.inf,)
    for ratio in np.arange(points + 1) / points:
        s = np.maximum(largest**ratio, 1e-4)
        s = s / max(np.sqrt(s.max() * s.min()), 1e-8)
        levels = _rounded(matrix * s, bits, group_size)
        loss = np.mean(((levels.matrix / s - matrix) * largest) ** 2)
        if loss < best[0]:
            best = (loss, levels, s)
    return best[1], best[2]
