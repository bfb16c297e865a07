"""Ops that take many values to one."""

import numpy as np
import scipy.special
from cases import case, flags, positive, whole, with_nan, x

for name in ("sum", "prod", "mean", "var", "std", "max", "min", "ptp"):
    case(name, x(4, 3, 2), ref=getattr(np, name))
    case(name, x(4, 3, 2), axis=1, ref=getattr(np, name))
    case(name, x(4, 3, 2), axis=(0, 2), keepdims=True, ref=getattr(np, name))
for name in ("all", "any"):
    case(name, flags(4, 3), axis=-1, ref=getattr(np, name))
    case(name, x(4, 3), ref=getattr(np, name))
for name in ("argmax", "argmin"):
    case(name, x(4, 3), ref=getattr(np, name))
    case(name, x(4, 3), axis=1, ref=getattr(np, name))
    case(name, x(4, 3), axis=0, keepdims=True, ref=getattr(np, name))
case("sum", flags(4, 3), axis=0, ref=np.sum)
case("sum", whole(4, 3).astype("int8"), ref=np.sum)
case("mean", whole(4, 3), axis=1, ref=np.mean)
case("max", whole(4, 3), initial=7, ref=np.max)
case("count_nonzero", whole(4, 3, high=3), axis=1, ref=np.count_nonzero)
case("average", x(4, 3), axis=0, weights=positive(4), ref=np.average)
case("median", x(4, 3), axis=1, ref=np.median)
case("median", x(4, 3), axis=0, keepdims=True, ref=np.median)
case("quantile", x(4, 5), 0.3, axis=1, ref=np.quantile)
case("quantile", x(5, 4), np.array([0.1, 0.9]), axis=0, method="nearest", ref=np.quantile, batch=(0,))
case("percentile", x(4, 5), 30.0, axis=1, ref=np.percentile)
case("cumsum", x(4, 3), axis=1, ref=np.cumsum)
case("cumsum", x(4, 3), ref=np.cumsum)
case("cumprod", x(4, 3), axis=0, ref=np.cumprod)
case("logsumexp", x(4, 3) * 100, axis=1, keepdims=True, ref=scipy.special.logsumexp)
case("moments", x(4, 3, 2), axes=(0, 1), ref=lambda x, axes: (x.mean(axes), x.var(axes)))
case(
    "moments",
    x(4, 3),
    axes=1,
    keepdims=True,
    ref=lambda x, axes, keepdims: (x.mean(1, keepdims=True), x.var(1, keepdims=True)),
)
case("bincount", np.array([0, 2, 2, 5]), ref=np.bincount, static=True)
case(
    "bincount",
    np.array([[0, 2, 2], [1, 1, 1]]),
    minlength=4,
    ref=lambda x, minlength: np.array([[1, 0, 2, 0], [0, 3, 0, 0]]),
)
case("bincount", np.array([0, 2, 2]), weights=np.array([0.5, 1.0, 2.0]), minlength=4, ref=np.bincount, grad=False)
case("histogram", x(20), bins=4, ref=np.histogram, grad=False)
case("histogram", np.float32([-1.6697998, 0.3, 2.2923803]), bins=4, ref=np.histogram, grad=False)
case("histogram", x(20), bins=4, range=(-1.0, 1.0), ref=np.histogram, grad=False)
case("corrcoef", x(3, 8), ref=np.corrcoef, tol=1e-4)
case("trapezoid", x(4, 5), dx=0.5, ref=np.trapezoid)
case("trapezoid", x(4, 5), x=np.sort(x(5)), ref=np.trapezoid, batch=(0,))
for name in (
    "nansum",
    "nanprod",
    "nanmean",
    "nanvar",
    "nanstd",
    "nanmax",
    "nanmin",
    "nanmedian",
    "nanargmax",
    "nanargmin",
):
    case(name, with_nan(4, 3), axis=1, ref=getattr(np, name), grad=False)
for name in ("nancumsum", "nancumprod"):
    case(name, with_nan(4, 3), axis=1, ref=getattr(np, name), grad=False)
case("nanquantile", with_nan(4, 3), 0.4, axis=1, ref=np.nanquantile, grad=False)
case("nanpercentile", with_nan(4, 3), 40.0, axis=1, ref=np.nanpercentile, grad=False)
