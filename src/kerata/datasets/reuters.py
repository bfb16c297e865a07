"""Reuters: short newswires by topic."""

from __future__ import annotations

import numpy as np

from kerata import errors
from kerata.data.pickled_arrays import read_npz
from kerata.datasets.origins import fetch
from kerata.datasets.splits import Split, check_test_split, shuffled, split
from kerata.datasets.word_ids import drop_long, limit_words, mark_start, object_array, read_word_index

__all__ = ["get_label_names", "get_word_index", "load_data"]

_TOPICS = """
    cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass
    crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi
    iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead
"""


@errors.user_facing
def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`, from the cache or the network (2 MB).

    11,228 newswires of 46 topics, which `get_label_names` names. Words are numbered by how frequent they are.

    Args:
        path: the file's name in the cache.
        num_words: ids from here on become `oov_char`.
        skip_top: ids below become `oov_char`.
        maxlen: newswires of this length or more are left out.
        test_split: the share of the newswires for the test.
        seed: of the order of the newswires.
        start_char: put before each newswire; None puts nothing.
        oov_char: stands for a word left out; None drops it.
        index_from: added to each id, to make room for the marks.

    Returns:
        Newswires, an object array (N,) of lists of ids, and topics, int64 (N,).

    Example:
        >>> (x_train, y_train), (x_test, y_test) = kerata.datasets.reuters.load_data(num_words=10_000)
        >>> len(x_train), len(x_test)
        (8982, 2246)

    Source: Reuters-21578, collected by Reuters and Carnegie Group, 1987.
    """
    check_test_split(test_split, "reuters.load_data")
    arrays = read_npz(fetch("reuters.npz", path))
    x, y = shuffled(np.random.RandomState(seed), arrays["x"], arrays["y"])
    texts, y = drop_long(mark_start(x, start_char, index_from), y, maxlen)
    return split(object_array(limit_words(texts, num_words, skip_top, oov_char)), y, test_split)


@errors.user_facing
def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """Return the id of each word, before `load_data` adds `index_from` to it.

    Example:
        >>> kerata.datasets.reuters.get_word_index()["the"]
        1
    """
    return read_word_index(fetch("reuters_word_index.json", path))


def get_label_names() -> tuple[str, ...]:
    """Return the topics' names; a label is the index of its topic.

    Example:
        >>> kerata.datasets.reuters.get_label_names()[3]
        'earn'
    """
    return tuple(_TOPICS.split())
