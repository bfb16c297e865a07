"""`kerata run`: a program sees what it would see under `python`, except that `keras` is kerata.

Nothing of kerata but the alias is loaded before the program, so that what it sets first (os.environ) counts.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import io
import os
import sys
import types
import zipfile
from collections.abc import Callable, Sequence
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
    if os.path.isdir(file) or zipfile.is_zipfile(file):
        spec = importlib.machinery.PathFinder.find_spec("__main__", [file])
        if spec is None:
            return _cannot(f"there is no __main__ module in {path!r}", status=1)
        _first_on_path(file)
        return _guarded(lambda: _execute(spec, package=""))
    try:
        with io.open_code(file) as opened:
            source = opened.read()
    except OSError as error:
        return _cannot(f"can't open file {file!r}: [Errno {error.errno}] {error.strerror}", status=2)
    _first_on_path(os.path.dirname(os.path.realpath(file)))
    names = {"__file__": file, "__loader__": importlib.machinery.SourceFileLoader("__main__", file)}
    # dont_inherit: the `from __future__` of this file is not the program's.
    return _guarded(lambda: exec(compile(source, file, "exec", dont_inherit=True), _main_module(names)))


def run_module(name: str, arguments: Sequence[str] = ()) -> int:
    """Run the module `name` (the `__main__` in it, for a package), found as imports are; return the exit status."""
    sys.argv[:] = ["-m", *arguments]
    _first_on_path(os.getcwd())

    def program() -> int:
        spec = _find(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = _find(f"{name}.__main__")
        if spec is None:
            return _cannot(f"there is no module {name!r} that can be run", status=1)
        sys.argv[0] = spec.origin or name
        return _execute(spec, package=spec.parent)

    return _guarded(program)


def _find(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            return None
        raise  # the package is there, and imports something that is not


def _execute(spec: ModuleSpec, package: str | None) -> int:
    """Run the code of `spec` as the main module."""
    loader: Any = spec.loader
    names = {
        "__file__": spec.origin, "__loader__": loader, "__cached__": spec.cached, "__spec__": spec,
        "__package__": package,
    }  # fmt: skip
    exec(loader.get_code(spec.name), _main_module(names))
    return 0


def _main_module(names: dict[str, Any]) -> dict[str, Any]:
    """Put a new `__main__` in place and return its namespace."""
    module = types.ModuleType("__main__")
    module.__dict__.update({"__builtins__": builtins, "__package__": None, "__cached__": None, **names})
    sys.modules["__main__"] = module
    return module.__dict__


def _first_on_path(folder: str) -> None:
    if not sys.flags.safe_path:  # python -P leaves the first place out
        sys.path[0] = folder


def _cannot(message: str, status: int) -> int:
    print(f"kerata run: {message}", file=sys.stderr)
    return status


# What leaves the program --------------------------------------------------------------------------------------


def _guarded(program: Callable[[], int | None]) -> int:
    """Run `program` with the alias; report what it raises as python does, with the user's frames alone."""
    compat.install()
    try:
        return program() or 0
    except Exception as error:
        _report(error)
        return 1
    except KeyboardInterrupt as error:
        _report(error)
        sys.excepthook = lambda *_: None  # it is told; python still ends by the signal
        raise


def _report(error: BaseException) -> None:
    for each in _chain(error):
        cause, suppress = each.__cause__, each.__suppress_context__
        errors.for_user(each)
        each.__cause__, each.__suppress_context__ = cause, suppress  # the program's own `raise … from` stays
    sys.excepthook(type(error), error, error.__traceback__)


def _chain(error: BaseException) -> list[BaseException]:
    """Return `error` and all that came before it."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and each not in found:
            found.append(each)
            left += [each.__cause__, each.__context__]
    return found
