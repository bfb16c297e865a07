"""Text on the host: strings in every form that they come in, made standard and cut into tokens.

The rules are those of TensorFlow's text ops, which Keras uses: lowering and whitespace are ASCII's, characters are code
points. Bytes that are no text in the encoding are kept (`surrogateescape`), so that they come out as they went in.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from kerata import errors

__all__ = ["Rows", "as_strings", "ngrams", "split", "standardize", "vocabulary_lines"]

_LOWER = {ord(c): c.lower() for c in string.ascii_uppercase}
_NO_PUNCTUATION = dict.fromkeys(map(ord, string.punctuation))
_STANDARDS = {
    "lower": _LOWER, "strip_punctuation": _NO_PUNCTUATION, "lower_and_strip_punctuation": {**_LOWER, **_NO_PUNCTUATION},
}  # fmt: skip

_BEYOND_ASCII_SPACE = re.compile(r"[\x1c-\x1f]|[^\x00-\x7f]")  # where str.split sees more spaces than ASCII has
_BETWEEN_SPACES = re.compile(r"[^ \t\n\v\f\r]+")
_NO_TEXT = re.compile("[\udc80-\udcff]")


class Rows(NamedTuple):
    """Rows of tokens, each of its own length; the rows are arranged in `shape`."""

    tokens: list[list[str]]
    shape: tuple[int, ...]


def as_strings(x: Any, encoding: str = "utf-8", where: str = "text") -> np.ndarray:
    """Return strings, bytes, lists or arrays of them as an array of Python strings.

    Raises:
        InvalidType: for anything else than text.
        ShapeMismatch: for lists of unequal lengths.
    """
    array = x if isinstance(x, np.ndarray) else _array(x)
    if array.dtype.kind not in "USOT":
        raise errors.InvalidType(
            "this is no text.", where=where, expected="strings, bytes, or lists or arrays of them",
            got=f"an array of dtype {array.dtype}",
        )  # fmt: skip
    flat = array.ravel().tolist()
    kinds = set(map(type, flat))
    if kinds - {str}:
        if odd := sorted(k.__name__ for k in kinds if not issubclass(k, (str, bytes))):
            ragged = kinds & {list, tuple}
            raise (errors.ShapeMismatch if ragged else errors.InvalidType)(
                "the lists are of unequal lengths." if ragged else "not all of this is text.", where=where,
                expected="strings or bytes", got=odd,
            )  # fmt: skip
        flat = [s.decode(encoding, "surrogateescape") if isinstance(s, bytes) else str(s) for s in flat]
    result = np.empty(len(flat), object)
    result[:] = flat
    return result.reshape(array.shape)


def _array(x: Any) -> np.ndarray:
    if hasattr(x, "__array__"):
        return np.asarray(x)
    is_list = isinstance(x, (list, tuple))
    if is_list and not any(isinstance(i, (str, bytes, list, tuple)) or hasattr(i, "__array__") for i in x):
        return np.asarray(x)  # numbers, or nothing
    return np.array(x, dtype=object)


def standardize(texts: np.ndarray, how: str | Callable[[Any], Any] | None, encoding: str) -> np.ndarray:
    """Return the texts in standard form; a function of the user's gets an array of strings."""
    if how is None:
        return texts
    if callable(how):
        return as_strings(how(texts.astype(np.str_)), encoding, "TextVectorization: what `standardize` returned")
    table = _STANDARDS[how]
    result = np.empty(texts.size, object)
    result[:] = [text.translate(table) for text in texts.ravel()]
    return result.reshape(texts.shape)


def split(texts: np.ndarray, how: str | Callable[[Any], Any], encoding: str) -> Rows | np.ndarray:
    """Return the tokens of each text; a function of the user's gets an array of strings and returns lists."""
    if callable(how):
        return _user_rows(how(texts.astype(np.str_)), encoding)
    cut = _words if how == "whitespace" else _characters
    if texts.ndim == 0:
        return as_strings(cut(texts.item()) or np.empty(0, object))
    return Rows([cut(text) for text in texts.ravel()], texts.shape)


def _words(text: str) -> list[str]:
    return _BETWEEN_SPACES.findall(text) if _BEYOND_ASCII_SPACE.search(text) else text.split()


def _characters(text: str) -> list[str]:
    return list(text if text.isascii() else _NO_TEXT.sub("\ufffd", text))


def _user_rows(result: Any, encoding: str) -> Rows | np.ndarray:
    where = "TextVectorization: what `split` returned"
    if hasattr(result, "to_list"):  # TensorFlow's ragged tensors
        result = result.to_list()
    sequences = (list, tuple, np.ndarray)
    if len(result) and all(isinstance(row, sequences) for row in result) and not (
        isinstance(result, np.ndarray) and result.ndim > 1
    ):  # fmt: skip
        rows = [as_strings(row, encoding, where).tolist() if len(row) else [] for row in result]
        return Rows(rows, (len(rows),))
    return as_strings(result, encoding, where)


def ngrams(tokens: Rows | np.ndarray, widths: Iterable[int]) -> Rows | np.ndarray:
    """Return the n-grams of each row, the widths one after another; words are joined by a space."""
    widths = tuple(widths)

    def of_row(row: list[str]) -> list[str]:
        return [" ".join(row[i : i + n]) for n in widths for i in range(len(row) - n + 1)]

    if isinstance(tokens, Rows):
        return Rows([of_row(row) for row in tokens.tokens], tokens.shape)
    *outer, length = tokens.shape
    rows = [of_row(row.tolist()) for row in tokens.reshape(-1, length)]
    width = sum(max(0, length - n + 1) for n in widths)
    result = np.empty(len(rows) * width, object)
    result[:] = [gram for row in rows for gram in row]
    return result.reshape(*outer, width)


def vocabulary_lines(data: bytes, encoding: str = "utf-8") -> list[str]:
    """Return the terms of a vocabulary file: one a line, and a line ends in a line feed only."""
    lines = data.decode(encoding, "surrogateescape").split("\n")
    return lines[:-1] if lines[-1] == "" else lines
