"""The floor under a workload: what it takes at least, by this machine's own rates measured in the same run.

The operations and bytes are `kerata.utils.count_flops`'s: matrix products and convolutions as the textbook has them,
and what must be read and written once for each batch. Products are those of the faster of NumPy and XLA. Samples come
from memory; weights and the optimizer's slots may stay in a cache, so their rate is that of copying as many bytes
again and again. A turn's floor is the longer of computing and moving, times its batches; a slow generator's waits are
a floor too. Some ways to convolve need fewer operations, so a fraction above 1 is possible. On a GPU the rates are
those of a large product in the dtype of the work, thus of the matrix units, and of adding one to an array.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.contenders import CONTENDERS, missing
from benchmarks.process import ROOT, environment
from benchmarks.workloads import PAUSE, WORKLOADS, Work

__all__ = ["Floor", "measure"]


@dataclasses.dataclass(frozen=True)
class Floor:
    """Counts for one batch, and the machine's rates."""

    operations: int
    sample_bytes: int
    state_bytes: int
    operations_per_second: float
    sample_bytes_per_second: float
    state_bytes_per_second: float
    wait: float = 0.0  # seconds that a batch takes to come

    def seconds(self, batches: float) -> float:
        """Return the least time for so many batches."""
        computing = self.operations / self.operations_per_second
        moving = self.sample_bytes / self.sample_bytes_per_second + self.state_bytes / self.state_bytes_per_second
        return batches * max(computing, moving, self.wait)


def measure(work: Work, folder: Path) -> Floor | None:
    """Return the floor of one batch, counted and measured in a process of its own; None where kerata is not whole."""
    contender = CONTENDERS[0]
    if missing(contender):
        return None
    command = [sys.executable, "-m", "benchmarks.floor", work.name]
    environ = environment(contender, folder, work.device)
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ)
    if done.returncode:
        raise RuntimeError(f"the floor of {work.name}: {done.stderr[-2000:]}")
    return Floor(**json.loads(done.stdout.splitlines()[-1]))


def _best(function: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def multiplying(size: int = 2048, repeats: int = 5) -> float:
    """Return the operations a second of NumPy's float32 matrix product, on all cores."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size), "float32")
    out = np.empty_like(a)
    return 2 * size**3 / _best(lambda: np.matmul(a, b, out=out), repeats)


def copying(size: int, cores: int = 2, repeats: int = 5) -> float:
    """Return the bytes a second, read and written, of a copy by all cores that touches `size` bytes again and again."""
    length = max(size // 2 // cores, 4096)
    times = max(1, 2**26 // length)
    parts = [(np.ones(length, "uint8"), np.ones(length, "uint8")) for _ in range(cores)]

    def copy(part: tuple[np.ndarray, np.ndarray]) -> None:
        for _ in range(times):
            np.copyto(*part)

    with ThreadPoolExecutor(cores) as pool:
        return 2 * length * cores * times / _best(lambda: list(pool.map(copy, parts)), repeats)


def on_device(dtype: str, size: int = 8192, repeats: int = 20) -> tuple[float, float]:
    """Return the operations a second of a matrix product on JAX's device, and the bytes a second read and written."""
    import jax

    a, b = jax.random.normal(jax.random.key(0), (2, size, size), dtype)

    def seconds(function: Callable[..., jax.Array], *arguments: jax.Array) -> float:
        compiled = jax.jit(function)
        compiled(*arguments).block_until_ready()
        return _best(lambda: compiled(*arguments).block_until_ready(), repeats)

    product = 2 * size**3 / seconds(lambda a, b: a @ b, a, b)
    return product, 2 * a.nbytes / seconds(lambda a: a + 1, a)


def main(name: str) -> None:
    """Print the floor of the workload called `name`."""
    (work,) = (row for row in WORKLOADS if row.name == name and isinstance(row, Work))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if work.device == "gpu":
        rate, moving = on_device(work.dtype)
    else:
        # NumPy first, as no other library's threads are there yet; on some processors XLA's product is twice as fast.
        rate, moving = max(multiplying(), on_device("float32", 2048)[0]), None
    from benchmarks.frameworks.keras_like import keras, model_of

    model = model_of(work)
    cost = keras.utils.count_flops(model, work.batch, training=work.learns)
    samples = work.batch * sum(math.prod(x.shape[1:]) * np.dtype(x.dtype).itemsize for x in model.inputs)
    wait = PAUSE if work.do == "stream" else 0.0
    state = cost.bytes - samples
    rates = rate, moving or copying(2**29, cores), moving or copying(state, cores)
    print(json.dumps(dataclasses.asdict(Floor(cost.operations, samples, state, *rates, wait))))


if __name__ == "__main__":
    main(sys.argv[1])
