"""Layers whose weights are kept in 8 or 4 bits, or which multiply in float8. Keras's files have the same layout.

Whole numbers of 8 bits are exact in every float dtype, so products are computed in the layer's compute dtype, on each
engine alike; weights take a quarter or an eighth of the memory. Gradients pass to the inputs as if nothing was rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kerata import errors, ops, quantizers
from kerata.core import dtype_policies, dtypes
from kerata.core.variable import Variable
from kerata.layers.lora import Adaptable
from kerata.quantizers import calibrated
from kerata.quantizers.configs import resolved

__all__ = ["Form", "Quantizable"]

_CALIBRATED = (quantizers.GPTQConfig, quantizers.AWQConfig)
_RANGES = {"int8": (-127, 127), "int4": (-8, 7)}


class Form(NamedTuple):
    """How one float weight is kept in whole numbers.

    Its parts are "" (the numbers), "_scale", and with groups "_zero": the names are the weight's with these endings.
    """

    name: str
    shape: tuple[int, ...]
    axis: Any = 0
    """The axes that a product sums over; cells along them share a scale."""
    packed: int = -1
    """The axis along which two numbers of 4 bits share a byte."""
    matrix: tuple[int, ...] | None = None
    """The shape of the numbers of 4 bits, where it is not the weight's."""
    kept: Callable[[Any], Any] | None = None
    """Leads from a scale of 8 bits, of size 1 along `axis`, to the one that is kept; by default `axis` is dropped."""
    spread: Callable[[Any], Any] | None = None
    """Leads back."""

    def shapes(self, mode: str, block: int | None) -> dict[str, tuple[tuple[int, ...], str | None]]:
        """Return shape and dtype of each part."""
        if mode == "int8":
            axes = self.axis if isinstance(self.axis, tuple) else (self.axis % len(self.shape),)
            scale = np.zeros([1 if i in axes else size for i, size in enumerate(self.shape)], "float32")
            kept = ops.squeeze(scale, axes) if self.kept is None else self.kept(scale)
            return {"": (self.shape, "int8"), "_scale": (tuple(kept.shape), None)}
        packed = list(self.matrix or self.shape)
        scale = list(packed)
        packed[self.packed] = -(-packed[self.packed] // 2)
        axis = 0 if self.matrix else self.axis
        if block is None:
            del scale[axis]
            return {"": (tuple(packed), "int8"), "_scale": (tuple(scale), None)}
        scale[axis] = -(-scale[axis] // block)
        return {"": (tuple(packed), "int8"), "_scale": (tuple(scale), None), "_zero": (tuple(scale), "int8")}

    def quantize(self, weight: Any, mode: str, block: int | None, quantizer: Any = None) -> dict[str, Any]:
        """Return the parts of a float weight."""
        axis = self.axis if mode == "int8" or not self.matrix else 0
        weight = ops.reshape(weight, self.matrix) if mode == "int4" and self.matrix else weight
        zero = None
        if block is not None:
            matrix = ops.transpose(weight) if axis == -1 else weight
            values, scale, zero = quantizers.abs_max_quantize_grouped_with_zero_point(matrix, block, to_numpy=True)
            if axis == -1:
                values, scale, zero = ops.transpose(values), ops.transpose(scale), ops.transpose(zero)
        else:
            quantizer = quantizer or quantizers.AbsMaxQuantizer(value_range=_RANGES[mode])
            own = {} if getattr(quantizer, "axis", 0) is not None else {"axis": axis}
            values, scale = quantizer(weight, to_numpy=True, **own)
            scale = self.kept(scale) if mode == "int8" and self.kept else ops.squeeze(scale, axis)
        values = quantizers.pack_int4(values, self.packed)[0] if mode == "int4" else values
        return {"": values, "_scale": scale, **({} if zero is None else {"_zero": zero})}

    def numbers(self, packed: Any, mode: str) -> Any:
        """Return the whole numbers, one in each cell of the weight (of its matrix, for 4 bits)."""
        if mode == "int8":
            return packed
        return quantizers.unpack_int4(packed, (self.matrix or self.shape)[self.packed], self.packed)

    def dequantize(self, parts: dict[str, Any], mode: str, groups: Any, dtype: str) -> Any:
        """Return the floats that the parts stand for; `groups` has the number of each cell's group."""
        axis = 0 if mode == "int4" and self.matrix else self.axis
        weight, scale = ops.cast(self.numbers(parts[""], mode), dtype), parts["_scale"]
        if "_zero" in parts:
            groups = ops.cast(groups, "int32")
            zero = ops.cast(ops.take(parts["_zero"], groups, axis=axis), dtype)
            weight = (weight - zero) * ops.take(scale, groups, axis=axis)
        else:
            weight = weight / (self.spread(scale) if mode == "int8" and self.spread else ops.expand_dims(scale, axis))
        return ops.reshape(weight, self.shape) if mode == "int4" and self.matrix else weight


class Quantizable(Adaptable):
    """A layer that can be quantized. It makes its main weight by `_build_main`, and multiplies by `_product`."""

    _modes: tuple[str, ...] = ("int8", "int4", "float8", "gptq", "awq")
    _observer: Any = None  # is told the inputs while a model is calibrated
    _is_quantized = False
    _shape_as_floats: tuple[int, ...] = ()
    _block_size: int | None = None
    quantization_config: Any = None
    inputs_quantizer: Any = None

    # What a subclass says ---------------------------------------------------------------------------------------

    def _forms(self) -> list[Form]:
        """Return the forms of the weights that are quantized."""
        return [Form(self._main_weight, self._main_shape())]

    def _default_inputs_quantizer(self, mode: str) -> Any:
        return quantizers.AbsMaxQuantizer() if mode == "int8" else None

    _summed_axes: Any = -1  # the axes of the inputs that a product sums over

    def _input_scale(self, scale: Any) -> Any:
        """Return a scale of the inputs, of size 1 along the axes summed over, in the layout of the outputs."""
        return scale

    # Building ---------------------------------------------------------------------------------------------------

    def _build_main(self, shape: tuple[int, ...], initializer: Any = None) -> None:
        """Make the main weight, as floats or as the dtype policy says."""
        name, self._shape_as_floats = self._main_weight, tuple(shape)
        if self.quantization_mode in (None, "float8"):
            given = {word: getattr(self, f"{name}_{word}") for word in ("initializer", "regularizer", "constraint")}
            given["initializer"] = initializer or given["initializer"]
            setattr(self, name, self.add_weight(shape, name=name, **given))
        if self.quantization_mode is not None:
            self.quantized_build(shape, self.quantization_mode, self.quantization_config)

    def _main_shape(self) -> tuple[int, ...]:
        return self._shape_as_floats

    def quantized_build(self, kernel_shape: Any, mode: str, config: Any = None) -> None:
        """Make the Variables of a mode: for 8 and 4 bits the numbers and scales, for float8 scales and histories."""
        self._check_mode(mode)
        self._shape_as_floats, self._is_quantized = tuple(kernel_shape), True
        default = self._default_inputs_quantizer(mode)
        self.inputs_quantizer = quantizers.QuantizationConfig.activation_quantizer_or_default(config, default)
        if mode == "float8":
            self._build_float8()
            return
        if mode in ("gptq", "awq"):
            self._build_calibrated(mode, config)
            return
        source: Any = config if config is not None else self.dtype_policy
        block = getattr(source, "block_size", None) if mode == "int4" else None
        self._block_size = None if block == -1 else block
        for form in self._forms():
            for part, (shape, dtype) in form.shapes(mode, self._block_size).items():
                initializer = "ones" if part == "_scale" else "zeros"
                weight = self.add_weight(shape, initializer, dtype=dtype, trainable=False, name=form.name + part)
                setattr(self, form.name + part, weight)
            if self._block_size and form.name == self._main_weight:  # its groups are those of other weights too
                size = (form.matrix or form.shape)[0 if form.matrix else form.axis]
                self.g_idx = self.add_weight(
                    (size,), lambda shape, dtype: np.arange(*shape) // self._block_size, dtype="float32",
                    trainable=False, name="g_idx",
                )  # fmt: skip

    def _build_float8(self) -> None:
        length = getattr(
            self.dtype_policy, "amax_history_length",
            dtype_policies.QuantizedFloat8DTypePolicy.default_amax_history_length,
        )  # fmt: skip
        # Their "gradients" are their next values; the optimizer knows by `overwrite_with_gradient`.
        same: dict[str, Any] = {"dtype": "float32", "autocast": False, "overwrite_with_gradient": True}
        for name in ("inputs", "kernel", "outputs_grad"):
            scale = self.add_weight((), "ones", name=f"{name}_scale", **same)
            history = self.add_weight((length,), "zeros", name=f"{name}_amax_history", **same)
            setattr(self, f"{name}_scale", scale)
            setattr(self, f"{name}_amax_history", history)

    def quantize(self, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
        """Keep the weights in few bits from now on; see `Model.quantize`.

        Args:
            mode: "int8", "int4" or "float8".
            type_check: whether subclasses are refused, which may use their weights in ways of their own.
            config: a `kerata.quantizers.QuantizationConfig`, beside the mode or instead of it.
        """
        policy = self.dtype_policy
        if config is None and mode == "int4" and isinstance(policy, dtype_policies.Int4DTypePolicy):
            config = quantizers.Int4QuantizationConfig(block_size=policy.block_size)
        config = resolved(mode, config)
        mode, where = config.mode, f"{self._where()}.quantize"
        self._check_mode(mode)
        if type_check and type(self).__module__.partition(".")[0] != "kerata":
            raise errors.Unsupported("a class of your own is not quantized.", where=where, hint="type_check=False")
        if not self.built:
            raise errors.NotBuilt("the layer has no weights yet.", where=where, hint="call it on data first")
        if self._is_quantized:
            raise errors.InvalidArgument("the layer is quantized already.", where=where, got=policy.name)
        if policy.quantization_mode is None:
            block = getattr(config, "block_size", None)
            name = f"int4/{block or -1}" if mode == "int4" else mode
            name = config.dtype_policy_string() if isinstance(config, _CALIBRATED) else name
            policy = dtype_policies.get(f"{name}_from_{policy.name}")
        values = {}
        if mode in ("int8", "int4"):
            for form in self._forms():
                weight = self._stored(form.name)
                parts = form.quantize(weight, mode, self._block_of(config), config.weight_quantizer)
                values.update({form.name + part: value for part, value in parts.items()})
                self._weights = [v for v in self._weights if v is not weight]
        self.quantization_config = config
        self.quantized_build(self._main_shape(), mode, config)
        for name, value in values.items():
            self._stored(name).assign(value)
        self.dtype_policy = policy

    @staticmethod
    def _block_of(config: Any) -> int | None:
        block = getattr(config, "block_size", None)
        return None if block == -1 else block

    def _check_mode(self, mode: str) -> None:
        if mode not in self._modes:
            raise errors.Unsupported(
                "the layer is not quantized in this way.", where=self._where(), expected=self._modes, got=repr(mode)
            )

    # Calling ----------------------------------------------------------------------------------------------------

    def _parts(self, name: str) -> dict[str, Any]:
        """Return the Variables of a weight by the endings of their names."""
        found = {part: self._stored(name + part) for part in ("", "_scale", "_zero")}
        return {part: variable for part, variable in found.items() if variable is not None}

    def _dequantized(self, form: Form, parts: dict[str, Any], dtype: str) -> Any:
        return form.dequantize(parts, str(self.quantization_mode), getattr(self, "g_idx", None), dtype)

    def _product(
        self, product: Callable[[Any, Any], Any], inputs: Any, training: bool | None = None, of: Form | None = None
    ) -> Any:
        """Return product(inputs, W), for the main weight W with its LoRA, or for the weight `of`, however kept."""
        mode = self.quantization_mode
        if self._observer is not None:
            self._observer(inputs)
        if mode in ("gptq", "awq"):
            y = product(inputs, self._whole_weight())
        elif mode is None:
            y = product(inputs, self._stored(of and of.name))
        elif mode == "float8":
            y = self._float8_product(product, inputs, training)
        else:
            y = self._whole_number_product(product, inputs, of or self._forms()[0], mode)
        if of is None and self.lora_enabled:
            y = y + ops.cast(self._lora_term(product, inputs), y.dtype)
        return y

    def _whole_number_product(self, product: Callable[[Any, Any], Any], x: Any, form: Form, mode: str) -> Any:
        parts, dtype = self._parts(form.name), dtypes.dtype_of(x)
        scales = []
        if self.inputs_quantizer is not None:
            q, scale = self.inputs_quantizer(ops.stop_gradient(x), axis=self._summed_axes)
            # The second term is 0, and has the gradient.
            x = ops.cast(q, dtype) + (scale * x - ops.stop_gradient(scale * x))
            scales.append(self._input_scale(scale))
        if mode == "int8":
            weight = ops.cast(parts[""], dtype)
            scales.append(ops.cast(parts["_scale"], dtype))
        else:
            weight = ops.cast(self._dequantized(form, parts, self.compute_dtype), dtype)
        y = product(x, weight)
        for scale in scales:
            y = y / scale
        return y

    def _float8_product(self, product: Callable[[Any, Any], Any], x: Any, training: bool | None) -> Any:
        """Return the product of inputs and kernel as float8_e4m3fn; the gradient of its result is a float8_e5m2.

        Source: Micikevicius et al. (2022), FP8 formats for deep learning.
        """
        compute_dtype = self.compute_dtype

        def next_values(x: Any, scale: Any, history: Any, dtype: str) -> tuple[Any, Any]:
            largest = dtypes.limits(dtype)[1]
            scale = quantizers.compute_float8_scale(ops.max(history, axis=0), scale, largest)
            return scale, quantizers.compute_float8_amax_history(x, history)

        @ops.custom_gradient
        def going_in(x: Any, scale: Any, history: Any) -> Any:
            after = next_values(x, scale, history, "float8_e4m3fn") if training else (scale, history)
            y = quantizers.quantize_and_dequantize(x, scale, "float8_e4m3fn", compute_dtype)
            return y, lambda upstream: (upstream, *after)

        @ops.custom_gradient
        def coming_out(y: Any, scale: Any, history: Any) -> Any:
            def gradient(upstream: Any) -> Any:
                rounded = quantizers.quantize_and_dequantize(upstream, scale, "float8_e5m2", compute_dtype)
                return rounded, *next_values(upstream, scale, history, "float8_e5m2")

            return y, gradient

        y = product(
            going_in(x, self.inputs_scale, self.inputs_amax_history),
            going_in(self._stored(), self.kernel_scale, self.kernel_amax_history),
        )
        return coming_out(y, self.outputs_grad_scale, self.outputs_grad_amax_history)

    # Calibrated: GPTQ and AWQ -----------------------------------------------------------------------------------

    def _rows_and_columns(self) -> tuple[int, int]:
        """Return the kernel's shape as a matrix (summed over, not summed over)."""
        matrix = self._forms()[0].matrix or self._main_shape()
        return matrix[0], matrix[1]

    def _build_calibrated(self, mode: str, config: Any) -> None:
        source: Any = config if config is not None else self.dtype_policy
        rows, columns = self._rows_and_columns()
        self._weight_bits = source.weight_bits
        groups = 1 if source.group_size == -1 else -(-rows // source.group_size)
        kept = -(-columns // 2) if self._weight_bits == 4 else columns
        for name, shape, dtype in (
            ("quantized_kernel", (kept, rows), "uint8"), ("kernel_scale", (columns, groups), None),
            ("kernel_zero", (columns, groups), "uint8"), ("awq_scales", (rows,), None), ("g_idx", (rows,), "float32"),
        ):  # fmt: skip
            if mode == "awq" or name != "awq_scales":
                initializer = "ones" if "scale" in name else "zeros"
                short = "kernel" if name == "quantized_kernel" else name
                weight = self.add_weight(shape, initializer, dtype=dtype, trainable=False, name=short)
                setattr(self, name, weight)

    def _calibrate(self, seen: Any, config: Any) -> None:
        """Replace the floats by levels, chosen with statistics of the inputs."""
        matrix = np.asarray(ops.convert_to_numpy(self._stored()), "float64").reshape(self._rows_and_columns()).T
        if config.mode == "gptq":
            levels = calibrated.gptq(
                matrix, seen.hessian, config.weight_bits, config.group_size, config.hessian_damping, config.symmetric,
                config.per_channel, config.activation_order,
            )  # fmt: skip
        else:
            levels, scales = calibrated.awq(matrix, seen.largest, 4, config.group_size, config.num_grid_points)
            self.awq_scales.assign(scales)
        values = levels.values.astype("uint8")
        packed = quantizers.pack_int4(values, 0, "uint8")[0] if self._weight_bits == 4 else values
        self.quantized_kernel.assign(packed)
        self.kernel_scale.assign(levels.scale)
        self.kernel_zero.assign(levels.zero)
        self.g_idx.assign(levels.groups)
        self._forget_floats()

    def _forget_floats(self) -> None:
        floats = vars(self).pop(f"_{self._main_weight}", None)
        self._weights = [v for v in self._weights if v is not floats]

    def _calibrated_kernel(self) -> Any:
        """Return the floats that the levels stand for."""
        dtype, levels = self.compute_dtype, self.quantized_kernel
        if self._weight_bits == 4:
            levels = quantizers.unpack_int4(levels, self._rows_and_columns()[1], 0, "uint8")
        groups = ops.cast(self.g_idx, "int32")
        scale, zero = (ops.cast(ops.take(x, groups, axis=1), dtype) for x in (self.kernel_scale, self.kernel_zero))
        weight = ops.transpose(scale * (ops.cast(levels, dtype) - zero))
        if self.quantization_mode == "awq":
            weight = weight / ops.cast(ops.expand_dims(self.awq_scales, 1), dtype)
        return ops.reshape(weight, self._main_shape())

    def load_own_variables(self, store: Any) -> None:
        """Set this layer's weights from what `save_own_variables` stored."""
        super().load_own_variables(store)
        if self.quantization_mode in ("gptq", "awq"):
            self._forget_floats()  # what is in a file has been calibrated

    def _whole_weight(self) -> Any:
        if self.quantization_mode in ("gptq", "awq"):
            return self._calibrated_kernel() if self._stored() is None else self._stored()
        if self.quantization_mode not in ("int8", "int4"):
            return super()._whole_weight()
        form, parts = self._forms()[0], self._parts(self._main_weight)
        if self.lora_enabled:
            return ops.cast(self._dequantized(form, parts, "float32") + self._lora_delta(), self.compute_dtype)
        if self.quantization_mode == "int8":
            return parts[""]
        return ops.reshape(form.numbers(parts[""], "int4"), form.shape)

    # Files ------------------------------------------------------------------------------------------------------

    @property
    def variable_serialization_spec(self) -> dict[str | None, list[str]]:
        """For each mode, the names of the weights in the order of a file; those that a layer has not are left out."""
        name = self._main_weight
        beside = ["bias"] if "float8" in self._modes else []
        found: dict[str | None, list[str]] = {
            None: [name, *beside],
            "int8": [name, *beside, f"{name}_scale"],
            "int4": [name, *beside, f"{name}_scale", f"{name}_zero", "g_idx"],
        }
        if "float8" in self._modes:
            scaled = [f"{x}_{y}" for x in ("inputs", "kernel", "outputs_grad") for y in ("scale", "amax_history")]
            found["float8"] = [name, *beside, *scaled]
            found["gptq"] = [*beside, "quantized_kernel", "kernel_scale", "kernel_zero", "g_idx"]
            found["awq"] = [*found["gptq"][:-1], "awq_scales", "g_idx"]
        return found

    def _file_weights(self) -> list[Variable]:
        names = self.variable_serialization_spec[self.quantization_mode]
        named = [v for v in map(self._stored, names) if isinstance(v, Variable)]
        left_out = [*named, self._stored()]  # floats that are about to be calibrated are in no file
        rest = [v for v in super()._file_weights() if not any(v is other for other in left_out)]
        return [*named, *rest]

    def _merged(self) -> dict[Variable, Any]:
        mode = self.quantization_mode
        if mode not in ("int8", "int4"):
            return super()._merged()
        form, parts = self._forms()[0], self._parts(self._main_weight)
        weight = self._dequantized(form, parts, "float32") + self._lora_delta()
        again = form.quantize(weight, mode, self._block_size)
        return {parts[part]: value for part, value in again.items()}
