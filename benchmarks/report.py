"""From results to tables: JSON for programs, Markdown for people and for the terminal."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.floor import Floor
from benchmarks.harness import Result, Settings
from benchmarks.workloads import FULL, WORKLOADS, Work, Workload, samples_of

__all__ = ["Row", "as_json", "as_markdown", "machine", "now", "read"]

HOUSE = "kerata"  # the contender that the others are measured against


@dataclasses.dataclass(frozen=True)
class Row:
    """A workload, what each contender took, and the least that it can take by the machine's rates."""

    workload: Workload
    results: list[Result]
    settings: Settings
    floor: Floor | None = None
    date: str = ""
    load_average: float = 0.0  # before the start

    @property
    def label(self) -> str:
        """The workload's name in the overview, with what makes this row a smaller one."""
        work = self.workload
        if not isinstance(work, Work) or self.settings.samples == FULL:
            return work.label
        return f"{work.label} ({samples_of(work, self.settings.samples):,} samples)"

    @property
    def batches(self) -> float | None:
        """How many batches a turn has; the last may be a part of one."""
        work = self.workload
        return samples_of(work, self.settings.samples) / work.batch if isinstance(work, Work) else None

    def share_of_floor(self, result: Result) -> float | None:
        """Return the floor as a fraction of the time taken."""
        batches = self.batches
        return self.floor.seconds(batches) / result.median if self.floor and batches and result.median else None


Measured = Sequence[Row]


def machine(device: str = "cpu") -> dict[str, Any]:
    """Return what a reader needs to know of this machine to believe a time."""
    return {
        **({"gpu": _gpu()} if device == "gpu" else {}),
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.system() + " " + platform.machine(),
        "python": platform.python_version(),
    }


def _gpu() -> str:
    """Return the first GPU's name and its driver's version."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader", "--id=0"]
    try:
        name, _, driver = subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition(",")
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"nvidia-smi names no GPU: {error}") from None
    return f"{name.strip()}, driver {driver.strip()}"


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


def now() -> str:
    """Return the date and the time."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def as_json(measured: Measured, machine: dict[str, Any], versions: dict[str, str]) -> dict[str, Any]:
    """Return all that was measured as data, from which `read` makes the rows again."""
    return {
        "machine": machine,
        "versions": versions,
        "workloads": [
            {
                "name": row.workload.name,
                "title": row.workload.title,
                "date": row.date,
                "load_average": row.load_average,
                "settings": dataclasses.asdict(row.settings),
                "batches": row.batches,
                "floor": row.floor and dataclasses.asdict(row.floor),
                "results": [
                    {
                        **dataclasses.asdict(result),
                        "median": result.median,
                        "ratio": _ratio(result, row.results),
                        "share_of_floor": row.share_of_floor(result),
                    }
                    for result in row.results
                ],
            }
            for row in measured
        ],
    }


def read(file: Path, machine: dict[str, Any], versions: dict[str, str]) -> dict[str, Row]:
    """Return the rows of an earlier run by name: none of another machine, or of packages of other versions."""
    if not file.exists():
        return {}
    numbers = json.loads(file.read_text(encoding="utf-8"))
    versions = {**numbers["versions"], **versions}  # of those that are absent here, nothing is known
    if (numbers["machine"], numbers["versions"]) != (machine, versions):
        return {}
    known = {workload.name: workload for workload in WORKLOADS}
    rows = {}
    for kept in numbers["workloads"]:
        if (workload := known.get(kept["name"])) is not None and kept["title"] == workload.title:
            results = [Result(**{name: row[name] for name in _FIELDS}) for row in kept["results"]]
            least = kept["floor"] and Floor(**kept["floor"])
            settings = Settings(**kept["settings"])
            rows[workload.name] = Row(workload, results, settings, least, kept["date"], kept["load_average"])
    return rows


_FIELDS = [field.name for field in dataclasses.fields(Result)]


def as_markdown(measured: Measured, machine: dict[str, Any], versions: dict[str, str]) -> str:
    """Return an overview, the conditions, and a table for each workload."""
    there = [result.contender for row in measured for result in row.results]
    names = list(dict.fromkeys([row.name for row in CONTENDERS if row.name in there] + there))
    overview = [["median seconds", *names]]
    for row in measured:
        by_name = {result.contender: _cell(result, row.results) for result in row.results}
        overview.append([row.label, *(by_name.get(name, "–") for name in names)])
    parts = [_table(overview), _conditions(machine, versions)]
    for row in measured:
        parts += [f"### {row.workload.title}", _table(_details(row)), _circumstances(row)]
        if row.floor:
            parts.append(_floor(row.floor, row.batches or 0))
        if notes := [f"- {result.contender}: {result.note}" for result in row.results if result.note]:
            parts.append("\n".join(notes))
    return "\n\n".join(parts) + "\n"


def _details(row: Row) -> list[list[str]]:
    results, batches = row.results, row.batches
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
    if batches:
        columns["ms a batch"] = lambda result: _number(result.median and 1000 * result.median / batches)
        columns["peak MB"] = lambda result: f"{result.peak_megabytes:.0f}" if result.peak_megabytes else "–"
    if row.floor:
        columns["of the floor"] = lambda result: _percent(row.share_of_floor(result))
    if isinstance(row.workload, Work) and row.workload.learns:
        columns["last loss"] = lambda result: _number(result.loss)
        columns["test accuracy"] = lambda result: _number(result.test_accuracy)
    return [list(columns), *([column(result) for column in columns.values()] for result in results)]


def _floor(floor: Floor, batches: float) -> str:
    return (
        f"The floor is {1000 * floor.seconds(1):.3g} ms for each of {batches:,.0f} batches: "
        f"{floor.operations / 1e9:.3g} billion operations, {floor.sample_bytes / 1e6:.3g} MB of samples and "
        f"{floor.state_bytes / 1e6:.3g} MB of state; this machine multiplies at "
        f"{floor.operations_per_second / 1e9:.0f} billion operations a second, and copies such samples at "
        f"{floor.sample_bytes_per_second / 1e9:.1f} GB a second and such state at "
        f"{floor.state_bytes_per_second / 1e9:.1f}"
        + (f"; a batch comes after {1000 * floor.wait:.0f} ms." if floor.wait else ".")
    )


def _conditions(machine: dict[str, Any], versions: dict[str, str]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    device, where = (f"{machine['gpu']}; ", "GPU") if "gpu" in machine else ("", "CPU")
    return (
        f"{device}{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}; {packages}. Each framework in a process of its own with the same environment, "
        f"on the {where}, one at work at a time, turn by turn."
    )


def _circumstances(row: Row) -> str:
    samples = f"; {samples_of(row.workload, row.settings.samples):,} samples" if isinstance(row.workload, Work) else ""
    return (
        f"Medians of {row.settings.repeats} turns after a warm-up{samples}. {row.date}, load average before the start: "
        f"{row.load_average}."
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


def _percent(value: float | None) -> str:
    return f"{value:.0%}" if value else "–"


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
