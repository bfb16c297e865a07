"""Arguments and data drawn from declared ranges, the same at every run; and what Keras has under a module's name."""

import types
import zlib

import numpy as np


def generator(*words):
    """Return a generator that depends on the words alone, so that rows may be added, taken out and run in any order."""
    return np.random.default_rng(zlib.crc32(" ".join(map(str, words)).encode()))


def drawn(rng, ranges):
    """Return arguments within `ranges`: a tuple of two floats is a range, a list holds what may be chosen.

    An argument is left out now and then, so that defaults are met as well, unless its name ends in "!".
    """
    found = {}
    for name, among in ranges.items():
        if not name.endswith("!") and rng.random() < 0.25:
            continue
        is_range = isinstance(among, tuple)
        found[name.rstrip("!")] = round(float(rng.uniform(*among)), 4) if is_range else among[rng.integers(len(among))]
    return found


def public_names(module):
    """Return what a module of Keras offers, without its submodules."""
    return {
        name for name, thing in vars(module).items()
        if not name.startswith("_") and not isinstance(thing, types.ModuleType)
    }  # fmt: skip


# Data: values as they occur, with those at the edges among them --------------------------------------------------


def with_edges(rng, x, edges, share=0.15):
    """Return `x` with some values replaced by edges."""
    return np.where(rng.random(x.shape) < share, rng.choice(edges, x.shape), x).astype("float32")


def real(rng, *shape):
    return with_edges(rng, rng.normal(size=shape), [0.0, 1.0, -1.0, 100.0, -1000.0])


def shares(rng, *shape):
    return with_edges(rng, rng.uniform(size=shape), [0.0, 1.0, 1e-6, 1 - 1e-6])


def logits(rng, *shape):
    return with_edges(rng, rng.normal(size=shape) * 4, [0.0, 15.0, -15.0, 100.0, -1e4])


def yes_no(rng, *shape):
    return rng.integers(0, 2, shape)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return (e / e.sum(axis, keepdims=True)).astype("float32")


def rows(rng, *shape, axis=-1):
    """One-hot rows of `shape`, the classes on `axis`."""
    numbers = rng.integers(0, shape[axis], [d for i, d in enumerate(shape) if i != axis % len(shape)])
    return np.moveaxis(np.eye(shape[axis], dtype="float32")[numbers], -1, axis)


def distributions(rng, *shape, axis=-1):
    """Rows of probabilities; some are certain."""
    p = softmax(rng.normal(size=shape) * 3, axis)
    certain = rng.random([1 if i == axis % len(shape) else d for i, d in enumerate(shape)]) < 0.2
    return np.where(certain, rows(rng, *shape, axis=axis), p).astype("float32")
