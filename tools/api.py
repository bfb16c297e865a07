"""Compare kerata's public names with Keras's: `python -m tools.api`, `make api`.

Keras's side is read off the installed Keras, or off a list: a JSON file of paths, each with its kind and with
`signature` (a function) or `init` and `members` (a class), signatures being lists such as `["x", "kw:axis=None"]`.

A path is equal when kerata has it and

- a function's parameters have the same names, order, kinds and defaults;
- a class's constructor has too, and takes by keyword whatever Keras's passes on to its bases (followed through the
  bases of both: `**kwargs` alone accepts nothing);
- each public member of the class is there, and each method that the class itself defines has the same parameters.
  A method that comes from another public class is compared there, and `compute_output_shape` and
  `compute_output_spec` with `*args, **kwargs`, which Keras's base has too, may stand for narrower ones.

Annotations, values returned and bodies are not looked at. A list and a tuple as default are the same.
"""

from __future__ import annotations

import argparse
import ast
import collections
import dataclasses
import fnmatch
import functools
import importlib
import inspect
import json
import os
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tools.api_reasons import REASONS

__all__ = ["Entry", "compare", "differences", "from_keras", "from_list", "main", "of_kerata", "reason_for"]

CORE_AREAS = (
    "ops", "random", "activations", "initializers", "layers", "regularizers", "constraints", "dtype_policies", "tree",
    "utils",
)  # fmt: skip
"""Where at most one path in a hundred may differ, each with a reason."""


TAKES_ANY = ("compute_output_shape", "compute_output_spec")
"""Methods of every layer that take whatever `call` takes, by the same names; Keras has some narrower ones below."""


REFUSED = {
    (cls, "factor")
    for cls in (
        "CenterCrop", "MaxNumBoundingBoxes", "RandomCrop", "RandomFlip", "RandomShear", "RandomTranslation",
        "RandomZoom", "Resizing",
    )
}  # fmt: skip
"""What a constructor of Keras's seems to take through its base, which raises an error for this class."""


@dataclasses.dataclass
class Entry:
    """What a public path stands for."""

    kind: str  # function, class, value
    parameters: list[str] = dataclasses.field(default_factory=list)
    passed_on: dict[str, str] = dataclasses.field(default_factory=dict)  # what a constructor's bases take by keyword
    members: dict[str, list[str] | None] = dataclasses.field(default_factory=dict)  # None: not a method, or not its own
    source: Any = None


# Reading ----------------------------------------------------------------------------------------------------


def _default(value: Any) -> str:
    """Return a default in words that are the same on both sides."""
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(_default, value)) + ")"
    if isinstance(value, (types.FunctionType, type)):
        return value.__name__
    if value is None or isinstance(value, (str, bool, int, float, complex, dict)):
        return repr(value)
    return f"<{type(value).__name__}>"


def _parameters(function: Callable[..., Any]) -> list[str]:
    """Return the parameters as words: `x`, `axis=None`, `kw:name=None`, `*args`, `**kwargs`."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # of a builtin
        return ["*args", "**kwargs"]
    words = []
    for p in signature.parameters.values():
        mark = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**", p.KEYWORD_ONLY: "kw:"}.get(p.kind, "")
        words.append(mark + p.name + ("" if p.default is p.empty else f"={_default(p.default)}"))
    return words


def _passed_on(cls: type) -> dict[str, str]:
    """Return what the constructor's `**kwargs` bring to constructors of the bases, by name."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    given: Any = 0, set()
    ends = False
    for base in cls.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        words = _parameters(vars(base)["__init__"])[1:]
        names = [_split(w)[0] for w in words if not w.startswith("*")]
        if ends:
            break
        if taken:
            taken |= {*names[: given[0]], *given[1]}  # the class below says these itself
            found |= {name: default for name, default in map(_split, words) if name in names and name not in taken}
        taken |= {*names, "self"}
        *given, popped, passes = _said_in(vars(base)["__init__"])
        if base.__module__.partition(".")[0] == "kerata":  # Keras takes some out so as to refuse them
            found |= {name: default for name, default in popped if name not in taken}
        ends = not passes or not any(w.startswith("**") for w in words)
    return found


@functools.cache
def _said_in(init: Any) -> tuple[int, frozenset[str], tuple[tuple[str, str], ...], bool]:
    """Return what an `__init__` says to its base's, and of its own `**kwargs`.

    That is the number of arguments given by position, the names of others, what is taken out of `kwargs` with `pop`
    and its default, and whether `kwargs` go on to the base.
    """
    try:
        code = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, TypeError):
        return 0, frozenset(), (), True
    calls = [node for node in ast.walk(code) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    popped = tuple(
        (str(call.args[0].value), ast.unparse(call.args[1]))
        for call in calls
        if ast.unparse(call.func) == "kwargs.pop" and len(call.args) == 2 and isinstance(call.args[0], ast.Constant)
    )
    for call in calls:
        if call.func.attr == "__init__":  # type: ignore[attr-defined]
            with_self = not isinstance(call.func.value, ast.Call)  # type: ignore[attr-defined]  # Base.__init__(self, …)
            named = frozenset(k.arg for k in call.keywords if k.arg)
            return len(call.args) - with_self, named, popped, any(k.arg is None for k in call.keywords)
    return 0, frozenset(), popped, True


def _split(word: str) -> tuple[str, str]:
    name, _, default = word.removeprefix("kw:").partition("=")
    return name, default


def _member(cls: type, name: str, public: Callable[[type], bool]) -> list[str] | None:
    owner = next((base for base in cls.__mro__ if name in vars(base)), None)
    if owner is None or (owner is not cls and public(owner)):
        return None
    member = inspect.getattr_static(cls, name)
    if isinstance(member, (classmethod, staticmethod)):
        words = _parameters(member.__func__)
        return words[1:] if isinstance(member, classmethod) else words
    return _parameters(member)[1:] if inspect.isfunction(member) else None


def _entry(thing: Any, public: Callable[[type], bool]) -> Entry:
    if inspect.isclass(thing):
        names = [name for name in dir(thing) if not name.startswith("_")]
        return Entry(
            "class", _parameters(thing.__init__)[1:], _passed_on(thing),
            {name: _member(thing, name, public) for name in names}, thing,
        )  # fmt: skip
    if callable(thing):
        return Entry("function", _parameters(thing), source=thing)
    return Entry("value", source=thing)


def _walk(module: types.ModuleType, path: str) -> Iterator[tuple[str, Any]]:
    for name, thing in vars(module).items():
        if isinstance(thing, types.ModuleType):
            public = not name.startswith("_") and name not in ("api", "src")
            if public and thing.__name__ == f"{module.__name__}.{name}":
                yield from _walk(thing, f"{path}.{name}")
        elif not name.startswith("_") or name == "__version__":
            yield f"{path}.{name}", thing


def from_keras() -> dict[str, Entry]:
    """Return what the installed Keras offers, by path."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    things = dict(_walk(keras, "keras"))
    classes = {thing for thing in things.values() if inspect.isclass(thing)}
    entries = {path: _entry(thing, classes.__contains__) for path, thing in sorted(things.items())}
    _take_trainers_of_all_backends(list(entries.values()))
    return entries


def _take_trainers_of_all_backends(entries: list[Entry]) -> None:
    """Leave out what models have on Keras's JAX backend alone, where steps also pass the state along.

    Keras's guides write `train_step(self, data)`, as its other backends have it.
    """
    from keras.src.backend.jax.trainer import JAXTrainer
    from keras.src.backend.torch.trainer import TorchTrainer

    for entry in entries:
        if inspect.isclass(entry.source) and issubclass(entry.source, JAXTrainer):
            for name, words in list(entry.members.items()):
                if name in vars(JAXTrainer) and not hasattr(TorchTrainer, name):
                    del entry.members[name]
                elif name in vars(JAXTrainer) and words is not None:
                    entry.members[name] = _parameters(getattr(TorchTrainer, name))[1:]


def from_list(file: str | Path) -> dict[str, Entry]:
    """Return what a list in JSON says, by path; it says nothing of methods' parameters."""
    entries = {}
    for path, fact in json.loads(Path(file).read_text()).items():
        words = fact.get("init", ["self"])[1:] if fact["kind"] == "class" else fact.get("signature", [])
        words = [re.sub(r"\[(.*)\]$", r"(\1)", w) for w in words]
        entries[path] = Entry(fact["kind"], words, {}, dict.fromkeys(fact.get("members", ())))
    return entries


def of_kerata(path: str) -> Entry | None:
    """Return what kerata has at a path of Keras's; None when it has nothing there."""
    parts = path.split(".")[1:]
    thing: Any = importlib.import_module("kerata")
    for part in parts:
        try:
            thing = getattr(thing, part)
        except (AttributeError, ImportError):
            if not isinstance(thing, types.ModuleType):
                return None
            try:
                thing = importlib.import_module(f"{thing.__name__}.{part}")
            except ImportError:
                return None
    return _entry(thing, lambda _: False)


# Comparing --------------------------------------------------------------------------------------------------


def _compare_parameters(theirs: list[str], ours: list[str]) -> Iterator[str]:
    """Tell how the parameters differ, in a few words for each."""
    if theirs == ours:
        return
    wanted, had = ({_split(w)[0]: w for w in words} for words in (theirs, ours))
    for name, word in wanted.items():
        if name not in had:
            yield f"lacks {word}"
        elif had[name] != word:
            yield f"{had[name]} instead of {word}"
    yield from (f"has {word} besides" for name, word in had.items() if name not in wanted)
    both = [name for name in wanted if name in had and not name.startswith("*")]
    order = [[name for name in words if name in both] for words in (wanted, had)]
    if order[0] != order[1]:
        yield f"order {', '.join(order[1])} instead of {', '.join(order[0])}"


def _attributes(cls: type) -> set[str]:
    """Return the names that the methods of `cls` and its bases give `self`."""
    return set().union(*map(_own_attributes, cls.__mro__))


@functools.cache
def _own_attributes(cls: type) -> frozenset[str]:
    """Return the names that the methods of one class assign to `self`, and those of constructor arguments kept."""
    found = set(vars(cls).get("__annotations__", ()))
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):  # of a builtin
        return frozenset(found)
    for targets in re.findall(r"^ *((?:self\.\w+(?:: [^=\n]+)?(?:, | = )?)+)(?:: [^=\n]+)? = ", source, re.M):
        found.update(re.findall(r"self\.(\w+)", targets))
    if "self._keep(" in source:
        found.update(_split(w)[0] for w in _parameters(cls.__init__)[1:])
    return frozenset(found)


def compare(theirs: Entry, ours: Entry | None) -> dict[str, str]:
    """Return the differences: what differs (`""` the path itself, `name` a member) -> how."""
    if ours is None:
        return {"": "missing"}
    if theirs.kind != ours.kind:
        return {"": f"{ours.kind} instead of {theirs.kind}"}
    told = list(_compare_parameters(theirs.parameters, ours.parameters))
    explicit = {_split(w)[0] for w in ours.parameters}
    for name, default in theirs.passed_on.items():
        if name not in explicit and name not in ours.passed_on and (theirs.source.__name__, name) not in REFUSED:
            told.append(f"takes no {name}")
        elif ours.passed_on.get(name, default) != default:
            told.append(f"{name}={ours.passed_on[name]} instead of {name}={default}")
    found = {"": "; ".join(told)} if told else {}
    for name, words in theirs.members.items():
        if name not in ours.members:
            if name not in _attributes(ours.source):
                found[name] = "missing"
        elif words is not None:
            has = ours.members[name]
            if name in TAKES_ANY and has == ["*args", "**kwargs"]:
                continue
            told = ["no method"] if has is None else list(_compare_parameters(words, has))
            if told:
                found[name] = "; ".join(told)
    return found


def reason_for(name: str) -> str | None:
    """Return why `name`, a path or a path and a member, may differ."""
    return next((reason for pattern, reason in REASONS.items() if fnmatch.fnmatchcase(name, pattern)), None)


def area_of(path: str) -> str:
    """Return the module below `keras` in which a path stands."""
    parts = path.split(".")
    return parts[1] if len(parts) > 2 else "keras"


def differences(api: dict[str, Entry]) -> dict[str, dict[str, str]]:
    """Return for each path of `api` how kerata differs; nothing for what is equal."""
    return {path: compare(entry, of_kerata(path)) for path, entry in api.items()}


# Telling ----------------------------------------------------------------------------------------------------


def _names(path: str, found: dict[str, str]) -> dict[str, str]:
    return {f"{path}.{member}" if member else path: how for member, how in found.items()}


def table(found: dict[str, dict[str, str]]) -> list[str]:
    """Return the table of areas as lines of Markdown."""
    areas: dict[str, list[str]] = collections.defaultdict(list)
    for path in found:
        areas[area_of(path)].append(path)
    first = [area for area in CORE_AREAS if area in areas]
    lines = [
        "| area | paths | present | parameters equal | wholly equal | % | differences with a reason | without |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for area in (*first, *sorted(set(areas) - set(first))):
        paths = areas[area]
        told = [name for path in paths for name in _names(path, found[path])]
        reasoned = sum(reason_for(name) is not None for name in told)
        present = sum(found[path].get("") != "missing" for path in paths)
        alike = sum("" not in found[path] for path in paths)
        equal = sum(not found[path] for path in paths)
        share = f"{100 * equal / len(paths):.1f}"
        cells = area, len(paths), present, alike, equal, share, reasoned, len(told) - reasoned
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def page(found: dict[str, dict[str, str]]) -> str:
    """Return docs/api-differences.md."""
    lines = [
        "# Where kerata's interface differs from Keras 3.15's", "",
        "Written by `make api`, which compares the package with the installed Keras; the reasons stand in",
        "`tools/api_reasons.py`. A path is wholly equal when its parameters (names, order, defaults), its members and",
        "their methods' parameters are.", "",
        *table(found), "", "## Differences with a reason", "", "| name | difference | reason |", "|---|---|---|",
    ]  # fmt: skip
    told = {name: how for path in found for name, how in _names(path, found[path]).items()}
    lines += [f"| `{n}` | {_cell(how)} | {reason_for(n)} |" for n, how in told.items() if reason_for(n)]
    lines += ["", "## Not there yet", "", "| area | missing | other differences |", "|---|--:|--:|"]
    rest = collections.Counter(
        (area_of(path), how == "missing")
        for path in found
        for name, how in _names(path, found[path]).items()
        if not reason_for(name)
    )
    for area in sorted({area for area, _ in rest}):
        lines.append(f"| {area} | {rest[area, True]} | {rest[area, False]} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def main(arguments: list[str] | None = None) -> int:
    """Compare and print; the exit status is 1 when a path of the core areas differs without a reason."""
    parser = argparse.ArgumentParser(prog="python -m tools.api", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("list", nargs="?", help="a list of Keras's paths instead of the installed Keras")
    parser.add_argument("--area", nargs="+", metavar="AREA", help="compare only these; `keras` is the top level")
    parser.add_argument("--markdown", metavar="FILE", help="write the page of differences")
    parser.add_argument("--quiet", action="store_true", help="print the table only")
    given = parser.parse_args(arguments)
    api = from_list(given.list) if given.list else from_keras()
    found = differences({p: e for p, e in api.items() if not given.area or area_of(p) in given.area})
    unexplained = [
        (name, how)
        for path in found
        for name, how in _names(path, found[path]).items()
        if reason_for(name) is None
    ]  # fmt: skip
    if not given.quiet:
        for name, how in unexplained:
            print(f"{name}: {how}")
    print("\n".join(table(found)))
    if given.markdown:
        Path(given.markdown).write_text(page(found))
    return int(any(area_of(name) in CORE_AREAS for name, _ in unexplained))


if __name__ == "__main__":
    sys.exit(main())
