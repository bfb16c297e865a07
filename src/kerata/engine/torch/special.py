"""Special functions under SciPy's names."""

from __future__ import annotations

from typing import Any

import torch
from torch.special import (
    digamma,
    entr,
    erf,
    erfc,
    erfinv,
    expit,
    gammainc,
    gammaincc,
    gammaln,
    i0,
    i0e,
    i1,
    i1e,
    log_ndtr,
    logit,
    ndtr,
    ndtri,
    polygamma,
    xlog1py,
    xlogy,
    zeta,
)  # fmt: skip

from kerata.engine.torch.tensors import as_tensor

__all__ = [
    "betaln", "digamma", "entr", "erf", "erfc", "erfinv", "expit", "gammainc", "gammaincc", "gammaln", "i0", "i0e",
    "i1", "i1e", "log_ndtr", "logit", "logsumexp", "ndtr", "ndtri", "polygamma", "xlog1py", "xlogy", "zeta",
]  # fmt: skip


def betaln(a: Any, b: Any) -> torch.Tensor:
    a, b = as_tensor(a), as_tensor(b)
    return gammaln(a) + gammaln(b) - gammaln(a + b)


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> torch.Tensor:
    a = as_tensor(a)
    if b is not None:
        a = a + torch.log(as_tensor(b, a.dtype))
    axis = tuple(range(a.ndim)) if axis is None else axis
    return torch.logsumexp(a, axis, keepdim=keepdims)
