"""NumPy's products, `linalg` and `fft`, over tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from kerata.engine.torch.elementwise import alike
from kerata.engine.torch.reducing import sum
from kerata.engine.torch.tensors import as_dtype, as_tensor

__all__ = [
    "corrcoef", "correlate", "cross", "diff", "dot", "einsum", "fft", "inner", "kron", "linalg", "matmul", "outer",
    "tensordot", "trace", "vdot",
]  # fmt: skip

# `precision` and `optimize` are words to JAX's compiler; `preferred_element_type` is the dtype that is summed in.


def _operands(values: Any, dtype: Any) -> list[torch.Tensor]:
    return [t if dtype is None else t.to(as_dtype(dtype)) for t in alike(*values)]


def _of_bools(product: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Let `product`, for which PyTorch multiplies no bools, tell of bools whether any pair is true."""

    @functools.wraps(product)
    def call(*args: Any, **kwargs: Any) -> torch.Tensor:
        tensors = [a for a in args if isinstance(a, torch.Tensor)]
        if not tensors or any(t.dtype != torch.bool for t in tensors):
            return product(*args, **kwargs)
        return product(*(a.int() if isinstance(a, torch.Tensor) else a for a in args), **kwargs) != 0

    return call


@_of_bools
def matmul(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> torch.Tensor:
    return torch.matmul(*_operands((a, b), preferred_element_type))


@_of_bools
def einsum(
    subscripts: str, *operands: Any, optimize: Any = None, precision: Any = None, preferred_element_type: Any = None
) -> torch.Tensor:
    terms = _operands(operands, preferred_element_type)
    return torch.einsum(subscripts, *terms).to(terms[0].dtype)  # integers are summed in 64 bits


@_of_bools
def tensordot(a: Any, b: Any, axes: Any = 2) -> torch.Tensor:
    if not isinstance(axes, int):
        axes = tuple([axis] if isinstance(axis, int) else list(axis) for axis in axes)
    return torch.tensordot(*alike(a, b), dims=axes)  # type: ignore[arg-type]


def dot(a: Any, b: Any) -> torch.Tensor:
    a, b = alike(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return tensordot(a, b, (-1, max(b.ndim - 2, 0)))


@_of_bools
def vdot(a: Any, b: Any) -> torch.Tensor:
    a, b = alike(a, b)
    return torch.dot(a.flatten().conj().resolve_conj(), b.flatten())


def inner(a: Any, b: Any) -> torch.Tensor:
    a, b = alike(a, b)
    return a * b if a.ndim == 0 or b.ndim == 0 else tensordot(a, b, (-1, -1))


def outer(a: Any, b: Any) -> torch.Tensor:
    a, b = alike(a, b)
    return a.flatten()[:, None] * b.flatten()


def kron(a: Any, b: Any) -> torch.Tensor:
    return torch.kron(*alike(a, b))


def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> torch.Tensor:  # fmt: skip
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = alike(a, b)
    (a1, a2, *a3), (b1, b2, *b3) = a.movedim(axisa, 0), b.movedim(axisb, 0)
    third = a1 * b2 - a2 * b1
    if not a3 and not b3:
        return third
    zero = torch.zeros_like(third)
    x, y = (a3 or [zero])[0], (b3 or [zero])[0]
    return torch.stack([a2 * y - x * b2, x * b1 - a1 * y, third], axisc)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> torch.Tensor:
    a = as_tensor(a)
    return sum(torch.diagonal(a, offset, axis1, axis2), -1)


def diff(a: Any, n: int = 1, axis: int = -1) -> torch.Tensor:
    return torch.diff(as_tensor(a), n, axis)


def correlate(a: Any, v: Any, mode: str = "valid") -> torch.Tensor:
    a, v = alike(a, v)
    swapped = a.shape[0] < v.shape[0]
    long, short = (v, a) if swapped else (a, v)
    around = {"valid": (0, 0), "same": (short.shape[0] // 2, (short.shape[0] - 1) // 2),
              "full": (short.shape[0] - 1,) * 2}[mode]  # fmt: skip
    lines = torch.nn.functional.pad(long, around).unfold(0, short.shape[0], 1)
    result = torch.sum(lines * short.conj(), -1).to(a.dtype)
    return result.flip(0).conj() if swapped else result


def corrcoef(x: Any) -> torch.Tensor:
    x = torch.atleast_2d(as_tensor(x))
    centred = x - x.mean(1, keepdim=True)
    covariance = centred @ centred.mH
    deviation = torch.sqrt(torch.diagonal(covariance).real)
    result = covariance / deviation[:, None] / deviation
    return result.squeeze() if x.shape[0] == 1 else result


# Matrices ---------------------------------------------------------------------------------------------------------


def _cholesky(a: Any, *, upper: bool = False) -> torch.Tensor:
    a = as_tensor(a)
    return torch.linalg.cholesky((a + a.mH) / 2, upper=upper)  # all of the matrix is read, as in JAX


def _eigh(a: Any, UPLO: str | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    a = as_tensor(a)
    return tuple(torch.linalg.eigh((a + a.mH) / 2))  # type: ignore[return-value]


def _lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[torch.Tensor]:
    a, b = alike(a, b)
    return (_pinv(a, rcond) @ b,)


def _pinv(a: Any, rcond: Any = None) -> torch.Tensor:
    a = as_tensor(a)
    if rcond is None:
        rcond = 10 * max(a.shape[-2:]) * torch.finfo(a.dtype).eps
    return torch.linalg.pinv(a, rtol=rcond)


def _matrix_rank(M: Any, tol: Any = None) -> torch.Tensor:
    return torch.linalg.matrix_rank(as_tensor(M), rtol=tol)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> torch.Tensor:
    return torch.linalg.norm(as_tensor(x), ord, tuple(axis) if isinstance(axis, list) else axis, keepdims)


def _qr(a: Any, mode: str = "reduced") -> tuple[torch.Tensor, torch.Tensor]:
    return tuple(torch.linalg.qr(as_tensor(a), mode))  # type: ignore[return-value]


def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    a = as_tensor(a)
    return tuple(torch.linalg.svd(a, full_matrices)) if compute_uv else torch.linalg.svdvals(a)


linalg = SimpleNamespace(
    cholesky=_cholesky, det=lambda a: torch.linalg.det(as_tensor(a)),
    eig=lambda a: tuple(torch.linalg.eig(as_tensor(a))), eigh=_eigh, inv=lambda a: torch.linalg.inv(as_tensor(a)),
    lstsq=_lstsq, matrix_rank=_matrix_rank, norm=_norm, pinv=_pinv, qr=_qr,
    slogdet=lambda a: tuple(torch.linalg.slogdet(as_tensor(a))), solve=lambda a, b: torch.linalg.solve(*alike(a, b)),
    svd=_svd,
)  # fmt: skip


def _of_some(function: Any, a: torch.Tensor, *args: Any) -> torch.Tensor:
    """Return `function(a, *args)`, also where the batch is empty, which PyTorch's library refuses."""
    if a.ndim and a.shape[0] == 0:
        return function(a.new_zeros((1, *a.shape[1:])), *args)[:0]
    return function(a, *args)


def _transform(name: str) -> Any:
    return lambda a, n=None, axis=-1: _of_some(getattr(torch.fft, name), as_tensor(a), n, axis)


def _transform_2d(name: str) -> Any:
    return lambda a, s=None, axes=(-2, -1): _of_some(getattr(torch.fft, name), as_tensor(a), s, axes)


fft = SimpleNamespace(
    **{name: _transform(name) for name in ("fft", "ifft", "rfft", "irfft")},
    **{name: _transform_2d(name) for name in ("fft2", "ifft2")},
)
