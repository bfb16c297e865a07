"""Elementwise ops."""

import numpy as np
import scipy.special
from cases import case, flags, positive, unit, whole, x

for name in (
    "absolute", "ceil", "cos", "cosh", "deg2rad", "exp", "exp2", "expm1", "fabs", "floor", "negative", "rad2deg",
    "sign", "sin", "sinc", "sinh", "square", "tanh", "trunc", "arctan", "arcsinh", "conjugate", "real", "isfinite",
    "isinf", "isnan", "isneginf", "isposinf", "isreal", "signbit", "i0",
):  # fmt: skip
    case(name, x(2, 3), ref=getattr(np, name))
for name in ("arcsin", "arccos", "arctanh", "tan"):
    case(name, unit(2, 3), ref=getattr(np, name))
for name in ("log", "log10", "log1p", "log2", "sqrt", "cbrt", "reciprocal"):
    case(name, positive(2, 3), ref=getattr(np, name))
case("arccosh", positive(2, 3) + 1, ref=np.arccosh)
case("rsqrt", positive(2, 3), ref=lambda x: 1 / np.sqrt(x))
case("erf", x(2, 3), ref=scipy.special.erf)
case("erfc", x(2, 3), ref=scipy.special.erfc)
case("erfinv", unit(2, 3), ref=scipy.special.erfinv)
case("angle", x(2, 3), ref=np.angle, grad=False)
case("angle", x(2, 3) + 1j * x(2, 3), ref=np.angle, grad=False)
case("conjugate", x(2, 3) + 1j * x(2, 3), ref=np.conjugate, grad=False)
case("imag", x(2, 3) + 1j * x(2, 3), ref=np.imag, grad=False)
case("imag", x(2, 3), ref=np.imag, grad=False)
case("copy", x(2, 3), ref=np.copy)
case("absolute", whole(2, 3, low=-5), ref=np.abs)
case("sqrt", whole(2, 3, low=1), ref=np.sqrt)
case("exp", flags(2, 3), ref=lambda x: np.exp(x * 1.0))
case("round", x(2, 3), ref=np.round)
case("round", x(2, 3) * 100, 1, ref=lambda x, _: np.round(x, 1), grad=False, tol=1e-4)
case("logical_not", flags(2, 3), ref=np.logical_not)
case(
    "nan_to_num",
    np.array([[np.nan, 1.0], [np.inf, -np.inf]]),
    nan=7.0,
    posinf=1.0,
    neginf=2.0,
    ref=np.nan_to_num,
    grad=False,
)
case("clip", x(2, 3), -0.5, 0.5, ref=np.clip)
case("clip", whole(2, 3), 2, 5, ref=np.clip)
case("cast", x(2, 3), "int32", ref=lambda x, _: x.astype("int32"))
case("cast", whole(2, 3), "float32", ref=lambda x, _: x)
case("saturate_cast", np.array([300.0, -5.0, 7.5]), "uint8", ref=lambda x, _: np.array([255, 0, 7]))
case("saturate_cast", np.array([300, -5, 7]), "int8", ref=lambda x, _: np.array([127, -5, 7]))
case("view_as_complex", x(2, 3, 2), ref=lambda x: x[..., 0] + 1j * x[..., 1], grad=False)
case("view_as_real", x(2, 3) + 1j * x(2, 3), ref=lambda z: np.stack([z.real, z.imag], -1), grad=False)
case("stop_gradient", x(2, 3), ref=lambda x: x, grad=False)

for name in ("add", "subtract", "multiply", "maximum", "minimum", "fmax", "fmin", "arctan2", "hypot", "logaddexp"):
    case(name, x(2, 3), x(2, 3), ref=getattr(np, name))
for name in ("logaddexp2", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
    case(name, x(2, 3), x(2, 3), ref=getattr(np, name))
for name in ("add", "subtract", "multiply", "floor_divide", "mod", "fmod", "maximum", "equal", "less", "gcd", "lcm"):
    case(name, whole(2, 3, low=1), whole(2, 3, low=1), ref=getattr(np, name))
for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"):
    case(name, whole(2, 3), whole(2, 3, high=4), ref=getattr(np, name))
for name in ("logical_and", "logical_or", "logical_xor"):
    case(name, flags(2, 3), flags(2, 3), ref=getattr(np, name))
case("add", x(2, 1, 3), x(4, 1), ref=np.add, batch=(0,))
case("add", x(2, 3), 2.5, ref=np.add)
case("add", whole(2, 3), 2.5, ref=np.add)
case("add", whole(2, 3), x(2, 3), ref=np.add)
case("multiply", 2, x(2, 3), ref=np.multiply)
case("divide", x(2, 3), positive(3), ref=np.divide)
case("divide", whole(2, 3), whole(2, 3, low=1), ref=np.divide)
case("floor_divide", x(2, 3), positive(3), ref=np.floor_divide)
case("mod", x(2, 3), positive(2, 3), ref=np.mod)
case("fmod", x(2, 3), positive(2, 3), ref=np.fmod)
case("power", positive(2, 3), x(2, 3), ref=np.power)
case("power", x(2, 3), 3, ref=np.power)
case("heaviside", np.array([-1.0, 0.0, 2.0]), 0.5, ref=np.heaviside, grad=False)
case(
    "nextafter", np.ones(3), np.array([0.0, 1.0, 2.0]), grad=False, ref=lambda a, b: np.ones(3) + np.sign(b - a) * 1e-7
)
case("ldexp", x(2, 3), whole(2, 3, high=4), ref=np.ldexp)
case(
    "divide_no_nan",
    x(2, 3),
    np.array([1.0, 0.0, 2.0]),
    ref=lambda a, b: np.where(b == 0, 0, a / np.where(b == 0, 1, b)),
    grad=False,
)
case("isclose", np.array([1.0, 1.0, np.nan]), np.array([1.0, 1.1, np.nan]), ref=np.isclose)
case("allclose", np.ones(3), np.ones(3), ref=np.allclose)
case("allclose", np.ones(3), np.array([1.0, 1.0, 1.1]), ref=np.allclose)
case("bitwise_invert", whole(2, 3), ref=np.invert)
