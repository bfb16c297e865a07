"""Texts as lists of word ids, a frequent word having a small one: what IMDB and Reuters do to them.

Ids are shifted by `index_from` to make room for marks: by custom 0 for padding, 1 for the start, 2 for a word that was
left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from kerata import errors

__all__ = ["drop_long", "limit_words", "mark_start", "object_array", "read_word_index"]

Texts = list[list[int]]


def mark_start(texts: Iterable[Iterable[int]], start_char: int | None, index_from: int | None) -> Texts:
    """Return `texts` with ids shifted by `index_from`, and `start_char` before each unless it is None."""
    start = [] if start_char is None else [start_char]
    shift = index_from or 0
    return [start + [word + shift for word in text] for text in texts]


def drop_long(texts: Texts, labels: Any, maxlen: int | None) -> tuple[Texts, np.ndarray]:
    """Return the texts shorter than `maxlen` with their labels; all of them where it is None or 0."""
    labels = np.asarray(labels)
    if not maxlen:
        return texts, labels
    kept = [i for i, text in enumerate(texts) if len(text) < maxlen]
    if not kept:
        raise errors.InvalidArgument(
            "no text is as short as that.", where="load_data", expected=f"maxlen > {min(map(len, texts), default=0)}",
            got=f"maxlen={maxlen}",
        )  # fmt: skip
    return [texts[i] for i in kept], labels[kept]


def limit_words(texts: Texts, num_words: int | None, skip_top: int, oov_char: int | None) -> Texts:
    """Return `texts` with `oov_char` for ids below `skip_top` and from `num_words` on; dropped where it is None."""
    # Without `num_words` the largest id falls out too: so it is in Keras, and in every number published with it.
    end = num_words or max((max(text, default=0) for text in texts), default=0)
    if oov_char is None:
        return [[word for word in text if skip_top <= word < end] for text in texts]
    return [[word if skip_top <= word < end else oov_char for word in text] for text in texts]


def object_array(texts: Texts) -> np.ndarray:
    """Return an array (N,) whose elements are lists, also where these are equally long."""
    return np.fromiter(texts, dtype=object, count=len(texts))


def read_word_index(path: Path) -> dict[str, int]:
    """Return the ids (before the shift) by word."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)
