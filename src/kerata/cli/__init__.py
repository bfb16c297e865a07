"""The command `kerata`: `run` a script written for Keras, `info` about this machine, `summary` of a model's file.

Each subcommand is a file of its own that is loaded when it is called: `kerata --help` loads no engine.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kerata import __version__

__all__ = ["main"]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="kerata", description="Deep learning the Keras way.", allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"kerata {__version__}")
    commands = top.add_subparsers(dest="command", metavar="command", required=True)

    run = commands.add_parser(
        "run",
        help="run a Python program written for Keras or tf.keras",
        description="Run a Python program as python does, with `keras` and `tensorflow.keras` being kerata.",
        usage="kerata run [-h] (script.py | -m module) [argument ...]",
        epilog="KERATA_INTERNAL_FRAMES=1 shows kerata's own frames in tracebacks.",
    )
    run.add_argument("-m", dest="module", action="store_true", help="the program is a module or package")
    run.add_argument("program", help="path of a script, of a folder or zip file with a __main__.py, or a module")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program finds in sys.argv[1:]")

    info = commands.add_parser(
        "info",
        help="show engine, devices, versions and folders",
        description="Show the engine in use, its devices, versions, folders and settings.",
    )
    info.add_argument("--json", action="store_true", help="print one JSON object")

    summary = commands.add_parser(
        "summary",
        help="show what a file of a model or of weights holds",
        description="Show the layers of a model (.keras, .h5), or the arrays of a file of weights "
        "(.weights.h5, .safetensors, .npz). No code from the file runs.",
    )
    summary.add_argument("file", help="the file")
    summary.add_argument("--format", choices=("text", "html", "markdown"), default="text", help="the form of the table")
    summary.add_argument("--expand", action="store_true", help="show the layers of models inside the model")
    summary.add_argument("--arrays", action="store_true", help="show the arrays, even if the file holds a model")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what `arguments` (those of the process without) say, and return the exit status.

    Example:
        >>> from kerata.cli import main
        >>> main(["info"])
        kerata ...
        0
    """
    chosen = parser().parse_args(arguments)
    if chosen.command == "run":
        from kerata.cli.run import run_module, run_script

        run = run_module if chosen.module else run_script
        return run(chosen.program, chosen.arguments)
    if chosen.command == "summary":
        from kerata.cli.summary import show as show_summary

        return show_summary(chosen.file, chosen.format, chosen.expand, chosen.arrays)
    from kerata.cli.info import show

    return show(as_json=chosen.json)
