"""State lifting: transforms of functions that read and assign Variables.

A function given here may touch Variables freely. At the border of the transform what it reads becomes an input and
what it assigns an output, so the engine sees a pure program.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from kerata import engine, errors, tree
from kerata.core import scopes
from kerata.core.op import convert
from kerata.core.scopes import StateScope, around
from kerata.core.variable import Variable, raw_values, store
from kerata.engine.protocol import Spec

__all__ = ["custom_gradient", "grad", "jit", "remat", "stop_gradient", "value_and_grad", "vmap"]


def _variables_of(wrt: Any) -> list[Variable] | None:
    """Return the Variables that `wrt` names, or None when it names argument positions."""
    if isinstance(wrt, Variable):
        return [wrt]
    if hasattr(wrt, "trainable_variables"):
        return list(wrt.trainable_variables)
    leaves = tree.flatten(wrt)
    return leaves if all(isinstance(leaf, Variable) for leaf in leaves) else None


def _pure(function: Callable[..., Any]) -> tuple[Callable[..., Any], list[Variable]]:
    """Return `function` with its assignments among its results, and the list that then holds what it assigned."""
    written: list[Variable] = []

    def pure(*args: Any, state: Any = (), **kwargs: Any) -> tuple[Any, list[Any]]:
        with StateScope(state) as scope:
            result = function(*args, **kwargs)
        written[:], values = scope.written()
        return result, values

    return pure, written


def _dynamic_parts(args: Any, kwargs: Any) -> tuple[list[Any], Callable[[Sequence[Any]], Any], list[Any], Any]:
    """Split arguments into arrays, the function that puts arrays back, the fixed rest, and the structure."""
    leaves, spec = tree.flatten_with_spec((args, kwargs))
    at = [i for i, leaf in enumerate(leaves) if _is_dynamic(leaf)]
    dynamic = [convert(leaves[i]) for i in at]
    for i in at:
        leaves[i] = None

    def place(values: Sequence[Any]) -> Any:
        filled = list(leaves)
        for i, value in zip(at, values):
            filled[i] = value
        return spec.unflatten(filled)

    return dynamic, place, leaves, (spec, tuple(at))


def value_and_grad(function: Callable[..., Any], wrt: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Return a function that gives the value of `function` and its gradient.

    Args:
        function: returns a scalar, or `(scalar, anything)` with `has_aux`.
        wrt: what the gradient is taken by: positions of arguments, a Variable, a nest of Variables, or a layer or
            model (its trainable Variables).
        has_aux: whether `function` returns a pair, of which only the first part is differentiated.

    Returns:
        A function with the same arguments that returns `(value, gradient)`; the gradient has the structure of `wrt`
        (a list for a model, in the order of `trainable_variables`).

    Example:
        >>> model = kerata.Sequential([kerata.layers.Input((2,)), kerata.layers.Dense(1)])
        >>> def loss_fn(x, y):
        ...     return kerata.ops.mean((model(x) - y) ** 2)
        >>> loss, gradients = kerata.value_and_grad(loss_fn, model)(numpy.ones((4, 2)), numpy.ones((4, 1)))
        >>> kerata.optimizers.SGD(0.1).apply(gradients, model.trainable_variables)
    """

    @functools.wraps(function)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        if not engine.transforms.differentiable:
            raise errors.Unsupported(
                f"the {engine.name()} engine takes no gradients.", where="training",
                hint="kerata.config.set_engine('jax')",
            )  # fmt: skip
        variables = _variables_of(wrt)
        if variables is None:
            positions = (wrt,) if isinstance(wrt, int) else tuple(wrt)
            targets: Any = tree.map_structure(convert, [args[i] for i in positions])
        else:
            positions = ()
            targets = raw_values(variables)
        pure, written = _pure(function)

        def of_targets(targets: Any) -> Any:
            filled = list(args)
            for position, target in zip(positions, targets):
                filled[position] = target
            result, values = pure(*filled, state=zip(variables or (), targets), **kwargs)
            value, aux = result if has_aux else (result, None)
            return _scalar(value), (aux, values)

        (value, (aux, values)), gradients = engine.transforms.value_and_grad(of_targets, has_aux=True)(targets)
        store(written, values)
        if variables is None:
            gradients = gradients[0] if isinstance(wrt, int) else tuple(gradients)
        elif isinstance(wrt, Variable):
            gradients = gradients[0]
        elif not hasattr(wrt, "trainable_variables"):
            gradients = tree.pack_sequence_as(wrt, gradients)
        return ((value, aux) if has_aux else value), gradients

    return transformed


def _scalar(value: Any) -> Any:
    value = convert(value)
    if getattr(value, "shape", ()) != ():
        raise errors.ShapeMismatch(
            "a gradient is taken of a scalar.", where="value_and_grad", expected="shape ()",
            got=f"shape {tuple(value.shape)}", hint="reduce the loss with ops.mean or ops.sum",
        )  # fmt: skip
    return value


def grad(function: Callable[..., Any], wrt: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Return a function that gives the gradient of `function`; see `value_and_grad`.

    Example:
        >>> kerata.grad(lambda x: x**3)(2.0)
        Array(12., dtype=float32)
    """
    both = value_and_grad(function, wrt, has_aux)

    @functools.wraps(function)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        value, gradients = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return transformed


def _is_dynamic(leaf: Any) -> bool:
    return not isinstance(leaf, (bool, str, bytes)) and (
        isinstance(leaf, (int, float, complex, Variable)) or hasattr(leaf, "__array__")
    )


def _signature(leaf: Any) -> Any:
    dtype = getattr(leaf, "dtype", type(leaf))
    return tuple(getattr(leaf, "shape", ())), str(dtype), getattr(leaf, "weak_type", None)


class _Compiled:
    """One compiled program: what it reads, what it writes, and the structure of its result."""

    __slots__ = ("program", "reads", "result", "writes")

    def __init__(self, function: Callable[..., Any], place: Callable[[Sequence[Any]], Any], dynamic: list[Any]) -> None:
        discovered = StateScope(track_reads=True)

        def discover(values: Any) -> Any:
            with discovered:
                args, kwargs = place(values)
                leaves, _ = tree.flatten_with_spec(function(*args, **kwargs))
                return [leaf for leaf in leaves if _is_dynamic(leaf)]

        # The first, abstract run shows which Variables are read; they become inputs of the compiled program.
        engine.transforms.abstract(discover, [Spec(tuple(v.shape), v.dtype) for v in dynamic])
        self.reads = list(discovered.reads or ())
        self.writes: list[Variable] = []
        self.result: Callable[[Sequence[Any]], Any] = lambda _: None

        def pure(state: Sequence[Any], values: Sequence[Any]) -> Any:
            args, kwargs = place(values)
            with StateScope(zip(self.reads, state)) as scope:
                leaves, spec = tree.flatten_with_spec(function(*args, **kwargs))
            self.writes, written = scope.written()
            at = [i for i, leaf in enumerate(leaves) if _is_dynamic(leaf)]
            outputs = [convert(leaves[i]) for i in at]
            for i in at:
                leaves[i] = None

            def result(values: Sequence[Any]) -> Any:
                filled = list(leaves)
                for i, value in zip(at, values):
                    filled[i] = value
                return spec.unflatten(filled)

            self.result = result
            return outputs, written

        pure.__qualname__ = getattr(function, "__qualname__", pure.__qualname__)  # what a warning calls it
        self.program = engine.transforms.compile(pure)

    def __call__(self, dynamic: list[Any]) -> Any:
        # A program is closed to PyTorch's `backward`, but inside a layer that would cut weights off unseen.
        read = Variable.differentiable_value if around.call_depth else Variable.raw_value
        outputs, written = self.program([read(v) for v in self.reads], dynamic)
        store(self.writes, written)
        return self.result(outputs)


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` compiled: it runs as one program, and may read and assign Variables.

    Arrays and numbers among the arguments are inputs; anything else (bool, str, None, layers, functions) is fixed:
    another value compiles another program, as do other shapes and dtypes.

    Example:
        >>> total = kerata.Variable(0.0)
        >>> @kerata.jit
        ... def add(x):
        ...     total.assign_add(kerata.ops.sum(x))
        ...     return 2 * total
        >>> float(add(numpy.ones(3))), float(total)
        (6.0, 3.0)
    """
    programs: dict[Any, _Compiled] = {}

    @functools.wraps(function)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        dynamic, place, fixed, structure = _dynamic_parts(args, kwargs)
        key = engine.name(), structure, tuple(fixed), tuple(map(_signature, dynamic)), around.training, around.autocast
        try:
            program = programs.get(key)
        except TypeError:
            bad = next(leaf for leaf in fixed if type(leaf).__hash__ is None)
            raise errors.InvalidType(
                "an argument is neither an array nor something fixed that can be hashed.",
                where=f"jit of {getattr(function, '__name__', 'a function')}",
                got=f"{type(bad).__name__}: {bad!r:.80}",
            ) from None
        if program is None:
            program = programs[key] = _Compiled(function, place, dynamic)
        return program(dynamic)

    return compiled


def vmap(function: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """Return `function` applied along an axis of its arguments at once; Variables are read as they are.

    A Variable may be assigned only what is the same for every element.

    Example:
        >>> kerata.vmap(lambda row: kerata.ops.sum(row))(numpy.ones((4, 2))).shape  # (B, D) -> (B,)
        (4,)
    """

    @functools.wraps(function)
    def transformed(*args: Any) -> Any:
        pure, written = _pure(function)
        arrays = tuple(tree.map_structure(lambda x: convert(x) if _is_dynamic(x) else x, arg) for arg in args)
        try:
            result, values = engine.transforms.vmap(pure, in_axes, (out_axes, None))(*arrays)
        except ValueError as error:
            if written and "out_axes" in str(error):
                raise errors.StateError(
                    "a Variable is assigned a different value for each element of the batch.",
                    where=f"vmap ({', '.join(v.path for v in written)})", hint="return the values instead",
                ) from error  # fmt: skip
            raise
        store(written, values)
        return result

    return transformed


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return `f` such that gradients compute its insides again instead of keeping them in memory.

    Example:
        >>> block = kerata.remat(lambda x: kerata.ops.sin(x) ** 2)
        >>> float(kerata.grad(block)(0.0))
        0.0
    """

    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        dynamic, place, _, _ = _dynamic_parts(args, kwargs)

        written: list[Variable] = []
        then = dict(vars(around))
        read: list[tuple[Variable, Any]] = []

        def pure(values: Sequence[Any]) -> Any:
            # A second run takes place within the gradient, maybe in another thread: it finds all as it was at first.
            with scopes.surroundings(then), engine.using(name), StateScope(read, track_reads=True) as scope:
                new_args, new_kwargs = place(values)
                result = f(*new_args, **new_kwargs)
            read[:] = read or [(v, v.differentiable_value()) for v in scope.reads or ()]
            written[:], values = scope.written()
            return result, values

        name = engine.name()
        result, values = engine.transforms.remat(pure)(dynamic)
        store(written, values)
        return result

    return transformed


def stop_gradient(x: Any) -> Any:
    """Return `x` such that no gradient flows back through it."""
    return tree.map_structure(lambda leaf: engine.transforms.stop_gradient(convert(leaf)), x)


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return `f` with its own gradient: `f(*args)` returns its output and a function of the output's gradient.

    Example:
        >>> @kerata.custom_gradient
        ... def clip_gradient(x):
        ...     return x, lambda upstream: kerata.ops.clip(upstream, -1.0, 1.0)
        >>> float(kerata.grad(lambda x: 5 * clip_gradient(x))(2.0))
        1.0
    """

    @functools.wraps(f)
    def transformed(*args: Any) -> Any:
        return engine.transforms.custom_gradient(f)(*(convert(a) for a in args))

    return transformed


# For loops and choices --------------------------------------------------------------------------------------------


def assigned(function: Callable[..., Any], *args: Any) -> list[Variable]:
    """Return the Variables that `function` assigns, found by abstract evaluation."""
    found: list[Variable] = []

    def run(*values: Any) -> Any:
        with StateScope() as scope:
            function(*values)
        found[:] = scope.written()[0]
        return convert(0)

    engine.transforms.abstract(run, *args)
    return found


def carrying(function: Callable[..., Any], variables: Sequence[Variable]) -> Callable[..., tuple[Any, list[Any]]]:
    """Return `function` with the values of `variables` as its first argument and beside its result."""

    def pure(values: Sequence[Any], *args: Any) -> tuple[Any, list[Any]]:
        with StateScope(zip(variables, values)) as scope:
            result = tree.map_structure(lambda x: None if x is None else convert(x), function(*args))
        return result, [scope.values[v] for v in variables]

    return pure
