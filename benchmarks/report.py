"""From results to tables: JSON for programs, Markdown for people and for the terminal."""

from __future__ import annotations

import dataclasses
import datetime
import os
import platform
import statistics
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
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.system() + " " + platform.machine(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    """Return the processor's name, with family and model: in a virtual machine the name alone says little."""
    file = Path("/proc/cpuinfo")
    if not file.exists():
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in file.read_text().split("\n\n")[0].splitlines())
    facts = {name.strip(): value.strip() for name, _, value in lines}
    name = facts.get("model name", platform.machine())
    numbers = ", ".join(f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts)
    return f"{name} ({numbers})" if numbers else name


def as_json(
    measured: Measured, settings: Settings, machine: dict[str, Any], versions: dict[str, str]
) -> dict[str, Any]:
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
    """Return an overview, the conditions, and a table for each workload."""
    names = [result.contender for result in measured[0][1]] if measured else []
    overview = [["median seconds", *(workload.label for workload, _ in measured)]]
    for position, name in enumerate(names):
        overview.append([name, *(_cell(results[position], results) for _, results in measured)])
    parts = [_table(overview), _conditions(settings, machine, versions)]
    for workload, results in measured:
        parts += [f"### {workload.title}", _table(_details(workload, results))]
        if notes := [f"- {result.contender}: {result.note}" for result in results if result.note]:
            parts.append("\n".join(notes))
    return "\n\n".join(parts) + "\n"


def _details(workload: Workload, results: list[Result]) -> list[list[str]]:
    columns = {
        "": lambda result: result.contender,
        "median s": lambda result: _number(result.median),
        "fastest": lambda result: _number(min(result.seconds, default=None)),
        "slowest": lambda result: _number(max(result.seconds, default=None)),
        f"times {HOUSE}": lambda result: _times(result, results),
        "turns": lambda result: str(len(result.seconds)),
        "warm-up s": lambda result: _number(result.warmup),
        "other load": lambda result: f"{statistics.median(result.others):.0%}" if result.others else "–",
    }
    if isinstance(workload, Epoch):
        columns["last loss"] = lambda result: _number(result.loss)
        columns["test accuracy"] = lambda result: _number(result.test_accuracy)
    return [list(columns), *([column(result) for column in columns.values()] for result in results)]


def _conditions(settings: Settings, machine: dict[str, Any], versions: dict[str, str]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}; {packages}. "
        f"{settings.samples:,} training images; medians of {settings.repeats} turns after a warm-up; each "
        f"framework in a process of its own with the same environment, on the CPU, one at work at a time, turn by "
        f"turn. Load average before the start: {machine['load_average']}."
    )


def _ratio(result: Result, results: list[Result]) -> float | None:
    house = next((other.median for other in results if other.contender == HOUSE), None)
    return result.median / house if result.median and house else None


def _times(result: Result, results: list[Result]) -> str:
    ratio = _ratio(result, results)
    return f"{ratio:.2f}×" if ratio else "–"


def _cell(result: Result, results: list[Result]) -> str:
    if result.median is None:
        return result.note.partition(":")[0] or "–"
    if result.contender == HOUSE or _ratio(result, results) is None:
        return _number(result.median)
    return f"{_number(result.median)} ({_times(result, results)})"


def _number(value: float | None) -> str:
    """Return three figures, and no more than three places: 0.012, 1.23, 12.3."""
    if value is None:
        return "–"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _table(rows: list[list[str]]) -> str:
    """Return a Markdown table whose columns also line up as plain text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(_pad(row, widths)) + " |" for row in rows]
    rule = "|:" + "-" * (widths[0] + 1) + "|" + "".join("-" * (width + 1) + ":|" for width in widths[1:])
    return "\n".join([lines[0], rule, *lines[1:]])


def _pad(row: list[str], widths: list[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
