"""Products, decompositions, norms."""

import math

import numpy as np
import scipy.linalg
from cases import case, definite, whole, x

case("matmul", x(2, 3), x(3, 4), ref=np.matmul)
case("matmul", x(2, 3, 4), x(2, 4, 5), ref=np.matmul)
case("matmul", x(2, 3), x(3), ref=np.matmul)
case("matmul", whole(2, 3), whole(3, 2), ref=np.matmul)
case("einsum", "bij,jk->bik", x(2, 3, 4), x(4, 5), ref=np.einsum)
case("einsum", "bii->b", x(2, 3, 3), ref=np.einsum)
case("einsum", "...i,...j->...ij", x(2, 3), x(2, 4), ref=np.einsum)
for name in ("dot", "inner", "vdot"):
    case(name, x(4), x(4), ref=getattr(np, name))
case("dot", x(2, 3), x(3, 4), ref=np.dot)
case("inner", x(2, 3), x(4, 3), ref=np.inner)
case("outer", x(2), x(3), ref=np.outer)
case("kron", x(2, 2), x(1, 3), ref=np.kron)
case("tensordot", x(2, 3, 4), x(3, 4, 5), axes=2, ref=np.tensordot)
case("tensordot", x(2, 3, 4), x(4, 5, 3), axes=([1, 2], [2, 0]), ref=np.tensordot)
case("cross", x(2, 3), x(2, 3), ref=np.cross)
for mode in ("valid", "same", "full"):
    case("correlate", x(5), x(3), mode=mode, ref=np.correlate)
case("trace", x(3, 3, 2), ref=np.trace)
case("diff", x(2, 5), n=2, ref=np.diff)
case("cholesky", definite(2, 3, 3), ref=np.linalg.cholesky, tol=1e-4)
case("cholesky", definite(3, 3), upper=True, ref=lambda a, upper: np.linalg.cholesky(a).T, batch=(), tol=1e-4)
case("cholesky_inverse", np.tril(x(3, 3)) + 2 * np.eye(3), ref=lambda c: np.linalg.inv(c @ c.T), batch=(), tol=1e-4)
case("det", definite(2, 3, 3), ref=np.linalg.det, tol=1e-4)
case("slogdet", definite(2, 3, 3), ref=np.linalg.slogdet, tol=1e-4)
case("logdet", definite(2, 3, 3), ref=lambda a: np.log(np.linalg.det(a)), tol=1e-4)
case("inv", definite(2, 3, 3), ref=np.linalg.inv, tol=1e-4)
case("pinv", x(4, 3), ref=np.linalg.pinv, batch=(), tol=1e-4)
case("solve", definite(2, 3, 3), x(2, 3, 2), ref=np.linalg.solve, tol=1e-4)
case("solve", definite(3, 3), x(3), ref=np.linalg.solve, batch=(), tol=1e-4)
case(
    "solve_triangular",
    x(3, 3) + 3 * np.eye(3),
    x(3),
    lower=True,
    ref=lambda a, b, lower: np.linalg.solve(np.tril(a), b),
    batch=(),
    tol=1e-4,
)
case(
    "solve_triangular",
    x(2, 3, 3) + 3 * np.eye(3),
    x(2, 3, 2),
    ref=lambda a, b: np.linalg.solve(np.triu(a), b),
    tol=1e-4,
)
case("lstsq", x(5, 3), x(5, 2), ref=lambda a, b: np.linalg.lstsq(a, b)[0], batch=(), tol=1e-4)
case("eig", definite(3, 3), ref=np.linalg.eig, view=lambda out: abs(out[0]).sum(), batch=(), grad=False, tol=1e-4)
case("eigh", definite(2, 3, 3), ref=np.linalg.eigh, view=lambda out: (out[0], abs(out[1])), tol=1e-4)
case("qr", x(4, 3), ref=np.linalg.qr, view=lambda out: (abs(out[0]), abs(out[1])), batch=(), tol=1e-4)
case("qr", x(4, 3), mode="complete", view=lambda out: out[0] @ out[1], ref=np.linalg.qr, batch=(), grad=False, tol=1e-4)
case(
    "svd",
    x(4, 3),
    full_matrices=False,
    ref=np.linalg.svd,
    view=lambda out: tuple(abs(part) for part in out),
    batch=(),
    tol=1e-4,
)
case("svd", x(2, 4, 3), compute_uv=False, ref=np.linalg.svd, tol=1e-4)
case("svd", x(4, 3), view=lambda out: out[1], batch=(), ref=np.linalg.svd, grad=False, tol=1e-4)
case("lu_factor", x(3, 3), batch=(), ref=lambda a: scipy.linalg.lu_factor(a), tol=1e-4)
case("matrix_rank", np.array([[1.0, 2.0], [2.0, 4.0]]), batch=(), ref=np.linalg.matrix_rank)
case("norm", x(4, 3), ref=np.linalg.norm)
case("norm", x(4, 3), axis=1, keepdims=True, ref=np.linalg.norm)
for order in (1, math.inf, 3):
    case("norm", x(4, 3), ord=order, axis=1, ref=np.linalg.norm)
for order in ("fro", "nuc", 1, -2):
    case("norm", x(4, 3), ord=order, axis=(0, 1), ref=np.linalg.norm, batch=(), tol=1e-4)
case("cdist", x(2, 3, 4), x(2, 5, 4), ref=lambda a, b: np.linalg.norm(a[:, :, None] - b[:, None], axis=-1))
