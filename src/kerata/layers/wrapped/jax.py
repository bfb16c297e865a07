"""Functions of JAX and modules of flax as layers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerata import engine, errors, tree
from kerata.core import dtypes, registry
from kerata.core.rng import SeedGenerator, draw_key, make_seed
from kerata.core.variable import Variable
from kerata.layers.base import Layer

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["FlaxLayer", "JaxLayer"]


# Values are in the weights; and what a FlaxLayer wraps is in its config in a form of its own.
_NOT_AS_GIVEN = ("params", "state", "seed", "module", "method", "variables")


def jax_pytrees(where: str) -> ModuleType:
    """Return what the jax engine knows of nests of other libraries; refuse on another engine."""
    if engine.name() != "jax":
        raise errors.Unsupported(
            "functions of JAX are computed by the jax engine.", where=where, expected="the jax engine",
            got=f"the {engine.name()} engine", hint="kerata.config.set_engine('jax'), or KERATA_ENGINE=jax",
        )  # fmt: skip
    from kerata.engine.jax import pytrees

    return pytrees


def _argument_names(function: Any, what: str, known: tuple[str, ...]) -> list[str]:
    """Return the names of a function's parameters, all of them among `known`, and `inputs` among them."""
    names = list(inspect.signature(function).parameters)
    wrong = [name for name in names if name not in known]
    if wrong or "inputs" not in names:
        raise errors.InvalidArgument(
            f"`{what}` gets its arguments by their names.", where=f"JaxLayer: {what}",
            expected=f"`inputs`, and any of {[name for name in known if name != 'inputs']}", got=names,
            hint=f"write a function with these names that calls yours: def {what}({', '.join(known)}): …",
        )  # fmt: skip
    return names


class JaxLayer(Layer):
    """A function of JAX, with its parameters and state, as a layer on the jax engine.

    `call_fn` takes any of these arguments, by name, and `inputs` always:

    - `params`: a pytree of what is trained;
    - `state`: a pytree of what is not, such as running means; with it `call_fn` returns `(outputs, new state)`;
    - `rng`: a key of `jax.random`, uint32 (2,), another one at each call; None where `training` is False;
    - `inputs`: an array or a nest of arrays;
    - `training`: a bool.

    `init_fn` makes the first values when the layer is built: `init_fn(rng, inputs, training)`, or fewer of these. Its
    inputs are ones of the right shape and dtype, with 1 for an unknown size; it returns the params, or `(params,
    state)` where `call_fn` takes a state. Each leaf of params and state that is an array or a number becomes a weight.

    Args:
        call_fn: computes the outputs.
        init_fn: makes params and state; a file can be read into the layer only where it is given.
        params, state: the first values, instead of `init_fn`.
        seed: of the keys that `call_fn` gets.
        native_serialization_platforms: means something in TensorFlow alone; kept for the config.

    Raises:
        Unsupported: on another engine.
        InvalidArgument: for functions with other arguments, and where the first values come from nowhere.

    Example:
        >>> import jax
        >>> def init_fn(rng, inputs):
        ...     return {"w": jax.random.normal(rng, (inputs.shape[-1], 2)), "b": jax.numpy.zeros(2)}
        >>> def call_fn(params, inputs):
        ...     return inputs @ params["w"] + params["b"]
        >>> model = kerata.Sequential([kerata.Input((3,)), kerata.layers.JaxLayer(call_fn, init_fn)])
        >>> model.output_shape, [w.name for w in model.weights]
        ((None, 2), ['b', 'w'])
    """

    _not_members = Layer._not_members | {"params", "state"}  # `_weights` has them, in the order of Keras

    def __init__(
        self,
        call_fn: Callable[..., Any],
        init_fn: Callable[..., Any] | None = None,
        params: Any = None,
        state: Any = None,
        seed: int | None = None,
        native_serialization_platforms: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        jax_pytrees(self._where())
        for name in _NOT_AS_GIVEN:
            vars(self._captured).pop(name, None)
        self.call_fn, self.init_fn = call_fn, init_fn
        self.native_serialization_platforms = native_serialization_platforms
        self.call_fn_arguments = _argument_names(call_fn, "call_fn", ("params", "state", "rng", "inputs", "training"))
        self._init_fn_arguments = (
            [] if init_fn is None else _argument_names(init_fn, "init_fn", ("rng", "inputs", "training"))
        )
        self._has_values = not {"params", "state"}.isdisjoint(self.call_fn_arguments)
        self.seed_generator = SeedGenerator(seed) if "rng" in self.call_fn_arguments else None
        self._typed_keys: list[tuple[Variable, Any]] = []
        self._example_dtypes: Any = None
        self.params, self.state = params, state
        if params is not None or state is not None:
            self._make_weights(params, state)
            self.built = True
        elif init_fn is None and self._has_values:
            raise errors.InvalidArgument(
                "the first values of `params` and `state` come from nowhere.", where=self._where(),
                expected="init_fn=…, which makes them, or params=… and state=…", got="none of them",
                hint="a layer that was made with params=… alone can be saved, but not be made from a file",
            )  # fmt: skip

    # Weights ----------------------------------------------------------------------------------------------------

    def _make_weights(self, params: Any, state: Any) -> None:
        weights = jax_pytrees(self._where()).map_with_path
        self.params = weights(lambda path, leaf: self._weight(path, leaf, True), params)
        self.state = weights(lambda path, leaf: self._weight(path, leaf, False), state)

    def _weight(self, path: str, leaf: Any, trainable: bool) -> Any:
        """Return a Variable for an array or a number; anything else tells the function how to compute, and stays."""
        if isinstance(leaf, Variable):
            self._weights.append(leaf)
            return leaf
        if not (isinstance(leaf, (bool, int, float, np.ndarray, np.generic)) or engine.arrays.is_array(leaf)):
            return leaf
        pytrees = jax_pytrees(self._where())
        kind = pytrees.key_kind(leaf)
        array = engine.arrays.as_array(leaf if kind is None else pytrees.key_data(leaf))
        dtype = dtypes.standardize(array.dtype)
        variable = self.add_weight(
            tuple(array.shape),
            initializer=lambda shape, dtype: engine.xp.array(array, dtype=dtype, copy=True),  # the array stays yours
            dtype=None if dtypes.is_float(dtype) else dtype,
            trainable=trainable,
            name=path.replace("/", "_") or None,
        )
        if kind is not None:
            self._typed_keys.append((variable, kind))
        return variable

    def _values(self, nest: Any) -> Any:
        """Return params or state as the function takes them."""
        pytrees = jax_pytrees(self._where())
        kinds = {id(variable): kind for variable, kind in self._typed_keys}

        def value(_: str, leaf: Any) -> Any:
            if not isinstance(leaf, Variable):
                return leaf
            return pytrees.typed_key(leaf.value, kinds[id(leaf)]) if id(leaf) in kinds else leaf.value

        return pytrees.map_with_path(value, nest)

    def _assign_state(self, new: Any) -> None:
        pytrees = jax_pytrees(self._where())
        found, own = pytrees.leaves_by_path(new), pytrees.leaves_by_path(self.state)
        if list(found) != list(own):
            raise errors.InvalidArgument(
                "`call_fn` returns a state of another structure.", where=self._where(), expected=list(own),
                got=list(found), hint="return (outputs, state), with all of the state, changed or not",
            )  # fmt: skip
        for path, variable in own.items():
            if isinstance(variable, Variable):
                value = found[path]
                variable.assign(value if pytrees.key_kind(value) is None else pytrees.key_data(value))

    # Keys; a subclass whose functions take several of them overrides these ----------------------------------------

    def _get_init_seed(self) -> Any:
        """Return a key for `init_fn`."""
        return draw_key(make_seed())

    def _get_init_rng(self) -> Any:
        """Return the `rng` of `init_fn`: a key, or a nest of keys."""
        return self._get_init_seed()

    def _get_call_seed(self) -> Any:
        """Return a key for `call_fn`."""
        return draw_key(self.seed_generator)

    def _get_call_rng(self, training: bool) -> Any:
        """Return the `rng` of `call_fn`: a key, or a nest of keys; None where nothing is drawn."""
        return self._get_call_seed() if training else None

    # Building and calling ---------------------------------------------------------------------------------------

    def _maybe_build(self, named: dict[str, Any]) -> None:
        if not self.built:  # an embedding takes integers, also where only a shape is wanted
            self._example_dtypes = tree.map_structure(self._example_dtype, named.get("inputs"))
        super()._maybe_build(named)

    def _example_dtype(self, x: Any) -> str:
        dtype = dtypes.standardize(getattr(x, "dtype", self.input_dtype))
        return self.input_dtype if dtypes.is_float(dtype) else dtype

    def build(self, input_shape: Any) -> None:
        if self.init_fn is None or not self._has_values or self.params is not None or self.state is not None:
            return
        jax_pytrees(self._where())
        with engine.transforms.concrete():
            inputs = tree.map_shape_structure(self._example, input_shape)
            if self._example_dtypes is not None:
                inputs = tree.map_structure(engine.arrays.cast, inputs, self._example_dtypes)
            makers: dict[str, Callable[[], Any]] = {
                "rng": self._get_init_rng, "inputs": lambda: inputs, "training": lambda: True
            }  # fmt: skip
            made = self.init_fn(*(makers[name]() for name in self._init_fn_arguments))
            self._make_weights(*(made if "state" in self.call_fn_arguments else (made, None)))

    def _example(self, shape: Any) -> Any:
        return engine.xp.ones([1 if size is None else size for size in shape], self.input_dtype)

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shapes with which the layer was built, and the dtypes where they are others than the layer's."""
        config = super().get_build_config()
        usual = {*tree.flatten(self._example_dtypes)} <= {None, self.input_dtype}
        return config if config is None or usual else {**config, "input_dtype": self._example_dtypes}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layer with the shapes of `get_build_config`."""
        config = dict(config)
        self._example_dtypes = config.pop("input_dtype", None)
        super().build_from_config(config)

    def call(self, inputs: Any, training: bool = False) -> Any:
        makers: dict[str, Callable[[], Any]] = {
            "params": functools.partial(self._values, self.params),
            "state": functools.partial(self._values, self.state),
            "rng": lambda: self._get_call_rng(training),
            "inputs": lambda: inputs,
            "training": lambda: training,
        }
        jax_pytrees(self._where())
        result = self.call_fn(*(makers[name]() for name in self.call_fn_arguments))
        if "state" not in self.call_fn_arguments:
            return result
        if not (isinstance(result, (tuple, list)) and len(result) == 2):
            raise errors.InvalidArgument(
                "a `call_fn` that takes a state returns two things.", where=self._where(),
                expected="(outputs, new state)", got=f"{type(result).__name__}",
            )  # fmt: skip
        outputs, state = result
        self._assign_state(state)
        return outputs


class FlaxLayer(JaxLayer):
    """A module of flax as a layer on the jax engine.

    A `flax.linen` module has its "params" trained; its other collections, such as "batch_stats", are weights that are
    not. It draws from the stream "dropout" while training. The method that is called takes `inputs`, and `training`
    where it has a parameter of this name. A `flax.nnx` module is taken as it is, with the values that it holds: its
    `nnx.Param`s are trained, all else that it holds is not, and it is called in its train or eval mode.

    A `.keras` file holds the module by its `get_config` and `from_config`, which its class must have; register the
    class, or name it in `custom_objects`.

    Args:
        module: a `flax.linen.Module` or a `flax.nnx.Module`.
        method: the method to call, by name or itself, or a function `(module, inputs)` or `(module, inputs, training)`;
            `__call__` for None.
        variables: what `module.init` returned, instead of fresh values.

    Raises:
        Unsupported: on another engine.

    Example:
        >>> import flax.linen as nn                                              # doctest: +SKIP
        >>> layer = kerata.layers.FlaxLayer(nn.Dense(2))                         # doctest: +SKIP
        >>> layer(numpy.ones((1, 3))).shape                                      # doctest: +SKIP
        (1, 2)
    """

    def __init__(self, module: Any, method: Any = None, variables: Any = None, **kwargs: Any) -> None:
        self.module, self.method = module, method
        method = getattr(module, method) if isinstance(method, str) else method
        self._takes_training = "training" in inspect.signature(method or module.__call__).parameters
        self._nnx_graph: Any = None
        if _is_nnx(module):
            if variables is not None:
                raise errors.InvalidArgument(
                    "a `flax.nnx` module holds its variables itself.", where="FlaxLayer", got="variables=…",
                    hint="nnx.update(module, variables)",
                )  # fmt: skip
            self._nnx_graph, params, state = _nnx().split(module, _nnx().Param, ...)
            super().__init__(self._call_nnx, params=params, state=state, **kwargs)
        else:
            params, state = (None, None) if variables is None else _parted(variables)
            super().__init__(self._apply, self._init, params, state, **kwargs)

    # flax.linen -------------------------------------------------------------------------------------------------

    def _apply(self, params: Any, state: Any, rng: Any, inputs: Any, training: bool) -> Any:
        return self.module.apply(
            {**params, **state}, inputs, rngs=rng, method=self.method, mutable=list(state), **self._flag(training)
        )

    def _init(self, rng: Any, inputs: Any, training: bool) -> Any:
        return _parted(self.module.init(rng, inputs, method=self.method, **self._flag(training)))

    def _flag(self, training: bool) -> dict[str, bool]:
        return {"training": training} if self._takes_training else {}

    def _get_init_rng(self) -> dict[str, Any]:
        return {"params": self._get_init_seed(), "dropout": self._get_init_seed()}

    def _get_call_rng(self, training: bool) -> dict[str, Any]:
        return {"dropout": self._get_call_seed()} if training else {}

    # flax.nnx ---------------------------------------------------------------------------------------------------

    def _call_nnx(self, params: Any, state: Any, inputs: Any, training: bool) -> Any:
        module = _nnx().merge(self._nnx_graph, params, state)
        (module.train if training else module.eval)()
        if isinstance(self.method, str):
            outputs = getattr(module, self.method)(inputs, **self._flag(training))
        else:
            method = getattr(self.method, "__func__", self.method) or type(module).__call__
            outputs = method(module, inputs, **self._flag(training))
        return outputs, _nnx().split(module, _nnx().Param, ...)[2]

    # Config -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this layer anew; a method of the module by its name."""
        bound = getattr(self.method, "__self__", None) is self.module
        method = self.method.__name__ if bound else self.method
        return {
            **super().get_config(),
            "native_serialization_platforms": self.native_serialization_platforms,
            "module": registry.serialize_keras_object(self.module),
            "method": registry.serialize_keras_object(method),
        }


def _parted(variables: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the collections of a linen module: what is trained, and what is not."""
    params = {name: values for name, values in variables.items() if name == "params"}
    return params, {name: values for name, values in variables.items() if name != "params"}


def _is_nnx(module: Any) -> bool:
    return any(cls.__module__.startswith("flax.nnx") for cls in type(module).__mro__)


def _nnx() -> Any:
    from flax import nnx  # pyright: ignore[reportMissingImports]  (whoever gives a module of flax has it)

    return nnx
