"""`kerata info`: what a person, or a report of a fault, needs to know about this installation and machine."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
from typing import Any

from kerata import __version__, errors

__all__ = ["collect", "show"]

PACKAGES = ("numpy", "jax", "jaxlib", "torch")


def collect() -> dict[str, Any]:
    """Return all that is shown, as plain data.

    Raises:
        CorruptFile, UnknownName: when the settings file cannot be used.
    """
    from kerata import config

    file = config.home() / "kerata.json"
    return {
        "kerata": __version__,
        "engine": config.engine(),
        "devices": _devices(),
        "python": platform.python_version(),
        **{name: version for name in PACKAGES if (version := _version(name))},
        "platform": platform.platform(),
        "cpus": _cpus(),
        "cache_folder": str(config.cache_dir()),
        "data_folder": str(config.data_dir()),
        "settings_file": str(file),
        "settings_file_exists": file.is_file(),
        "settings": dataclasses.asdict(config.settings),
    }


def _devices() -> list[str]:
    from kerata import engine

    try:
        return list(engine.devices.names())
    except Exception as error:  # the rest is worth knowing above all when the engine does not work
        return [f"the engine cannot be used: {type(error).__name__}: {error}"]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def show(as_json: bool = False) -> int:
    """Print what `collect` returns: a table in a terminal, plain lines elsewhere; return the exit status."""
    try:
        facts = collect()
    except errors.KerataError as error:
        print(f"kerata info: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(facts, indent=2))
        return 0
    rows = _rows(facts)
    if sys.stdout.isatty():
        _print_table(rows)
    else:
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            print(f"{name:{width}}  {value}")
    return 0


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines to show: name and value."""
    note = "" if facts["settings_file_exists"] else " (not there: defaults)"
    special = {
        "devices": ", ".join(facts["devices"]),
        "settings_file": facts["settings_file"] + note,
    }
    left_out = ("settings", "settings_file_exists")
    shown = {name: special.get(name, str(value)) for name, value in facts.items() if name not in left_out}
    return [(name.replace("_", " "), value) for name, value in shown.items()]


def _print_table(rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    Console().print(table)
