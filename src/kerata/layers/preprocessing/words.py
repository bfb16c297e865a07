"""64-bit words in programs that count in 32 bits: what a compiled program hashes numbers with.

A word is four limbs of 16 bits, lowest first, each an int32 array or an int. Nothing here leaves the range of an int32:
what would then happen is not the same in all compilers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import errors, ops
from kerata.core import dtypes
from kerata.layers.preprocessing import fingerprints

__all__ = ["Wide", "Words", "as_int32", "hash_of_decimals", "words"]

_LIMB = 0xFFFF


class Words:
    """Unsigned 64-bit numbers modulo 2^64, with the operators that the hashes need.

    Args:
        limbs: four ints or int32 arrays from 0 to 65535, the lowest first.
    """

    def __init__(self, limbs: Sequence[Any]) -> None:
        self.limbs = list(limbs)

    @classmethod
    def of(cls, x: Any) -> Words:
        """Return a Python int, or an int32 array, as words; negative ones in two's complement."""
        if isinstance(x, Words):
            return x
        if isinstance(x, int):
            return cls([x >> shift & _LIMB for shift in (0, 16, 32, 48)])
        sign = (x >> 31) & _LIMB
        return cls([x & _LIMB, (x >> 16) & _LIMB, sign, sign])

    @classmethod
    def of_bytes(cls, values: Sequence[Any]) -> Words:
        """Return the word of up to 8 bytes, the lowest first."""
        values = [*values, *(8 - len(values)) * [0]]
        return cls([low | (high << 8) for low, high in zip(values[::2], values[1::2])])

    def __add__(self, other: Any) -> Words:
        carry, limbs = 0, []
        for a, b in zip(self.limbs, Words.of(other).limbs):
            total = a + b + carry
            limbs.append(total & _LIMB)
            carry = total >> 16
        return Words(limbs)

    def __mul__(self, other: Any) -> Words:
        limbs: list[Any] = [0, 0, 0, 0]
        factors = Words.of(other).limbs
        for i, a in enumerate(self.limbs):
            half, odd, carry = a >> 1, a & 1, 0
            for j, b in enumerate(factors[: 4 - i]):
                product = half * b  # below 2^31, as a b is not
                low = ((product & 0x7FFF) << 1) + odd * b + limbs[i + j] + carry
                limbs[i + j] = low & _LIMB
                carry = (product >> 15) + (low >> 16)
        return Words(limbs)

    def __xor__(self, other: Any) -> Words:
        return Words([a ^ b for a, b in zip(self.limbs, Words.of(other).limbs)])

    def __or__(self, other: Words) -> Words:
        return Words([a | b for a, b in zip(self.limbs, other.limbs)])

    def __rshift__(self, places: int) -> Words:
        whole, bits = divmod(places, 16)
        limbs = [*self.limbs[whole:], *(whole + 1) * [0]]
        if bits == 0:
            return Words(limbs[:4])
        return Words([(limbs[i] >> bits) | ((limbs[i + 1] << (16 - bits)) & _LIMB) for i in range(4)])

    def __lshift__(self, places: int) -> Words:
        whole, bits = divmod(places, 16)
        limbs = [*(whole + 1) * [0], *self.limbs[: 4 - whole]]
        if bits == 0:
            return Words(limbs[1:])
        return Words([((limbs[i + 1] << bits) & _LIMB) | (limbs[i] >> (16 - bits)) for i in range(4)])

    def modulo(self, n: int) -> Any:
        """Return the remainder by `n`, int32."""
        if n > 1 << 30:
            raise errors.Unsupported("a compiled program divides by 2^30 at most.", where="Hashing", got=n)
        rest: Any = 0
        for limb in reversed(self.limbs):
            if n <= 1 << 15:
                rest = ((rest << 16) | limb) % n  # the rest is below 2^15
                continue
            for bit in range(15, -1, -1):
                rest = (rest << 1) | ((limb >> bit) & 1)
                rest = ops.where(rest >= n, rest - n, rest)
        return rest

    @staticmethod
    def choose(condition: Any, x: Words, y: Words) -> Words:
        """Return x where `condition`, else y."""
        return Words([ops.where(condition, a, b) for a, b in zip(x.limbs, y.limbs)])


class Wide:
    """The same, where the engine has ints of 64 bits: their products keep the lower 64 bits, and the sign is a bit.

    Args:
        bits: an int64 array, or an int.
    """

    def __init__(self, bits: Any) -> None:
        self.bits = bits

    @classmethod
    def of(cls, x: Any) -> Wide:
        """Return a Python int, or an array of ints, as words."""
        if isinstance(x, Wide):
            return x
        return cls((x + (1 << 63)) % (1 << 64) - (1 << 63) if isinstance(x, int) else ops.cast(x, "int64"))

    @classmethod
    def of_bytes(cls, values: Sequence[Any]) -> Wide:
        """Return the word of up to 8 bytes, the lowest first."""
        found: Any = 0
        for i, value in enumerate(values):
            found = found | ((value if isinstance(value, int) else ops.cast(value, "int64")) << (8 * i))
        return cls(found)

    def __add__(self, other: Any) -> Wide:
        return Wide(self.bits + Wide.of(other).bits)

    def __mul__(self, other: Any) -> Wide:
        return Wide(self.bits * Wide.of(other).bits)

    def __xor__(self, other: Any) -> Wide:
        return Wide(self.bits ^ Wide.of(other).bits)

    def __or__(self, other: Wide) -> Wide:
        return Wide(self.bits | other.bits)

    def __rshift__(self, places: int) -> Wide:
        return Wide((self.bits >> places) & ((1 << (64 - places)) - 1))

    def __lshift__(self, places: int) -> Wide:
        return Wide(self.bits << places)

    def modulo(self, n: int) -> Any:
        """Return the remainder by `n`, int32."""
        return ops.cast((((self >> 1).bits % n) * 2 + (self.bits & 1)) % n, "int32")

    @staticmethod
    def choose(condition: Any, x: Wide, y: Wide) -> Wide:
        """Return x where `condition`, else y."""
        return Wide(ops.where(condition, x.bits, y.bits))


def words() -> Any:
    """Return the class of words for the engine in use."""
    return Wide if dtypes.standardize(ops.cast(0, "int64").dtype) == "int64" else Words


def hash_of_decimals(x: Any, key: Sequence[int] | None = None) -> Any:
    """Return the hashes of ints written in decimal: Fingerprint64, or SipHash-2-4 where a key is given.

    Raises:
        Unsupported: for a dtype that an int32 does not hold.
    """
    kind = words()
    x = as_int32(x)
    last, length = _decimal(x)
    # The characters from the first on; what lies beyond the end is not looked at.
    first = [_pick(last, 11 - length + place) for place in range(8)]
    if key is not None:
        return _siphash(last, first, length, key)
    size = kind.of(length)
    middle = ops.where(length == 1, first[0], first[1])
    short = fingerprints.of_1_to_3([kind.of_bytes([c]) for c in (first[0], middle, last[-1])], size)
    starting = {0: kind.of_bytes(first[:4]), -4: kind.of_bytes(last[-4:])}
    medium = fingerprints.of_4_to_7(starting.__getitem__, size)
    starting = {0: kind.of_bytes(first), -8: kind.of_bytes(last[-8:])}
    long = fingerprints.of_8_to_16(starting.__getitem__, size)
    return kind.choose(length <= 3, short, kind.choose(length <= 7, medium, long))


def as_int32(x: Any) -> Any:
    """Return the ints x as int32, or raise where that does not hold them."""
    dtype = dtypes.standardize(x.dtype)
    if dtype not in ("int8", "int16", "int32", "uint8", "uint16"):
        raise errors.Unsupported(
            "a compiled program hashes ints of up to 32 bits only.", where="Hashing", got=f"dtype {dtype}",
            hint="cast them to int32, or call the layer on the data before they reach the model",
        )  # fmt: skip
    return ops.cast(x, "int32")


def _decimal(x: Any) -> tuple[list[Any], Any]:
    """Return the 11 characters that end with the last digit of x, and how many of them its decimal form has."""
    negative = x < 0
    # -(x + 1) is there for every negative x, and -x is not; the one is given back to the last digit.
    rest = x ^ (x >> 31)
    digit = rest % 10 + ops.cast(negative, "int32")
    rest = rest // 10 + digit // 10
    digits = [digit % 10]
    length = 1
    for place in range(1, 10):
        length = ops.where(rest > 0, place + 1, length)
        digits.append(rest % 10)
        rest = rest // 10
    characters = [ops.zeros_like(x), *(d + ord("0") for d in reversed(digits))]
    characters = [
        ops.where(negative & (length == 10 - place), ord("-"), c) for place, c in enumerate(characters)
    ]  # fmt: skip
    return characters, length + ops.cast(negative, "int32")


def _pick(characters: list[Any], place: Any) -> Any:
    """Return the character at a place that differs from number to number; 0 beyond the end."""
    found: Any = 0
    for i, character in enumerate(characters):
        found = ops.where(place == i, character, found)
    return found


def _siphash(last: list[Any], first: list[Any], length: Any, key: Sequence[int]) -> Any:
    kind = words()
    first_with_size = [*first[:7], length]  # of a message below 8 bytes; `_pick` left zeros beyond its end
    one = fingerprints.siphash_of_blocks([kind.of_bytes(first_with_size)], key)
    beyond = [_pick(last, 11 - length + place) for place in (8, 9, 10)]
    two = fingerprints.siphash_of_blocks([kind.of_bytes(first), kind.of_bytes([*beyond, 0, 0, 0, 0, length])], key)
    return kind.choose(length < 8, one, two)
