"""Sixteen bits and integers: the same dtypes on every engine, values near those in float64."""

import warnings

import ml_dtypes
import numpy as np
import pytest
import rows  # noqa: F401  (fills the table)
from cases import CASES
from test_ops import call, exactly, viewed
from test_special_values import by_op

from kerata import engine as engines
from kerata import errors, tree

EXEMPT = {}
DIFFERENT = {}


def results(engine_name, case, arrays):
    with engines.using(engine_name) as engine, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return [engine.arrays.to_numpy(leaf) for leaf in tree.flatten(call(case, list(map(engine.arrays.as_array, arrays))))]


def narrow(case, dtype):
    return [a.astype(dtype) if a.dtype.kind == "f" else a.astype("int32") if a.dtype == "int64" else a for a in case.arrays]
