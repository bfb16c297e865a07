"""Runs the contenders: a process each, one at work at a time, turn by turn. Nothing here knows a framework."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import contenders as field
from benchmarks import workloads
from benchmarks.contenders import Contender
from benchmarks.workloads import Epoch, Start, Workload

__all__ = ["Result", "Settings", "run"]

ROOT = Path(__file__).parent.parent

# What a stranger's shell may hold of these must not decide who is fast; every process gets the same instead.
OWN_VARIABLES = ("CUDA_", "GOMP_", "JAX_", "KERAS_", "KERATA_", "KMP_", "MKL_", "OMP_", "TF_", "TORCH", "XLA_")
SAME_VARIABLES = {
    "CUDA_VISIBLE_DEVICES": "",
    "JAX_PLATFORMS": "cpu",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    repeats: int = 5
    samples: int = 60_000
    test_samples: int = 10_000
    rest: float = 0.5  # seconds before each turn: the threads of the last one stop spinning
    limit: float = 1800  # seconds for one request, then the process is ended


@dataclasses.dataclass
class Result:
    """Seconds of each turn after the warm-up, which is kept apart; `note` says why there are none."""

    contender: str
    seconds: list[float] = dataclasses.field(default_factory=list)
    warmup: float | None = None
    loss: float | None = None  # of the last epoch
    test_accuracy: float | None = None
    note: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None


class Failed(Exception):
    """A contender could not do its work."""


class Process:
    """A worker (see `worker.py`), asked one thing at a time."""

    def __init__(self, contender: Contender, folder: Path, limit: float):
        self.limit = limit
        self.log = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (lives as long as the process)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", contender.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=ROOT,
            env=environment(contender, folder),
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        watchdog = threading.Timer(self.limit, self.process.kill)
        watchdog.start()
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        answer = json.loads(line) if line else {"error": self.last_words()}
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def last_words(self) -> str:
        status = self.process.wait()
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return f"the process ended with status {status}" + (f": {lines[-1].strip()}" if lines else "")

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe and not pipe.closed:
                pipe.close()
        try:
            self.process.wait(timeout=10)  # the end of its stdin is the end of its work
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def environment(contender: Contender, folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    folders = {name: str(folder / "home") for name in ("KERAS_HOME", "KERATA_HOME", "JAX_COMPILATION_CACHE_DIR")}
    return {**kept, **SAME_VARIABLES, **folders, **contender.environment}


def run(
    workload: Workload,
    contenders: Sequence[Contender],
    settings: Settings,
    folder: Path,
    say: Callable[[str], None] = lambda line: None,
) -> list[Result]:
    """Return a result for each of `contenders`, in their order. `folder` keeps compiled programs and data."""
    results = {contender.name: Result(contender.name) for contender in contenders}
    installed = []
    for contender in contenders:
        if absent := field.missing(contender):
            results[contender.name].note = f"not installed: {', '.join(absent)}"
        else:
            installed.append(contender)
    measure = epochs if isinstance(workload, Epoch) else starts
    measure(workload, installed, results, settings, folder, lambda line: say(f"{workload.name}: {line}"))
    return list(results.values())


def epochs(workload: Epoch, contenders, results, settings, folder, say) -> None:
    data = slice_of(folder, settings.samples, settings.test_samples)
    processes: dict[str, Process] = {}
    try:
        for contender in contenders:
            process = processes[contender.name] = Process(contender, folder, settings.limit)
            try:
                process.ask("prepare", workload=dataclasses.asdict(workload), data=data)
            except Failed as failure:
                results[contender.name].note = f"failed: {failure}"
        take_turns({name: lambda p=p: p.ask("epoch") for name, p in processes.items()}, results, settings, say)
        for name, process in processes.items():
            if not results[name].note:
                results[name].test_accuracy = process.ask("evaluate")["accuracy"]
    finally:
        for process in processes.values():
            process.close()


def starts(workload: Start, contenders, results, settings, folder, say) -> None:
    def first_step(contender: Contender) -> dict[str, float]:
        assert workload.epoch
        data = slice_of(folder, workload.epoch.batch, 1)
        start = time.perf_counter()
        process = Process(contender, folder, settings.limit)
        try:
            process.ask("prepare", workload=dataclasses.asdict(workload.epoch), data=data)
            process.ask("epoch")
            return {"seconds": time.perf_counter() - start}
        finally:
            process.close()

    def statement(contender: Contender) -> dict[str, float]:
        timed = getattr(contender, workload.statement)
        code = f"import time\nstart = time.perf_counter()\n{timed}\nprint(time.perf_counter() - start)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment(contender, folder),
            timeout=settings.limit,
        )
        if done.returncode:
            raise Failed((done.stderr.strip().splitlines() or ["no message"])[-1])
        return {"seconds": float(done.stdout.split()[-1])}

    turn = first_step if workload.epoch else statement
    take_turns({c.name: lambda c=c: turn(c) for c in contenders}, results, settings, say)


def take_turns(
    turns: dict[str, Callable[[], dict[str, float]]],
    results: dict[str, Result],
    settings: Settings,
    say: Callable[[str], None],
) -> None:
    """Give everybody a warm-up and then `settings.repeats` turns; who begins moves on by one each round."""
    names = list(turns)
    for number in range(settings.repeats + 1):
        first = number % len(names) if names else 0
        for name in names[first:] + names[:first]:
            result = results[name]
            if result.note:
                continue
            time.sleep(settings.rest)
            try:
                answer = turns[name]()
            except (Failed, subprocess.TimeoutExpired) as failure:
                result.note = f"failed: {failure}"
                say(f"{name} {result.note}")
                continue
            result.loss = answer.get("loss")
            if number:
                result.seconds.append(answer["seconds"])
            else:
                result.warmup = answer["seconds"]
            say(f"{name} {f'turn {number}' if number else 'warm-up'} {answer['seconds']:.3f} s")


def slice_of(folder: Path, samples: int, test_samples: int) -> str:
    file = folder / f"mnist-{samples}-{test_samples}.npz"
    return str(file if file.exists() else workloads.write_slice(file, samples, test_samples))
