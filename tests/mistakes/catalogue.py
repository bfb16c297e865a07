"""What a mistake is, and what comes of making it: the table is in the `mistakes_*` files beside."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import os
import re
import textwrap
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import kerata
from kerata import errors

__all__ = ["MISTAKES", "Mistake", "Outcome", "code_of", "make", "matches", "mistake"]


@dataclasses.dataclass
class Mistake:
    """A beginner's program, the error (or warning) that answers it, and the cure.

    Args:
        topic: the heading under which it stands in docs/errors.md.
        title: what is wrong, in a few words.
        kind: the class of the error, or of the warning.
        message: what is printed, whole; `[…]` stands for what differs from machine to machine.
        cure: what to do, in Markdown.
        program: the code of the user's.
        around: a context in which it runs: a disk that is full, a file that is cut.
        after: called with the program's variables by name, to look whether all is unharmed.
    """

    topic: str
    title: str
    kind: type[BaseException]
    message: str
    cure: str
    program: Callable[[], object]
    around: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext
    after: Callable[..., None] | None = None

    @property
    def name(self) -> str:
        return self.program.__name__


MISTAKES: dict[str, Mistake] = {}
"""Every mistake by the name of its function, in the order of the page."""


def mistake(title: str, kind: type[BaseException], message: str, cure: str, **details) -> Callable:
    """Enter a function into the table; the topic is the first line of its file."""

    def enter(program: Callable[[], object]) -> Callable[[], object]:
        topic = (inspect.getmodule(program).__doc__ or "").splitlines()[0].rstrip(".")
        assert program.__name__ not in MISTAKES, program.__name__
        MISTAKES[program.__name__] = Mistake(topic, title, kind, message.strip("\n"), cure, program, **details)
        return program

    return enter


def code_of(program: Callable[[], object]) -> str:
    """Return the body of a function as it stands in its file."""
    lines = inspect.getsource(program).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("def "))
    return textwrap.dedent("\n".join(lines[first + 1 :])).strip()


@dataclasses.dataclass
class Outcome:
    """What came of a mistake: the class, what is printed, the frames of the traceback, and the program's variables."""

    kind: type
    message: str
    error: BaseException | None
    files: list[str]
    variables: dict


def make(one: Mistake, folder: Path) -> Outcome:
    """Make a mistake in an empty folder, with names that count from the start."""
    kerata.utils.clear_session()
    kerata.utils.set_random_seed(0)
    errors.warn_once.__defaults__[0].clear()  # a warning that came before comes again
    before = os.getcwd()
    os.chdir(folder)
    try:
        with warnings.catch_warnings(record=True) as heard, one.around():
            warnings.simplefilter("always")
            try:
                variables = one.program()
            except BaseException as error:  # noqa: BLE001  (Ctrl-C is one of the mistakes)
                return _of_error(error, one)
    finally:
        os.chdir(before)
    told = [w for w in heard if issubclass(w.category, one.kind)] if issubclass(one.kind, Warning) else []
    assert told, f"nothing was said; heard {[str(w.message) for w in heard]}"
    message = "\n".join(str(w.message) for w in told)
    return Outcome(told[0].category, message, None, [w.filename for w in told], variables or {})


def _of_error(error: BaseException, one: Mistake) -> Outcome:
    shown = errors.as_shown(error)
    frames = list(traceback.walk_tb(shown))
    ours = [frame for frame, _ in frames if frame.f_code is not make.__code__]
    own = next((f for f in ours if f.f_code is one.program.__code__), None)
    message = "\n".join([str(error), *getattr(error, "__notes__", ())])
    return Outcome(type(error), message, error, [f.f_code.co_filename for f in ours], dict(own.f_locals) if own else {})


def matches(message: str, wanted: str) -> bool:
    """Return whether `message` is `wanted`, in which `[…]` stands for anything."""
    if message == wanted:
        return True
    pattern = ".*?".join(re.escape(part) for part in wanted.split("[…]"))
    return re.fullmatch(pattern, message, re.DOTALL) is not None
