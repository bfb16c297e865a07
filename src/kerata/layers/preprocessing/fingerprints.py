"""Hashes that are the same everywhere and for ever: FarmHash's Fingerprint64, and SipHash-2-4 with a key.

The formulas are written once, over 64-bit words that know `+ * ^ | << >>` modulo 2^64: NumPy's uint64 arrays, which
hold many strings of one length at a time, or `words.Words` in a compiled program.

Sources: Pike and Alakuijala, FarmHash (2014), its `farmhashna`; Aumasson and Bernstein, SipHash (2012).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

__all__ = ["as_bytes", "fingerprint64", "fingerprint_cat64", "siphash64"]

Word = Any
"""64-bit words: a uint64 array, or `words.Words`."""

Fetch = Callable[[int], Word]
"""Gives the 8 bytes, or the 4, that start at a place, the first of them lowest; from the end where it is negative."""

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def as_bytes(strings: Iterable[Any]) -> list[bytes]:
    """Return strings and bytes as bytes, in UTF-8; and what is neither as it prints."""
    return [s if isinstance(s, bytes) else str(s).encode() for s in strings]


def fingerprint64(strings: Iterable[Any]) -> np.ndarray:
    """Return FarmHash's Fingerprint64 of each string, (n,) uint64.

    Example:
        >>> from kerata.layers.preprocessing.fingerprints import fingerprint64
        >>> int(fingerprint64(["hello"])[0])
        13009744463427800296
    """
    return _by_length(strings, _farmhash)


def siphash64(strings: Iterable[Any], key: Sequence[int]) -> np.ndarray:
    """Return SipHash-2-4 of each string with a key of two 64-bit numbers, (n,) uint64."""
    return _by_length(strings, lambda rows: siphash_of_blocks(_blocks(rows), key))


def fingerprint_cat64(first: Word, second: Word) -> Word:
    """Return one fingerprint for two in order, as crossed features have it."""
    k = 0xC6A4A7935BD1E995
    return _mixed(_mixed((_mixed(second * k) * k ^ first ^ k) * k) * k)


def _by_length(strings: Iterable[Any], of_rows: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Hash strings of one length together: `of_rows` takes their bytes, (n, length) uint8."""
    encoded = as_bytes(strings)
    lengths = np.fromiter(map(len, encoded), "int64", len(encoded))
    hashes = np.empty(len(encoded), "uint64")
    for length in np.unique(lengths).tolist():
        places = np.flatnonzero(lengths == length)
        rows = np.frombuffer(b"".join(encoded[i] for i in places), "uint8").reshape(len(places), length)
        hashes[places] = of_rows(rows)
    return hashes


def _fetcher(rows: np.ndarray, size: int) -> Fetch:
    length = rows.shape[1]

    def fetch(start: int) -> np.ndarray:
        start += length if start < 0 else 0
        return np.ascontiguousarray(rows[:, start : start + size]).view(f"<u{size}")[:, 0].astype("uint64")

    return fetch


# FarmHash -------------------------------------------------------------------------------------------------------


def _farmhash(rows: np.ndarray) -> np.ndarray:
    length = rows.shape[1]
    fetch, fetch32 = _fetcher(rows, 8), _fetcher(rows, 4)
    if length == 0:
        return np.full(len(rows), _K2, "uint64")
    if length <= 3:
        return of_1_to_3([rows[:, i].astype("uint64") for i in (0, length // 2, length - 1)], length)
    if length <= 7:
        return of_4_to_7(fetch32, length)
    if length <= 16:
        return of_8_to_16(fetch, length)
    if length <= 32:
        return of_17_to_32(fetch, length)
    return _of_33_to_64(fetch, length) if length <= 64 else _of_more(fetch, length)


def of_1_to_3(bytes_at: Sequence[Word], length: Any) -> Word:
    first, middle, last = bytes_at
    return _mixed((first + (middle << 8)) * _K2 ^ ((last << 2) + length) * _K0) * _K2


def of_4_to_7(fetch32: Fetch, length: Any) -> Word:
    return _joined((fetch32(0) << 3) + length, fetch32(-4), _multiplier(length))


def of_8_to_16(fetch: Fetch, length: Any) -> Word:
    mul = _multiplier(length)
    a, b = fetch(0) + _K2, fetch(-8)
    return _joined(_rotated(b, 37) * mul + a, (_rotated(a, 25) + b) * mul, mul)


def of_17_to_32(fetch: Fetch, length: Any) -> Word:
    mul = _multiplier(length)
    a, b, c, d = fetch(0) * _K1, fetch(8), fetch(-8) * mul, fetch(-16) * _K2
    return _joined(_rotated(a + b, 43) + _rotated(c, 30) + d, a + _rotated(b + _K2, 18) + c, mul)


def _of_33_to_64(fetch: Fetch, length: int) -> Word:
    mul = _multiplier(length)
    a, b, c, d = fetch(0) * _K2, fetch(8), fetch(-8) * mul, fetch(-16) * _K2
    y = _rotated(a + b, 43) + _rotated(c, 30) + d
    z = _joined(y, a + _rotated(b + _K2, 18) + c, mul)
    e, f, g, h = fetch(16) * mul, fetch(24), (y + fetch(-32)) * mul, (z + fetch(-24)) * mul
    return _joined(_rotated(e + f, 43) + _rotated(g, 30) + h, e + _rotated(f + a, 18) + g, mul)


def _of_more(fetch: Fetch, length: int) -> Word:
    seed = 81
    y = _wrapped(seed * _K1 + 113)
    state = (
        fetch(0) + _wrapped(seed * _K2), y, _wrapped(_mixed(_wrapped(y * _K2 + 113)) * _K2), (0, 0), (0, 0),
    )  # fmt: skip
    whole = (length - 1) // 64 * 64  # the last 1 to 64 bytes are read with what stands before them
    for start in range(0, whole, 64):
        state = _round_of_64(fetch, start, state, _K1, 1)
    x, y, z, v, w = state
    mul = ((z & 0xFF) << 1) + _K1
    w0 = w[0] + ((length - 1) & 63)
    v0 = v[0] + w0
    w0 = w0 + v0
    x, y, z, v, w = _round_of_64(fetch, length - 64, (x, y, z, (v0, v[1]), (w0, w[1])), mul, 9)
    return _joined(_joined(v[0], w[0], mul) + _mixed(y) * _K0 + z, _joined(v[1], w[1], mul) + x, mul)


def _round_of_64(fetch: Fetch, at: int, state: tuple, mul: Word, times: int) -> tuple:
    x, y, z, v, w = state
    x = _rotated(x + y + v[0] + fetch(at + 8), 37) * mul
    y = _rotated(v[1] + fetch(at + 48) + y, 42) * mul
    x = x ^ w[1] * times
    y = y + v[0] * times + fetch(at + 40)
    z = _rotated(_word(z + w[0], x), 33) * mul
    v = _weakly(fetch, at, v[1] * mul, x + w[0])
    w = _weakly(fetch, at + 32, z + w[1], y + fetch(at + 16))
    return z, y, x, v, w


def _weakly(fetch: Fetch, at: int, a: Word, b: Word) -> tuple[Word, Word]:
    last = fetch(at + 24)
    a = fetch(at) + a
    b = _rotated(b + a + last, 21)
    c = a
    a = a + fetch(at + 8) + fetch(at + 16)
    return a + last, b + _rotated(a, 44) + c


def _word(x: Any, like: np.ndarray) -> Any:
    """Return `x`, which may be a number still, as words."""
    return np.full_like(like, x) if isinstance(x, int) else x


def _multiplier(length: Any) -> Any:
    return length * 2 + _K2


def _joined(u: Word, v: Word, mul: Any) -> Word:
    b = _mixed((v ^ _mixed((u ^ v) * mul)) * mul)
    return b * mul


def _mixed(x: Any) -> Any:
    return x ^ (x >> 47)


def _rotated(x: Word, right: int) -> Word:
    return (x >> right) | (x << (64 - right))


def _wrapped(x: int) -> int:
    return x & 0xFFFFFFFFFFFFFFFF


# SipHash --------------------------------------------------------------------------------------------------------


def _blocks(rows: np.ndarray) -> list[np.ndarray]:
    """Return the 64-bit blocks of the message; the last ends with the message's length."""
    count, length = rows.shape
    padded = np.zeros((count, length // 8 * 8 + 8), "uint8")
    padded[:, :length] = rows
    padded[:, -1] = length & 0xFF
    fetch = _fetcher(padded, 8)
    return [fetch(at) for at in range(0, padded.shape[1], 8)]


def siphash_of_blocks(blocks: Sequence[Word], key: Sequence[int]) -> Word:
    """Return SipHash-2-4 of messages that are already cut into blocks."""
    k0, k1 = (_wrapped(int(k)) for k in key)
    zero = blocks[0] ^ blocks[0]
    v0, v1 = zero + (k0 ^ 0x736F6D6570736575), zero + (k1 ^ 0x646F72616E646F6D)
    v2, v3 = zero + (k0 ^ 0x6C7967656E657261), zero + (k1 ^ 0x7465646279746573)
    for block in blocks:
        v0, v1, v2, v3 = _sip_rounds(2, v0, v1, v2, v3 ^ block)
        v0 = v0 ^ block
    v0, v1, v2, v3 = _sip_rounds(4, v0, v1, v2 ^ 0xFF, v3)
    return v0 ^ v1 ^ v2 ^ v3


def _sip_rounds(count: int, v0: Word, v1: Word, v2: Word, v3: Word) -> tuple[Word, Word, Word, Word]:
    for _ in range(count):
        v0, v2 = v0 + v1, v2 + v3
        v1, v3 = _rotated(v1, 64 - 13) ^ v0, _rotated(v3, 64 - 16) ^ v2
        v0 = _rotated(v0, 32)
        v2, v0 = v2 + v1, v0 + v3
        v1, v3 = _rotated(v1, 64 - 17) ^ v2, _rotated(v3, 64 - 21) ^ v0
        v2 = _rotated(v2, 32)
    return v0, v1, v2, v3
