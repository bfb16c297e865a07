"""Elementwise ops: each is its formula. Two operands broadcast and meet in one dtype."""

from __future__ import annotations

from typing import Any

from kerata.core import dtypes
from kerata.core.op import Array, FloatArray, FloatOperand, Operand, op
from kerata.engine import arrays, xp

__all__ = [
    "abs", "absolute", "add", "allclose", "angle", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctan2", "arctanh", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not",
    "bitwise_or", "bitwise_right_shift", "bitwise_xor", "cast", "cbrt", "ceil", "clip", "conj", "conjugate",
    "copy", "cos", "cosh", "deg2rad", "divide", "divide_no_nan", "equal", "erf", "erfc", "erfinv", "exp",
    "exp2", "expm1", "fabs", "floor", "floor_divide", "fmax", "fmin", "fmod", "gcd", "greater",
    "greater_equal", "heaviside", "hypot", "i0", "imag", "isclose", "isfinite", "isinf", "isnan",
    "isneginf", "isposinf", "isreal", "lcm", "ldexp", "left_shift", "less", "less_equal", "log", "log10",
    "log1p", "log2", "logaddexp", "logaddexp2", "logical_and", "logical_not", "logical_or", "logical_xor",
    "maximum", "minimum", "mod", "multiply", "nan_to_num", "negative", "nextafter", "not_equal", "power",
    "rad2deg", "real", "reciprocal", "right_shift", "round", "rsqrt", "saturate_cast", "sign", "signbit",
    "sin", "sinc", "sinh", "sqrt", "square", "subtract", "tan", "tanh", "true_divide", "trunc",
    "view_as_complex", "view_as_real",
]  # fmt: skip


@op
def absolute(x: Array) -> Array:
    """Return |x|."""
    return xp.abs(x)


@op
def angle(x: Array) -> Array:
    """Return the angle of a complex number, in radians."""
    return xp.angle(x)


@op
def arccos(x: FloatArray) -> Array:
    """Return the angle in [0, π] whose cosine is x."""
    return xp.arccos(x)


@op
def arccosh(x: FloatArray) -> Array:
    """Return the inverse hyperbolic cosine."""
    return xp.arccosh(x)


@op
def arcsin(x: FloatArray) -> Array:
    """Return the angle in [-π/2, π/2] whose sine is x."""
    return xp.arcsin(x)


@op
def arcsinh(x: FloatArray) -> Array:
    """Return the inverse hyperbolic sine."""
    return xp.arcsinh(x)


@op
def arctan(x: FloatArray) -> Array:
    """Return the angle in (-π/2, π/2) whose tangent is x."""
    return xp.arctan(x)


@op
def arctanh(x: FloatArray) -> Array:
    """Return the inverse hyperbolic tangent."""
    return xp.arctanh(x)


@op
def bitwise_invert(x: Array) -> Array:
    """Return x with every bit flipped."""
    return xp.invert(x)


@op
def cbrt(x: FloatArray) -> Array:
    """Return the cube root."""
    return xp.cbrt(x)


@op
def ceil(x: FloatArray) -> Array:
    """Return the smallest whole number >= x."""
    return xp.ceil(x)


@op
def conjugate(x: Array) -> Array:
    """Return the complex conjugate."""
    return xp.conjugate(x)


@op
def copy(x: Array) -> Array:
    """Return a copy."""
    return xp.copy(x)


@op
def cos(x: FloatArray) -> Array:
    """Return the cosine of an angle in radians."""
    return xp.cos(x)


@op
def cosh(x: FloatArray) -> Array:
    """Return the hyperbolic cosine."""
    return xp.cosh(x)


@op
def deg2rad(x: FloatArray) -> Array:
    """Return degrees as radians."""
    return xp.deg2rad(x)


@op
def exp(x: FloatArray) -> Array:
    """Return e to the power x."""
    return xp.exp(x)


@op
def exp2(x: FloatArray) -> Array:
    """Return 2 to the power x."""
    return xp.exp2(x)


@op
def expm1(x: FloatArray) -> Array:
    """Return exp(x) - 1, exact for small x."""
    return xp.expm1(x)


@op
def fabs(x: FloatArray) -> Array:
    """Return |x| as a float."""
    return xp.abs(x)


@op
def floor(x: FloatArray) -> Array:
    """Return the largest whole number <= x."""
    return xp.floor(x)


@op
def i0(x: FloatArray) -> Array:
    """Return the modified Bessel function of the first kind, order 0."""
    return xp.i0(x)


@op
def imag(x: Array) -> Array:
    """Return the imaginary part."""
    return xp.imag(x)


@op
def isfinite(x: Array) -> Array:
    """Return whether x is neither infinite nor NaN."""
    return xp.isfinite(x)


@op
def isinf(x: Array) -> Array:
    """Return whether x is infinite."""
    return xp.isinf(x)


@op
def isnan(x: Array) -> Array:
    """Return whether x is NaN."""
    return xp.isnan(x)


@op
def isneginf(x: Array) -> Array:
    """Return whether x is -inf."""
    return xp.isneginf(x)


@op
def isposinf(x: Array) -> Array:
    """Return whether x is +inf."""
    return xp.isposinf(x)


@op
def isreal(x: Array) -> Array:
    """Return whether x has no imaginary part."""
    return xp.isreal(x)


@op
def log(x: FloatArray) -> Array:
    """Return the natural logarithm."""
    return xp.log(x)


@op
def log10(x: FloatArray) -> Array:
    """Return the logarithm to base 10."""
    return xp.log10(x)


@op
def log1p(x: FloatArray) -> Array:
    """Return log(1 + x), exact for small x."""
    return xp.log1p(x)


@op
def log2(x: FloatArray) -> Array:
    """Return the logarithm to base 2."""
    return xp.log2(x)


@op
def logical_not(x: Array) -> Array:
    """Return whether x is zero or False."""
    return xp.logical_not(x)


@op
def negative(x: Array) -> Array:
    """Return -x."""
    return xp.negative(x)


@op
def rad2deg(x: FloatArray) -> Array:
    """Return radians as degrees."""
    return xp.rad2deg(x)


@op
def real(x: Array) -> Array:
    """Return the real part."""
    return xp.real(x)


@op
def reciprocal(x: FloatArray) -> Array:
    """Return 1 / x."""
    return xp.reciprocal(x)


@op
def sign(x: Array) -> Array:
    """Return -1, 0 or 1."""
    return xp.sign(x)


@op
def signbit(x: Array) -> Array:
    """Return whether the sign bit is set (so for -0.0 too)."""
    return xp.signbit(x)


@op
def sin(x: FloatArray) -> Array:
    """Return the sine of an angle in radians."""
    return xp.sin(x)


@op
def sinc(x: FloatArray) -> Array:
    """Return sin(πx) / (πx), and 1 at 0."""
    return xp.sinc(x)


@op
def sinh(x: FloatArray) -> Array:
    """Return the hyperbolic sine."""
    return xp.sinh(x)


@op
def sqrt(x: FloatArray) -> Array:
    """Return the square root."""
    return xp.sqrt(x)


@op
def square(x: Array) -> Array:
    """Return x²."""
    return xp.square(x)


@op
def tan(x: FloatArray) -> Array:
    """Return the tangent of an angle in radians."""
    return xp.tan(x)


@op
def tanh(x: FloatArray) -> Array:
    """Return the hyperbolic tangent."""
    return xp.tanh(x)


@op
def trunc(x: Array) -> Array:
    """Return x without its fraction."""
    return xp.trunc(x)


@op
def erf(x: FloatArray) -> Array:
    """Return the error function, 2/√π ∫₀ˣ exp(-t²) dt."""
    return arrays.special.erf(x)


@op
def erfc(x: FloatArray) -> Array:
    """Return 1 - erf(x), exact for large x."""
    return arrays.special.erfc(x)


@op
def erfinv(x: FloatArray) -> Array:
    """Return the inverse of `erf`."""
    return arrays.special.erfinv(x)


@op
def rsqrt(x: FloatArray) -> Array:
    """Return 1 / √x."""
    return 1 / xp.sqrt(x)


@op
def round(x: Array, decimals: int = 0) -> Array:
    """Return x to `decimals` digits after the point; halves go to the even neighbour."""
    return xp.round(x, decimals)


@op
def nan_to_num(x: Array, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Array:
    """Return x with NaN and infinities replaced by finite numbers."""
    return xp.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


@op
def clip(x: Operand, x_min: Operand, x_max: Operand) -> Array:
    """Return x, held between `x_min` and `x_max`; bools become int32."""
    return xp.clip(arrays.cast(x, "int32") if dtypes.dtype_of(x) == "bool" else x, x_min, x_max)


@op
def add(x1: Operand, x2: Operand) -> Array:
    """Return x1 + x2."""
    return xp.add(x1, x2)


@op
def subtract(x1: Operand, x2: Operand) -> Array:
    """Return x1 - x2."""
    return xp.subtract(x1, x2)


@op
def multiply(x1: Operand, x2: Operand) -> Array:
    """Return x1 x2, elementwise."""
    return xp.multiply(x1, x2)


@op
def divide(x1: FloatOperand, x2: FloatOperand) -> Array:
    """Return x1 / x2; integers become floats."""
    return xp.true_divide(x1, x2)


@op
def floor_divide(x1: Operand, x2: Operand) -> Array:
    """Return the largest whole number <= x1 / x2."""
    return xp.floor_divide(x1, x2)


@op
def mod(x1: Operand, x2: Operand) -> Array:
    """Return what is left of x1 after division by x2, with the sign of x2."""
    return xp.mod(x1, x2)


@op
def fmod(x1: Operand, x2: Operand) -> Array:
    """Return what is left of x1 after division by x2, with the sign of x1."""
    return xp.fmod(x1, x2)


@op
def power(x1: Operand, x2: Operand) -> Array:
    """Return x1 to the power x2."""
    return xp.power(x1, x2)


@op
def maximum(x1: Operand, x2: Operand) -> Array:
    """Return the larger of both; NaN if either is."""
    return xp.maximum(x1, x2)


@op
def minimum(x1: Operand, x2: Operand) -> Array:
    """Return the smaller of both; NaN if either is."""
    return xp.minimum(x1, x2)


@op
def fmax(x1: Operand, x2: Operand) -> Array:
    """Return the larger of both, NaN only if both are."""
    return xp.fmax(x1, x2)


@op
def fmin(x1: Operand, x2: Operand) -> Array:
    """Return the smaller of both, NaN only if both are."""
    return xp.fmin(x1, x2)


@op
def arctan2(x1: FloatOperand, x2: FloatOperand) -> Array:
    """Return the angle of the point (x2, x1), in (-π, π]."""
    return xp.arctan2(x1, x2)


@op
def hypot(x1: FloatOperand, x2: FloatOperand) -> Array:
    """Return √(x1² + x2²)."""
    return xp.hypot(x1, x2)


@op
def heaviside(x1: FloatOperand, x2: FloatOperand) -> Array:
    """Return 0 where x1 < 0, x2 where x1 = 0, 1 where x1 > 0."""
    return xp.heaviside(x1, x2)


@op
def logaddexp(x1: FloatOperand, x2: FloatOperand) -> Array:
    """Return log(exp(x1) + exp(x2)) without overflow."""
    return xp.logaddexp(x1, x2)


@op
def logaddexp2(x1: FloatOperand, x2: FloatOperand) -> Array:
    """Return log2(2**x1 + 2**x2) without overflow."""
    return xp.logaddexp2(x1, x2)


@op
def nextafter(x1: FloatOperand, x2: FloatOperand) -> Array:
    """Return the next float after x1 on the way to x2."""
    return xp.nextafter(x1, x2)


@op
def gcd(x1: Operand, x2: Operand) -> Array:
    """Return the greatest common divisor."""
    return xp.gcd(x1, x2)


@op
def lcm(x1: Operand, x2: Operand) -> Array:
    """Return the least common multiple."""
    return xp.lcm(x1, x2)


@op
def equal(x1: Operand, x2: Operand) -> Array:
    """Return whether x1 = x2, elementwise."""
    return xp.equal(x1, x2)


@op
def not_equal(x1: Operand, x2: Operand) -> Array:
    """Return whether x1 ≠ x2, elementwise."""
    return xp.not_equal(x1, x2)


@op
def less(x1: Operand, x2: Operand) -> Array:
    """Return whether x1 < x2, elementwise."""
    return xp.less(x1, x2)


@op
def less_equal(x1: Operand, x2: Operand) -> Array:
    """Return whether x1 <= x2, elementwise."""
    return xp.less_equal(x1, x2)


@op
def greater(x1: Operand, x2: Operand) -> Array:
    """Return whether x1 > x2, elementwise."""
    return xp.greater(x1, x2)


@op
def greater_equal(x1: Operand, x2: Operand) -> Array:
    """Return whether x1 >= x2, elementwise."""
    return xp.greater_equal(x1, x2)


@op
def logical_and(x1: Array, x2: Array) -> Array:
    """Return whether both are true (not zero)."""
    return xp.logical_and(x1, x2)


@op
def logical_or(x1: Array, x2: Array) -> Array:
    """Return whether either is true (not zero)."""
    return xp.logical_or(x1, x2)


@op
def logical_xor(x1: Array, x2: Array) -> Array:
    """Return whether exactly one is true (not zero)."""
    return xp.logical_xor(x1, x2)


@op
def bitwise_and(x: Operand, y: Operand) -> Array:
    """Return the bits set in both."""
    return xp.bitwise_and(x, y)


@op
def bitwise_or(x: Operand, y: Operand) -> Array:
    """Return the bits set in either."""
    return xp.bitwise_or(x, y)


@op
def bitwise_xor(x: Operand, y: Operand) -> Array:
    """Return the bits set in exactly one."""
    return xp.bitwise_xor(x, y)


@op
def bitwise_left_shift(x: Operand, y: Operand) -> Array:
    """Return x with its bits moved y places up."""
    return xp.left_shift(x, y)


@op
def bitwise_right_shift(x: Operand, y: Operand) -> Array:
    """Return x with its bits moved y places down."""
    return xp.right_shift(x, y)


@op
def ldexp(x1: FloatArray, x2: Array) -> Array:
    """Return x1 · 2**x2."""
    return xp.ldexp(x1, x2)


@op
def divide_no_nan(x1: FloatOperand, x2: FloatOperand) -> Array:
    """Return x1 / x2, and 0 where x2 is 0."""
    return xp.where(x2 == 0, xp.zeros_like(x1), x1 / xp.where(x2 == 0, xp.ones_like(x2), x2))


@op
def isclose(x1: Operand, x2: Operand, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Array:
    """Return whether |x1 - x2| <= atol + rtol |x2|."""
    return xp.isclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan)


@op
def allclose(x1: Operand, x2: Operand, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Array:
    """Return whether all of x1 and x2 are close (see `isclose`)."""
    return xp.allclose(x1, x2, rtol=rtol, atol=atol, equal_nan=equal_nan)


@op
def cast(x: Array, dtype: Any) -> Array:
    """Return x in another dtype."""
    return arrays.cast(x, dtypes.standardize(dtype))


@op
def saturate_cast(x: Array, dtype: Any) -> Array:
    """Return x in another dtype; what that cannot hold becomes its nearest limit."""
    dtype = dtypes.standardize(dtype)
    low, high = dtypes.limits(dtype)
    if not dtypes.is_float(x.dtype) and x.dtype != "bool":
        own_low, own_high = dtypes.limits(x.dtype)
        return arrays.cast(xp.clip(x, max(low, own_low), min(high, own_high)), dtype)
    return arrays.cast(xp.clip(x, low, high), dtype)


@op
def view_as_complex(x: FloatArray) -> Array:
    """Return pairs (…, 2) of real and imaginary parts as complex numbers (…)."""
    x = arrays.cast(x, dtypes.result_type(x.dtype, "float32"))  # there are no complex numbers of 16 bits
    return x[..., 0] + 1j * x[..., 1]


@op
def view_as_real(x: Array) -> Array:
    """Return complex numbers (…) as pairs (…, 2) of real and imaginary parts."""
    return xp.stack([xp.real(x), xp.imag(x)], -1)


abs = absolute
conj = conjugate
true_divide = divide
bitwise_not = bitwise_invert
left_shift = bitwise_left_shift
right_shift = bitwise_right_shift
