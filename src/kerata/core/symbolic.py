"""Symbolic tensors and the graph that calls on them leave behind.

An `Operation` called on a `KerasTensor` runs nothing: it notes a `Node` and returns symbolic outputs whose shapes and
dtypes come from abstract evaluation of the operation's own code. There are no shape rules anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from kerata import engine, errors, tree
from kerata.core import dtypes, scopes
from kerata.engine.protocol import Spec

__all__ = [
    "History", "KerasTensor", "Node", "Operation", "any_symbolic", "get_source_inputs", "infer", "is_keras_tensor",
]  # fmt: skip


class History(NamedTuple):
    """Which call made a symbolic tensor."""

    operation: Operation
    node_index: int
    tensor_index: int


class KerasTensor:
    """A tensor known by shape and dtype alone; `None` stands for a dimension that is not known yet.

    Args:
        shape: a tuple of ints and Nones, the batch included.
        dtype: a dtype's name.
        name: a name for messages.
    """

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if sparse or ragged:
            raise errors.Unsupported("sparse and ragged tensors do not exist here.", where="KerasTensor")
        self.shape = tuple(None if d is None else int(d) for d in shape)
        self.dtype = dtypes.standardize(dtype)
        self.name = name or scopes.auto_name("keras_tensor")
        self.sparse = self.ragged = False
        self.record_history = record_history
        self._history: History | None = None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def reshape(self, newshape: Sequence[int]) -> KerasTensor:
        """Return the tensor in another shape."""
        return _op("reshape")(self, newshape)

    def squeeze(self, axis: Any = None) -> KerasTensor:
        """Return the tensor without axes of length one."""
        return _op("squeeze")(self, axis)

    @property
    def ragged_rank(self) -> int:
        """Refuse: no tensor is ragged."""
        raise errors.Unsupported("ragged tensors do not exist here.", where=f"KerasTensor {self.name!r}")

    @property
    def row_splits_dtype(self) -> str:
        """Refuse: no tensor is ragged."""
        raise errors.Unsupported("ragged tensors do not exist here.", where=f"KerasTensor {self.name!r}")

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def _refuse(self, wanted: str) -> Any:
        raise errors.InvalidType(
            f"a symbolic tensor has no values yet, so it cannot be {wanted}.",
            where=f"KerasTensor {self.name!r}",
            expected="an operation of kerata",
            got=f"shape={self.shape}, dtype={self.dtype}",
            hint="compute with kerata.ops or inside a Layer's `call`; values come when the model is called on data",
        )

    __array_priority__ = 1000  # a NumPy array to the left of an operator leaves it to this class

    def __array__(self, *_: Any, **__: Any) -> Any:
        self._refuse("turned into a NumPy array")

    def __len__(self) -> int:
        return self._refuse("measured with len()")

    def __bool__(self) -> bool:
        return self._refuse("used as a condition")

    def __int__(self) -> int:
        return self._refuse("turned into an int")

    def __float__(self) -> float:
        return self._refuse("turned into a float")

    def __iter__(self) -> Any:
        self._refuse("looped over")

    def __getitem__(self, key: Any) -> KerasTensor:
        # A list picks rows, as in NumPy; in files, lists stand for tuples.
        return _op("get_item")(self, np.asarray(key) if isinstance(key, list) else key)

    def __round__(self, ndigits: int = 0) -> KerasTensor:
        return _op("round")(self, ndigits)


def _op(name: str) -> Callable[..., Any]:
    from kerata.core.op import OPS

    return OPS[name]


def _add_operators() -> None:
    two = {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
        "mod": "mod", "pow": "power", "matmul": "matmul", "and": "logical_and", "or": "logical_or",
        "xor": "logical_xor",
    }  # fmt: skip
    compare = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
    compare |= {"eq": "equal", "ne": "not_equal"}
    one = {"neg": "negative", "abs": "absolute", "invert": "logical_not"}
    for method, name in {**two, **compare}.items():
        setattr(KerasTensor, f"__{method}__", lambda self, other, name=name: _op(name)(self, other))
    for method, name in two.items():
        setattr(KerasTensor, f"__r{method}__", lambda self, other, name=name: _op(name)(other, self))
    for method, name in one.items():
        setattr(KerasTensor, f"__{method}__", lambda self, name=name: _op(name)(self))
    KerasTensor.__hash__ = lambda self: id(self)  # type: ignore[method-assign]


_add_operators()


def is_keras_tensor(x: Any) -> bool:
    """Return whether `x` is a symbolic tensor."""
    return isinstance(x, KerasTensor)


def any_symbolic(args: Any, kwargs: Any = ()) -> bool:
    """Return whether a symbolic tensor is among the arguments, at any depth."""
    for x in args:
        if isinstance(x, KerasTensor):
            return True
        if isinstance(x, (list, tuple)) and any_symbolic(x):
            return True
        if isinstance(x, dict) and any_symbolic(x.values()):
            return True
    return bool(kwargs) and any_symbolic(kwargs.values())


# Shapes by abstract evaluation ----------------------------------------------------------------------------------


def infer(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what `function` gives for `args`, as `KerasTensor`s, without computing it.

    An unknown dimension is tried at two sizes; a dimension of the result that then differs is unknown too.
    """
    leaves, spec = tree.flatten_with_spec((args, kwargs))
    symbolic = [i for i, leaf in enumerate(leaves) if isinstance(leaf, KerasTensor)]

    def evaluate(size: int) -> list[Any]:
        specs = [
            Spec(tuple(size if d is None else d for d in leaves[i].shape), _engine_dtype(leaves[i].dtype))
            for i in symbolic
        ]

        def pure(*values: Any) -> Any:
            filled = list(leaves)
            for i, value in zip(symbolic, values):
                filled[i] = value
            new_args, new_kwargs = spec.unflatten(filled)
            with scopes.StateScope():
                return function(*new_args, **new_kwargs)

        return engine.transforms.abstract(pure, *specs)

    unknown = any(None in leaves[i].shape for i in symbolic)
    first_size, second_size = engine.transforms.unknown_sizes
    first = evaluate(first_size)
    second = evaluate(second_size) if unknown else first

    def merge(a: Any, b: Any) -> Any:
        if not hasattr(a, "shape"):
            return a
        shape = tuple(m if m == n else None for m, n in zip(a.shape, b.shape))
        return KerasTensor(shape, dtypes.standardize(a.dtype))

    return tree.map_structure(merge, first, second)


def _engine_dtype(dtype: str) -> Any:
    if dtype == "string":
        raise errors.Unsupported(
            "no engine computes with text.", where="a symbolic tensor of dtype 'string'",
            hint="StringLookup, TextVectorization or Hashing makes numbers of it first",
        )  # fmt: skip
    import ml_dtypes
    import numpy as np

    return np.dtype(getattr(ml_dtypes, dtype, dtype))


def get_source_inputs(tensor: Any) -> Any:
    """Return the symbolic inputs that `tensor` is computed from, in a list; what is no symbolic tensor as it is.

    Example:
        >>> x = kerata.Input((3,))
        >>> kerata.utils.get_source_inputs(kerata.layers.Dense(2)(x)) == [x]
        True
    """
    if not isinstance(tensor, KerasTensor):
        return tensor
    found: dict[int, KerasTensor] = {}
    seen: set[int] = set()
    waiting = [tensor]
    while waiting:
        x = waiting.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        before = x._history.operation._inbound_nodes[x._history.node_index].inputs if x._history else []
        if before:
            waiting += reversed(before)
        else:
            found[id(x)] = x
    return list(found.values())


# The graph ------------------------------------------------------------------------------------------------------


class Node:
    """One call of an operation on symbolic tensors."""

    def __init__(self, operation: Operation, args: tuple, kwargs: dict[str, Any], outputs: Any) -> None:
        self.operation, self.args, self.kwargs, self.output_structure = operation, args, kwargs, outputs
        self.inputs: list[KerasTensor] = [x for x in tree.flatten((args, kwargs)) if isinstance(x, KerasTensor)]
        self.outputs: list[KerasTensor] = [x for x in tree.flatten(outputs) if isinstance(x, KerasTensor)]
        index = len(operation._inbound_nodes)
        operation._inbound_nodes.append(self)
        for i, output in enumerate(self.outputs):
            output._history = History(operation, index, i)

    @property
    def parents(self) -> list[Node]:
        """The nodes that made this node's inputs."""
        return [x._history.operation._inbound_nodes[x._history.node_index] for x in self.inputs if x._history]


class Operation:
    """Something that can be called on tensors, real or symbolic: a layer, or one call of an op.

    A subclass gives `call`; shapes follow from it.
    """

    _inbound_nodes: list[Node]
    name: str

    def __init__(self, name: str | None = None) -> None:
        self.name = name or scopes.auto_name(snake_case(type(self).__name__))
        self._inbound_nodes = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any_symbolic(args, kwargs):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs."""
        raise errors.Unsupported("this operation has no `call`.", where=self.name)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return symbolic outputs for symbolic inputs, by abstract evaluation of `call`."""
        return infer(self.call, *args, **kwargs)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Note the call in the graph and return its symbolic outputs."""
        outputs = self.compute_output_spec(*args, **kwargs)
        # An output that is the very input (Identity) would lose its own history.
        given = {id(x) for x in tree.flatten((args, kwargs))}
        outputs = tree.map_structure(
            lambda x: KerasTensor(x.shape, x.dtype) if id(x) in given and isinstance(x, KerasTensor) else x, outputs
        )
        Node(self, args, kwargs, outputs)
        return outputs

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs with quantized weights; an operation that can says how."""
        raise errors.Unsupported("this operation has no quantized form.", where=self.name)

    def rematerialized_call(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Return `fn`, the operation's `call`, as a `RematScope` wants it computed for these arguments."""
        return fn

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments: the name; a subclass adds its own."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make an operation from what `get_config` returned."""
        return cls(**config)

    @property
    def input(self) -> Any:
        """The symbolic input of the only call of this operation."""
        return _single(self._only_node("input").inputs)

    @property
    def output(self) -> Any:
        """The symbolic output of the only call of this operation."""
        return self._only_node("output").output_structure

    def _only_node(self, what: str) -> Node:
        nodes = self._inbound_nodes
        if not nodes:
            raise errors.StateError(
                f"it has no symbolic {what}: it was never called on symbolic tensors.",
                where=self.name,
                hint="call it on kerata.Input(...), or build the Sequential model with an Input",
            )
        if len(nodes) > 1 and what == "output":
            # A layer shared by several models has several outputs; the first is the one it was made with.
            return nodes[0]
        return nodes[0]


def _single(tensors: list[KerasTensor]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors


def snake_case(name: str) -> str:
    """Return CamelCase `name` as camel_case, as Keras names its layers ("Conv2D" -> "conv2d")."""
    import re

    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
