"""The import hook: answers `import keras…` and `import tensorflow…` from the table in `names.py`."""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from kerata import __version__, errors
from kerata.compat import names

__all__ = ["MissingModule", "MissingName", "View", "install", "installed", "names_of", "uninstall"]

ROOTS = ("keras", "tensorflow")
STAND_INS = ("torchvision",)  # answered only where the real one is not installed


class MissingModule(errors.Unsupported, ModuleNotFoundError):
    """A module of Keras or TensorFlow that kerata does not offer; an ImportError like any other."""


class MissingName(errors.Unsupported, AttributeError):
    """A name of Keras or TensorFlow that kerata does not offer; `hasattr` says False."""


class View(types.ModuleType):
    """A module without code: each of its names is fetched from where it lives when it is asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"What kerata offers under the name `{name}`.")
        self.__path__ = []  # its submodules come from the finder

    def __getattr__(self, name: str) -> Any:
        full = f"{self.__name__}.{name}"
        if _is_module(full):
            try:
                return importlib.import_module(full)
            except MissingModule as error:
                raise _missing(MissingName, full, error.hint) from None
        return _fetch(self.__name__, name)

    def __repr__(self) -> str:
        return f"<module {self.__name__!r}, offered by kerata>"

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_offered(self.__name__)})


def _fetch(view: str, name: str) -> Any:
    """Return what `name` stands for in a view."""
    full, target = f"{view}.{name}", names.VIEWS[view].get(name)
    if target is None:
        if name.startswith("__"):
            raise AttributeError(f"module {view!r} has no attribute {name!r}")
        raise _missing(MissingName, full)
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except AttributeError:
        raise _missing(MissingName, full) from None
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise _missing(MissingName, full) from None


def names_of(view: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a module of kerata that offers the names of a view."""
    return functools.partial(_fetch, view), lambda: sorted(names.VIEWS[view])


def _offered(module: str) -> list[str]:
    """Return the names that the view called `module` offers, submodules among them."""
    head = f"{module}."
    below = [m[len(head) :] for m in (*names.MODULES, *names.VIEWS) if m.startswith(head)]
    if module == "tensorflow":
        below.append("keras")
    return [*names.VIEWS[module], *(name for name in below if "." not in name)]


def _is_module(full: str) -> bool:
    name = names.canonical(full)
    return name in names.MODULES or name in names.VIEWS


def _missing(kind: type[errors.Unsupported], full: str, hint: str | None = None) -> errors.Unsupported:
    """Return the error for the name `full`, with what to use instead."""
    parent, _, last = names.canonical(full).rpartition(".")
    hint = hint or names.hint_for(names.canonical(full))
    known = [name for name in _offered(parent) if not name.startswith("__")] if parent in names.VIEWS else []
    if hint is None and known and last not in known:
        hint = errors.did_you_mean(last, known)
    return kind(f"kerata {__version__} does not offer `{full}`.", hint=hint)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules below `roots`; the first of Python's finders hides what is installed, the last adds to it."""

    def __init__(self, roots: Sequence[str]) -> None:
        self.roots = roots

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root = fullname.partition(".")[0]
        if root not in self.roots or (root in STAND_INS and root in sys.modules and not _is_ours(sys.modules[root])):
            return None
        if not _is_module(fullname):
            raise _missing(MissingModule, fullname)
        return importlib.util.spec_from_loader(fullname, _loader, is_package=True)


class _Loader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return None  # a blank one, which exec_module replaces

    def exec_module(self, module: types.ModuleType) -> None:
        # Python takes what stands in sys.modules after this as the module that was imported.
        spec = module.__spec__
        assert spec is not None
        sys.modules[spec.name] = _resolve(spec.name)


def _resolve(fullname: str) -> types.ModuleType:
    """Return the module that `fullname` stands for."""
    name = names.canonical(fullname)
    if name != fullname:
        return importlib.import_module(name)
    if name in names.VIEWS:
        view = View(name)
        view.__spec__ = importlib.util.spec_from_loader(name, _loader, is_package=True)
        return view
    target = names.MODULES[name]
    try:
        module = importlib.import_module(target)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{target}.".startswith(f"{error.name}."):
            raise
        raise _missing(MissingModule, fullname) from None
    _add_former_paths(name, module)
    return module


def _add_former_paths(name: str, module: types.ModuleType) -> None:
    """Let `from keras.layers.core import Dense` find Dense where it is now.

    They are put beside the module in sys.modules and not set on it: `kerata.layers.core` is another file.
    """
    for former in names.FORMER.get(name, ()):
        for head in (name, f"tensorflow.{name}"):
            sys.modules.setdefault(f"{head}.{former}", module)
        twin = f"{module.__name__}.{former}"  # `from keras.utils import np_utils` looks here
        if "." not in former and importlib.util.find_spec(twin) is None:
            sys.modules.setdefault(twin, module)
            _twins.append(twin)


def _is_ours(module: types.ModuleType) -> bool:
    return isinstance(module, View) or module.__name__.partition(".")[0] == "kerata"


_finder, _last_finder, _loader = _Finder(ROOTS), _Finder(STAND_INS), _Loader()
_displaced: dict[str, types.ModuleType] = {}
_twins: list[str] = []


def installed() -> bool:
    """Return whether `keras` and `tensorflow` mean kerata at present."""
    return _finder in sys.meta_path


def install() -> None:
    """Make `keras`, `tensorflow` and all below them mean kerata, until `uninstall`.

    Where `torchvision` is not installed, its data sets and transforms are offered as well.
    A Keras or TensorFlow that is loaded already is set aside; names bound to it before stay what they are.
    `keras.__version__` reads "3.15.0+kerata.…": the interface spoken, and by whom.

    Example:
        >>> kerata.compat.install()
        >>> from tensorflow.keras.layers import Dense
        >>> Dense is kerata.layers.Dense
        True
        >>> kerata.compat.uninstall()
    """
    if installed():
        return
    _displaced.update(_take_modules())
    sys.meta_path.insert(0, _finder)
    sys.meta_path.append(_last_finder)


def uninstall() -> None:
    """Let `keras` and `tensorflow` mean again what they meant before `install`."""
    if not installed():
        return
    sys.meta_path.remove(_finder)
    sys.meta_path.remove(_last_finder)
    _take_modules()
    for twin in _twins:
        sys.modules.pop(twin, None)
    _twins.clear()
    sys.modules.update(_displaced)
    _displaced.clear()


def _take_modules() -> dict[str, types.ModuleType]:
    """Remove every keras and tensorflow module from sys.modules, and our stand-ins, and return them."""
    found = [
        name
        for name, module in sys.modules.items()
        if (root := name.partition(".")[0]) in ROOTS or (root in STAND_INS and _is_ours(module))
    ]
    return {name: sys.modules.pop(name) for name in found}
