"""Which classes and functions a file may name, and how objects become data and come back.

A config can bring back kerata's own public classes and what the user has registered, nothing else: no import of a
named module, no bytecode. `Vocabulary` finds things by the short names that people write ("relu", "adam").
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from kerata import engine, errors
from kerata.core import dtypes
from kerata.core.op import OPS, OpCall
from kerata.core.symbolic import KerasTensor, snake_case
from kerata.core.variable import Variable

__all__ = [
    "CustomObjectScope", "Vocabulary", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "register_keras_serializable", "serialize_keras_object",
]  # fmt: skip

_custom_objects: dict[str, Any] = {}
_registered: dict[str, Any] = {}
_registered_names: dict[Any, str] = {}

# Where a public class of a file may be looked up: Keras's module name -> ours.
_MODULES = {
    "keras": "kerata",
    "keras.activations": "kerata.activations",
    "keras.constraints": "kerata.constraints",
    "keras.dtype_policies": "kerata.dtype_policies",
    "keras.initializers": "kerata.initializers",
    "keras.layers": "kerata.layers",
    "keras.losses": "kerata.losses",
    "keras.metrics": "kerata.metrics",
    "keras.models": "kerata.models",
    "keras.optimizers": "kerata.optimizers",
    "keras.optimizers.schedules": "kerata.optimizers.schedules",
    "keras.quantizers": "kerata.quantizers",
    "keras.random": "kerata.random",
    "keras.regularizers": "kerata.regularizers",
    "keras.utils": "kerata.utils",
}
_INTERNAL = {  # where Keras writes a path of its own instead of a public one
    ("keras.src.models.functional", "Functional"): ("kerata.models", "Functional"),
    ("keras.src.models.sequential", "Sequential"): ("kerata.models", "Sequential"),
    ("keras.src.models.model", "Model"): ("kerata.models", "Model"),
    **{
        ("keras.src.layers.preprocessing.feature_space", name): ("kerata.utils.feature_space", name)
        for name in ("Cross", "Feature", "TFDIdentity")
    },
    **{
        (f"keras.src.backend.torch.optimizers.torch_{name.lower()}", name): ("kerata.optimizers", name)
        for name in ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "RMSprop", "SGD")
    },
}


# Registration ---------------------------------------------------------------------------------------------------


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Return a decorator that lets files name the class or function as `package>name`.

    Example:
        >>> @kerata.saving.register_keras_serializable("my_package")
        ... class MyDense(kerata.layers.Dense):
        ...     pass
    """

    def decorator(item: Any) -> Any:
        if inspect.isclass(item) and not hasattr(item, "get_config"):
            raise errors.InvalidType("a registered class needs `get_config`.", where=f"register {item.__name__}")
        full = f"{package}>{name or item.__name__}"
        _registered[full] = item
        _registered_names[item] = full
        return item

    return decorator


def get_registered_name(obj: Any) -> str:
    """Return the name under which `obj` was registered, or its own name."""
    return _registered_names.get(obj) or obj.__name__


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: dict[str, Any] | None = None
) -> Any:
    """Return what is registered as `name`, or None."""
    for names in (_custom_objects, _registered, custom_objects or {}, module_objects or {}):
        if name in names:
            return names[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """Return the process-wide dictionary of custom objects; it can be changed."""
    return _custom_objects


class CustomObjectScope(contextlib.ContextDecorator):
    """Inside it, files may name the objects given.

    Example:
        >>> class MyDense(kerata.layers.Dense):
        ...     pass
        >>> data = kerata.layers.serialize(MyDense(3))
        >>> with kerata.saving.custom_object_scope({"MyDense": MyDense}):
        ...     kerata.layers.deserialize(data).units
        3
    """

    def __init__(self, custom_objects: dict[str, Any] | None) -> None:
        self.custom_objects = custom_objects or {}

    def __enter__(self) -> CustomObjectScope:
        self.backup = dict(_custom_objects)
        _custom_objects.update(self.custom_objects)
        return self

    def __exit__(self, *_: object) -> None:
        _custom_objects.clear()
        _custom_objects.update(self.backup)


custom_object_scope = CustomObjectScope


class ObjectSharing:
    """Inside it, an object that is written twice is one object again when it is read."""

    def __enter__(self) -> ObjectSharing:
        self._outer, _sharing.current = _sharing.current, self
        self.foreign: dict[str, Any] = {}  # classes and functions that are not kerata's, by the names written
        self.written: dict[int, tuple[Any, dict[str, Any]]] = {}  # the object too, so that its id stays its own
        self.read: dict[Any, Any] = {}
        return self

    def __exit__(self, *_: object) -> None:
        _sharing.current = self._outer
        if self._outer:
            self._outer.foreign |= self.foreign

    def note(self, obj: Any, data: dict[str, Any]) -> None:
        """Mark `data`, and what was written for `obj` before, with one number."""
        _, before = self.written.setdefault(id(obj), (obj, data))
        if before is not data:
            before["shared_object_id"] = data["shared_object_id"] = id(obj)


class _Sharing(threading.local):
    current: ObjectSharing | None = None


_sharing = _Sharing()


# Objects to data ------------------------------------------------------------------------------------------------


def serialize_keras_object(obj: Any) -> Any:
    """Return `obj` as plain data (what JSON holds), in Keras's layout.

    Raises:
        InvalidType: for a lambda, or an object without `get_config`; a file holds data, never code.
    """
    if obj is None or isinstance(obj, (str, bool, int, float)):
        return obj
    if isinstance(obj, (list, tuple)):
        items = [serialize_keras_object(item) for item in obj]
        return items if isinstance(obj, list) else tuple(items)  # Keras has no mark for tuples that it could read
    if isinstance(obj, dict):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("latin-1")}}
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, slice):
        parts = {"start": obj.start, "stop": obj.stop, "step": obj.step}
        return {"class_name": "__slice__", "config": serialize_keras_object(parts)}
    if isinstance(obj, KerasTensor):
        history = obj._history
        where = [history.operation.name, history.node_index, history.tensor_index] if history else None
        config = {"shape": list(obj.shape), "dtype": obj.dtype, "keras_history": where}
        return {"class_name": "__keras_tensor__", "config": config}
    if isinstance(obj, Variable) or hasattr(obj, "__array__") and not hasattr(obj, "get_config"):
        array = np.asarray(obj)
        kind = "__numpy__" if isinstance(obj, np.ndarray) else "__tensor__"
        return {"class_name": kind, "config": {"value": array.tolist(), "dtype": str(array.dtype)}}
    if isinstance(obj, (types.FunctionType, types.BuiltinFunctionType)):
        return _serialize_function(obj)
    if isinstance(obj, type):
        return {"module": _module_name(obj), "class_name": obj.__name__, "config": None}
    if not hasattr(obj, "get_config"):
        raise errors.InvalidType(
            "this object cannot be saved: it has no `get_config`.",
            where="serialize", got=f"an object of class {type(obj).__name__}",
            expected="plain data, or an object of a class with `get_config`",
            hint="give its class `get_config` and `from_config`, and register it with "
            "kerata.saving.register_keras_serializable",
        )  # fmt: skip
    if isinstance(obj, OpCall):
        from kerata.core import op_files  # which reads with this module

        return op_files.described(obj)
    cls = type(obj)
    registered = _registered_names.get(cls)
    data: dict[str, Any] = {
        "module": _module_name(cls),
        "class_name": vars(cls).get("_serialized_name", cls.__name__),
        "config": obj.get_config(),
        "registered_name": registered or (None if _is_own(cls) else cls.__name__),
    }
    if hasattr(obj, "get_build_config") and (build_config := obj.get_build_config()):
        data["build_config"] = serialize_keras_object(build_config)
    if getattr(obj, "compiled", False) and hasattr(obj, "get_compile_config"):
        compile_config = obj.get_compile_config()
        if compile_config:
            data["compile_config"] = compile_config
    if _sharing.current:
        _sharing.current.note(obj, data)
        if data["registered_name"]:
            _sharing.current.foreign[data["registered_name"]] = cls
    return data


def _serialize_function(function: Any) -> dict[str, Any]:
    name = getattr(function, "__name__", "<lambda>")
    if name == "<lambda>":
        return {"class_name": "__lambda__", "config": {"value": "code is not kept in files"}}
    if _sharing.current and not _is_own(function):
        _sharing.current.foreign[get_registered_name(function)] = function
    return {
        "module": "builtins", "class_name": "function", "config": get_registered_name(function),
        "registered_name": "function",
    }  # fmt: skip


def _is_own(item: Any) -> bool:
    return (getattr(item, "__module__", None) or "").partition(".")[0] == "kerata"


def _module_name(cls: type) -> str | None:
    """Return the public Keras module of one of our classes, or the class's own module."""
    if not _is_own(cls):
        return cls.__module__
    explicit = getattr(cls, "_serialized_module", None)
    if explicit:
        return explicit
    name = cls.__name__
    for theirs, ours in _MODULES.items():
        if ours == "kerata":
            continue
        module = _import(ours)
        if module is not None and name in getattr(module, "__all__", ()) and getattr(module, name, None) is cls:
            return theirs
    return "keras"


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("kerata"):
            return None
        raise


# Data to objects ------------------------------------------------------------------------------------------------


def deserialize_keras_object(
    config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True, **kwargs: Any
) -> Any:
    """Return the object that `serialize_keras_object` described.

    Raises:
        InvalidArgument: when a class or function is named that is neither kerata's own nor registered.
    """
    if custom_objects:
        with CustomObjectScope(custom_objects):
            return deserialize_keras_object(config)
    if config is None or isinstance(config, (str, bool, int, float)):
        return config
    if isinstance(config, (list, tuple)):
        items = [deserialize_keras_object(item) for item in config]
        return items if isinstance(config, list) else tuple(items)
    if not isinstance(config, dict):
        raise errors.InvalidType("this is no config.", where="deserialize", got=type(config).__name__)
    if "class_name" not in config or "config" not in config:
        return {key: deserialize_keras_object(value) for key, value in config.items()}
    name, inner = config["class_name"], config["config"]
    if not isinstance(name, str):
        raise errors.CorruptFile("the name of a class is text.", where="deserialize", got=type(name).__name__)
    if name in _SPECIAL:
        return _special(name, inner)
    if name == "function":
        return _find_function(inner if isinstance(inner, str) else config.get("registered_name"))
    number = config.get("shared_object_id")
    if _sharing.current and isinstance(number, int) and number in _sharing.current.read:
        return _sharing.current.read[number]
    cls = _find_class(config)
    inner = {} if inner is None else inner
    if not isinstance(inner, dict):
        raise errors.CorruptFile("a config is a dictionary.", where=f"config of {name}", got=type(inner).__name__)
    try:
        instance = cls.from_config(inner)
    except TypeError as error:
        raise errors.InvalidArgument(
            f"{name} could not be made from its config.", where="deserialize", got=error,
            hint="`from_config(config)` must accept what `get_config()` returns",
        ) from error  # fmt: skip
    if config.get("build_config") and hasattr(instance, "build_from_config"):
        instance.build_from_config(deserialize_keras_object(config["build_config"]))
    if config.get("compile_config") and hasattr(instance, "compile_from_config"):
        instance.compile_from_config(config["compile_config"])
    if _sharing.current and isinstance(number, int):
        _sharing.current.read[number] = instance
    return instance


def _special(name: str, inner: Any) -> Any:
    try:
        return _SPECIAL[name](inner)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        if isinstance(error, errors.KerataError):
            raise
        raise errors.CorruptFile("a value of the config is damaged.", where=name, got=error) from None


def _lambda(_: Any) -> Any:
    raise errors.InvalidArgument(
        "the file names a lambda, and code is never taken from files.", where="deserialize",
        hint="define the function, and load with custom_objects={name: function}",
    )  # fmt: skip


def _array(config: dict[str, Any]) -> np.ndarray:
    import ml_dtypes

    dtype = dtypes.standardize(str(config["dtype"]))
    return np.array(config["value"], dtype=getattr(ml_dtypes, dtype, dtype))


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "__tuple__": lambda c: tuple(deserialize_keras_object(item) for item in c["value"]),
    "__bytes__": lambda c: c["value"].encode("latin-1"),
    "__ellipsis__": lambda c: Ellipsis,
    "__slice__": lambda c: slice(*(deserialize_keras_object(c[k]) for k in ("start", "stop", "step"))),
    "__numpy__": _array,
    "__tensor__": lambda c: engine.arrays.as_array(_array(c)),
    "__keras_tensor__": lambda c: KerasTensor(c["shape"], c["dtype"]),
    "__lambda__": _lambda,
}


def _find_class(config: dict[str, Any]) -> Any:
    name, module, registered = config["class_name"], config.get("module"), config.get("registered_name")
    if not all(isinstance(x, (str, types.NoneType)) for x in (module, registered)):
        raise errors.CorruptFile("names of modules and classes are text.", where=f"config of {name}", got=module)
    for key in (registered, name):
        if key and (found := get_registered_object(key)) is not None:
            if not (inspect.isclass(found) and hasattr(found, "from_config")):
                raise errors.InvalidArgument("the name stands for something else.", where="deserialize", got=key)
            return found
    ours = None
    if (module, name) in _INTERNAL:
        ours, name = _INTERNAL[module, name]  # type: ignore[index]
    elif module is None:
        found = _search_everywhere(name)
        if found is not None:
            return found
    else:
        ours = _MODULES.get(module.replace("kerata", "keras", 1) if module.startswith("kerata") else module)
    if ours is not None:
        found = _member(ours, name)
        if found is not None:
            return found
    near = errors.did_you_mean(name, _known_names(ours))
    raise errors.UnknownName(
        "class", name, (), where=f"deserialize (module {module!r})",
        hint=(near + " " if near.startswith("did") else "") + "only kerata's own classes and registered ones are "
        "made from a config: decorate the class with "
        f"@kerata.saving.register_keras_serializable(), or load with custom_objects={{{name!r}: {name}}}",
    )  # fmt: skip


def _member(module_name: str, name: str) -> Any:
    module = _import(module_name)
    public = module is not None and name in getattr(module, "__all__", ())
    found = getattr(module, name, None) if public else None
    return found if inspect.isclass(found) and hasattr(found, "from_config") else None


def _search_everywhere(name: str) -> Any:
    """Find a class that an old file names without its module."""
    return next((found for ours in _MODULES.values() if (found := _member(ours, name)) is not None), None)


def _known_names(module_name: str | None) -> list[str]:
    names = getattr(_import(module_name), "__all__", ()) if module_name else ()
    return [name for name in names if _member(str(module_name), name) is not None]


def _find_function(name: Any) -> Any:
    """Find a function by its name, or by "package>name"."""
    ending = f">{name}"  # some files of Keras lack the package
    registered = next((full for full in _registered if full.endswith(ending)), name)
    for key in (name, registered):
        if callable(found := get_registered_object(str(key))):
            return found
    for ours in ("kerata.activations", "kerata.losses", "kerata.metrics"):
        module = _import(ours)
        found = getattr(module, str(name), None) if name in getattr(module, "__all__", ()) else None
        if inspect.isfunction(found) and name not in ("get", "serialize", "deserialize"):
            return found
    if _import("kerata.ops") and str(name) in OPS:
        return OPS[str(name)]
    raise errors.UnknownName(
        "function", name, _custom_objects, where="deserialize",
        hint=f"register it with @kerata.saving.register_keras_serializable(), or load with custom_objects="
        f"{{{name!r}: {name}}}",
    )  # fmt: skip


# Short names ----------------------------------------------------------------------------------------------------


class Vocabulary:
    """What the strings of one module mean: "relu", "GlorotUniform", "glorot_uniform".

    Args:
        kind: the word for messages, such as "initializer".
        module: the module whose `__all__` holds the names.
        base: the class that instances have, or None when the module holds functions.
        aliases: further names for names of the module.
    """

    def __init__(self, kind: str, module: str, base: type | None, aliases: dict[str, str] | None = None) -> None:
        self.kind, self.module, self.base, self.aliases = kind, module, base, aliases or {}
        self._names: dict[str, Any] | None = None

    @property
    def names(self) -> dict[str, Any]:
        """Every known name with what it stands for."""
        if self._names is None:
            module = importlib.import_module(self.module)
            found: dict[str, Any] = {}
            for name in module.__all__:
                item = getattr(module, name)
                is_wanted = inspect.isclass(item) and self.base and issubclass(item, self.base)
                is_function = inspect.isfunction(item) and name not in ("get", "serialize", "deserialize")
                if (is_wanted and item is not self.base) or is_function:
                    found.setdefault(name, item)
                    found.setdefault(snake_case(name), item)
                    found.setdefault(name.lower(), item)
            for alias, name in self.aliases.items():
                found[alias] = getattr(module, name)
            self._names = found
        return self._names

    def get(self, identifier: Any) -> Any:
        """Return the object for a name, a config, a class, an instance or a function; None for None."""
        if identifier is None:
            return None
        if isinstance(identifier, dict):
            return self.deserialize(identifier)
        if isinstance(identifier, str):
            found = get_registered_object(identifier)
            if found is None:
                found = self.names.get(identifier)
            if found is None:
                raise errors.UnknownName(self.kind, identifier, self.names)
            return self._instance(found)
        if callable(identifier) or (self.base and isinstance(identifier, self.base)):
            return self._instance(identifier)
        raise errors.InvalidType(
            f"this is no {self.kind}.", expected=f"a name, a config, or a {self.kind}", got=repr(identifier)
        )

    def _instance(self, item: Any) -> Any:
        return item() if inspect.isclass(item) else item

    def serialize(self, item: Any) -> Any:
        """Return `item` as data; a function of the module as its name."""
        if inspect.isfunction(item):
            module = importlib.import_module(self.module)
            if getattr(module, item.__name__, None) is item:
                return item.__name__
        return serialize_keras_object(item)

    def deserialize(self, config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
        """Return what `serialize` described."""
        with CustomObjectScope(custom_objects):
            if isinstance(config, str):
                return self.get(config)
            if "module" not in config and isinstance(config.get("class_name"), str):
                known = self.names.get(config["class_name"])
                if get_registered_object(config["class_name"]) is None and inspect.isclass(known):
                    return known.from_config(config.get("config", {}))  # type: ignore[attr-defined]
            return deserialize_keras_object(config)


def resolve(module: str, identifier: Any) -> Any:
    """Return `kerata.<module>.get(identifier)`; for floors below that module."""
    return importlib.import_module(f"kerata.{module}").get(identifier)
