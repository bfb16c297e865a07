"""Dtype policies: in which dtype a layer computes, and in which it keeps its weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from typing import Any

from kerata import config, errors
from kerata.core import dtypes
from kerata.core.configurable import WithCustomObjects

__all__ = [
    "QUANTIZATION_MODES", "AWQDTypePolicy", "DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "GPTQDTypePolicy",
    "Int4DTypePolicy", "QuantizedDTypePolicy", "QuantizedFloat8DTypePolicy", "deserialize", "get", "serialize",
]  # fmt: skip

QUANTIZATION_MODES = ("int8", "float8", "int4", "gptq", "awq")


class DTypePolicy:
    """A layer's compute dtype and variable dtype, by one name.

    Args:
        name: a dtype for both, or "mixed_float16" or "mixed_bfloat16": compute in 16 bits, keep weights in float32.

    Example:
        >>> kerata.dtype_policies.DTypePolicy("mixed_bfloat16").compute_dtype
        'bfloat16'
    """

    _serialized_module = "keras"  # where Keras's files have it

    def __init__(self, name: str | None = None) -> None:
        name = name or config.settings.dtype_policy or config.floatx()
        self._name = name
        if name.startswith("mixed_"):
            self._compute_dtype = name.removeprefix("mixed_")
            self._variable_dtype = "float32"
            if self._compute_dtype not in ("float16", "bfloat16"):
                known = ("mixed_float16", "mixed_bfloat16", *dtypes.ALLOWED)
                raise errors.UnknownName("dtype policy", name, known)
        else:
            try:
                self._compute_dtype = self._variable_dtype = dtypes.standardize(name)
            except errors.UnknownName:
                known = ("mixed_float16", "mixed_bfloat16", *dtypes.ALLOWED)
                raise errors.UnknownName("dtype policy", name, known) from None

    @property
    def name(self) -> str:
        """The policy's name."""
        return self._name

    @property
    def compute_dtype(self) -> str:
        """The dtype in which a layer computes."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype in which a layer keeps its weights."""
        return self._variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """How weights are quantized; None for not at all."""
        return None

    def convert_input(self, x: Any, autocast: bool, dtype: Any) -> Any:
        """Return `x` as a tensor, a float one in `dtype` where `autocast` is set."""
        from kerata.core.op import convert
        from kerata.core.symbolic import KerasTensor

        if isinstance(x, KerasTensor):
            return KerasTensor(x.shape, dtype, name=x.name) if autocast and dtypes.is_float(x.dtype) else x
        x = convert(x)
        if autocast and dtypes.is_float(dtypes.dtype_of(x)) and dtypes.dtype_of(x) != dtype:
            from kerata import engine

            return engine.arrays.cast(x, dtype)
        return x

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this policy anew."""
        return {"name": self._name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DTypePolicy:
        """Make a policy from its config."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.name == self.name  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self._name}">'


FloatDTypePolicy = DTypePolicy


# Quantized ------------------------------------------------------------------------------------------------------


class QuantizedDTypePolicy(DTypePolicy):
    """The policy of a layer whose weights are kept in few bits; it computes as the policy that it comes from does.

    Args:
        mode: "int8", "int4" (a scale for each channel) or "float8".
        source_name: the name of the policy before; by default that of the default policy.

    Example:
        >>> policy = kerata.dtype_policies.get("int8_from_mixed_bfloat16")
        >>> policy.quantization_mode, policy.compute_dtype, policy.variable_dtype
        ('int8', 'bfloat16', 'float32')
    """

    _serialized_module = "keras.dtype_policies"
    _numbers: dict[str, Any] = {}  # what follows in the mode, after slashes: the name, and a test of the number

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        super().__init__(source_name)
        self._source_name, self._mode = self._name, mode
        self._name = f"{mode}_from_{self._source_name}"
        self._quantization_mode, *numbers = mode.split("/")
        expected = "/".join(["int4|gptq|awq" if self._numbers else "int8", *(f"<{name}>" for name in self._numbers)])
        if self._quantization_mode not in QUANTIZATION_MODES or len(numbers) != len(self._numbers):
            raise errors.InvalidArgument(
                "this is no quantization mode.", where=type(self).__name__, expected=expected,
                got=f"mode={mode!r}", hint=errors.did_you_mean(mode, QUANTIZATION_MODES),
            )  # fmt: skip
        for (name, (allowed, test)), text in zip(self._numbers.items(), numbers):
            number = int(text) if re.fullmatch(r"-?\d+", text) else 0
            if not test(number):
                raise errors.InvalidArgument(
                    f"`{name}` in the mode cannot be this.", where=type(self).__name__, expected=allowed,
                    got=f"{text} in {mode!r}",
                )  # fmt: skip
            setattr(self, name, number)
        if self._quantization_mode == "int8" and self.compute_dtype == "float16":
            raise errors.InvalidArgument(
                "int8 does not work well with float16, whose range the sums leave.", where=type(self).__name__,
                got=self._name, hint='"mixed_bfloat16" has the range of float32',
            )  # fmt: skip

    @property
    def quantization_mode(self) -> str | None:
        """How the weights are quantized."""
        return self._quantization_mode

    def get_config(self) -> dict[str, Any]:
        return {"mode": self._mode, "source_name": self._source_name}


class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """The policy of a layer that multiplies in float8, with scales from the largest values of the last steps.

    Args:
        mode: "float8".
        source_name: the name of the policy before; by default that of the default policy.
        amax_history_length: from how many steps the largest values are kept.
    """

    default_amax_history_length = 1024

    def __init__(self, mode: str, source_name: str | None = None, amax_history_length: int = 1024) -> None:
        super().__init__(mode, source_name)
        if not isinstance(amax_history_length, int):
            raise errors.InvalidType(
                "the length of the history is an int.", where=type(self).__name__, got=repr(amax_history_length)
            )
        self._amax_history_length = amax_history_length

    @property
    def amax_history_length(self) -> int:
        """From how many steps the largest values are kept."""
        return self._amax_history_length

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and other.amax_history_length == self.amax_history_length  # type: ignore[attr-defined]

    __hash__ = DTypePolicy.__hash__

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "amax_history_length": self._amax_history_length}


_SIZE = ("-1, for one group, or a positive int", lambda n: n == -1 or n > 0)


class Int4DTypePolicy(QuantizedDTypePolicy):
    """The policy of a layer with weights of 4 bits, with a scale for each group of `block_size` inputs.

    Args:
        mode: "int4/128" for groups of 128, "int4/-1" for one scale for each channel.
        source_name: the name of the policy before; by default that of the default policy.
    """

    block_size: int
    _numbers = {"block_size": _SIZE}


class GPTQDTypePolicy(QuantizedDTypePolicy):
    """The policy of a layer whose weights GPTQ has quantized.

    Args:
        mode: "gptq/4/128" for 4 bits (or 2, 3, 8) in groups of 128 inputs, -1 for one group.
        source_name: the name of the policy before; by default that of the default policy.
    """

    weight_bits: int
    group_size: int
    _numbers = {"weight_bits": ("2, 3, 4 or 8", lambda n: n in (2, 3, 4, 8)), "group_size": _SIZE}


class AWQDTypePolicy(QuantizedDTypePolicy):
    """The policy of a layer whose weights AWQ has quantized.

    Args:
        mode: "awq/4/128" for 4 bits in groups of 128 inputs, -1 for one group.
        source_name: the name of the policy before; by default that of the default policy.
    """

    weight_bits: int
    group_size: int
    _numbers = {"weight_bits": ("4", lambda n: n == 4), "group_size": _SIZE}


def _quantized(name: str) -> QuantizedDTypePolicy:
    """Return the policy of a name such as "int4/128_from_float32"."""
    mode, _, source = name.partition("_from_")
    algorithm = mode.partition("/")[0]
    classes: dict[str, type[QuantizedDTypePolicy]] = {
        "float8": QuantizedFloat8DTypePolicy, "gptq": GPTQDTypePolicy, "awq": AWQDTypePolicy,
        "int4": Int4DTypePolicy if "/" in mode else QuantizedDTypePolicy,
    }  # fmt: skip
    return classes.get(algorithm, QuantizedDTypePolicy)(mode, source)


# One policy for each layer ----------------------------------------------------------------------------------------


class DTypePolicyMap(WithCustomObjects, DTypePolicy, MutableMapping):
    """A policy for each layer by its path: exact names first, then regular expressions, then the default.

    Args:
        default_policy: the policy of paths that no key matches.
        policy_map: paths (or regular expressions over paths) and their policies.
    """

    _serialized_module = "keras.dtype_policies"

    def __init__(self, default_policy: Any = None, policy_map: dict[str, Any] | None = None) -> None:
        if isinstance(default_policy, DTypePolicyMap):
            raise errors.InvalidArgument("the default of a map is no map.", where="DTypePolicyMap")
        self._default_policy_argument, self._default = default_policy, get(default_policy)
        self._name = f"map_{self._default.name}"
        self._compute_dtype, self._variable_dtype = self._default.compute_dtype, self._default.variable_dtype
        self._policies: dict[str, DTypePolicy] = {}
        for key, policy in (policy_map or {}).items():
            self[key] = policy

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy where no key matches."""
        return self._default

    @property
    def quantization_mode(self) -> str | None:
        """How the weights of layers are quantized that no key matches."""
        return self._default.quantization_mode

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and other._policies == self._policies  # type: ignore[attr-defined]

    __hash__ = DTypePolicy.__hash__

    def __getitem__(self, key: str) -> DTypePolicy:
        if key in self._policies:
            return self._policies[key]
        found = [k for k in self._policies if re.fullmatch(k, key)]
        if len(found) > 1:
            raise errors.InvalidArgument("several keys match this path.", where="DTypePolicyMap", got=f"{key}: {found}")
        return self._policies[found[0]] if found else self.default_policy

    def __setitem__(self, key: str, policy: Any) -> None:
        if key in self._policies:
            raise errors.InvalidArgument("the key is there already.", where="DTypePolicyMap", got=key)
        self._policies[key] = get(policy)

    def __delitem__(self, key: str) -> None:
        del self._policies[key]

    def __contains__(self, key: object) -> bool:
        return key in self._policies

    def __len__(self) -> int:
        return len(self._policies)

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this map anew."""
        default = self._default_policy_argument
        return {
            "default_policy": None if default is None else serialize(get(default)),
            "policy_map": {key: serialize(policy) for key, policy in self._policies.items()},
        }


def get(identifier: Any) -> DTypePolicy:
    """Return a policy from a policy, a name, a config or None (the default policy)."""
    if identifier is None:
        return get(config.settings.dtype_policy or config.floatx())
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return _quantized(identifier) if "_from_" in identifier else DTypePolicy(identifier)
    return DTypePolicy(dtypes.standardize(identifier))


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """Return the policy as data."""
    from kerata.core import registry

    return registry.serialize_keras_object(dtype_policy)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """Return the policy that `serialize` described."""
    from kerata.core import registry

    return registry.deserialize_keras_object(config, custom_objects)
