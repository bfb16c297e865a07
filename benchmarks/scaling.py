"""Does ten times the data take ten times as long? `python -m benchmarks.scaling` trains on both, turn by turn."""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np

import kerata

TIMES = 10
BAR = 10.5


def _model() -> kerata.Model:
    layers = kerata.layers
    model = kerata.Sequential(
        [kerata.Input((784,)), layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def ratio(batch: int, turns: int) -> float:
    """Return how many times as long an epoch of 600,000 rows takes as one of 60,000: the median of the turns."""
    (x, y), _ = kerata.datasets.mnist.load_data()
    x = (x.reshape(-1, 784) / 255).astype("float32")
    rows = {1: (x, y), TIMES: (np.concatenate([x] * TIMES), np.concatenate([y] * TIMES))}
    model, found = _model(), []
    for turn in range(turns + 1):  # the first compiles
        seconds = {}
        for times, (images, digits) in rows.items():
            start = time.perf_counter()
            model.fit(images, digits, batch_size=batch, verbose=0)
            seconds[times] = time.perf_counter() - start
        if turn:
            found.append(seconds[TIMES] / seconds[1])
            print(f"batch {batch}: {seconds[1]:.3f} s, {seconds[TIMES]:.3f} s: {found[-1]:.2f} times", flush=True)
    return statistics.median(found)


def main() -> int:
    """Print each turn and the medians; the exit status is 1 where one lies above the bar."""
    parser = argparse.ArgumentParser("python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--engine", default="jax")
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--turns", type=int, default=9)
    chosen = parser.parse_args()
    kerata.config.set_engine(chosen.engine)
    medians = {batch: ratio(batch, chosen.turns) for batch in chosen.batch}
    for batch, median in medians.items():
        print(f"batch {batch}: {TIMES} times the rows take {median:.2f} times as long (the bar is {BAR})")
    return int(max(medians.values()) > BAR)


if __name__ == "__main__":
    sys.exit(main())
