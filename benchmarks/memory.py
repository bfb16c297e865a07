"""Does memory grow? `python -m benchmarks.memory` trains 100,000 steps and calls `fit` 1,000 times, and tells."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Iterator

import numpy as np

import kerata

ROWS = 64


def resident_megabytes() -> float:
    """Return the memory that this process holds in RAM."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _model() -> kerata.Model:
    model = kerata.Sequential(
        [kerata.Input((8,)), kerata.layers.Dense(16, "relu"), kerata.layers.Dropout(0.1), kerata.layers.Dense(3)]
    )
    loss = kerata.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


rng = np.random.default_rng(0)
X, Y = rng.normal(size=(ROWS, 8)).astype("float32"), rng.integers(0, 3, ROWS)


def steps(count: int) -> Iterator[int]:
    """One `fit` of `count` steps in ten epochs, over a generator; yields the steps done."""
    done: list[int] = []
    model = _model()

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            yield X[:8], Y[:8]

    for _ in range(10):
        model.fit(batches(), steps_per_epoch=count // 10, verbose=0)
        done.append(count // 10)
        yield sum(done)


def fits(count: int) -> Iterator[int]:
    """`count` calls of `fit`, `evaluate` and `predict`, on arrays; yields the calls done."""
    model = _model()
    for call in range(1, count + 1):
        model.fit(X, Y, validation_split=0.25, verbose=0)
        model.evaluate(X, Y, verbose=0)
        model.predict(X, verbose=0)
        if call % (count // 10) == 0:
            yield call


def models(count: int) -> Iterator[int]:
    """`count` models, each made, trained and forgotten; yields the models done."""
    for made in range(1, count + 1):
        _model().fit(X, Y, verbose=0)
        if made % (count // 10) == 0:
            yield made


WORK: dict[str, tuple[Callable[[int], Iterator[int]], int]] = {
    "steps": (steps, 100_000), "fits": (fits, 1_000), "models": (models, 50),
}  # fmt: skip


def main() -> int:
    """Print the memory after each tenth; the exit status is 1 where the second half grew by more than 5 MB."""
    parser = argparse.ArgumentParser("python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--engine", default="jax")
    parser.add_argument("--work", nargs="+", choices=WORK, default=["steps", "fits"])
    parser.add_argument("--scale", type=float, default=1.0, help="a fraction of the work")
    chosen = parser.parse_args()
    kerata.config.set_engine(chosen.engine)
    grew = False
    for name in chosen.work:
        work, count = WORK[name]
        seen = []
        for done in work(max(10, int(count * chosen.scale))):
            seen.append(resident_megabytes())
            print(f"{chosen.engine} {name} {done:>7,}: {seen[-1]:7.1f} MB", flush=True)
        growth = seen[-1] - seen[len(seen) // 2 - 1]
        print(f"{chosen.engine} {name}: {growth:+.1f} MB in the second half")
        grew |= growth > 5
    return int(grew)


if __name__ == "__main__":
    sys.exit(main())
