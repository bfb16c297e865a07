"""Every error that kerata raises, written by one constructor: where, what, expected, got, what to do.

Also here: `user_facing`, which hides the framework's own frames from a traceback. No checks live here.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import os
import sys
import threading
import types
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

__all__ = [
    "KerataError", "InvalidArgument", "InvalidType", "ShapeMismatch", "UnknownName", "NotBuilt", "NotCompiled",
    "Unsupported", "CorruptFile", "StateError", "ValueUnknown", "user_facing", "did_you_mean", "show_internal_frames",
]  # fmt: skip


class KerataError(Exception):
    """The root of kerata's errors.

    Args:
        what: one sentence that says what went wrong.
        where: the layer's path, the argument or the file that it concerns.
        expected: what would have been right.
        got: what came.
        hint: what to do.
    """

    def __init__(
        self, what: str, *, where: str | None = None, expected: Any = None, got: Any = None, hint: str | None = None
    ) -> None:
        self.what, self.where, self.expected, self.got, self.hint = what, where, expected, got, hint
        lines = [f"{where}: {what}" if where else what]
        if expected is not None:
            lines.append(f"  expected: {expected}")
        if got is not None:
            lines.append(f"  got:      {got}")
        if hint is not None:
            lines.append(f"  try:      {hint}")
        super().__init__("\n".join(lines))


class InvalidArgument(KerataError, ValueError):
    """An argument has the right type and a value that cannot be."""


class InvalidType(KerataError, TypeError):
    """An argument is of a type that is not understood."""


class ShapeMismatch(InvalidArgument):
    """Shapes do not fit together."""


class UnknownName(InvalidArgument):
    """A string names nothing known; the message offers the nearest known name."""

    def __init__(self, kind: str, name: object, known: Iterable[str], **details: Any) -> None:
        details.setdefault("hint", did_you_mean(str(name), known))
        super().__init__(f"there is no {kind} named {name!r}.", **details)


class NotBuilt(KerataError, ValueError):
    """A layer or model is used before its weights exist."""


class NotCompiled(KerataError, ValueError):
    """A model is trained or evaluated before `compile`."""


class Unsupported(KerataError, NotImplementedError):
    """Something that kerata, or the engine in use, does not do."""


class CorruptFile(KerataError, ValueError):
    """A file is cut, damaged, foreign or unsafe."""


class StateError(KerataError, RuntimeError):
    """A Variable is used in a way that a compiled or transformed function does not allow."""


class ValueUnknown(StateError):
    """A tensor's value was asked for where only its shape is known."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return advice that names the known names nearest to `name`."""
    known = sorted(set(known))
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if not near:
        by_lower = {k.lower(): k for k in known}
        near = [by_lower[k] for k in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)]
    if near:
        return "did you mean " + " or ".join(repr(n) for n in near) + "?"
    return "known names: " + ", ".join(known[:40]) + ("…" if len(known) > 40 else "")


_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_ENGINE_FOLDERS = [  # as installed: a user's own folder may be called jax
    f"{os.sep}{site}{os.sep}{package}{os.sep}"
    for site in ("site-packages", "dist-packages")
    for package in ("jax", "jaxlib", "optree")
]
_internal_frames = os.environ.get("KERATA_INTERNAL_FRAMES", "") not in ("", "0")
_F = TypeVar("_F", bound=Callable[..., Any])


def show_internal_frames(show: bool | None = None) -> bool:
    """Set (or, without an argument, ask) whether tracebacks keep the framework's own frames."""
    global _internal_frames
    if show is not None:
        _internal_frames = bool(show)
    return _internal_frames


def _is_internal(filename: str) -> bool:
    return (
        filename.startswith((_PACKAGE, "<frozen importlib"))
        or filename in (contextlib.__file__, importlib.__file__)
        or any(part in filename for part in _ENGINE_FOLDERS)
    )


def _user_traceback(traceback: types.TracebackType | None) -> types.TracebackType | None:
    """Return a copy of `traceback` without internal frames; an empty one means that all were internal."""
    kept: list[types.TracebackType] = []
    while traceback is not None:
        if not _is_internal(traceback.tb_frame.f_code.co_filename):
            kept.append(traceback)
        traceback = traceback.tb_next
    result = None
    for entry in reversed(kept):
        result = types.TracebackType(result, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return result


class _Calls(threading.local):
    """How many public entry points this thread is inside of."""

    depth = 0


_calls = _Calls()


def user_facing(function: _F) -> _F:
    """Decorate a public entry point: an exception leaves it with the user's frames alone.

    Only the outermost entry filters, so that nested calls cost nothing and notes stay complete.
    """

    @functools.wraps(function)
    def entry(*args: Any, **kwargs: Any) -> Any:
        _calls.depth += 1
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if _calls.depth > 1:
                raise
            raise for_user(error) from None
        finally:
            _calls.depth -= 1

    return entry  # type: ignore[return-value]


def for_user(error: BaseException) -> BaseException:
    """Return `error` with a traceback that shows the user's own frames alone."""
    if _internal_frames:
        return error
    # What the engine said before stays an internal matter once the error has been told in our words.
    error.__cause__, error.__suppress_context__ = None, True
    if hasattr(error, "__notes__"):
        error.__notes__ = [text for text in error.__notes__ if "JAX_TRACEBACK_FILTERING" not in text]
    return error.with_traceback(_user_traceback(error.__traceback__))


def note(error: BaseException, text: str) -> None:
    """Add `text` to what is printed below `error`, once."""
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)


def warn_once(message: str, _seen: set[str] = set()) -> None:  # noqa: B006  (the default is the memory)
    """Print a gentle warning the first time that `message` comes up."""
    if message not in _seen:
        _seen.add(message)
        import warnings

        warnings.warn(message, UserWarning, stacklevel=_user_stacklevel())


def _user_stacklevel() -> int:
    level, frame = 1, sys._getframe(1)
    while frame is not None and _is_internal(frame.f_code.co_filename):
        level, frame = level + 1, frame.f_back
    return level
