"""Gives the contenders their turns and collects the times. Nothing here knows a framework."""

from __future__ import annotations

import dataclasses
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.contenders import Contender, missing
from benchmarks.process import Failed, Process, environment
from benchmarks.workloads import Start, Work, Workload, samples_of

__all__ = ["Result", "Settings", "run"]

Say = Callable[[str], None]
Turn = Callable[[], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Settings:
    repeats: int = 5
    samples: int = 60_000
    test_samples: int = 10_000
    rest: float = 0.5  # seconds before each turn: the threads of the last one stop spinning
    limit: float = 1800  # seconds for one request, then its process is ended


@dataclasses.dataclass
class Result:
    """Seconds of each turn after the warm-up, which stands apart. A `note` says why they end early."""

    contender: str
    seconds: list[float] = dataclasses.field(default_factory=list)
    others: list[float] = dataclasses.field(default_factory=list)  # share of the machine taken by other processes
    warmup: float | None = None
    loss: float | None = None  # of the last epoch
    peak_megabytes: float | None = None  # the most memory ever held, of a process that took every turn
    test_accuracy: float | None = None
    note: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None


def run(
    workload: Workload,
    contenders: Sequence[Contender],
    settings: Settings,
    folder: Path,
    say: Say = lambda line: None,
) -> list[Result]:
    """Return a result for each of `contenders`, in their order. `folder` keeps data and compiled programs."""
    results = {contender.name: Result(contender.name) for contender in contenders}
    installed = []
    for contender in contenders:
        if absent := missing(contender):
            results[contender.name].note = f"not installed: {', '.join(absent)}"
        else:
            installed.append(contender)

    def told(line: str) -> None:
        say(f"{workload.name}: {line}")

    if isinstance(workload, Work):
        _work(workload, installed, results, settings, folder, told)
    else:
        _starts(workload, installed, results, settings, folder, told)
    return list(results.values())


def _work(
    workload: Work,
    contenders: Sequence[Contender],
    results: dict[str, Result],
    settings: Settings,
    folder: Path,
    say: Say,
) -> None:
    place = _data(workload, settings, folder)
    processes: dict[str, Process] = {}
    try:
        for contender in contenders:
            process = processes[contender.name] = Process(contender, folder, settings.limit, workload.device)
            try:
                _prepare(process, workload, place)
            except Failed as failure:
                results[contender.name].note = f"failed: {failure}"
                say(f"{contender.name} failed: {failure}")
        _take_turns({name: lambda p=p: p.ask("turn") for name, p in processes.items()}, results, settings, say)
        for name, process in processes.items():
            if not results[name].note:
                answer = process.ask("finish")
                results[name].peak_megabytes = answer["peak_megabytes"]
                results[name].test_accuracy = answer.get("accuracy")
    finally:
        for process in processes.values():
            process.close()


def _starts(
    workload: Start,
    contenders: Sequence[Contender],
    results: dict[str, Result],
    settings: Settings,
    folder: Path,
    say: Say,
) -> None:
    def first_step(contender: Contender) -> float:
        assert workload.work
        place = data.write(folder, workload.work, workload.work.batch, 1)
        with tempfile.TemporaryDirectory(prefix="cold-", dir=folder, ignore_cleanup_errors=True) as empty:
            start = time.perf_counter()
            place_of_programs = Path(empty) if workload.cold else folder
            process = Process(contender, place_of_programs, settings.limit, workload.device)
            try:
                _prepare(process, workload.work, place)
                process.ask("turn")
                return time.perf_counter() - start
            finally:
                process.close()

    def statement(contender: Contender) -> float:
        timed = getattr(contender, workload.statement)
        code = f"import time\nstart = time.perf_counter()\n{timed}\nprint(time.perf_counter() - start)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=folder,
            env=environment(contender, folder, workload.device),
            timeout=settings.limit,
        )
        if done.returncode:
            raise Failed((done.stderr.strip().splitlines() or ["no message"])[-1])
        return float(done.stdout.split()[-1])

    def turn(contender: Contender) -> dict[str, float]:
        before = _children_seconds()
        seconds = (first_step if workload.work else statement)(contender)
        return {"seconds": seconds, "cpu_seconds": _children_seconds() - before}

    _take_turns({row.name: lambda row=row: turn(row) for row in contenders}, results, settings, say)


def _take_turns(turns: dict[str, Turn], results: dict[str, Result], settings: Settings, say: Say) -> None:
    """Give everybody a warm-up and then `settings.repeats` turns; who begins moves on by one each round."""
    names = [name for name in turns if not results[name].note]
    for number in range(settings.repeats + 1):
        first = number % max(len(names), 1)
        for name in names[first:] + names[:first]:
            result = results[name]
            if result.note:
                continue
            time.sleep(settings.rest)
            start, busy_before = time.perf_counter(), _busy_seconds()
            try:
                answer = turns[name]()
            except (Failed, subprocess.TimeoutExpired) as failure:
                result.note = f"failed: {failure}"
                say(f"{name} {result.note}")
                continue
            result.loss = answer.get("loss")
            say(f"{name} {f'turn {number}' if number else 'warm-up'} {answer['seconds']:.3f} s")
            if number == 0:
                result.warmup = answer["seconds"]
                continue
            result.seconds.append(answer["seconds"])
            busy_after, elapsed = _busy_seconds(), time.perf_counter() - start
            if busy_before is not None and busy_after is not None:
                others = busy_after - busy_before - answer["cpu_seconds"]
                result.others.append(round(min(max(others / elapsed / (os.cpu_count() or 1), 0), 1), 3))


def _prepare(process: Process, work: Work, place: str) -> None:
    parameters = process.ask("prepare", work=dataclasses.asdict(work), place=place)["parameters"]
    if parameters != work.parameters:  # other work: its time would be no comparison
        raise Failed(f"the model has {parameters:,} weights; the workload says {work.parameters:,}")


def _data(work: Work, settings: Settings, folder: Path) -> str:
    samples = samples_of(work, settings.samples)
    return data.write(folder, work, samples, min(samples, settings.test_samples, work.tested))


def _children_seconds() -> float:
    """Return the processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _busy_seconds() -> float | None:
    """Return the time that all processors together were busy, or stolen by the host; None where Linux is not."""
    try:
        ticks = [int(number) for number in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = ticks[:8]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
