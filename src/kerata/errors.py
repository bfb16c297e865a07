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
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

__all__ = [
    "KerataError", "InvalidArgument", "InvalidType", "ShapeMismatch", "UnknownName", "NotBuilt", "NotCompiled",
    "Unsupported", "CorruptFile", "StateError", "ValueUnknown", "OutOfMemory", "user_facing", "did_you_mean",
    "show_internal_frames",
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
        _show_without_internal_frames()

    def __reduce__(self) -> Any:  # another process tells it in the same words
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[KerataError], args: tuple, details: dict[str, Any]) -> KerataError:
    error = kind.__new__(kind, *args)
    vars(error).update(details)
    return error


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


class OutOfMemory(KerataError, MemoryError):
    """The device, or the machine, has no memory left for what was to be computed."""


@contextlib.contextmanager
def located(where: str) -> Iterator[None]:
    """Say where, for an error raised inside that does not say so itself."""
    try:
        yield
    except KerataError as error:
        if error.where is None:
            error.where = where
            error.args = (f"{where}: {error.args[0]}",)
        raise


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return advice that names the known names nearest to `name`, each in one spelling."""
    spellings: dict[str, str] = {}
    for spelling in sorted(set(known), key=lambda s: (s.islower() != name.islower(), -s.count("_"), s)):
        spellings.setdefault(spelling.lower().replace("_", ""), spelling)
    known = sorted(spellings.values())
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


def _user_traceback(error: BaseException) -> types.TracebackType | None:
    """Return the traceback of `error` without internal frames; an empty one means that all were internal."""
    is_hidden = _is_installed if isinstance(error, KerataError) else _is_internal
    kept = [entry for entry in _entries(error) if not is_hidden(entry.tb_frame.f_code.co_filename)]
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
        __tracebackhide__ = True  # IPython and pytest leave this frame out
        _calls.depth += 1
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if _calls.depth > 1:
                raise
            raise for_user(error, function) from None
        finally:
            _calls.depth -= 1

    return entry  # type: ignore[return-value]


def for_user(error: BaseException, entry: Callable[..., Any] | None = None) -> BaseException:
    """Return `error`, or the same in our words, with a traceback that shows the user's own frames alone."""
    error = in_our_words(error)
    if entry is not None and isinstance(error, TypeError):
        _advise_argument(error, entry)
    if _internal_frames:
        return error
    _show_without_internal_frames()
    with contextlib.suppress(AttributeError):
        error._is_for_user = True  # type: ignore[attr-defined]
    # What the engine said before stays an internal matter once the error has been told in our words.
    error.__cause__, error.__suppress_context__ = None, True
    if hasattr(error, "__notes__"):
        error.__notes__ = [text for text in error.__notes__ if "JAX_TRACEBACK_FILTERING" not in text]
    return error.with_traceback(_user_traceback(error))


def _advise_argument(error: TypeError, entry: Callable[..., Any]) -> None:
    """Name the nearest argument where `entry` was called with one that it does not have."""
    import inspect
    import re

    found = re.search(rf"{entry.__name__}\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if found:
        note(error, "  try:      " + did_you_mean(found[1], [*inspect.signature(entry).parameters][1:]))


# What engines and Python say, in our words ----------------------------------------------------------------------

_ASKING = {  # an engine's error: what was asked of a tensor that has no value yet
    "TracerBoolConversionError": "`if`, `while` or `assert` asks for the value of a tensor",
    "TracerArrayConversionError": "NumPy asks for the values of a tensor",
    "TracerIntegerConversionError": "an index or a size asks for the value of a tensor",
    "ConcretizationTypeError": "Python asks for the value of a tensor",
}


def in_our_words(error: BaseException) -> BaseException:
    """Return what an engine's error means, or `error` itself."""
    told: KerataError | None = None
    kinds = {kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in ("jax", "torch")}
    asked = next((text for name, text in _ASKING.items() if name in kinds), None)
    if isinstance(error, KerataError):
        return error
    if asked is not None:
        told = ValueUnknown(
            f"{asked}, which has none while the step is being compiled.", where=_user_line(error),
            expected="a formula that holds for all values", got=_first_line(error),
            hint="use kerata.ops: where, cond, while_loop, and the functions of NumPy under their names; "
            "or compile(…, run_eagerly=True)",
        )  # fmt: skip
    elif is_out_of_memory(error):
        told = OutOfMemory("there is not enough memory.", got=_first_line(error), hint="a smaller batch or model")
    elif isinstance(error, RecursionError) and (where := _going_round(error)):
        told = StateError(
            "the calls go round in a circle and never end.", where=where, expected="a `call` that reaches an end",
            got="a layer that calls itself, or holds itself", hint="call the layers inside it, each once",
        )  # fmt: skip
    if told is None:
        return error
    for text in getattr(error, "__notes__", ()) if not isinstance(error, RecursionError) else ():
        note(told, text)
    return told.with_traceback(error.__traceback__)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an engine, NumPy or Python says that memory has run out."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "RESOURCE_EXHAUSTED" in str(error)
        or "out of memory" in str(error).lower()
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _user_line(error: BaseException) -> str | None:
    """Return the user's innermost line in the traceback of `error`."""
    entries = [e for e in _entries(error) if not _is_installed(e.tb_frame.f_code.co_filename)]
    if not entries:
        return None
    code = entries[-1].tb_frame.f_code
    return f"{os.path.basename(code.co_filename)}, line {entries[-1].tb_lineno}, in {code.co_name}"


def _entries(error: BaseException) -> Iterator[types.TracebackType]:
    entry = error.__traceback__
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _is_installed(filename: str) -> bool:
    return _is_internal(filename) or filename.startswith("<frozen") or f"{os.sep}site-packages{os.sep}" in filename


def _going_round(error: BaseException) -> str | None:
    """Return the layer that stands in the traceback of an endless recursion most often."""
    layers: list[Any] = [entry.tb_frame.f_locals.get("self") for entry in _entries(error)]
    paths = [f"layer {x.path!r} ({type(x).__name__})" for x in layers if hasattr(type(x), "add_weight")]
    return max(set(paths), key=paths.count) if paths else None


# Uncaught errors ------------------------------------------------------------------------------------------------


@functools.cache
def _show_without_internal_frames() -> None:
    """From the first error on, let Python (and IPython) print what ends a program with the user's frames alone."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
        _trim(error)
        before(kind, error, error.__traceback__)

    sys.excepthook = hook
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:

        def tell(shell: Any, kind: Any, error: BaseException, trace: Any, tb_offset: Any = None) -> None:
            shown = as_shown(error.with_traceback(trace))
            shell.showtraceback((kind, error.with_traceback(shown), shown), tb_offset=0)

        shell.set_custom_exc((KerataError,), tell)


def _trim(error: BaseException | None) -> None:
    """Take the internal frames off `error` and off what came before it."""
    while error is not None and not _internal_frames:
        if isinstance(error, KerataError) or getattr(error, "_is_for_user", False):
            error.__traceback__ = as_shown(error)
            cause = error.__cause__ or error.__context__
            first = next(_entries(cause), None) if cause is not None else None
            if first is not None and _is_internal(first.tb_frame.f_code.co_filename):  # it was caught in here
                error.__cause__, error.__suppress_context__ = None, True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def as_shown(error: BaseException) -> types.TracebackType | None:
    """Return the traceback of `error` as it is shown to the user."""
    return error.__traceback__ if _internal_frames else _user_traceback(error)


def note(error: BaseException, text: str) -> None:
    """Add `text` to what is printed below `error`, once."""
    if text not in getattr(error, "__notes__", ()):
        error.add_note(text)


def warn_once(message: str, _seen: set[str] = set()) -> None:  # noqa: B006  (the default is the memory)
    """Print a gentle warning the first time that `message` comes up."""
    if message not in _seen:
        _seen.add(message)
        warn(message)


def warn(message: str) -> None:
    """Print a warning that names the user's line."""
    import warnings

    warnings.warn(message, UserWarning, stacklevel=_user_stacklevel())


def _user_stacklevel() -> int:
    level, frame = 1, sys._getframe(1)
    while frame is not None and _is_internal(frame.f_code.co_filename):
        level, frame = level + 1, frame.f_back
    return level
