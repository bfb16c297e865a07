"""How a layer or model is to be quantized, in one object."""

from __future__ import annotations

from typing import Any

from kerata import errors
from kerata.core.configurable import Configurable
from kerata.core.dtype_policies import QUANTIZATION_MODES
from kerata.quantizers.absmax import AbsMaxQuantizer

__all__ = [
    "AWQConfig", "Float8QuantizationConfig", "GPTQConfig", "Int4QuantizationConfig", "Int8QuantizationConfig",
    "QuantizationConfig", "resolved",
]  # fmt: skip


class QuantizationConfig(Configurable):
    """The base of quantization configs; a subclass has a `mode`.

    Args:
        weight_quantizer: quantizes the weights; None for the mode's own.
        activation_quantizer: quantizes the inputs of the layers; None for none.
    """

    mode: str

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = None) -> None:
        self.weight_quantizer = weight_quantizer
        self.activation_quantizer = activation_quantizer
        if not hasattr(self, "mode"):
            raise errors.Unsupported(
                "the base config has no mode.", where="QuantizationConfig", hint="Int8QuantizationConfig() has one"
            )

    @staticmethod
    def weight_quantizer_or_default(config: QuantizationConfig | None, default: Any) -> Any:
        """Return the config's quantizer of weights, or `default` where it has none."""
        return default if config is None or config.weight_quantizer is None else config.weight_quantizer

    @staticmethod
    def activation_quantizer_or_default(config: QuantizationConfig | None, default: Any) -> Any:
        """Return the config's quantizer of inputs, which may be None, or `default` without a config."""
        return default if config is None else config.activation_quantizer

    def _check_weight_quantizer(self, **expected: Any) -> None:
        for name, value in expected.items():
            if self.weight_quantizer is not None and getattr(self.weight_quantizer, name) != value:
                raise errors.InvalidArgument(
                    "the quantizer of weights does not fit.", where=type(self).__name__, expected=f"{name}={value!r}",
                    got=f"{name}={getattr(self.weight_quantizer, name)!r}",
                )  # fmt: skip

    def _check_numbers(self, *positive: str) -> None:
        wrong = [name for name in positive if getattr(self, name) <= 0]
        if wrong:
            raise errors.InvalidArgument(
                f"`{wrong[0]}` cannot be this.", where=type(self).__name__, expected="a positive int",
                got=getattr(self, wrong[0]),
            )  # fmt: skip


class Int8QuantizationConfig(QuantizationConfig):
    """Weights in 8 bits, with a scale for each channel; inputs are rounded to 8 bits too.

    Args:
        weight_quantizer: with `output_dtype="int8"`; None for the largest absolute value of each channel.
        activation_quantizer: of the inputs; by default `AbsMaxQuantizer()`, None for none.
    """

    mode = "int8"

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = "default") -> None:
        default = isinstance(activation_quantizer, str) and activation_quantizer == "default"
        super().__init__(weight_quantizer, AbsMaxQuantizer() if default else activation_quantizer)
        self._check_weight_quantizer(output_dtype="int8")


class Int4QuantizationConfig(QuantizationConfig):
    """Weights in 4 bits, two in a byte, with a scale and a zero point for each group.

    Args:
        weight_quantizer: with `value_range=(-8, 7)` and `output_dtype="int8"`, where there are no groups.
        activation_quantizer: of the inputs, where there are no groups; by default none.
        block_size: how many inputs are a group; None or -1 for one scale for each channel.
    """

    mode = "int4"

    def __init__(
        self, weight_quantizer: Any = None, activation_quantizer: Any = "default", block_size: int | None = 128
    ) -> None:
        default = isinstance(activation_quantizer, str) and activation_quantizer == "default"
        super().__init__(weight_quantizer, None if default else activation_quantizer)
        self.block_size = block_size
        if block_size is not None and block_size != -1:
            self._check_numbers("block_size")
            if self.weight_quantizer is not None or self.activation_quantizer is not None:
                raise errors.InvalidArgument(
                    "groups have a way of their own to quantize.", where="Int4QuantizationConfig",
                    expected="block_size=None beside quantizers", got=f"block_size={block_size}",
                )  # fmt: skip
        self._check_weight_quantizer(value_range=(-8, 7), output_dtype="int8")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Int4QuantizationConfig:
        """Make a config from its data; old files without `block_size` have no groups."""
        return super().from_config({"block_size": None, **config})


class Float8QuantizationConfig(QuantizationConfig):
    """Training with products in float8; there is nothing to choose."""

    mode = "float8"

    def __init__(self) -> None:
        super().__init__()


class _Calibrated(QuantizationConfig):
    """What the algorithms share that look at a model's activations."""

    weight_bits: int
    group_size: int

    def _keep(self, arguments: dict[str, Any], bits: tuple[int, ...]) -> None:
        for name, value in arguments.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)
        if self.weight_bits not in bits or self.group_size < -1 or self.group_size == 0:
            raise errors.InvalidArgument(
                "the size of the weights or of their groups cannot be this.", where=type(self).__name__,
                expected=f"weight_bits of {bits}, and a positive group_size, or -1 for one group",
                got=f"weight_bits={self.weight_bits}, group_size={self.group_size}",
            )  # fmt: skip
        self._check_numbers("num_samples", "sequence_length")

    def dtype_policy_string(self) -> str:
        """Return how the dtype policy's name begins, such as "gptq/4/128"."""
        return f"{self.mode}/{self.weight_bits}/{self.group_size}"

    def get_config(self) -> dict[str, Any]:
        # They are needed once, and the layers' own configs have this one in them.
        once = dict.fromkeys(("dataset", "tokenizer", "quantization_layer_structure"))
        return {**{name: getattr(self, name) for name in vars(self._captured)}, **once}


class GPTQConfig(_Calibrated):
    """GPTQ: weights are rounded one input after the other, and those left over make up for the error.

    Args:
        dataset: samples to calibrate with: texts, or arrays of token numbers.
        tokenizer: has a `tokenize(text)`; for texts.
        weight_bits: 2, 3, 4 or 8.
        num_samples: how many samples are used.
        per_channel: whether each output has scales of its own.
        sequence_length: how many tokens a sample has.
        hessian_damping: what is added to the diagonal of the Hessian, as a fraction of its mean.
        group_size: how many inputs share a scale; -1 for all.
        symmetric: whether the range has as much on both sides of 0.
        activation_order: whether the inputs that matter most come first.
        quantization_layer_structure: "pre_block_layers" and "sequential_blocks", the layers in their order.

    Source: Frantar et al. (2023), GPTQ: accurate post-training quantization for generative pre-trained transformers.
    """

    mode = "gptq"

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        per_channel: bool = True,
        sequence_length: int = 512,
        hessian_damping: float = 0.01,
        group_size: int = 128,
        symmetric: bool = False,
        activation_order: bool = False,
        quantization_layer_structure: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._keep(locals(), bits=(2, 3, 4, 8))
        if not 0 <= hessian_damping <= 1:
            raise errors.InvalidArgument(
                "`hessian_damping` is a fraction.", where="GPTQConfig", expected="0 to 1", got=hessian_damping
            )


class AWQConfig(_Calibrated):
    """AWQ: the weights of inputs that are often large are scaled up before rounding, which makes them more exact.

    Args:
        dataset: samples to calibrate with: texts, or arrays of token numbers.
        tokenizer: has a `tokenize(text)`; for texts.
        weight_bits: 4.
        num_samples: how many samples are used.
        sequence_length: how many tokens a sample has.
        group_size: how many inputs share a scale; -1 for all.
        num_grid_points: how many strengths of the scaling are tried.
        quantization_layer_structure: "pre_block_layers" and "sequential_blocks", the layers in their order.

    Source: Lin et al. (2024), AWQ: activation-aware weight quantization for LLM compression and acceleration.
    """

    mode = "awq"

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        sequence_length: int = 512,
        group_size: int = 128,
        num_grid_points: int = 20,
        quantization_layer_structure: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._keep(locals(), bits=(4,))
        self._check_numbers("num_grid_points")


_DEFAULTS: dict[str, Any] = {
    "int8": Int8QuantizationConfig, "int4": Int4QuantizationConfig, "float8": Float8QuantizationConfig,
}  # fmt: skip


def resolved(mode: Any, config: Any) -> QuantizationConfig:
    """Return the config that a mode, a config, or both that agree stand for."""
    if isinstance(config, str):
        mode, config = config, None
    if mode is not None and mode not in QUANTIZATION_MODES:
        raise errors.UnknownName("quantization mode", str(mode), QUANTIZATION_MODES)
    if config is None and mode in _DEFAULTS:
        return _DEFAULTS[mode]()
    if config is None:
        what = "give a mode or a config." if mode is None else f'"{mode}" needs data to calibrate with.'
        hint = None if mode is None else f"config=kerata.quantizers.{mode.upper()}Config(dataset, tokenizer)"
        raise errors.InvalidArgument(what, where="quantize", hint=hint)
    if not isinstance(config, QuantizationConfig):
        raise errors.InvalidArgument("a QuantizationConfig is expected.", where="quantize", got=repr(config))
    if mode is not None and config.mode != mode:
        raise errors.InvalidArgument("mode and config disagree.", where="quantize", got=f"{mode!r} and {config.mode!r}")
    return config
