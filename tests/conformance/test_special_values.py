"""NaN, infinity, overflow, signed zeros and nothing at all: what NumPy makes of them, every engine makes.

`DIFFERENT` says where an engine differs, and it must indeed differ there.
"""

import warnings

import numpy as np
import pytest
import rows  # noqa: F401  (fills the table)
from cases import CASES
from test_ops import call, single

from kerata import engine as engines
from kerata import tree

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, -3e38, 1e-30, 1.0, -1.0], "float32")

REFUSED = "NumPy's own routine takes no NaN or infinity; the others return NaN"
ZEROS = "a weighted sum: 0 · inf is NaN, and engines add zeros (padding, stride, weights outside) in different places"
ORDER = "values that compare neither way have no order"
DRAWN = "a draw, or an order that is drawn"
EXEMPT = {
    **dict.fromkeys(("digitize", "cholesky", "pinv", "solve", "solve_triangular", "lstsq", "eig", "eigh", "svd", "inv",
                     "lu_factor", "matrix_rank", "norm", "histogram", "qr", "slogdet", "det"), REFUSED),
    **dict.fromkeys(("map_coordinates", "affine_transform", "perspective_transform", "elastic_transform", "conv",
                     "conv_transpose", "depthwise_conv", "separable_conv", "sobel_edges", "stft", "istft"), ZEROS),
    **dict.fromkeys(("argpartition", "ctc_decode", "searchsorted"), ORDER),
    **dict.fromkeys(("shuffle", "categorical"), DRAWN),
    "cast": "an int has no NaN and no infinity: what stands for them is the processor's choice",
}  # fmt: skip
DIFFERENT = {
    ("jax", "linspace"): "the ends are weighted, 0 · inf, where NumPy adds steps",
    ("torch", "linspace"): "the ends are weighted, 0 · inf, where NumPy adds steps",
    ("torch", "angle"): "the angle of -0.0 is 0",
    ("torch", "gelu"): "PyTorch's own kernel: NaN at infinity, infinity from 3e38 on",
    ("torch", "layer_normalization"): "PyTorch's own kernel: NaN where the variance overflows",
    ("torch", "dot_product_attention"): "PyTorch's own kernel: a row of scores that are all NaN gives zeros",
}


def results(engine_name, case, arrays):
    with engines.using(engine_name) as engine, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of NumPy, about what is asked here
        return [np.asarray(leaf) for leaf in tree.flatten(call(case, [engine.arrays.as_array(a) for a in arrays]))]


def special(case):
    """The row's arrays, the float ones filled with special values, each beginning with another one."""
    arrays = [single(a) for a in case.arrays]
    return [np.resize(np.roll(SPECIAL, 3 * k), a.shape) if a.dtype == "float32" else a for k, a in enumerate(arrays)]


def by_op(cases):
    """Parametrize a test over ops, each with its rows."""
    names = {}
    for row in cases:
        names.setdefault(row.name, []).append(row)
    return pytest.mark.parametrize("cases", [pytest.param(found, id=name) for name, found in names.items()])


def same(got, wanted):
    return len(got) == len(wanted) and all(
        g.shape == w.shape and np.allclose(g, w, rtol=1e-4, atol=1e-30, equal_nan=True) for g, w in zip(got, wanted)
    )


@by_op([row for row in CASES if row.name not in EXEMPT and any(a.dtype.kind == "f" for a in row.arrays)])
def test_special_values(beside_numpy, cases):
    differing = [
        case for case in cases
        if not same(results(beside_numpy.name, case, special(case)), results("numpy", case, special(case)))
    ]  # fmt: skip
    assert bool(differing) == ((beside_numpy.name, cases[0].name) in DIFFERENT)


# Nothing --------------------------------------------------------------------------------------------------------

UNDEFINED = {
    "correlate": "NumPy refuses a signal of nothing; it is zeros here",
    **dict.fromkeys(("median", "quantile", "percentile"), "the median of nothing: NaN, or refused"),
    "average": "NumPy refuses weights that sum to zero; it is NaN here",
}


@by_op([row for row in CASES if row.batch and not row.static and row.name not in UNDEFINED])
def test_empty_batch(beside_numpy, cases):
    for case in cases:
        arrays = [a[:0] if i in case.batch else a for i, a in enumerate(map(single, case.arrays))]
        try:
            wanted = results("numpy", case, arrays)
        except (ValueError, IndexError):  # the largest of nothing, the first of nothing
            with pytest.raises((ValueError, IndexError, RuntimeError, TypeError)):
                results(beside_numpy.name, case, arrays)
        else:
            assert same(results(beside_numpy.name, case, arrays), wanted)
