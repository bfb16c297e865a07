"""The command line: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import floor, harness, report
from benchmarks.contenders import CONTENDERS, versions
from benchmarks.workloads import FULL, WORKLOADS, Work

HERE = Path(__file__).parent


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Time kerata beside other frameworks.")
    parser.add_argument("--quick", action="store_true", help="3 turns of 4,096 images; no files unless named")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="gpu: the rows for one GPU")
    parser.add_argument("--repeats", type=int, help="turns after the warm-up (5)")
    parser.add_argument("--samples", type=int, help="images of an epoch (60,000), others in proportion")
    parser.add_argument("--workload", nargs="+", choices=[row.name for row in WORKLOADS], help="only these")
    parser.add_argument("--contender", nargs="+", choices=[row.name for row in CONTENDERS], help="only these")
    parser.add_argument("--floor", action="store_true", help="measure the floor alone, and keep the times")
    parser.add_argument("--json", type=Path, help="numbers: other rows there are kept (results.json, gpu.json)")
    parser.add_argument("--markdown", type=Path, help="where to write the tables (results.md, gpu.md)")
    chosen = parser.parse_args(arguments)
    there = [row.name for row in WORKLOADS if row.device == chosen.device]
    if others := set(chosen.workload or ()).difference(there):
        parser.error(f"not for --device {chosen.device}: {', '.join(sorted(others))}; there are: {', '.join(there)}")
    chosen.workload = chosen.workload or there
    chosen.contender = chosen.contender or [row.name for row in CONTENDERS if chosen.device in row.devices]
    chosen.repeats = chosen.repeats or (3 if chosen.quick else 5)
    chosen.samples = chosen.samples or (4096 if chosen.quick else FULL)
    if not chosen.quick:
        file = "gpu" if chosen.device == "gpu" else "results"
        chosen.json = chosen.json or HERE / f"{file}.json"
        chosen.markdown = chosen.markdown or HERE / f"{file}.md"
    return chosen


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    chosen = options(arguments)
    contenders = tuple(row for row in CONTENDERS if row.name in chosen.contender)
    workloads = [row for row in WORKLOADS if row.name in chosen.workload]
    settings = harness.Settings(chosen.repeats, chosen.samples, min(10_000, chosen.samples))
    packages = versions(CONTENDERS)  # of all: rows of a run with others are kept
    machine = report.machine(chosen.device)
    load = round(os.getloadavg()[0], 2)
    if load > 0.25 * machine["cores"]:
        say(f"The machine is busy (load average {load}): the times will say little.")

    rows = report.read(chosen.json, machine, packages) if chosen.json else {}
    workloads = [row for row in workloads if not chosen.floor or row.name in rows]
    if not workloads:
        say("There are no times to measure the floor of.")
        return 1
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for workload in workloads:
            date, load = report.now(), round(os.getloadavg()[0], 2)
            least = floor.measure(workload, Path(folder)) if isinstance(workload, Work) else None
            if chosen.floor:
                rows[workload.name] = dataclasses.replace(rows[workload.name], floor=least)
            else:
                results = harness.run(workload, contenders, settings, Path(folder), say)
                rows[workload.name] = report.Row(workload, results, settings, least, date, load)
            # Written after each workload, so that an interrupted hour is not lost.
            measured = [rows[row.name] for row in WORKLOADS if row.name in rows]
            table = report.as_markdown(measured, machine, packages)
            _write(chosen.markdown, table)
            _write(chosen.json, json.dumps(report.as_json(measured, machine, packages), indent=2) + "\n")
    print(table)
    taken = [result for workload in workloads for result in rows[workload.name].results]
    return int(any(result.note.startswith("failed") for result in taken))


def _write(file: Path | None, text: str) -> None:
    if file:
        temporary = file.with_name(file.name + ".part")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, file)


if __name__ == "__main__":
    sys.exit(main())
