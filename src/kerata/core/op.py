"""The `op` decorator: an operation is one function, with a body over the active engine's NumPy-like namespace.

The annotation of a parameter says what the decorator does with it before the body runs:

- `Array`: becomes an array of the engine (a Variable is read, a list or NumPy array converted);
- `FloatArray`: the same, and integers become the default float dtype;
- `Operand`, `FloatOperand`: these meet in one dtype by the promotion rule; Python numbers stay weak;
- `Arrays`: a sequence of arrays that meet in one dtype.

Everything else (axes, shapes, flags) reaches the body as given. A call on symbolic tensors is recorded instead.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar, overload

from kerata import config, engine, errors
from kerata.core import dtypes, scopes
from kerata.core.symbolic import KerasTensor, Operation, any_symbolic, snake_case
from kerata.core.variable import Variable

__all__ = ["OPS", "Array", "Arrays", "FloatArray", "FloatOperand", "OpCall", "Operand", "convert", "meet", "op"]

Array: TypeAlias = Annotated[Any, "Array"]
FloatArray: TypeAlias = Annotated[Any, "FloatArray"]
Operand: TypeAlias = Annotated[Any, "Operand"]
FloatOperand: TypeAlias = Annotated[Any, "FloatOperand"]
Arrays: TypeAlias = Annotated[Sequence[Any], "Arrays"]

F = TypeVar("F", bound=Callable[..., Any])

OPS: dict[str, Callable[..., Any]] = {}
"""Every op by its name."""


def convert(x: Any) -> Any:
    """Return `x` as an array of the engine in use."""
    if isinstance(x, Variable):
        return x.value
    if engine.arrays.is_array(x):
        return x
    if type(x) in _SCALARS:
        return engine.arrays.as_array(x, dtypes.dtype_of(x))
    if isinstance(x, (list, tuple)) and not hasattr(x, "dtype"):
        return _from_list(x)
    if x is None:
        raise errors.InvalidType("None is no tensor.", where="kerata.ops", hint="did a function forget to return?")
    try:
        return engine.arrays.as_array(x)
    except TypeError as error:
        raise errors.InvalidType(
            "this cannot be turned into a tensor.", where="kerata.ops", got=f"{type(x).__name__}: {x!r:.80}"
        ) from error


def _from_list(x: Any) -> Any:
    import numpy as np

    if any(hasattr(leaf, "dtype") for leaf in x):
        return engine.xp.stack([convert(leaf) for leaf in x])
    array = np.asarray(x)
    if array.dtype == object:
        raise errors.InvalidArgument("a ragged or mixed list is no tensor.", where="kerata.ops", got=f"{x!r:.80}")
    names = {"f": config.floatx(), "i": "int32", "c": "complex64"}
    return engine.arrays.as_array(array, names.get(array.dtype.kind))


def _to_float(x: Any) -> Any:
    return x if x.dtype.kind in "fcV" or "float" in x.dtype.name else engine.arrays.cast(x, config.floatx())


_SCALARS = (bool, int, float, complex)  # these very types: a float64 of NumPy is a float, and not weak


def meet(values: list[Any], inexact: bool) -> list[Any]:
    """Return `values` in their common dtype; Python numbers stay as they are where that changes nothing."""
    values = [v if type(v) in _SCALARS else convert(v) for v in values]
    found = {v.dtype for v in values if type(v) not in _SCALARS}
    scalars = [v for v in values if type(v) in _SCALARS]
    if len(found) <= 1 and not inexact and not scalars:
        return values
    weak = [dtypes.dtype_of(v) if isinstance(v, bool) else type(v) for v in scalars]
    target = dtypes.result_type(*found, *weak)
    if inexact and not dtypes.is_float(target) and "complex" not in target:
        target = config.floatx()
    return [
        engine.arrays.as_array(v, target) if type(v) in _SCALARS else
        v if v.dtype == target else engine.arrays.cast(v, target)
        for v in values
    ]  # fmt: skip


_WORD = re.compile(r"\b(FloatArray|FloatOperand|Arrays|Operand|Array)\b")


def _roles(body: Callable[..., Any]) -> dict[str, tuple[int, str]]:
    """Return, for each parameter that holds tensors, its position and the word of its annotation."""
    roles = {}
    for position, (name, parameter) in enumerate(inspect.signature(body).parameters.items()):
        if word := _WORD.search(str(parameter.annotation)):
            roles[name] = (position, word[0])
    return roles


class OpCall(Operation):
    """One op in the graph: its settings are kept here, its tensors come with the call."""

    def __init__(self, op: Callable[..., Any], settings: dict[str, Any] | None = None, name: str | None = None) -> None:
        super().__init__(name or scopes.auto_name(op.__name__))
        self.op, self.settings = op, settings or {}

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self.op(*args, **self.settings, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the op's settings by name."""
        return {"name": self.name, **{k: registry_of().serialize_keras_object(v) for k, v in self.settings.items()}}

    def __repr__(self) -> str:
        return f"<OpCall {self.op.__name__}>"


def registry_of() -> Any:
    """Return the registry, which needs this module itself."""
    from kerata.core import registry

    return registry


def record(op: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """Note a call of `op` on symbolic tensors: tensors are the call's, the rest is the operation's."""
    bound = inspect.signature(op).bind(*args, **kwargs)
    roles = op.roles  # type: ignore[attr-defined]
    plain = not any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in inspect.signature(op).parameters.values())
    leading = [name for name in bound.arguments if name in roles]
    if not plain or list(bound.arguments)[: len(leading)] != leading:
        return OpCall(op).symbolic_call(*args, **kwargs)
    settings = {k: v for k, v in bound.arguments.items() if k not in roles}
    if any_symbolic((), settings):
        return OpCall(op).symbolic_call(*args, **kwargs)
    return OpCall(op, settings).symbolic_call(*(bound.arguments[name] for name in leading))


def from_serialized(data: dict[str, Any]) -> OpCall | None:
    """Return the op that a config of `OpCall` describes; None when it describes something else."""
    module = data.get("module") or ""
    if not module.startswith(("keras.src.ops", "keras.ops", "kerata.ops")):
        return None
    importlib.import_module("kerata.ops")
    name = snake_case(data["class_name"])
    known = {op.__name__.replace("_", ""): op for op in OPS.values()}
    found = OPS.get(name) or known.get(name.replace("_", ""))
    if found is None:
        raise errors.UnknownName("op", data["class_name"], OPS, where="deserialize")
    config = dict(data["config"])
    own_name = config.pop("name", None)
    settings = {k: registry_of().deserialize_keras_object(v) for k, v in config.items()}
    accepted = inspect.signature(found).parameters
    for key in settings:
        if key not in accepted:
            raise errors.UnknownName(f"argument of ops.{found.__name__}", key, accepted, where="deserialize")
    return OpCall(found, settings, own_name)


@overload
def op(body: F) -> F: ...
@overload
def op(*, name: str | None = None) -> Callable[[F], F]: ...


def op(body: Any = None, *, name: str | None = None) -> Any:
    """Make `body` an op: it takes tensors of any kind, and records itself on symbolic ones.

    Example:
        >>> @op
        ... def softsign(x: FloatArray) -> Array:
        ...     return x / (1 + xp.abs(x))
    """
    if body is None:
        return functools.partial(op, name=name)
    name = name or body.__name__
    roles = _roles(body)
    plain = [(n, p, role) for n, (p, role) in roles.items() if role in ("Array", "FloatArray", "Arrays")]
    meeting = [(n, p) for n, (p, role) in roles.items() if role in ("Operand", "FloatOperand")]
    inexact = any(role == "FloatOperand" for _, role in roles.values())

    @functools.wraps(body)
    def call(*args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return record(call, args, kwargs)
        values = list(args)
        for key, position, role in plain:
            holder, at = (values, position) if position < len(values) else (kwargs, key)
            if holder is kwargs and key not in kwargs:
                continue
            x = holder[at]
            if x is None:
                continue
            if role == "Arrays":
                holder[at] = meet(list(x), False) if isinstance(x, (list, tuple)) else convert(x)
            else:
                x = convert(x)
                holder[at] = _to_float(x) if role == "FloatArray" else x
        if meeting:
            places = [
                (values, p) if p < len(values) else (kwargs, n)
                for n, p in meeting
                if (p < len(values) and values[p] is not None) or kwargs.get(n) is not None
            ]
            for (holder, at), value in zip(places, meet([h[a] for h, a in places], inexact)):
                holder[at] = value
        way = engine.active().fast_ways.get(name, body)
        return way(*values, **kwargs)

    call.body = body  # type: ignore[attr-defined]
    call.is_op = True  # type: ignore[attr-defined]
    call.roles = roles  # type: ignore[attr-defined]
    OPS[name] = call
    return call


def is_op(function: Any) -> bool:
    """Return whether `function` is an op."""
    return getattr(function, "is_op", False)


__all__ += ["KerasTensor", "is_op"]
