"""What is true around a call: the state that a transform has lifted, the training flag, names, automatic casting.

Each thread has its own. Scopes are entered with `with` and say nothing of layers or models.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from kerata import errors

if TYPE_CHECKING:
    from kerata.core.variable import Variable

__all__ = [
    "Around", "StateScope", "around", "autocast", "auto_name", "call_context", "get_mask", "name_scope", "reset_names",
    "set_mask", "surroundings",
]  # fmt: skip


class Around(threading.local):
    """Everything that a call can ask of its surroundings."""

    state: StateScope | None = None
    autocast: str | None = None  # the dtype in which float Variables are read
    training: bool | None = None
    call_depth: int = 0
    losses: list[Any] | None = None  # collects add_loss and activity regularization in the outermost call
    names: tuple[str, ...] = ()
    name_owner: Any = None  # the caller and the name of the innermost `name_scope`
    device: str | None = None
    remat: Any = None  # the RematScope that layers made now belong to
    symbolic: bool = False
    held: dict[int, Any] | None = None  # what objects hold, inside `tracking.remembered`


around = Around()


@contextlib.contextmanager
def surroundings(then: dict[str, Any]) -> Iterator[None]:
    """Restore inside the block what `vars(around)` was."""
    here = vars(around)
    now = dict(here)
    here.clear()
    here.update(then)
    try:
        yield
    finally:
        here.clear()
        here.update(now)


# State ----------------------------------------------------------------------------------------------------------


class StateScope:
    """Inside it Variables hold the values given here; what is written stays here.

    Args:
        values: pairs of Variable and value to start from.
        track_reads: note each Variable that is read and not among `values`.
    """

    collect_losses = False

    def __init__(self, values: Any = (), track_reads: bool = False) -> None:
        self.values: dict[Variable, Any] = dict(values)
        self.writes: dict[Variable, None] = {}
        self.reads: dict[Variable, None] | None = {} if track_reads else None
        self.created: list[Variable] = []
        self.parent: StateScope | None = None

    def __enter__(self) -> Self:
        self.parent, around.state = around.state, self
        return self

    def __exit__(self, *_: object) -> None:
        around.state = self.parent

    def read(self, variable: Variable) -> Any:
        value = self.values.get(variable, self)
        if value is not self:
            return value
        if self.reads is not None:
            self.reads[variable] = None
        return self.parent.read(variable) if self.parent is not None else variable._differentiable_value()

    def write(self, variable: Variable, value: Any) -> None:
        if self.reads is not None and variable not in self.values:
            self.reads[variable] = None
        self.values[variable] = value
        self.writes[variable] = None

    def written(self) -> tuple[list[Variable], list[Any]]:
        """Return the Variables that were written, and their values."""
        variables = list(self.writes)
        return variables, [self.values[v] for v in variables]


# Calls ----------------------------------------------------------------------------------------------------------


class call_context:  # noqa: N801  (classes, for every layer's call enters them: generators take longer)
    """Enter a layer's call; gives whether it is the outermost."""

    __slots__ = ("_previous", "_training")

    def __init__(self, training: bool | None) -> None:
        self._training = training

    def __enter__(self) -> bool:
        self._previous = around.training
        if self._training is not None:
            around.training = self._training
        around.call_depth += 1
        return around.call_depth == 1

    def __exit__(self, *_: object) -> None:
        around.call_depth -= 1
        around.training = self._previous


class autocast:  # noqa: N801
    """Read float Variables as `dtype` inside the block."""

    __slots__ = ("_dtype", "_previous")

    def __init__(self, dtype: str | None) -> None:
        self._dtype = dtype

    def __enter__(self) -> None:
        self._previous, around.autocast = around.autocast, self._dtype

    def __exit__(self, *_: object) -> None:
        around.autocast = self._previous


nothing = contextlib.nullcontext


# Masks ----------------------------------------------------------------------------------------------------------

# Arrays of some engines take no attributes, so a mask is filed under its tensor's identity while that lives.
_masks: dict[int, tuple[weakref.ref, Any]] = {}


def set_mask(tensor: Any, mask: Any) -> None:
    """Remember that `mask` says which steps of `tensor` are real; None forgets."""
    key = id(tensor)
    if mask is None:
        _masks.pop(key, None)
        return
    try:
        reference = weakref.ref(tensor, lambda _: _masks.pop(key, None))
    except TypeError:  # a plain number carries no mask
        return
    _masks[key] = (reference, mask)


def get_mask(tensor: Any) -> Any:
    """Return the mask of `tensor`, or None."""
    entry = _masks.get(id(tensor))
    return entry[1] if entry is not None and entry[0]() is tensor else None


# Names ----------------------------------------------------------------------------------------------------------

_counters: dict[str, int] = {}


class name_scope:  # noqa: N801  (Keras's name)
    """Prefix the paths of Variables made inside the block with `name/`.

    Args:
        name: a word.
        caller: whose scope it is; directly inside a scope of this name and caller nothing is added.
        deduplicate: False to add the name even then.
        override_parent: a path to stand in before the name, instead of the names around the block.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        self.caller, self.deduplicate = kwargs.pop("caller", None), kwargs.pop("deduplicate", True)
        self.override_parent = kwargs.pop("override_parent", None)
        if kwargs:
            raise errors.InvalidType("unknown arguments.", where="name_scope", got=sorted(kwargs))
        if not isinstance(name, str) or "/" in name:
            raise errors.InvalidArgument("a scope's name is a word without '/'.", where="name_scope", got=repr(name))
        self.name = name

    def __enter__(self) -> name_scope:
        self._outside = around.names, around.name_owner
        owner = None if self.caller is None else (self.caller, self.name)
        parents = around.names if self.override_parent is None else tuple(filter(None, self.override_parent.split("/")))
        if not (self.deduplicate and owner is not None and owner == around.name_owner):
            around.names = (*parents, self.name)
        around.name_owner = owner
        return self

    def __exit__(self, *_: object) -> None:
        around.names, around.name_owner = self._outside


def auto_name(prefix: str) -> str:
    """Return `prefix` the first time, then `prefix_1`, `prefix_2` …"""
    count = _counters.get(prefix, 0)
    _counters[prefix] = count + 1
    return f"{prefix}_{count}" if count else prefix


def uid(prefix: str) -> int:
    """Return 1, 2, 3 … for successive calls with the same `prefix`."""
    _counters[prefix] = _counters.get(prefix, 0) + 1
    return _counters[prefix]


def reset_names() -> None:
    """Start automatic names anew."""
    _counters.clear()


def device(device_name: str) -> Any:
    """Return a `with` block inside which arrays are made on a device, such as "cpu:0" or "gpu:1"."""
    from kerata import engine

    return engine.devices.scope(device_name)
