"""A Variable: a named array that layers read and assign to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import numpy as np

from kerata import config, engine, errors, tree
from kerata.core import dtypes, scopes
from kerata.core.scopes import around
from kerata.engine.protocol import Place

__all__ = ["Variable", "raw_values", "store"]


class Variable:
    """A named array that can be assigned to, also inside compiled functions.

    On the torch engine `value` of a trainable float Variable is a `torch.nn.Parameter`, the same one for good, whatever
    is assigned: optimizers of PyTorch train it, and its `requires_grad` is `trainable`.

    Args:
        initializer: an array, or a function `(shape, dtype) -> array` (then `shape` is needed), or an initializer's
            name.
        shape: a tuple of ints.
        dtype: a dtype's name; the default float dtype for None (an array keeps its own).
        trainable: whether gradients are taken by it.
        autocast: whether a mixed-precision layer reads it in its compute dtype.
        aggregation, synchronization: how replicas combine; kept for distribution.
        name: the last part of `path`.

    Example:
        >>> counter = kerata.Variable(0, dtype="int32", trainable=False, name="counter")
        >>> counter.assign_add(1)
        Array(1, dtype=int32)
        >>> int(counter)
        1
    """

    def __init__(
        self,
        initializer: Any,
        shape: tuple[int, ...] | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str = "auto",
        name: str | None = None,
        layout: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise errors.InvalidType("unknown arguments.", where="Variable", got=sorted(kwargs))
        if name is not None and "/" in name:
            raise errors.InvalidArgument("a Variable's name holds no '/'.", where="Variable", got=name)
        self.name = name or scopes.auto_name("variable")
        self.path = "/".join((*around.names, self.name))
        self._trainable = self.made_trainable = bool(trainable)
        self.autocast = bool(autocast)
        self.aggregation = aggregation or "none"
        self.synchronization = synchronization
        self.regularizer: Callable[[Any], Any] | None = None
        self.constraint: Callable[[Any], Any] | None = None
        self.overwrite_with_gradient = False
        self._layout = layout
        self._place: Place | None = None
        # Weights exist for good: an initializer runs now, even where a transform is being traced around us.
        with engine.transforms.concrete():
            value = self._initial_value(initializer, shape, dtype)
        self._engine = engine.active()
        self._value = value
        self._shape = tuple(value.shape)
        self._dtype = dtypes.standardize(value.dtype)
        if around.held:
            around.held.clear()  # somebody will hold this
        if around.state is not None:
            scope = around.state
            while scope is not None:
                scope.created.append(self)
                scope = scope.parent

    def _initial_value(self, initializer: Any, shape: Any, dtype: Any) -> Any:
        if isinstance(initializer, str):
            from kerata.core import registry

            initializer = registry.resolve("initializers", initializer)
        if callable(initializer) and not isinstance(initializer, Variable):
            if shape is None:
                raise errors.InvalidArgument(
                    "an initializer function needs `shape`.", where=f"Variable {self.name!r}", got="shape=None"
                )
            if any(d is None for d in shape):
                raise errors.ShapeMismatch(
                    "a Variable's shape is known in full.", where=f"Variable {self.name!r}", got=tuple(shape),
                    expected="ints alone", hint="take sizes from the axes that are known, such as input_shape[-1]",
                )  # fmt: skip
            dtype = dtypes.standardize(dtype)
            value = initializer(tuple(shape), dtype=dtype)
        else:
            value = initializer.value if isinstance(initializer, Variable) else initializer
            if dtype is None and not hasattr(value, "dtype"):
                array = np.asarray(value)
                dtype = config.floatx() if array.dtype.kind == "f" else None
                value = array.astype("int32") if array.dtype == np.int64 else array
        array = engine.arrays.as_array(value, None if dtype is None else dtypes.standardize(dtype))
        array = engine.arrays.without_history(array)
        if shape is not None and tuple(array.shape) != tuple(shape):
            raise errors.ShapeMismatch(
                "the initial value has another shape.", where=f"Variable {self.name!r}", expected=tuple(shape),
                got=tuple(array.shape),
            )  # fmt: skip
        if array is value and not callable(initializer):
            array = engine.xp.array(array, copy=True)  # a Variable shares its buffer with nobody
        return array

    # Value ------------------------------------------------------------------------------------------------------

    def keep_in(self, place: Place) -> None:
        """Keep the value in a place of the engine in use from now on, where others may read and change it."""
        self._place, self._engine, self._value = place, engine.active(), None

    def visible_place(self) -> Place | None:
        """Return the place; one is made where the engine in use has such."""
        if self._place is None and (self.made_trainable or self._trainable):
            place = engine.arrays.place(self._concrete_value(), self._trainable)
            if place is not None:
                self.keep_in(place)
        return self._place

    @property
    def trainable(self) -> bool:
        """Whether gradients are taken by it."""
        kept = None if self._place is None else self._place.trainable
        return self._trainable if kept is None else kept

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        if self._place is not None and self._place.trainable is not None:
            self._place.trainable = self._trainable

    def _concrete_value(self) -> Any:
        active = engine.active()
        if self._place is not None:
            value = self._place.get()
            if active is self._engine:
                return value
            return active.arrays.as_array(np.array(self._engine.arrays.to_numpy(value)), self._dtype)
        if active is not self._engine:
            self._value = active.arrays.as_array(self._engine.arrays.to_numpy(self._value), self._dtype)
            self._engine = active
        return self._value

    def _differentiable_value(self) -> Any:
        """Return the array outside of every scope, by which the engine's own library may take gradients."""
        place = self.visible_place()
        return self._concrete_value() if place is None or self._engine is not engine.active() else place.reach()

    @property
    def value(self) -> Any:
        """The array, in the compute dtype inside a mixed-precision layer's call."""
        value = self.differentiable_value()
        target = around.autocast
        if target is not None and self.autocast and target != self._dtype and "float" in self._dtype:
            return engine.arrays.cast(value, target)
        return value

    def differentiable_value(self) -> Any:
        """Return the array in its own dtype, whatever the surroundings; gradients of PyTorch go back through it."""
        state = around.state
        return state.read(self) if state is not None else self._differentiable_value()

    def raw_value(self) -> Any:
        """Return the array in its own dtype, whatever the surroundings; gradients of PyTorch do not reach it."""
        state = around.state
        return state.read(self) if state is not None else self._concrete_value()

    def assign(self, value: Any) -> Any:
        """Set the value; `value` must have this shape and is cast to this dtype."""
        value = value.raw_value() if isinstance(value, Variable) else value
        array = self._fitting(value)
        if array is value:
            array = engine.xp.array(array, copy=True)  # training overwrites the memory of Variables, and not yours
        self.assign_unchecked(array)
        return array

    def assign_new(self, value: Any) -> None:
        """Set the value to what was just computed and nobody else holds; as `assign`, without a copy."""
        self.assign_unchecked(self._fitting(value))

    def _fitting(self, value: Any) -> Any:
        array = engine.arrays.as_array(value, self._dtype)
        if tuple(array.shape) != self._shape:
            raise errors.ShapeMismatch(
                "a Variable keeps its shape.", where=f"Variable {self.path!r}", expected=self._shape,
                got=tuple(array.shape), hint="compare the shapes; a value of another shape needs another Variable",
            )  # fmt: skip
        return array

    def assign_unchecked(self, array: Any) -> None:
        """Set the value to an engine array of this very shape and dtype."""
        state = around.state
        if state is not None:
            state.write(self, array)
            return
        if engine.arrays.is_traced(array):
            raise errors.StateError(
                "a value that a transform is tracing cannot leave it through a Variable.",
                where=f"Variable {self.path!r}",
                hint="use kerata's own jit, grad, vmap and remat, which carry assignments out for you",
            )
        active = engine.active()
        array = active.arrays.without_history(array)
        if self._place is None:
            self._engine, self._value = active, array
        elif active is self._engine:
            self._place.set(array)
        else:
            self._place.set(self._engine.arrays.as_array(active.arrays.to_numpy(array), self._dtype))

    def assign_add(self, value: Any) -> Any:
        """Add `value`."""
        return self.assign(self.raw_value() + engine.arrays.as_array(_plain(value), self._dtype))

    def assign_sub(self, value: Any) -> Any:
        """Subtract `value`."""
        return self.assign(self.raw_value() - engine.arrays.as_array(_plain(value), self._dtype))

    def numpy(self) -> np.ndarray:
        """Return a copy of the value as a NumPy array."""
        return np.array(engine.arrays.to_numpy(self.raw_value()))

    # Looks like an array ----------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return self._shape

    @property
    def dtype(self) -> str:
        """The dtype's name; the compute dtype inside a mixed-precision layer's call."""
        if around.autocast is not None and self.autocast and "float" in self._dtype:
            return around.autocast
        return self._dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self._shape, dtype=np.int64))

    __array_priority__ = 1000  # a NumPy array to the left of an operator leaves it to this class

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(engine.arrays.to_numpy(self.value), dtype=dtype)

    def __jax_array__(self) -> Any:
        return self.value

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree.map_structure(_plain, (tuple(args), kwargs or {}))
        return func(*args, **kwargs)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.raw_value().__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self.raw_value().__dlpack_device__()

    def __repr__(self) -> str:
        return f"<Variable path={self.path!r}, shape={self._shape}, dtype={self._dtype}, value={self._shown()}>"

    def _shown(self) -> str:
        value = self.raw_value()
        return "traced" if engine.arrays.is_traced(value) else str(engine.arrays.to_numpy(value))

    def __len__(self) -> int:
        return len(self.value)

    def __bool__(self) -> bool:
        return bool(self.raw_value())

    def __int__(self) -> int:
        return int(self.raw_value())

    def __index__(self) -> int:
        return int(self.raw_value())

    def __float__(self) -> float:
        return float(self.raw_value())

    def __iter__(self) -> Any:
        return iter(self.value)

    def __getitem__(self, index: Any) -> Any:
        return self.value[index]

    def __hash__(self) -> int:
        return id(self)

    def __deepcopy__(self, memo: dict) -> Variable:
        value = engine.xp.array(self.raw_value(), copy=True)
        copy = Variable(value, dtype=self._dtype, trainable=self.trainable, autocast=self.autocast, name=self.name)
        copy.path, copy.regularizer, copy.constraint = self.path, self.regularizer, self.constraint
        copy.made_trainable = self.made_trainable
        memo[id(self)] = copy
        if self._place is not None and (place := deepcopy(self._place, memo)) is not None:
            copy._place, copy._engine, copy._value = place, self._engine, None
        return copy


def raw_values(variables: Iterable[Variable]) -> list[Any]:
    """Return the `raw_value` of each, quickly: a step of a model asks hundreds."""
    if around.state is not None:
        return [variable.raw_value() for variable in variables]
    active = engine.active()
    return [v._value if v._place is None and v._engine is active else v._concrete_value() for v in variables]


def store(variables: Iterable[Variable], arrays: Iterable[Any]) -> None:
    """Set each to an array as `assign_unchecked` does, quickly."""
    active, is_simple = engine.active(), around.state is None
    is_traced, without_history = active.arrays.is_traced, active.arrays.without_history
    for variable, array in zip(variables, arrays):
        if is_simple and variable._place is None and not is_traced(array):
            variable._engine, variable._value = active, without_history(array)
        else:
            variable.assign_unchecked(array)


def _plain(x: Any) -> Any:
    return x.value if isinstance(x, Variable) else x


def _operand(x: Any) -> Any:
    return engine.arrays.as_array(x) if isinstance(x, np.ndarray) else _plain(x)  # not every engine mixes with NumPy


def _delegate(name: str) -> Callable[..., Any]:
    def operator(self: Variable, *others: Any) -> Any:
        if any(hasattr(o, "_history") for o in others):  # a symbolic tensor: let its own operator record the call
            return NotImplemented
        return getattr(self.value, name)(*(_operand(o) for o in others))

    operator.__name__ = name
    return operator


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
):
    setattr(Variable, f"__{_name}__", _delegate(f"__{_name}__"))
    setattr(Variable, f"__r{_name}__", _delegate(f"__r{_name}__"))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert", "round", "complex"):
    setattr(Variable, f"__{_name}__", _delegate(f"__{_name}__"))
