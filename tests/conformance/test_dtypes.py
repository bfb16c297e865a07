"""Sixteen bits and integers: on every engine the dtypes of the NumPy engine, and values near its."""

import warnings

import ml_dtypes
import numpy as np
import rows  # noqa: F401  (fills the table)
from cases import CASES
from test_ops import call
from test_special_values import by_op

from kerata import engine as engines
from kerata import tree


def results(engine_name, case, arrays):
    """What the op gives, or None where the engine refuses it."""
    with engines.using(engine_name) as engine, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of NumPy, about what is asked here
        try:
            given = [engine.arrays.as_array(a) for a in arrays]
            return [engine.arrays.to_numpy(leaf) for leaf in tree.flatten(call(case, given))]
        except (ArithmeticError, ValueError, RuntimeError, np.linalg.LinAlgError):
            return None


def narrow(case, dtype):
    """The row's arrays, the float ones in `dtype`."""
    to = {"f": dtype, "i": "int32"}
    return [a.astype(to.get(a.dtype.kind, a.dtype)) for a in case.arrays]


def near(got, wanted, tolerance):
    if got.dtype != wanted.dtype or got.shape != wanted.shape:
        return False
    if wanted.dtype.kind in "biu" and tolerance > 1e-3:
        return True  # what 16 bits decide is a matter of rounding
    got, wanted = got.astype("complex128"), wanted.astype("complex128")
    size = max(1, np.abs(wanted[np.isfinite(wanted)]).max(initial=0))
    return np.allclose(got, wanted, rtol=0, atol=tolerance * size, equal_nan=True)


FREE = {
    "shuffle": "each engine draws in its own way", "view": "bits, and no number",
    **dict.fromkeys(("eig", "eigh", "svd"), "vectors whose signs are free"),
}  # fmt: skip
with_floats = [row for row in CASES if any(a.dtype.kind == "f" for a in row.arrays) and row.name not in FREE]


@by_op(with_floats)
def test_bfloat16(beside_numpy, cases):
    for case in cases:
        arrays = narrow(case, ml_dtypes.bfloat16)
        for got, wanted in zip(results(beside_numpy.name, case, arrays), results("numpy", case, arrays), strict=True):
            assert near(got, wanted, 5e-2)


BY_ZERO = "NumPy's integer division by zero is 0 with a warning, PyTorch's an error"
DIFFERENT = {
    ("jax", "power"): "NumPy refuses negative powers of integers", ("torch", "power"): "NumPy refuses these",
    ("torch", "mod"): BY_ZERO, ("torch", "fmod"): BY_ZERO,
    ("jax", "solve_triangular"): "NumPy refuses a singular matrix", ("torch", "lu_factor"): "PyTorch refuses it",
}  # fmt: skip


@by_op(with_floats)
def test_integers(beside_numpy, cases):
    """Ops that make floats of integers do so everywhere; the others stay with integers everywhere."""
    differing = []
    for case in cases:
        arrays = narrow(case, "int32")
        got, wanted = results(beside_numpy.name, case, arrays), results("numpy", case, arrays)
        if (got is None) != (wanted is None) or (
            got is not None and not all(near(g, w, 1e-4) for g, w in zip(got, wanted, strict=True))
        ):
            differing.append(case)
    assert bool(differing) == ((beside_numpy.name, cases[0].name) in DIFFERENT)
