"""One framework in one process: reads requests as JSON lines on stdin, answers each with a JSON line on stdout.

    {"do": "prepare", "work": {...}, "place": "folder"}  ->  {"parameters": 101770}
    {"do": "turn"}  ->  {"seconds": 1.2, "cpu_seconds": 2.3, "loss": 0.3, "accuracy": 0.9}
    {"do": "finish"}  ->  {"peak_megabytes": 512.0, "accuracy": 0.9}

A request that fails is answered {"error": "..."}. The framework's own printing goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.workloads import Work


class Worker:
    def __init__(self, module: str):
        self.module = module

    def prepare(self, work: dict, place: str) -> dict[str, Any]:
        self.work, self.place = Work(**work), place
        self.x, self.y = self._read("train")
        self.training = importlib.import_module(self.module).Training(self.work, self.x, self.y)
        return {"parameters": self.training.parameters}

    def turn(self) -> dict[str, Any]:
        start, cpu_start = time.perf_counter(), time.process_time()
        logs = getattr(self, f"_{self.work.do}")() or {}
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        learned = {name: float(value) for name, value in logs.items()}
        return {"seconds": seconds / self.work.rounds, "cpu_seconds": cpu_seconds, **learned}

    def _fit(self) -> dict[str, float]:
        return self.training.epochs(self.work.rounds)

    def _stream(self) -> dict[str, float]:
        return self.training.stream(data.SlowBatches(self.x, self.y, self.work.batch))

    def _predict(self) -> None:
        for _ in range(self.work.rounds):
            self.training.predict(self.x)

    def _answer(self) -> None:
        for _ in range(self.work.rounds):
            for i in range(len(self.x)):
                self.training.predict(self.x[i : i + 1])

    def finish(self) -> dict[str, Any]:
        peak = _peak_on_gpu() if self.work.device == "gpu" else _peak_megabytes()  # before the test data are read
        if not self.work.learns:
            return {"peak_megabytes": peak}
        x, y = self._read("test")
        return {"peak_megabytes": peak, "accuracy": float((self.training.predict(x).argmax(-1) == y).mean())}

    def _read(self, split: str) -> data.Arrays:
        return data.read(self.place, split, self.work)


def _peak_megabytes() -> float | None:
    """Return the most memory that this process ever held in RAM; None where Linux is not."""
    # Not getrusage: its maximum is inherited from the process that started this one.
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM")), None)


def _peak_on_gpu() -> float | None:
    """Return the most memory of the GPU that arrays ever held, by the account of the library that computed."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 1e6
    statistics = jax.local_devices()[0].memory_stats() if jax else None  # None: a device that keeps no account
    return statistics["peak_bytes_in_use"] / 1e6 if statistics else None


def main(module: str) -> None:
    # What a framework prints, even from C, must not reach the answers: they keep the old stdout to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(module)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
