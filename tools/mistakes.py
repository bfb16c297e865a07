"""Write docs/errors.md from the table of mistakes in tests/mistakes: `python -m tools.mistakes`, `make errors`."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

__all__ = ["main", "written"]

ROOT = Path(__file__).parent.parent
TABLES = ROOT / "tests" / "mistakes"

TOPICS = (
    "Making layers and models", "Shapes of inputs", "Labels, losses and metrics", "Training and data",
    "Layers and models of your own", "Files",
)  # fmt: skip
"""The order of the page."""

BEGINNING = """\
# Mistakes, and what kerata says

Each entry is a program that goes wrong, the message that it ends with (or, for a `UserWarning`, goes on with), and the
cure; `[…]` stands for what differs from machine to machine. The programs begin with

```text
import numpy
import kerata
from kerata import layers
```

A message says where, what was expected, what it got and what to try. The traceback above it shows your own lines only;
`KERATA_INTERNAL_FRAMES=1` in the environment, or `kerata.config.disable_traceback_filtering()`, shows kerata's too.

This page is written by `make errors` from `tests/mistakes`, where every message is tested.
"""


def written(mistakes: dict[str, Any]) -> str:
    """Return the page."""
    groups = [(topic, [one for one in mistakes.values() if one.topic == topic]) for topic in TOPICS]
    assert sum(len(group) for _, group in groups) == len(mistakes)
    contents = "\n".join(f"- [{topic}](#{_anchor(topic)}): {len(group)}" for topic, group in groups)
    sections = [f"## {topic}\n{_helpers(group[0])}\n" + "\n".join(map(_entry, group)) for topic, group in groups]
    return "\n".join([BEGINNING, contents, "", *sections]).rstrip("\n") + "\n"


def _helpers(one: Any) -> str:
    """Return the functions that the programs of a topic share."""
    shown = getattr(inspect.getmodule(one.program), "SHOWN", ())
    code = "\n\n".join(inspect.getsource(function).strip() for function in shown)
    return f"\nBelow, these stand for what does not matter there:\n\n```py\n{code}\n```\n" if shown else ""


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-").replace(",", "")


def _entry(one: Any) -> str:
    from catalogue import code_of  # type: ignore[import-not-found]

    kind = one.kind.__name__ if one.kind.__module__ == "builtins" else f"kerata.errors.{one.kind.__name__}"
    # The blocks are no `python`: the test of the pages would run them, and they are meant to fail.
    code = f"```py\n{code_of(one.program)}\n```"
    return f"### {one.title}\n\n{code}\n\n```text\n{kind}: {one.message}\n```\n\n{one.cure}\n"


def main() -> None:
    """Write the page."""
    sys.path.insert(0, str(TABLES))
    for file in sorted(TABLES.glob("mistakes_*.py")):
        importlib.import_module(file.stem)
    from catalogue import MISTAKES  # type: ignore[import-not-found]

    (ROOT / "docs" / "errors.md").write_text(written(MISTAKES), encoding="utf-8")
    print(f"docs/errors.md: {len(MISTAKES)} mistakes")


if __name__ == "__main__":
    main()
