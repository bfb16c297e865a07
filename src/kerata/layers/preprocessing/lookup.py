"""`StringLookup` and `IntegerLookup`: terms become their numbers in a vocabulary, and back.

In "int" mode the numbers run: mask (0, where there is a mask token), out-of-vocabulary places, terms. In the other
modes they run: out-of-vocabulary places, terms; and what is masked is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors, ops
from kerata.core.op import convert
from kerata.layers.preprocessing.encoding import encode_categories
from kerata.layers.preprocessing.index_lookup import LEFT_OUT, UNKNOWN, IndexLookup, on_host
from kerata.layers.preprocessing.text import as_strings

__all__ = ["IntegerLookup", "StringLookup"]


class StringLookup(IndexLookup):
    """Turns strings into their numbers in a vocabulary; with `invert`, numbers into strings.

    It runs on the host: in front of a model, or on data.

    Args:
        max_tokens: the largest size of the vocabulary, special tokens included; None for any.
        num_oov_indices: how many numbers unknown strings share. With 0 they are an error; with more than 1, a hash
            chooses (FarmHash's Fingerprint64, or SipHash-2-4 with `salt`).
        mask_token: what stands for nothing: number 0 in "int" mode, left out in the others.
        oov_token: what an unknown number is in inverted lookup; in `adapt` it is no term.
        vocabulary: a list or array of strings, or the path of a file with one on each line; None to `adapt`.
        idf_weights: for "tf_idf", a weight for each item of `vocabulary`.
        invert: whether numbers become strings.
        output_mode: "int" for numbers, in the shape of the input; "one_hot" (..., n, depth), without n where it is 1;
            "multi_hot", "count" and "tf_idf" for one vector for each row, (..., depth).
        pad_to_max_tokens: whether depth is `max_tokens` even for a smaller vocabulary.
        sparse: must be False: there are no sparse tensors.
        encoding: how bytes are read.
        salt: a number, or two, that make the hash another one.

    Returns numbers as a tensor; in inverted lookup, a NumPy array of str.

    Example:
        >>> layer = kerata.layers.StringLookup()
        >>> layer.adapt([["a", "c", "d"], ["d", "z", "b"]])
        >>> layer.get_vocabulary()
        ['[UNK]', 'd', 'z', 'c', 'b', 'a']
        >>> numpy.asarray(layer([["a", "x"]])).tolist()
        [[5, 0]]
    """

    vocabulary_dtype = "string"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: Any = None,
        oov_token: Any = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        self._encoding = encoding
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, salt=salt, name=name, **kwargs,
        )  # fmt: skip

    @property
    def encoding(self) -> str:
        """How bytes are read."""
        return self._encoding

    def _array(self, x: Any) -> np.ndarray:
        return as_strings(x, self._encoding, type(self).__name__)

    def _terms_of(self, x: Any) -> list[str]:
        x = on_host(x)
        if isinstance(x, (list, tuple, np.ndarray)):  # numbers count by their digits, as in an array of strings
            x = [item if isinstance(item, (str, bytes)) else str(item) for item in x]
        return self._array(x).tolist() if len(x) else []

    def _order(self, term: str) -> bytes:
        return self._bytes(term)

    def _bytes(self, term: str) -> bytes:
        return term.encode(self._encoding, "surrogateescape")

    def _buckets(self, terms: list[str]) -> np.ndarray:
        return self._hashed([self._bytes(term) for term in terms])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "encoding": self._encoding}


class IntegerLookup(IndexLookup):
    """Turns integers into their numbers in a vocabulary; with `invert`, numbers into integers.

    In front of a model it runs on the host, with all 64 bits; elsewhere also in compiled functions, as a search in the
    sorted vocabulary. There an integer that is unknown, with `num_oov_indices=0`, becomes -1 and no error.

    Args:
        max_tokens: the largest size of the vocabulary, special tokens included; None for any.
        num_oov_indices: how many numbers unknown integers share. With 0 they are an error; with more than 1,
            `oov_method` chooses.
        mask_token: what stands for nothing: number 0 in "int" mode, left out in the others.
        oov_token: what an unknown number is in inverted lookup; in `adapt` it is no term.
        vocabulary: a list or array of integers, or the path of a file with one on each line; None to `adapt`.
        vocabulary_dtype: "int64".
        idf_weights, invert, output_mode, sparse, pad_to_max_tokens: as in `StringLookup`.
        oov_method: "floormod" for the remainder by `num_oov_indices`; "farmhash" for a hash of the digits.
        salt: for "farmhash", a number, or two, that make the hash another one (SipHash-2-4).

    Example:
        >>> layer = kerata.layers.IntegerLookup(vocabulary=[12, 36, 1138, 42])
        >>> numpy.asarray(layer(numpy.array([[12, 1138, 42], [42, 1000, 36]]))).tolist()
        [[1, 3, 4], [4, 0, 2]]
    """

    vocabulary_dtype = "int64"
    _term_type = "int64"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: Any = None,
        oov_token: Any = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if vocabulary_dtype != "int64":
            raise errors.InvalidArgument(
                "the terms are int64.", where="IntegerLookup: vocabulary_dtype", got=vocabulary_dtype
            )
        mask_token = None if mask_token is None else int(mask_token)
        oov_token = None if oov_token is None else int(oov_token)
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, oov_method, salt, name, **kwargs,
        )  # fmt: skip

    def _use(self, terms: list[int]) -> None:
        super()._use(terms)
        self._sorted = np.array(sorted(self._numbers), "int64")
        self._places = np.array([self._numbers[term] for term in self._sorted.tolist()], "int64")

    def _array(self, x: Any) -> np.ndarray:
        array = np.asarray(on_host(x))
        if array.dtype.kind not in "biuf":
            raise errors.InvalidType(
                "these are no integers.", where=self._where(), got=f"an array of dtype {array.dtype}"
            )
        return array.astype("int64")

    def _terms_of(self, x: Any) -> list[int]:
        return self._array(x).tolist() if len(x) else []

    def _from_lines(self, lines: list[str], where: str, kind: type[errors.KerataError]) -> list[int]:
        try:
            return np.array([int(line) for line in lines], "int64").tolist()
        except (ValueError, OverflowError) as error:
            raise kind("a line of the vocabulary is no 64-bit integer.", where=where, got=error) from None

    def _found(self, terms: Any) -> np.ndarray:
        terms = np.asarray(terms, "int64")
        if not self._sorted.size:
            return np.full(terms.shape, UNKNOWN)
        at = np.searchsorted(self._sorted, terms).clip(max=self._sorted.size - 1)
        return np.where(self._sorted[at] == terms, self._places[at], UNKNOWN)

    def _buckets(self, terms: list[Any]) -> np.ndarray:
        if self.oov_method == "farmhash":
            return self._hashed([str(term).encode() for term in terms])
        return np.array(terms, "int64") % self.num_oov_indices

    def _inverted(self, numbers: np.ndarray) -> Any:
        return convert(super()._inverted(numbers))

    def _call_traced(self, inputs: Any) -> Any:
        if self.oov_method == "farmhash" and self.num_oov_indices > 1 and not self.invert:
            return super()._call_traced(inputs)
        x = ops.cast(inputs, "int64")
        if self.invert:
            table = self._constant(self.get_vocabulary())
            known = (x >= 0) & (x < len(table))
            return ops.where(known, ops.take(table, ops.where(known, x, 0)), self.oov_token)
        keys, places = self._constant(self._sorted), self._constant(self._places)
        at = ops.minimum(ops.searchsorted(keys, x), len(self._sorted) - 1)
        unknown: Any = self._oov_start if self.num_oov_indices else LEFT_OUT
        if self.num_oov_indices > 1:
            unknown = self._oov_start + x % self.num_oov_indices
        numbers = ops.where(ops.take(keys, at) == x, ops.take(places, at), unknown)
        dtype = self.idf_weights.dtype.name if self.idf_weights is not None else "int64"
        return encode_categories(numbers, self.output_mode, self._depth, dtype, idf_weights=self.idf_weights)

    def _constant(self, values: Any) -> Any:
        values = np.asarray(values, "int64")
        held = convert(values)
        if "int64" not in str(held.dtype) and values.size and max(values.max(), -values.min()) >= 1 << 31:
            raise errors.Unsupported(
                "the vocabulary needs 64 bits, and the engine counts in 32 here.", where=self._where(),
                hint="make it the first layer of a model, or call it on the data before",
            )  # fmt: skip
        return held

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "vocabulary_dtype": "int64"}
