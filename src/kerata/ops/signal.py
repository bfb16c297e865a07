"""Fourier transforms, and sequences cut into overlapping pieces."""

from __future__ import annotations

import math
from typing import Any

from kerata import errors
from kerata.core import dtypes
from kerata.core.op import Array, FloatArray, convert, op
from kerata.engine import arrays, xp

__all__ = ["extract_sequences", "fft", "fft2", "ifft2", "irfft", "istft", "rfft", "stft"]


def _complex(x: Any, where: str) -> Any:
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise errors.InvalidType("takes a pair: real and imaginary parts.", where=f"ops.{where}", got=type(x).__name__)
    real, imaginary = (arrays.cast(part, dtypes.result_type(part.dtype, "float32")) for part in map(convert, x))
    return real + 1j * imaginary


def _pair(z: Any) -> tuple[Any, Any]:
    return xp.real(z), xp.imag(z)


@op
def fft(x: Any) -> tuple[Array, Array]:
    """Return the Fourier transform along the last axis of (real, imaginary), as such a pair."""
    return _pair(xp.fft.fft(_complex(x, "fft")))


@op
def fft2(x: Any) -> tuple[Array, Array]:
    """Return the Fourier transform along the last two axes of (real, imaginary), as such a pair."""
    return _pair(xp.fft.fft2(_complex(x, "fft2")))


@op
def ifft2(x: Any) -> tuple[Array, Array]:
    """Return the inverse of `fft2`."""
    return _pair(xp.fft.ifft2(_complex(x, "ifft2")))


@op
def rfft(x: FloatArray, fft_length: int | None = None) -> tuple[Array, Array]:
    """Return the half of the Fourier transform of real values that says all, as (real, imaginary)."""
    return _pair(xp.fft.rfft(_wide(x), n=fft_length))


@op
def irfft(x: Any, fft_length: int | None = None) -> Array:
    """Return the real values whose `rfft` is x."""
    return xp.fft.irfft(_complex(x, "irfft"), n=fft_length)


@op
def extract_sequences(x: Array, sequence_length: int, sequence_stride: int) -> Array:
    """Return pieces (…, pieces, length) of the last axis, one every `sequence_stride` values."""
    pieces = (x.shape[-1] - sequence_length) // sequence_stride + 1
    starts = xp.arange(pieces)[:, None] * sequence_stride
    return xp.take(x, starts + xp.arange(sequence_length)[None], axis=-1)


def _wide(x: Any) -> Any:
    """Return x in 32 bits, if it has 16: no transform takes these."""
    return arrays.cast(x, "float32") if dtypes.dtype_of(x) in ("float16", "bfloat16") else x


def _window(window: Any, length: int, fft_length: int, dtype: Any) -> Any:
    """Return the window, centred in `fft_length` values."""
    if window is None:
        values = xp.ones(length, dtype)
    elif isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise errors.UnknownName("window", window, ("hann", "hamming"), where="ops.stft")
        low = {"hann": 0.5, "hamming": 0.54}[window]
        values = low - (1 - low) * xp.cos(2 * math.pi * xp.arange(length, dtype=dtype) / length)
    else:
        values = arrays.cast(convert(window), dtypes.standardize(dtype))
    before = (fft_length - length) // 2
    return xp.pad(values, (before, fft_length - length - before))


@op
def stft(
    x: FloatArray,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> tuple[Array, Array]:
    """Return the Fourier transforms (…, pieces, fft_length // 2 + 1) of overlapping, windowed pieces of x."""
    x = _wide(x)
    if center:
        x = xp.pad(x, [(0, 0)] * (x.ndim - 1) + [(fft_length // 2, fft_length // 2)], "reflect")
    pieces = extract_sequences(x, fft_length, sequence_stride)
    return _pair(xp.fft.rfft(pieces * _window(window, sequence_length, fft_length, x.dtype), n=fft_length))


@op
def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Array:
    """Return the signal whose `stft` is x: pieces are added up and divided by the sum of squared windows."""
    pieces = xp.fft.irfft(_complex(x, "istft"), n=fft_length)
    shape = _window(window, sequence_length, fft_length, pieces.dtype)
    count = pieces.shape[-2]
    total = fft_length + sequence_stride * (count - 1)
    place = xp.arange(count)[:, None] * sequence_stride + xp.arange(fft_length)[None]
    signal = arrays.add_at(xp.zeros((*pieces.shape[:-2], total), pieces.dtype), (..., place), pieces * shape)
    weight = arrays.add_at(
        xp.zeros(total, pieces.dtype), (place,), xp.broadcast_to(xp.square(shape), (count, fft_length))
    )
    signal = signal / xp.where(weight > 1e-10, weight, 1)
    start = fft_length // 2 if center else 0
    end = total - start if length is None else start + length
    return signal[..., start:end]
