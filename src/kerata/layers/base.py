"""`Layer`: state made in `build`, the formula in `call`. What every layer shares is here, once.

A layer's constructor arguments are captured for its config (core/configurable.py), its state is found by walking its
attributes (core/tracking.py), and its output shapes come from abstract evaluation of `call` (core/symbolic.py).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from kerata import config as settings
from kerata import engine, errors, tree
from kerata.core import dtype_policies, dtypes, registry, scopes
from kerata.core.configurable import Configurable
from kerata.core.op import convert
from kerata.core.rng import SeedGenerator
from kerata.core.scopes import around
from kerata.core.symbolic import KerasTensor, Node, Operation, any_symbolic, infer
from kerata.core.tracking import Stateful, members, unique
from kerata.core.variable import Variable
from kerata.layers import input_spec as specs

__all__ = ["Layer"]


class _CallSignature:
    """What `call` takes, looked up once for each class."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.parameters = list(inspect.signature(call).parameters.values())
        names = self._order = [p.name for p in self.parameters]
        self.names = set(names)
        self.first = names[0] if names else None
        self.takes_training = "training" in self.names
        self.training_default = next((p.default for p in self.parameters if p.name == "training"), None)
        self.mask_for = {name.removesuffix("_mask"): name for name in names if name.endswith("_mask")}
        if "mask" in self.names and self.first:
            self.mask_for[self.first] = "mask"

    def bind(self, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {**dict(zip(self._order, args)), **kwargs}


@functools.cache
def _call_signature(cls: type, call: Callable[..., Any]) -> _CallSignature:
    return _CallSignature(functools.partial(call, None))


class Layer(Configurable, Operation, Stateful):
    """The base of all layers: a function of tensors with weights of its own.

    A subclass stores its arguments in `__init__`, makes its weights in `build(input_shape)` and computes in `call`.

    Args:
        activity_regularizer: a regularizer of the outputs, by name or object.
        trainable: whether the weights are trained.
        dtype: a dtype or dtype policy, such as "float32" or "mixed_bfloat16".
        autocast: whether float inputs are cast to the compute dtype.
        name: the layer's name; a model's layers have different names.

    Example:
        >>> class Linear(kerata.layers.Layer):
        ...     def __init__(self, units, **kwargs):
        ...         super().__init__(**kwargs)
        ...         self.units = units
        ...
        ...     def build(self, input_shape):
        ...         self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        ...
        ...     def call(self, x):
        ...         return x @ self.kernel
    """

    _not_members = frozenset({"_inbound_nodes", "_call_losses", "_captured"})
    input_spec: Any = None
    _is_quantized = False
    built = False  # a class without weights says True; one that writes `build` starts at False
    runs_on_host = False  # a class says True when it computes with NumPy: text, say; see training/host_prefix.py
    supports_masking = False  # a class says True when its output has the mask of its input; `compute_mask` implies it

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # what `_keep` stores, and what a user's layer holds

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if name is not None and "/" in name:
            raise errors.InvalidArgument(
                "a layer's name holds no '/'.", where=type(self).__name__, got=repr(name),
                hint=f"name={name.replace('/', '_')!r}",
            )  # fmt: skip
        Operation.__init__(self, name)
        self._input_shape_argument = _early_input_shape(self, kwargs)
        if kwargs:
            known = [n for c in type(self).__mro__ for n in inspect.signature(c.__init__).parameters if n != "self"]
            raise errors.InvalidType(
                "unknown arguments.", where=f"{type(self).__name__}(…)", got=sorted(kwargs),
                hint=errors.did_you_mean(next(iter(kwargs)), known),
            )  # fmt: skip
        self.activity_regularizer = registry.resolve("regularizers", activity_regularizer) if (
            activity_regularizer is not None
        ) else None  # fmt: skip
        with errors.located(f"{type(self).__name__}: dtype"):
            self._dtype_policy = dtype_policies.get(dtype)
        self._dtype_argument = dtype
        self.autocast = autocast
        self.path = self.name
        self._trainable = bool(trainable)
        self._weights: list[Variable] = []
        self._call_losses: list[Any] = []
        self._build_shapes: dict[str, Any] | None = None
        self._remat = around.remat

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _build_wrapper(cls.build)  # type: ignore[method-assign]
            cls.built = vars(cls).get("built", False)
        if "compute_mask" in vars(cls):
            cls.supports_masking = vars(cls).get("supports_masking", True)

    def _keep(self, arguments: dict[str, Any], but: tuple[str, ...] = ()) -> None:
        """Store a constructor's `locals()` as attributes; a name such as "relu" becomes what it stands for.

        Args:
            arguments: `locals()`, in the first line after `super().__init__(**kwargs)`.
            but: arguments that the constructor treats in its own way.

        Example:
            >>> class Scale(kerata.layers.Layer):
            ...     def __init__(self, factor, activation=None, kernel_initializer="zeros", **kwargs):
            ...         super().__init__(**kwargs)
            ...         self._keep(locals())
        """
        for name, value in arguments.items():
            if name in _NOT_KEPT or name in but:
                continue
            if (vocabulary := _VOCABULARIES.get(name.rpartition("_")[2])) is not None:
                with errors.located(f"{type(self).__name__}: {name}"):
                    value = registry.resolve(vocabulary, value)
            elif name == "data_format":
                value = settings.standardize_data_format(value)
            setattr(self, name, value)

    # What a subclass writes -------------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights; `input_shape` is the shape of the first argument of `call`, the batch included."""
        self._check_super_called()
        if type(self).call is not Layer.call and not self.built and isinstance(input_shape, (tuple, list, dict)):
            self._build_by_running(input_shape)
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs."""
        raise errors.Unsupported("the class has no `call`.", where=f"{type(self).__name__} {self.name!r}")

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Return the mask of the outputs; by default the mask of the inputs."""
        return previous_mask

    def _build_by_running(self, input_shape: Any) -> None:
        """Build the layers inside by one abstract call."""
        if not any(isinstance(m, Layer) and not m.built for m in members(self)):
            return
        inputs = tree.map_shape_structure(lambda s: KerasTensor(tuple(s), self.input_dtype), input_shape)
        try:
            infer(self._run, inputs)
        except (TypeError, errors.ValueUnknown):  # `call` takes more arguments, or values: the first real call builds
            return
        except errors.Unsupported:
            if not any(layer.runs_on_host for layer in self._flatten_layers()):  # they need values
                raise

    # Calling ----------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._check_super_called()
        if any_symbolic(args, kwargs):
            return self.symbolic_call(*args, **kwargs)
        if around.call_depth:
            return self._prepared_call(args, kwargs)
        __tracebackhide__ = True
        try:
            return self._outermost_call(args, kwargs)
        except Exception as error:
            raise errors.for_user(error) from None

    def _outermost_call(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        return self._prepared_call(args, kwargs)

    def _prepared_call(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Convert the inputs, build if needed, and run."""
        args = tuple(self._convert_inputs(x) for x in args)
        kwargs = {key: self._convert_inputs(x) for key, x in kwargs.items()}
        signature = _call_signature(type(self), type(self).call)
        named = signature.bind(args, kwargs)
        first = named.get(signature.first) if signature.first else None
        try:
            if self.input_spec is not None:
                specs.check(self.input_spec, first, self._where())
            self._maybe_build(named)
            return self._run(*args, **kwargs)
        except Exception as error:
            errors.note(error, f"in layer {self.path!r} ({type(self).__name__}), called with {_describe(named)}")
            raise

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Note the call in the graph and return its symbolic outputs."""
        signature = _call_signature(type(self), type(self).call)
        named = signature.bind(args, kwargs)
        first = named.get(signature.first) if signature.first else None
        try:
            if self.input_spec is not None:
                specs.check(self.input_spec, first, self._where())
            self._maybe_build(named)
            masks = self._mask_arguments(signature, named)
            outputs = self.compute_output_spec(*args, **{**kwargs, **masks})
        except Exception as error:
            errors.note(error, f"in layer {self.path!r} ({type(self).__name__}), called with {_describe(named)}")
            raise errors.for_user(error) if not around.call_depth else error from None
        given = {id(x) for x in tree.flatten((args, kwargs))}
        outputs = tree.map_structure(
            lambda x: KerasTensor(x.shape, x.dtype) if isinstance(x, KerasTensor) and id(x) in given else x, outputs
        )
        Node(self, args, kwargs, outputs)
        self._set_masks(first, outputs, masks.get("mask", kwargs.get("mask")))
        return outputs

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return symbolic outputs for symbolic inputs, by abstract evaluation of `call`."""
        return infer(self._run_converted, *args, **kwargs)

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return the shape of the outputs for shapes of the inputs: `x_shape` for the `x` of `call`, or by place."""
        signature = _call_signature(type(self), type(self).call)

        def symbols(shape: Any) -> Any:
            return tree.map_shape_structure(lambda s: KerasTensor(tuple(s), self.input_dtype), shape)

        inputs = [symbols(shape) for shape in args]
        named = {
            str(signature.first) if key == "input_shape" else key.removesuffix("_shape"):
            symbols(value) if key.endswith("_shape") else value
            for key, value in kwargs.items()
            if value is not None
        }  # fmt: skip
        if not self.built:
            self._maybe_build(signature.bind(tuple(inputs), named))
        return tree.map_structure(lambda x: x.shape, self.compute_output_spec(*inputs, **named))

    def rematerialized_call(self, layer_call: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """Return `layer_call` as the `RematScope` in which the layer was made wants it computed."""
        from kerata.layers.rematerialization import rematerialized

        return layer_call if self._remat is None else rematerialized(self, self._remat, layer_call, args, kwargs)

    def _run_converted(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(
            *(self._convert_inputs(x) for x in args), **{k: self._convert_inputs(x) for k, x in kwargs.items()}
        )

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """Call `call` in its context: training flag, masks, automatic casting, losses."""
        signature = _call_signature(type(self), type(self).call)
        named = signature.bind(args, kwargs)
        training = named.get("training")
        if training is None:
            training = around.training
        if training is None:
            training = signature.training_default if signature.takes_training else None
        if signature.takes_training and "training" not in named:
            kwargs["training"] = training
        elif signature.takes_training and named["training"] is None and training is not None:
            args, kwargs = _replace(signature, args, kwargs, "training", training)
        elif not signature.takes_training:
            kwargs.pop("training", None)  # it is for the layers inside, which see it in the context
        masks = self._mask_arguments(signature, named)
        kwargs.update(masks)
        first = named.get(signature.first) if signature.first else None
        with scopes.call_context(training) as outermost:
            if outermost:
                self._forget_losses()
            cast = self.compute_dtype if self.autocast and dtypes.is_float(self.compute_dtype) else None
            mixed = cast is not None and (around.autocast is not None or cast != self.variable_dtype)
            previous_mask = masks.get("mask", kwargs.get("mask"))
            if previous_mask is None and self.supports_masking:
                previous_mask = _masks_of(first)
            with scopes.autocast(cast if mixed else None), scopes.name_scope(self.name):
                call = self.call if self.quantization_mode is None else self.quantized_call
                if self._remat is not None:
                    call = self.rematerialized_call(call, *args, **kwargs)
                outputs = call(*args, **kwargs)
            self._add_activity_loss(outputs)
            self._set_masks(first, outputs, previous_mask)
        return outputs

    def _convert_inputs(self, x: Any) -> Any:
        if engine.active().arrays.is_array(x):
            return self._convert_leaf(x)
        if x is None or isinstance(x, (bool, int, float, str, KerasTensor)):
            return x
        if isinstance(x, (list, tuple, dict)):
            if isinstance(x, list) and x and not any(hasattr(leaf, "shape") for leaf in tree.flatten(x)):
                return x
            return tree.map_structure(self._convert_leaf, x)
        return self._convert_leaf(x)

    def _convert_leaf(self, x: Any) -> Any:
        is_array = engine.active().arrays.is_array(x)
        if is_array and (not self.autocast or dtypes.standardize(x.dtype) == self.input_dtype):
            return x
        if isinstance(x, KerasTensor) or not (isinstance(x, Variable) or hasattr(x, "__array__")):
            return x
        mask = scopes.get_mask(x)
        if getattr(getattr(x, "dtype", None), "kind", None) in ("U", "S", "O"):
            return x  # text stays with the host
        y = convert(x)
        if self.autocast and dtypes.is_float(self.compute_dtype) and dtypes.is_float(y.dtype):
            y = y if y.dtype == self.input_dtype else engine.arrays.cast(y, self.input_dtype)
        if mask is not None:
            scopes.set_mask(y, mask)
        return y

    def _mask_arguments(self, signature: _CallSignature, named: dict[str, Any]) -> dict[str, Any]:
        masks = {}
        for name, parameter in signature.mask_for.items():
            if named.get(parameter) is None and name in named:
                found = _masks_of(named[name])
                if any(m is not None for m in tree.flatten(found)):
                    masks[parameter] = found
        return masks

    def _set_masks(self, inputs: Any, outputs: Any, previous: Any) -> None:
        if not self.supports_masking or (previous is None and type(self).compute_mask is Layer.compute_mask):
            return
        flat = tree.flatten(outputs)
        if all(scopes.get_mask(x) is not None for x in flat):
            return
        computed = self.compute_mask(inputs, previous)
        if computed is None:
            return
        for tensor, mask in zip(flat, tree.flatten(computed)):
            if mask is not None and scopes.get_mask(tensor) is None:
                scopes.set_mask(tensor, mask)

    def _where(self) -> str:
        return f"layer {self.path!r} ({type(self).__name__})"

    def _check_super_called(self) -> None:
        if "_weights" not in vars(self):
            raise errors.StateError(
                "the layer is not initialised.", where=type(self).__name__,
                expected="`super().__init__()` before anything else",
                hint="call `super().__init__(**kwargs)` first in its `__init__`",
            )  # fmt: skip

    # Building ---------------------------------------------------------------------------------------------------

    def _maybe_build(self, named: dict[str, Any]) -> None:
        if self.built:
            return
        shapes = {
            name: tree.map_structure(known_shape, value)
            for name, value in named.items()
            if any(hasattr(leaf, "shape") for leaf in tree.flatten(value))
        }
        parameters = [p for p in inspect.signature(self.build).parameters.values() if p.name != "self"]
        named_shapes = {f"{name}_shape": shape for name, shape in shapes.items()}
        if len(parameters) == 1 and parameters[0].kind != parameters[0].VAR_KEYWORD:
            arguments = (next(iter(shapes.values()), None),)
            self.build(*arguments)
        elif all(p.name in named_shapes or p.default is not p.empty for p in parameters):
            self.build(**{p.name: named_shapes[p.name] for p in parameters if p.name in named_shapes})
        else:
            wrong = [p.name for p in parameters if p.name not in named_shapes]
            raise errors.InvalidArgument(
                "`build` takes arguments that name no tensor given to `call`.", where=self._where(),
                expected=[*named_shapes], got=wrong,
            )  # fmt: skip
        self.built = True

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shapes with which the layer was built, for a file."""
        return self._build_shapes

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layer with the shapes of `get_build_config`."""
        if self.built or not config:
            return
        if "input_shape" in config and len(config) == 1:
            self.build(_tuples(config["input_shape"]))
        elif "shapes_dict" in config:
            self.build(**_tuples(config["shapes_dict"]))
        self.built = True

    def add_weight(
        self,
        *args: Any,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a weight of this layer and return it.

        Args:
            args: `shape`, `initializer` and `dtype` can be given by position too.
            shape: a tuple of ints; a scalar where left out.
            initializer: by default glorot_uniform for floats, zeros for integers.
            trainable: whether gradients are taken by it.
            regularizer: adds a term to the loss.
            constraint: applied after each update.
        """
        self._check_super_called()
        if self.built and around.call_depth and around.names[-1:] == (self.name,):
            raise errors.StateError(
                "a weight is made in `call`, which would make another one at each call.", where=self._where(),
                expected="weights made in `build(self, input_shape)`, which runs once",
                got=f"add_weight(name={name!r})",
                hint="move add_weight to `build`, and keep its result: self.scale = self.add_weight(…)",
            )  # fmt: skip
        if args and isinstance(args[0], str):  # the order of old Keras: add_weight(name, shape, …)
            name, args = args[0], args[1:]
        if len(args) > 3:
            raise errors.InvalidType("at most three arguments come by position.", where="add_weight", got=len(args))
        shape, initializer, dtype = (*args, *(shape, initializer, dtype)[len(args) :])
        shape = (shape,) if isinstance(shape, int) else tuple(shape or ())
        dtype = dtypes.standardize(dtype or self.variable_dtype)
        if initializer is None:
            initializer = "glorot_uniform" if dtypes.is_float(dtype) else "zeros"
        with scopes.name_scope(self.name) if self.name not in around.names[-1:] else scopes.nothing():
            variable = Variable(
                registry.resolve("initializers", initializer), shape=shape, dtype=dtype, trainable=trainable,
                autocast=autocast, aggregation=aggregation, name=name,
            )  # fmt: skip
        variable.regularizer = registry.resolve("regularizers", regularizer) if regularizer is not None else None
        variable.constraint = registry.resolve("constraints", constraint) if constraint is not None else None
        variable.overwrite_with_gradient = overwrite_with_gradient
        if not self._trainable:
            variable.trainable = False
        self._weights.append(variable)
        return variable

    def add_variable(
        self,
        shape: Any,
        initializer: Any,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make a weight of this layer and return it; see `add_weight`."""
        return self.add_weight(
            shape, initializer, dtype, trainable=trainable, autocast=autocast, regularizer=regularizer,
            constraint=constraint, name=name,
        )  # fmt: skip

    def _named_weight(self, name: str, shape: Any, of: str | None = None, **kwargs: Any) -> Variable:
        """Make the weight `name` as the constructor's `{of}_initializer`, `_regularizer` and `_constraint` say."""
        words = ("initializer", "regularizer", "constraint")
        given = {word: getattr(self, f"{of or name}_{word}", None) for word in words}
        return self.add_weight(shape, name=name, **given, **kwargs)

    # State ------------------------------------------------------------------------------------------------------

    def _own_weights(self) -> list[Variable]:
        return _weights_among(members(self))

    def _sublayers(self) -> list[Layer]:
        return unique(m for m in members(self) if isinstance(m, Layer))

    def _flatten_layers(self, include_self: bool = True) -> list[Layer]:
        inner = [layer for child in self._sublayers() for layer in child._flatten_layers()]
        return unique([self, *inner] if include_self else inner)

    @property
    def weights(self) -> list[Variable]:
        """The weights, of the layers inside too; without seeds and metrics."""
        return unique([*self._own_weights(), *(w for layer in self._sublayers() for w in layer.weights)])

    @property
    def variables(self) -> list[Variable]:
        """The weights and the states of seed generators."""
        held = members(self)
        seeds = [m.state for m in held if isinstance(m, SeedGenerator)]
        inner = [v for layer in self._sublayers() for v in layer.variables]
        return unique([*_weights_among(held), *seeds, *inner])

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that gradients are taken by."""
        return [v for v in self.weights if v.trainable]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that gradients are not taken by."""
        return [v for v in self.weights if not v.trainable]

    @property
    def trainable_variables(self) -> list[Variable]:
        """The Variables that gradients are taken by."""
        return [v for v in self.variables if v.trainable]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The Variables that gradients are not taken by, seeds included."""
        return [v for v in self.variables if not v.trainable]

    @property
    def metrics(self) -> list[Any]:
        """The metrics held as attributes, of the layers inside too."""
        return self._held_metrics()

    def _held_metrics(self) -> list[Any]:  # not those that a model inside was compiled with
        own = [m for m in members(self) if hasattr(m, "update_state") and hasattr(m, "result")]
        return unique([*own, *(m for layer in self._sublayers() for m in layer._held_metrics())])

    @property
    def metrics_variables(self) -> list[Variable]:
        """The Variables of the metrics."""
        return [v for m in self.metrics for v in m.variables]

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained; setting it reaches the layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in self._own_weights():
            variable.trainable = bool(value) and variable.made_trainable
        for layer in self._sublayers():
            layer.trainable = value

    def get_weights(self) -> list[np.ndarray]:
        """Return the weights as NumPy arrays."""
        return [w.numpy() for w in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        """Set the weights from arrays, in the order of `weights`."""
        own = self.weights
        if len(own) != len(weights):
            raise errors.InvalidArgument(
                "the number of arrays is wrong.", where=f"{self._where()}.set_weights", expected=f"{len(own)} arrays "
                f"of shapes {[w.shape for w in own]}", got=f"{len(weights)} arrays",
                hint="get_weights() shows them in their order" if own else
                "the layer has no weights yet: build it, or call it on data, first",
            )  # fmt: skip
        shapes = [tuple(np.shape(value)) for value in weights]
        if shapes != [tuple(w.shape) for w in own]:
            raise errors.ShapeMismatch(
                "the arrays have other shapes than the weights.", where=f"{self._where()}.set_weights",
                expected=[tuple(w.shape) for w in own], got=shapes,
                hint="they come in the order of `get_weights()`, from a layer or model of the same architecture",
            )  # fmt: skip
        for variable, value in zip(own, weights):
            variable.assign(value)

    def count_params(self) -> int:
        """Return the number of elements in all weights."""
        if not self.built:
            raise errors.NotBuilt(
                "the layer has no weights yet.", where=self._where(), hint="build it, or call it on data, first"
            )
        return sum(w.size for w in self.weights)

    def _file_weights(self) -> list[Variable]:
        """Return this layer's own weights that a file has, in the file's order."""
        return self._own_weights()

    def save_own_variables(self, store: Any) -> None:
        """Put this layer's own weights into `store`, a dictionary of arrays, by "0", "1" …"""
        for i, variable in enumerate(self._file_weights()):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Set this layer's own weights from what `save_own_variables` stored."""
        own = self._file_weights()
        if len(store.keys()) != len(own):
            hint = None if self.built else "the layer is not built: build it, or call the model on data, before loading"
            raise errors.InvalidArgument(
                "the file holds another number of weights.", where=self._where(), expected=f"{len(own)} arrays",
                got=f"{len(store.keys())} arrays", hint=hint,
            )  # fmt: skip
        for i, variable in enumerate(own):
            variable.assign(store[str(i)])

    def stateless_call(
        self, trainable_variables: Any, non_trainable_variables: Any, *args: Any, return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Call with the values given for the Variables; return the outputs and the new non-trainable values.

        Example:
            >>> layer = kerata.layers.Dense(2)
            >>> layer.build((None, 3))
            >>> y, state = layer.stateless_call(layer.trainable_variables, [], numpy.ones((1, 3)))
            >>> y.shape, state
            ((1, 2), [])
        """
        own = self.non_trainable_variables
        pairs = [*zip(self.trainable_variables, trainable_variables), *zip(own, non_trainable_variables)]
        if len(pairs) != len(self.trainable_variables) + len(own):
            raise errors.InvalidArgument(
                "the numbers of values and of Variables differ.", where=f"{self._where()}.stateless_call",
                expected=f"{len(self.trainable_variables)} and {len(own)}",
                got=f"{len(trainable_variables)} and {len(non_trainable_variables)}",
            )  # fmt: skip
        with scopes.StateScope([(v, convert(x)) for v, x in pairs]) as state:
            outputs = self(*args, **kwargs)
            losses = self.losses if return_losses else None
        new = [state.values[v] for v in own]
        return (outputs, new, losses) if return_losses else (outputs, new)

    # Losses -----------------------------------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Add a scalar (or several) to the loss that training minimises; for use inside `call`."""
        for value in tree.flatten(loss):
            if isinstance(value, KerasTensor):
                raise errors.Unsupported(
                    "a symbolic tensor cannot be a loss.", where=self._where(), hint="call add_loss inside a layer"
                )
            self._call_losses.append(convert(value))
            if around.state is not None and around.state.collect_losses:
                around.state.add_loss(self._call_losses[-1])  # type: ignore[attr-defined]

    def add_metric(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: a metric is an attribute, and `call` updates its state."""
        raise errors.Unsupported(
            "layers have no `add_metric`.", where=self._where(),
            hint="self.metric = kerata.metrics.Mean(name=…) in `__init__`, self.metric.update_state(value) in `call`",
        )  # fmt: skip

    def _forget_losses(self) -> None:
        for layer in self._flatten_layers():
            layer._call_losses.clear()

    def _add_activity_loss(self, outputs: Any) -> None:
        if self.activity_regularizer is None:
            return
        for output in tree.flatten(outputs):
            loss = self.activity_regularizer(output)
            self.add_loss(loss / output.shape[0] if getattr(output, "ndim", 0) > 0 else loss)

    @property
    def losses(self) -> list[Any]:
        """The terms added in the last call, and those of weight regularizers."""
        layers = self._flatten_layers()
        added = [loss for layer in layers for loss in layer._call_losses]
        weights = unique(v for layer in layers for v in layer._own_weights())
        return [*added, *(v.regularizer(v) for v in weights if v.regularizer is not None and v.trainable)]

    # Dtypes -----------------------------------------------------------------------------------------------------

    @property
    def dtype_policy(self) -> dtype_policies.DTypePolicy:
        """The dtype policy."""
        policy = self._dtype_policy
        return policy[self.path] if isinstance(policy, dtype_policies.DTypePolicyMap) else policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        policy = dtype_policies.get(value)
        if isinstance(self._dtype_policy, dtype_policies.DTypePolicyMap):
            if self.path in self._dtype_policy:
                del self._dtype_policy[self.path]
            self._dtype_policy[self.path] = policy
        else:
            self._dtype_policy = policy
        if policy.quantization_mode is not None and self.built and not self._is_quantized:
            self.quantize(policy.quantization_mode)

    @property
    def dtype(self) -> str:
        """The dtype of the weights."""
        return self.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype in which the layer computes."""
        return self.dtype_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of the weights."""
        return self.dtype_policy.variable_dtype

    @property
    def input_dtype(self) -> str:
        """The dtype to which float inputs are cast."""
        return self.compute_dtype

    @property
    def quantization_mode(self) -> str | None:
        """How the weights are quantized; None for not at all."""
        return self.dtype_policy.quantization_mode

    # Config -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to make this layer anew: its name, flags, dtype, and constructor arguments."""
        base: dict[str, Any] = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": dtype_policies.serialize(self._dtype_policy),
        }
        if self.activity_regularizer is not None:
            base["activity_regularizer"] = registry.serialize_keras_object(self.activity_regularizer)
        return {**base, **{k: v for k, v in super().get_config().items() if _is_own_argument(type(self), k)}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make a layer from its config."""
        config = dict(config)
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = dtype_policies.deserialize(config["dtype"])
        return super().from_config(config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    def quantize(self, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
        """Keep the weights in few bits from now on; layers that can, say how."""
        raise errors.Unsupported("this layer cannot be quantized.", where=self._where())

    def quantized_build(self, input_shape: Any, mode: str) -> None:
        """Make the weights of a quantized layer; layers that can be quantized say how."""
        raise errors.Unsupported("this layer cannot be quantized.", where=self._where(), got=repr(mode))

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs under a quantized dtype policy; by default as `call` does."""
        return self.call(*args, **kwargs)


# How `_keep` understands an argument, by the last word of its name.
_VOCABULARIES = {
    "activation": "activations", "initializer": "initializers", "regularizer": "regularizers",
    "constraint": "constraints",
}  # fmt: skip
_WHERE_USED = frozenset({"lora_rank", "lora_alpha", "gptq_unpacked_column_size"})  # the class's config has them then
_BASE_ARGUMENTS = frozenset({"name", "trainable", "dtype", "activity_regularizer", "autocast"})
_SHAPE_ARGUMENTS = frozenset({
    "input_shape", "input_dim", "input_length", "batch_size", "batch_input_shape", "batch_shape",
})  # fmt: skip
_NOT_KEPT = _BASE_ARGUMENTS | {"self", "__class__", "kwargs"}


@functools.cache
def _is_own_argument(cls: type, name: str) -> bool:
    """Return whether the config of `cls` lists the argument `name`; those of every layer it has already."""
    if name in _BASE_ARGUMENTS | _WHERE_USED:
        return False
    named = any(name in inspect.signature(c.__init__).parameters for c in cls.__mro__ if "__init__" in vars(c))
    # Nobody's signature has the old spellings, unless a class has one for a purpose of its own, as Embedding has.
    return named or (name not in _SHAPE_ARGUMENTS and not cls.__module__.startswith("kerata."))


def _build_wrapper(build: Callable[..., None]) -> Callable[..., None]:
    """Make `build` name its Variables under the layer's path, and remember the shapes it was given."""
    parameters = [p for p in inspect.signature(build).parameters if p != "self"]

    @functools.wraps(build)
    def wrapped(self: Layer, *args: Any, **kwargs: Any) -> None:
        self._check_super_called()
        if self._build_shapes is None:
            shapes = {**dict(zip(parameters, args)), **kwargs}
            single = len(shapes) == 1 and "input_shape" in (*shapes, "input_shape")
            value = next(iter(shapes.values()), None)
            self._build_shapes = {"input_shape": value} if single else {"shapes_dict": shapes} if shapes else None
        nested = around.names[-1:] == (self.name,)
        self.path = "/".join(around.names if nested else (*around.names, self.name))
        # The surroundings of the call (casting, a training flag) are no concern of the weights.
        with scopes.autocast(None), scopes.nothing() if nested else scopes.name_scope(self.name):
            build(self, *args, **kwargs)
        self.built = True
        if not self._trainable:
            self.trainable = False

    return wrapped


def _early_input_shape(layer: Layer, kwargs: dict[str, Any]) -> tuple | None:
    """Take the old ways to give a first layer its input shape out of `kwargs`."""
    given = {k: kwargs.pop(k) for k in ("input_dim", "input_shape", "batch_input_shape", "batch_shape") if k in kwargs}
    batch_size = kwargs.pop("batch_size", None) if given else None
    given = {k: v for k, v in given.items() if v is not None}
    if not given:
        return None
    key, value = next(iter(given.items()))
    errors.warn_once(
        f"`{key}` of a layer is the old spelling; it works, and today one starts the model with "
        "`kerata.Input(shape)` instead."
    )
    if key in ("batch_input_shape", "batch_shape"):
        return tuple(value)
    if key == "input_shape":
        shape = (value,) if isinstance(value, int) else tuple(value)
    else:
        length = kwargs.pop("input_length", None)
        shape = (value,) if length is None else (length, value)
    return (batch_size, *shape)


def known_shape(x: Any) -> Any:
    """Return the shape of `x`; a dimension that abstract evaluation is only trying is unknown."""
    if not hasattr(x, "shape"):
        return None
    if engine.arrays.is_traced(x):
        tried = engine.transforms.unknown_sizes
        return tuple(None if d in tried else d for d in x.shape)
    return tuple(x.shape)


def _tuples(shapes: Any) -> Any:
    """Return shapes as JSON gave them, lists of numbers, as tuples."""
    return tree.map_shape_structure(tuple, shapes) if not isinstance(shapes, dict) else {
        k: _tuples(v) for k, v in shapes.items()
    }  # fmt: skip


def _replace(signature: _CallSignature, args: tuple, kwargs: dict, name: str, value: Any) -> tuple[tuple, dict]:
    position = next(i for i, p in enumerate(signature.parameters) if p.name == name)
    if position < len(args):
        return (*args[:position], value, *args[position + 1 :]), kwargs
    return args, {**kwargs, name: value}


def _weights_among(held: list[Any]) -> list[Variable]:
    """Return the Variables, trainable ones first."""
    own = unique(m for m in held if isinstance(m, Variable))
    return sorted(own, key=lambda v: not v.made_trainable)  # stable


def _masks_of(x: Any) -> Any:
    """Return the masks of a nest of tensors."""
    return scopes.get_mask(x) if engine.active().arrays.is_array(x) else tree.map_structure(scopes.get_mask, x)


def _describe(named: dict[str, Any]) -> str:
    def one(x: Any) -> str:
        if hasattr(x, "shape"):
            return f"{getattr(x.dtype, 'name', x.dtype)}{list(x.shape)}"
        if isinstance(x, (list, tuple)):
            return "[" + ", ".join(map(one, x)) + "]"
        if isinstance(x, dict):
            return "{" + ", ".join(f"{k}: {one(v)}" for k, v in x.items()) + "}"
        return repr(x)[:60]

    return ", ".join(f"{name}={one(value)}" for name, value in named.items())
