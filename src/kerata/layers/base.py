"""`Layer`: state made in `build`, the formula in `call`. What every layer shares is here, once.

A layer's constructor arguments are captured for its config (core/configurable.py), its state is found by walking its
attributes (core/tracking.py), and its output shapes come from abstract evaluation of `call` (core/symbolic.py).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kerata import config as settings
from kerata import engine, errors, tree
from kerata.core import dtype_policies, dtypes, registry, scopes
from kerata.core.configurable import Configurable
from kerata.core.op import convert
from kerata.core.scopes import around
from kerata.core.symbolic import KerasTensor, Node, Operation, any_symbolic, infer
from kerata.core.tracking import members, unique
from kerata.core.variable import Variable
from kerata.layers import input_spec as specs
from kerata.layers.shapes import as_tuples, early_input_shape, known_shape
from kerata.layers.weights import Weighted

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


class Layer(Configurable, Operation, Weighted):
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
        self._input_shape_argument = early_input_shape(kwargs)
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
            self.build(as_tuples(config["input_shape"]))
        elif "shapes_dict" in config:
            self.build(**as_tuples(config["shapes_dict"]))
        self.built = True

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
        """Log the mean of a value over the epoch; for use inside `call`, as `self.add_metric(value, name="spread")`.

        It is the older way to say `self.spread = kerata.metrics.Mean(name="spread")` in `__init__` and
        `self.spread.update_state(value)` in `call`.
        """
        self._add_metric(*args, **kwargs)

    def _add_metric(self, value: Any, name: str | None = None, aggregation: str | None = "mean") -> None:
        from kerata.metrics import Mean

        if aggregation not in (None, "mean"):
            raise errors.Unsupported(
                "only the mean over the epoch is kept.", where=f"{self._where()}.add_metric: aggregation",
                got=repr(aggregation), hint="hold any metric as an attribute, and update it in `call`",
            )  # fmt: skip
        added = self.__dict__.setdefault("_added_metrics", {})
        key = name or f"{self.name}_metric"
        if key not in added:
            added[key] = Mean(name=key)
        added[key].update_state(value)

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


def _replace(signature: _CallSignature, args: tuple, kwargs: dict, name: str, value: Any) -> tuple[tuple, dict]:
    position = next(i for i, p in enumerate(signature.parameters) if p.name == name)
    if position < len(args):
        return (*args[:position], value, *args[position + 1 :]), kwargs
    return args, {**kwargs, name: value}


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
