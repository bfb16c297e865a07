"""Products and linear algebra. Matrices are the last two axes; all axes before are a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kerata import errors, tree
from kerata.core import dtypes
from kerata.core.op import Array, FloatArray, FloatOperand, Operand, convert, meet, op
from kerata.core.symbolic import KerasTensor
from kerata.engine import arrays, transforms, xp

__all__ = [
    "cdist", "cholesky", "cholesky_inverse", "correlate", "cross", "det", "diff", "dot", "eig", "eigh", "einsum",
    "inner", "inv", "jvp", "kron", "logdet", "lstsq", "lu_factor", "matmul", "matrix_rank", "norm", "outer", "pinv",
    "qr", "slogdet", "solve", "solve_triangular", "svd", "tensordot", "trace", "vdot",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
_HALVES = {"float16", "bfloat16"}


def _bytes_in_32_bits(*operands: Any) -> dict[str, str]:
    """Return what a product is told where all of `operands` are int8: to sum in int32."""
    bytes_only = all(hasattr(x, "dtype") and dtypes.dtype_of(x) == "int8" for x in operands)
    return {"preferred_element_type": "int32"} if bytes_only else {}


@op
def matmul(x1: Array, x2: Array) -> Array:
    """Return the matrix product over the last two axes; a vector is a row on the left, a column on the right.

    Products of int8 are summed in int32.
    """
    return xp.matmul(*meet([x1, x2], False), **_bytes_in_32_bits(x1, x2))


@op
def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Array:
    """Return the sum of products that `subscripts` describes, such as "bij,bjk->bik"; int8 is summed in int32."""
    return xp.einsum(subscripts, *meet(list(operands), False), **_bytes_in_32_bits(*operands))


@op
def dot(x1: Operand, x2: Operand) -> Array:
    """Return the product over the last axis of x1 and the last but one of x2."""
    return xp.dot(x1, x2)


@op
def vdot(x1: Operand, x2: Operand) -> Array:
    """Return the sum of products of all values, x1 conjugated."""
    return xp.vdot(x1, x2)


@op
def inner(x1: Operand, x2: Operand) -> Array:
    """Return the products over the last axes of both."""
    return xp.inner(x1, x2)


@op
def outer(x1: Operand, x2: Operand) -> Array:
    """Return the products of each value of x1 with each of x2."""
    return xp.outer(x1, x2)


@op
def kron(x1: Operand, x2: Operand) -> Array:
    """Return the Kronecker product: x2 once for each value of x1, times that value."""
    return xp.kron(x1, x2)


@op
def tensordot(x1: Operand, x2: Operand, axes: Any = 2) -> Array:
    """Return the product summed over the axes named, or over the last `axes` of x1 and the first of x2."""
    return xp.tensordot(x1, x2, axes=axes)


@op
def cross(
    x1: Operand, x2: Operand, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    """Return the vector product in three (or two) dimensions."""
    return xp.cross(x1, x2, axisa, axisb, axisc, axis)


@op
def correlate(x1: FloatOperand, x2: FloatOperand, mode: str = "valid") -> Array:
    """Return the sliding products of two vectors; mode "valid", "same" or "full"."""
    return xp.correlate(x1, x2, mode)


@op
def trace(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """Return the sum along a diagonal."""
    return xp.trace(x, offset, axis1, axis2)


@op
def diff(a: Array, n: int = 1, axis: int = -1) -> Array:
    """Return the differences of neighbours, n times over."""
    return xp.diff(a, n=n, axis=axis)


def _in_32_bits(body: F) -> F:
    """Let `body`, for which 16 bits are too few, compute in 32; what it returns has 16 bits again."""

    @functools.wraps(body)
    def wide(*args: Any, **kwargs: Any) -> Any:
        narrow = {dtypes.dtype_of(x) for x in (*args, *kwargs.values()) if arrays.is_array(x)} & _HALVES
        if not narrow:
            return body(*args, **kwargs)
        (dtype,) = narrow

        def widened(x: Any) -> Any:
            return arrays.cast(x, "float32") if arrays.is_array(x) and dtypes.dtype_of(x) == dtype else x

        result = body(*map(widened, args), **{name: widened(x) for name, x in kwargs.items()})
        return tree.map_structure(lambda x: arrays.cast(x, dtype) if dtypes.dtype_of(x) == "float32" else x, result)

    return wide  # type: ignore[return-value]


def _square(x: Any, where: str) -> None:
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise errors.ShapeMismatch("needs square matrices.", where=f"ops.{where}", expected="(…, n, n)", got=x.shape)


@op
@_in_32_bits
def cholesky(x: FloatArray, upper: bool = False) -> Array:
    """Return the triangular L with L Lᵀ = x, for symmetric positive x; with `upper`, Lᵀ."""
    _square(x, "cholesky")
    lower = xp.linalg.cholesky(x)
    return xp.swapaxes(lower, -1, -2) if upper else lower


@op
@_in_32_bits
def cholesky_inverse(x: FloatArray, upper: bool = False) -> Array:
    """Return the inverse of the matrix whose Cholesky factor is x."""
    factor = xp.linalg.inv(x)
    turned = xp.swapaxes(factor, -1, -2)
    return xp.matmul(factor, turned) if upper else xp.matmul(turned, factor)


@op
@_in_32_bits
def det(x: FloatArray) -> Array:
    """Return the determinant."""
    _square(x, "det")
    return xp.linalg.det(x)


@op
@_in_32_bits
def slogdet(x: FloatArray) -> tuple[Array, Array]:
    """Return the sign and the logarithm of the size of the determinant."""
    sign, size = xp.linalg.slogdet(x)
    return sign, size


@op
@_in_32_bits
def logdet(x: FloatArray) -> Array:
    """Return the logarithm of the determinant of a positive matrix."""
    return xp.linalg.slogdet(x)[1]


@op
@_in_32_bits
def inv(x: FloatArray) -> Array:
    """Return the inverse matrix."""
    _square(x, "inv")
    return xp.linalg.inv(x)


@op
@_in_32_bits
def pinv(x: FloatArray, rcond: float | None = None) -> Array:
    """Return the Moore-Penrose inverse."""
    return xp.linalg.pinv(x, **({} if rcond is None else {"rcond": rcond}))


@op
@_in_32_bits
def solve(a: FloatOperand, b: FloatOperand) -> Array:
    """Return the x with a x = b; b is (…, n) or (…, n, m)."""
    if b.ndim == a.ndim - 1:
        return xp.linalg.solve(a, xp.expand_dims(b, -1))[..., 0]
    return xp.linalg.solve(a, b)


@op
@_in_32_bits
def solve_triangular(a: FloatOperand, b: FloatOperand, lower: bool = False) -> Array:
    """Return the x with a x = b for a triangular a; the other half of a is not read."""
    a = xp.tril(a) if lower else xp.triu(a)
    if b.ndim == a.ndim - 1:
        return xp.linalg.solve(a, xp.expand_dims(b, -1))[..., 0]
    return xp.linalg.solve(a, b)


@op
@_in_32_bits
def lstsq(a: FloatOperand, b: FloatOperand, rcond: float | None = None) -> Array:
    """Return the x for which |a x - b| is least."""
    return xp.linalg.lstsq(a, b, rcond=rcond)[0]


@op
@_in_32_bits
def eig(x: FloatArray) -> tuple[Array, Array]:
    """Return eigenvalues and eigenvectors (in columns), complex."""
    values, vectors = xp.linalg.eig(x)
    return values, vectors


@op
@_in_32_bits
def eigh(x: FloatArray) -> tuple[Array, Array]:
    """Return the eigenvalues of a symmetric matrix, rising, and its eigenvectors (in columns)."""
    values, vectors = xp.linalg.eigh(x)
    return values, vectors


@op
@_in_32_bits
def qr(x: FloatArray, mode: str = "reduced") -> tuple[Array, Array]:
    """Return q with orthonormal columns and the upper triangular r, q r = x; mode "reduced" or "complete"."""
    if mode not in ("reduced", "complete"):
        raise errors.UnknownName("mode", mode, ("reduced", "complete"), where="ops.qr")
    q, r = xp.linalg.qr(x, mode=mode)
    return q, r


@op
@_in_32_bits
def svd(x: FloatArray, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """Return u, s, vᵀ with u diag(s) vᵀ = x; s alone without `compute_uv`."""
    found = xp.linalg.svd(x, full_matrices=full_matrices, compute_uv=compute_uv)
    return tuple(found) if compute_uv else found


@op
@_in_32_bits
def lu_factor(x: FloatArray) -> tuple[Array, Array]:
    """Return L and U in one matrix, and the rows that were exchanged, int32."""
    lu, pivots = arrays.lu_factor(x)
    return lu, arrays.cast(pivots, "int32")


@op
@_in_32_bits
def matrix_rank(x: FloatArray, tol: float | None = None) -> Array:
    """Return how many singular values exceed `tol`, int32."""
    return arrays.cast(xp.linalg.matrix_rank(x, tol), "int32")


@op
@_in_32_bits
def norm(x: FloatArray, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    """Return the norm of vectors (one axis) or matrices (two); of all values when neither is given."""
    axis = tuple(axis) if isinstance(axis, list) else axis
    if ord is None and axis is None:
        return xp.sqrt(xp.sum(xp.square(xp.abs(x)), keepdims=keepdims))
    return xp.linalg.norm(x, ord=ord, axis=axis, keepdims=keepdims)


@op
def cdist(x: FloatOperand, y: FloatOperand) -> Array:
    """Return the distances (…, n, m) between points x (…, n, d) and y (…, m, d)."""
    return xp.sqrt(xp.sum(xp.square(x[..., :, None, :] - y[..., None, :, :]), axis=-1))


def jvp(fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """Return fun(*primals) and its directional derivative along `tangents`."""
    if any(isinstance(p, KerasTensor) for p in primals):
        raise errors.Unsupported("jvp needs real tensors.", where="ops.jvp")
    return transforms.jvp(fun, tuple(map(convert, primals)), tuple(map(convert, tangents)), has_aux)
