"""The `op` decorator: an operation is one function, with a body over the active engine's NumPy-like namespace.

The annotation of a parameter says what the decorator does with it before the body runs:

- `Array`: becomes an array of the engine (a Variable is read, a list or NumPy array converted);
- `FloatArray`: the same, and integers become the default float dtype;
- `Operand`, `FloatOperand`: these meet in one dtype by the promotion rule; Python numbers stay weak;
- `Arrays`: a sequence of arrays that meet in one dtype.

Everything else (axes, shapes, flags) reaches the body as given. A call on symbolic tensors is recorded instead.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar, overload

from kerata import config, engine, errors
from kerata.core import dtypes, scopes
from kerata.core.scopes import around
from kerata.core.symbolic import KerasTensor, Operation, any_symbolic
from kerata.core.variable import Variable

__all__ = [
    "CALLED_WITH", "OPS", "Array", "Arrays", "FloatArray", "FloatOperand", "OpCall", "Operand", "convert", "meet", "op",
]  # fmt: skip

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
    if engine.active().arrays.is_array(x):
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
            "this cannot be turned into a tensor.", where="kerata.ops", got=f"{type(x).__name__}: {x!r:.80}",
            expected="a tensor, an array, numbers or lists of them", hint="turn it into numbers first: float(x)",
        ) from error  # fmt: skip


def _from_list(x: Any) -> Any:
    import numpy as np

    if any(hasattr(leaf, "dtype") for leaf in x):
        return engine.xp.stack([convert(leaf) for leaf in x])
    try:
        array = np.asarray(x)
    except ValueError:  # rows of unequal length
        array = np.empty((), object)
    if array.dtype.kind not in "biufc":
        raise errors.InvalidArgument(
            "a ragged or mixed list is no tensor.", where="kerata.ops", expected="rows of one length, of numbers",
            got=f"{x!r:.80}", hint="kerata.utils.pad_sequences fills rows up",
        )  # fmt: skip
    names = {"f": config.floatx(), "i": "int32", "c": "complex64"}
    return engine.arrays.as_array(array, names.get(array.dtype.kind))


def _to_float(x: Any) -> Any:
    name = dtypes.dtype_of(x)
    return x if "float" in name or "complex" in name else engine.arrays.cast(x, config.floatx())


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
        v if dtypes.dtype_of(v) == target else engine.arrays.cast(v, target)
        for v in values
    ]  # fmt: skip


_WORD = re.compile(r"\b(FloatArray|FloatOperand|Arrays|Operand|Array)\b")


def _roles(signature: inspect.Signature) -> dict[str, tuple[int, str]]:
    """Return, for each parameter that holds tensors, its position and the word of its annotation."""
    roles = {}
    for position, (name, parameter) in enumerate(signature.parameters.items()):
        if word := _WORD.search(str(parameter.annotation)):
            roles[name] = (position, word[0])
    return roles


CALLED_WITH = {
    "average": ("x", "weights"), "batch_normalization": ("x", "mean", "variance", "offset", "scale"), "clip": ("x",),
    "dot_product_attention": ("query", "key", "value", "bias", "mask", "scale"), "einsum": ("operands",),
    "fft": ("x",), "fft2": ("x",), "get_item": ("x", "key"), "ifft2": ("x",), "irfft": ("x",),
    "isclose": ("x1", "x2", "rtol", "atol"), "istft": ("x",), "layer_normalization": ("x", "gamma", "beta"),
    "meshgrid": ("x",), "pad": ("x", "constant_values"), "rearrange": ("tensor", "pattern"),
    "rms_normalization": ("x", "scale"), "scale_and_translate": ("images", "output_shape", "scale", "translation"),
    "select": ("condlist", "choicelist", "default"), "slice": ("inputs", "start_indices"),
    "slice_update": ("inputs", "start_indices", "updates"),
}  # fmt: skip
"""What a call in a graph takes, in order, where that is not just the op's tensors: files of Keras divide it so."""


class OpCall(Operation):
    """One op in the graph: its settings are kept here, its tensors come with the call."""

    def __init__(self, op: Callable[..., Any], settings: dict[str, Any] | None = None, name: str | None = None) -> None:
        super().__init__(name or scopes.auto_name(op.__name__))
        self.op, self.settings = op, settings or {}

    def call(self, *args: Any, **kwargs: Any) -> Any:
        if (before := _before_any_number(self.op)) is not None:
            leading = [self.settings[name] for name in before if name in self.settings]
            rest = {name: value for name, value in self.settings.items() if name not in before}
            return self.op(*leading, *args, **rest, **kwargs)
        return self.op(**dict(zip(_called_with(self.op), args)), **self.settings, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the op's settings by name."""
        return {"name": self.name, **{k: registry_of().serialize_keras_object(v) for k, v in self.settings.items()}}

    def __repr__(self) -> str:
        return f"<OpCall {self.op.__name__}>"


def registry_of() -> Any:
    """Return the registry, which needs this module itself."""
    from kerata.core import registry

    return registry


def _called_with(op: Callable[..., Any]) -> tuple[str, ...]:
    return CALLED_WITH.get(op.__name__) or tuple(op.roles)  # type: ignore[attr-defined]


@functools.cache
def _before_any_number(op: Callable[..., Any]) -> tuple[str, ...] | None:
    """Return the parameters before `*args`; None where the op has no such thing."""
    parameters = inspect.signature(op).parameters
    at = next((i for i, p in enumerate(parameters.values()) if p.kind is p.VAR_POSITIONAL), None)
    return None if at is None else tuple(parameters)[:at]


def record(op: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """Note a call of `op` on symbolic tensors: tensors are the call's, the rest is the operation's."""
    signature = inspect.signature(op)
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()  # files tell the defaults too
    further: dict[str, Any] = {}  # for an op that takes any keywords
    called, settings = {}, {}
    for name, value in bound.arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            further = value
        else:
            (called if name in _called_with(op) else settings)[name] = value
    any_number = _before_any_number(op) is not None
    if any_symbolic((), settings):
        if any_number:
            return OpCall(op).symbolic_call(*args, **kwargs)
        return OpCall(op).symbolic_call(**called, **settings, **further)
    positional = list(*called.values()) if any_number else [called[name] for name in _called_with(op)]
    while positional and positional[-1] is None and op.__name__ not in CALLED_WITH:
        positional.pop()
    return OpCall(op, settings).symbolic_call(*positional, **further)


@overload
def op(body: F) -> F: ...
@overload
def op(*, name: str | None = None) -> Callable[[F], F]: ...


def op(body: Any = None, *, name: str | None = None) -> Any:
    """Make `body` an op: it takes tensors of any kind, and records itself on symbolic ones.

    Example:
        >>> from kerata.core.op import Array, FloatArray
        >>> from kerata.engine import xp
        >>> @kerata.op
        ... def squash(x: FloatArray) -> Array:
        ...     return x / (1 + xp.abs(x))
        >>> float(squash(1))
        0.5
    """
    if body is None:
        return functools.partial(op, name=name)
    name = str(name or body.__name__)
    signature = inspect.signature(body)
    roles = _roles(signature)
    plain = [(n, p, role) for n, (p, role) in roles.items() if role in ("Array", "FloatArray", "Arrays")]
    meeting = [(n, p) for n, (p, role) in roles.items() if role in ("Operand", "FloatOperand")]
    optional = {n for n, p in signature.parameters.items() if p.default is None}
    inexact = any(role == "FloatOperand" for _, role in roles.values())

    @functools.wraps(body)
    def call(*args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return record(call, args, kwargs)
        values: Any = list(args)
        holder: Any
        at: Any
        for key, position, role in plain:
            holder, at = (values, position) if position < len(values) else (kwargs, key)
            if holder is kwargs and key not in kwargs:
                continue
            x = holder[at]
            if x is None and key in optional:
                continue
            if role == "Arrays":
                holder[at] = meet(list(x), False) if isinstance(x, (list, tuple)) else convert(x)
            else:
                x = convert(x)
                holder[at] = _to_float(x) if role == "FloatArray" else x
        if meeting:
            places: list[tuple[Any, Any]] = [
                (values, p) if p < len(values) else (kwargs, n)
                for n, p in meeting
                if (p < len(values) or n in kwargs)
                and not (n in optional and (values[p] if p < len(values) else kwargs[n]) is None)
            ]
            for (holder, at), value in zip(places, meet([h[a] for h, a in places], inexact)):
                holder[at] = value
        way: Any = engine.active().fast_ways.get(name)
        __tracebackhide__ = True
        try:
            if way is not None and (result := way(*values, **kwargs)) is not NotImplemented:
                return result
            return body(*values, **kwargs)
        except Exception as error:
            raise _explained(error, name, roles, values, kwargs) from None

    call.body = body  # type: ignore[attr-defined]
    call.is_op = True  # type: ignore[attr-defined]
    call.roles = roles  # type: ignore[attr-defined]
    OPS[name] = call
    return call


def _explained(error: Exception, name: str, roles: dict[str, Any], values: list[Any], kwargs: Any) -> BaseException:
    """Return what went wrong in an op: where an engine says so, with the shapes; the innermost op tells."""
    if isinstance(error, errors.KerataError) or getattr(error, "_is_explained", False):
        return errors.for_user(error) if not around.call_depth else error
    given = [(n, values[p] if p < len(values) else kwargs.get(n)) for n, (p, _) in roles.items()]
    shapes = [f"{n}: {dtypes.dtype_of(x)}{list(x.shape)}" for n, x in given if hasattr(x, "shape")]
    text = str(error)
    about_shapes = any(word in text.lower() for word in ("shape", "dimension", "broadcast", "size"))
    if isinstance(error, (TypeError, ValueError, RuntimeError)) and about_shapes and len(shapes) > 1:
        told: BaseException = errors.ShapeMismatch(
            "the shapes do not go together.", where=f"ops.{name}", expected=_FITTING.get(name), got=", ".join(shapes),
            hint="compare the shapes; ops.transpose, reshape and expand_dims change them",
        ).with_traceback(error.__traceback__)  # fmt: skip
    else:
        told = error
        if shapes:
            errors.note(error, f"in ops.{name}, called with {', '.join(shapes)}")
        with contextlib.suppress(AttributeError):
            error._is_explained = True  # type: ignore[attr-defined]
    return errors.for_user(told) if not around.call_depth else told


_FITTING = {
    "matmul": "the last axis of x1 as long as the last but one of x2",
    "dot": "the last axis of x1 as long as the last but one of x2",
    **dict.fromkeys(
        ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "where"),
        "equal sizes, or 1, along each axis, counted from the last",
    ),
}


def is_op(function: Any) -> bool:
    """Return whether `function` is an op."""
    return inspect.isfunction(function) and getattr(function, "is_op", False)


__all__ += ["KerasTensor", "is_op"]
