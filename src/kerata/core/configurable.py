"""`Configurable`: an object that remembers how it was made, so that nobody writes `get_config` by hand."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any, Self

from kerata.core import registry

__all__ = ["Configurable", "WithCustomObjects"]


class _ConstructorSignature:
    """Makes `inspect.signature(cls)` show the parameters of `__init__`; those of `__new__` say nothing."""

    def __get__(self, instance: Any, cls: type) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        return _constructor(cls.__init__)


class Configurable:
    """The base of what a config describes: layers, losses, metrics, optimizers, initializers …

    The arguments of the outermost constructor are captured by name, defaults included and `**kwargs` spread out, so a
    subclass only writes `__init__`. The config then lists

    - for a parameter of one of kerata's own constructors, the attribute of that name, which holds the argument in
      its standard form (a name has become a function, a missing seed a drawn one);
    - for a parameter of anybody else's constructor, the argument as it was given, because an attribute of that name
      may hold something else.

    Example:
        >>> class Scale(kerata.layers.Layer):
        ...     def __init__(self, factor, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.scaling = kerata.layers.Dense(1) if factor > 1 else None
        >>> config = Scale(3, name="s").get_config()
        >>> config["name"], config["factor"]
        ('s', 3)
    """

    # A namespace and no dict: what the arguments hold (a layer to be copied, say) is no part of the object's state.
    _captured: types.SimpleNamespace
    __signature__ = _ConstructorSignature()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if cls.__init__ is object.__init__ and (args or kwargs):  # which takes anything, where there is a `__new__`
            raise TypeError(f"{cls.__name__}() takes no arguments")
        self = super().__new__(cls)
        object.__setattr__(self, "_captured", types.SimpleNamespace(**_capture(cls, args, kwargs)))
        return self

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this object anew, as plain data."""
        found = {}
        for name, given in vars(self._captured).items():
            kept = _keeps(type(self), name)
            found[name] = _as_data(_attribute(self, name, given) if kept else given)
        return found

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make an object from what `get_config` returned."""
        arguments = {name: _from_data(value) for name, value in config.items()}
        parameters = _constructor(cls.__init__).parameters.values()
        rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        leading: list[Any] = []  # what can only be given by position
        for p in parameters:
            by_position = p.kind is p.POSITIONAL_ONLY or (rest in arguments and p.kind is p.POSITIONAL_OR_KEYWORD)
            if by_position and p.name in arguments:
                leading.append(arguments.pop(p.name))
        return cls(*leading, *arguments.pop(rest or "", ()), **arguments)


class WithCustomObjects:
    """Stands before `Configurable` among the bases of a class whose `from_config` takes `custom_objects`."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Make an object from what `get_config` returned, which may name the custom objects given."""
        with registry.CustomObjectScope(custom_objects):
            return super().from_config(config)  # type: ignore[misc]


def _capture(cls: type, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by name; nothing when they do not fit, for then `__init__` is about to say so."""
    signature = _constructor(cls.__init__)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        return {}
    bound.apply_defaults()
    found = dict(bound.arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            found.update(found.pop(name))
        elif parameter.kind is parameter.VAR_POSITIONAL and not found[name]:
            del found[name]
    return found


@functools.lru_cache(maxsize=4096)
def _constructor(init: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of an `__init__`, without `self`."""
    if init is object.__init__:  # which claims to take anything
        return inspect.Signature()
    signature = inspect.signature(init)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


@functools.lru_cache(maxsize=4096)
def _keeps(cls: type, name: str) -> bool:
    """Return whether the constructor that takes the argument `name` is kerata's own."""
    for base in cls.__mro__:
        if "__init__" in vars(base) and name in _constructor(base.__init__).parameters:
            return base.__module__.partition(".")[0] == "kerata"
    return False


def _attribute(item: Configurable, name: str, default: Any) -> Any:
    """Return an attribute that holds a value; a method that happens to have the name is not meant."""
    if name in vars(item) or isinstance(getattr(type(item), name, None), property):
        return getattr(item, name, default)
    return default


def _as_data(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_as_data, value)) if type(value) in (list, tuple) else [_as_data(v) for v in value]
    if isinstance(value, dict):
        return {key: _as_data(v) for key, v in value.items()}
    if isinstance(value, types.FunctionType) and _is_activation(value):
        return value.__name__
    return registry.serialize_keras_object(value)


def _is_activation(function: types.FunctionType) -> bool:
    module = sys.modules.get("kerata.activations")  # nothing comes from it before it is imported
    return getattr(module, function.__name__, None) is function


def _from_data(value: Any) -> Any:
    if isinstance(value, dict) and not ("class_name" in value and "config" in value):
        return {key: _from_data(v) for key, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_from_data, value))
    return registry.deserialize_keras_object(value) if isinstance(value, dict) else value
