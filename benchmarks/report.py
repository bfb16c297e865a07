"""From results to tables: JSON for programs, Markdown for people (and for the terminal)."""

from __future__ import annotations

import dataclasses
import datetime
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, Settings
from benchmarks.workloads import Epoch, Workload

__all__ = ["as_json", "as_markdown", "machine"]

HOUSE = "kerata"  # the contender that the others are measured against

Measured = Sequence[tuple[Workload, list[Result]]]


def machine() -> dict[str, Any]:
    """Return what a reader needs to know of this machine to believe a time."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu_model(),
        "cores": usable,
        "memory_gib": round(memory, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    """Return the name of the processor, with family and model, since a virtual machine's name says little."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in file.read_text().split("\n\n")[0].splitlines())
    facts = {name.strip(): value.strip() for name, _, value in lines}
    name = facts.get("model name") or platform.machine()
    numbers = ", ".join(f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts)
    return f"{name} ({numbers})" if numbers else name


def as_json(measured: Measured, settings: Settings, machine: dict[str, Any], versions: dict[str, str]) -> dict:
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine,
        "versions": versions,
        "settings": dataclasses.asdict(settings),
        "workloads": [
            {
                "name": workload.name,
                "title": workload.title,
                "results": [
                    {**dataclasses.asdict(result), "median": result.median, "ratio": _ratio(result, results)}
                    for result in results
                ],
            }
            for workload, results in measured
        ],
    }


def as_markdown(measured: Measured, settings: Settings, machine: dict[str, Any], versions: dict[str, str]) -> str:
    names = [result.contender for result in measured[0][1]] if measured else []
    overview = [["seconds, median", *(workload.label for workload, _ in measured)]]
    for position, name in enumerate(names):
        overview.append([name, *(_cell(results[position], results) for _, results in measured)])
    parts = [_table(overview), _conditions(settings, machine, versions)]
    for workload, results in measured:
        parts += [f"### {workload.title}", _table(_details(workload, results))]
    return "\n\n".join(parts) + "\n"


def _details(workload: Workload, results: list[Result]) -> list[list[str]]:
    learning = isinstance(workload, Epoch)
    head = ["", "median s", "fastest–slowest", f"times {HOUSE}", "turns", "warm-up s"]
    rows = [head + (["last loss", "test accuracy"] if learning else [])]
    for result in results:
        if not result.seconds:
            rows.append([result.contender, result.note or "no turns", *[""] * (len(rows[0]) - 2)])
            continue
        row = [
            result.contender,
            _number(result.median),
            f"{_number(min(result.seconds))}–{_number(max(result.seconds))}",
            _times(result, results) or "–",
            str(len(result.seconds)),
            _number(result.warmup),
        ]
        learned = [f"{result.loss:.4f}" if result.loss is not None else "–"]
        learned.append(f"{result.test_accuracy:.4f}" if result.test_accuracy is not None else "–")
        rows.append(row + (learned if learning else []))
    return rows


def _conditions(settings: Settings, machine: dict[str, Any], versions: dict[str, str]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}; {packages}. "
        f"{settings.samples:,} training images; medians of {settings.repeats} turns after a warm-up, each framework in "
        f"a process of its own with the same environment, one at work at a time, turn by turn, on the CPU; "
        f"load average {machine['load_average']} at the start."
    )


def _ratio(result: Result, results: list[Result]) -> float | None:
    house = next((other.median for other in results if other.contender == HOUSE), None)
    return result.median / house if result.median and house else None


def _times(result: Result, results: list[Result]) -> str:
    ratio = _ratio(result, results)
    return f"{ratio:.2f}×" if ratio else ""


def _cell(result: Result, results: list[Result]) -> str:
    if result.median is None:
        return result.note.partition(":")[0] or "–"
    times = _times(result, results) if result.contender != HOUSE else ""
    return f"{_number(result.median)} ({times})" if times else _number(result.median)


def _number(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}"


def _table(rows: list[list[str]]) -> str:
    """Return a Markdown table whose columns also line up as plain text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    rule = "|" + "|".join(":" + "-" * (width + 1) if i == 0 else "-" * (width + 1) + ":" for i, width in enumerate(widths))
    return "\n".join([lines[0], rule + "|", *lines[1:]])
