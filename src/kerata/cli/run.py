"""`kerata run`: a program sees what it would see under `python`, except that `keras` is kerata.

Nothing of kerata but the alias is loaded before the program, so that what it sets first (os.environ) counts.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import os
import signal
import sys
import types
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from typing import Any

from kerata import compat, errors

__all__ = ["run_module", "run_script"]


def run_script(path: str, arguments: Sequence[str] = ()) -> int:
    """Run the file `path` (or the `__main__.py` of a folder or zip file) and return the exit status.

    SystemExit and KeyboardInterrupt leave it as they leave a program.
    """
    file = os.path.abspath(path)
    sys.argv[:] = [path, *arguments]
    if os.path.isdir(file) or file.endswith((".zip", ".pyz")):
        spec = importlib.machinery.PathFinder.find_spec("__main__", [file])
        if spec is None:
            return _cannot(f"{file} has no __main__.py", status=1)
        _first_on_path(file)
        return _execute(spec, package="")
    try:
        with io.open_code(file) as opened:
            source = opened.read()
    except OSError as error:
        return _cannot(f"can't open file {file!r}: [Errno {error.errno}] {error.strerror}", status=2)
    _first_on_path(os.path.dirname(os.path.realpath(file)))
    loader = importlib.machinery.SourceFileLoader("__main__", file)
    names = {"__file__": file, "__loader__": loader, "__cached__": None}
    return _guarded(lambda: exec(compile(source, file, "exec", dont_inherit=True), _main_module(names)))


def run_module(name: str, arguments: Sequence[str] = ()) -> int:
    """Run the module `name` (or `name.__main__`, for a package), found as imports are, and return the exit status."""
    sys.argv[:] = ["-m", *arguments]
    _first_on_path(os.getcwd())
    compat.install()
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name = f"{name}.__main__"
            spec = importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:
        return _cannot(f"error while finding module {name!r}: {error}", status=1)
    if spec is None:
        return _cannot(f"no module named {name!r}", status=1)
    return _execute(spec, package=name.rpartition(".")[0])


def _execute(spec: ModuleSpec, package: str) -> int:
    """Run the code of `spec` as the main module."""

    def run() -> None:
        loader: Any = spec.loader
        code = loader.get_code(spec.name)
        sys.argv[0] = spec.origin if package or sys.argv[0] == "-m" else sys.argv[0]
        names = {
            "__file__": spec.origin, "__loader__": loader, "__cached__": spec.cached, "__spec__": spec,
            "__package__": package,
        }  # fmt: skip
        exec(code, _main_module(names))

    return _guarded(run)


def _main_module(names: dict[str, Any]) -> dict[str, Any]:
    """Put a new `__main__` in place and return its namespace."""
    module = types.ModuleType("__main__")
    module.__dict__.update({"__builtins__": __builtins__, "__package__": None, **names})
    sys.modules["__main__"] = module
    return module.__dict__


def _first_on_path(folder: str) -> None:
    if not getattr(sys.flags, "safe_path", False):  # python -P leaves the first place out
        sys.path[0] = folder


def _cannot(message: str, status: int) -> int:
    print(f"kerata run: {message}", file=sys.stderr)
    return status


# What leaves the program ---------------------------------------------------------------------------------------


def _guarded(program: Any) -> int:
    """Run `program` with the alias; report what it raises as python does, with the user's frames alone."""
    compat.install()
    try:
        program()
    except Exception as error:
        _report(error)
        return 1
    except KeyboardInterrupt as error:
        _report(error)
        sys.excepthook = lambda *_: None  # it is told; python still ends by the signal
        raise
    return 0


def _report(error: BaseException) -> None:
    hidden = False
    for each in _chain(error):
        before = _length(each.__traceback__)
        cause, suppress = each.__cause__, each.__suppress_context__
        errors.for_user(each)
        each.__cause__, each.__suppress_context__ = cause, suppress  # the program's own `raise … from` stays
        hidden |= before > _length(each.__traceback__)
    sys.excepthook(type(error), error, error.__traceback__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what came before it."""
    seen: set[int] = set()
    left = [error]
    while left:
        each = left.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            left += [e for e in (each.__cause__, each.__context__) if e is not None]


def _length(traceback: types.TracebackType | None) -> int:
    count = 0
    while traceback is not None:
        count, traceback = count + 1, traceback.tb_next
    return count
