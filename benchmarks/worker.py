"""One framework in one process: reads requests as JSON lines on stdin, answers each with a JSON line on stdout.

    {"do": "prepare", "workload": {...}, "data": "file.npz"}  ->  {"parameters": 101770}
    {"do": "epoch"}  ->  {"seconds": 1.2, "cpu_seconds": 2.3, "loss": 0.3, "accuracy": 0.9}
    {"do": "evaluate"}  ->  {"accuracy": 0.9}

A request that fails is answered {"error": "..."}. The framework's own printing goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from typing import Any

from benchmarks import workloads


class Worker:
    def __init__(self, module: str):
        self.module = module

    def prepare(self, workload: dict, data: str) -> dict[str, Any]:
        self.workload = workloads.Epoch(**{**workload, "shape": tuple(workload["shape"])})
        self.data = data
        x, y = workloads.read(data, "train", self.workload.shape)
        self.training = importlib.import_module(self.module).Training(self.workload, x, y)
        return {"parameters": self.training.parameters}

    def epoch(self) -> dict[str, Any]:
        start, cpu_start = time.perf_counter(), time.process_time()
        logs = self.training.epoch()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        learned = {name: float(value) for name, value in logs.items()}
        return {"seconds": seconds, "cpu_seconds": cpu_seconds, **learned}

    def evaluate(self) -> dict[str, Any]:
        x, y = workloads.read(self.data, "test", self.workload.shape)
        return {"accuracy": float(self.training.evaluate(x, y))}


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
