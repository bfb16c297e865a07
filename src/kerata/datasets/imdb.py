"""IMDB: reviews of films, for or against."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors
from kerata.data.pickled_arrays import read_npz
from kerata.datasets.origins import fetch
from kerata.datasets.splits import Split, shuffled
from kerata.datasets.word_ids import drop_long, limit_words, mark_start, object_array, read_word_index

__all__ = ["get_word_index", "load_data"]


@errors.user_facing
def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
    **kwargs: Any,
) -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`, from the cache or the network (17 MB).

    25,000 reviews for training and 25,000 for the test. Words are numbered by how frequent they are.

    Args:
        path: the file's name in the cache.
        num_words: ids from here on become `oov_char`.
        skip_top: ids below become `oov_char`.
        maxlen: reviews of this length or more are left out.
        seed: of the order of the reviews.
        start_char: put before each review; None puts nothing.
        oov_char: stands for a word left out; None drops it.
        index_from: added to each id, to make room for the marks.

    Returns:
        Reviews, an object array (N,) of lists of ids, and labels, int64 (N,): 1 for a good one.
        `kerata.utils.pad_sequences` makes them equally long.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = kerata.datasets.imdb.load_data(num_words=10_000)
        >>> x_train[0][:3]
        [1, 14, 22]

    Source: Maas et al., "Learning Word Vectors for Sentiment Analysis", 2011.
    """
    if kwargs:
        raise errors.InvalidType("unknown arguments.", where="imdb.load_data", got=", ".join(kwargs))
    arrays = read_npz(fetch("imdb.npz", path))
    rng = np.random.RandomState(seed)
    parts = []
    for part in ("train", "test"):
        x, y = shuffled(rng, arrays[f"x_{part}"], arrays[f"y_{part}"])
        parts.append(drop_long(mark_start(x, start_char, index_from), y, maxlen))
    (x_train, y_train), (x_test, y_test) = parts
    texts = object_array(limit_words(x_train + x_test, num_words, skip_top, oov_char))
    return (texts[: len(x_train)], y_train), (texts[len(x_train) :], y_test)


@errors.user_facing
def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Return the id of each word, before `load_data` adds `index_from` to it.

    Example:
        >>> words = {id + 3: word for word, id in kerata.datasets.imdb.get_word_index().items()}
        >>> " ".join(words.get(id, "?") for id in x_train[0][:6])
        '? this film was just brilliant'
    """
    return read_word_index(fetch("imdb_word_index.json", path))
