"""Dtype policies: in which dtype a layer computes, and in which it keeps its weights."""

from __future__ import annotations

from typing import Any

from kerata import config, errors
from kerata.core import dtypes

__all__ = ["DTypePolicy", "FloatDTypePolicy", "DTypePolicyMap", "deserialize", "get", "serialize"]


class DTypePolicy:
    """A layer's compute dtype and variable dtype, by one name.

    Args:
        name: a dtype for both, or "mixed_float16" or "mixed_bfloat16": compute in 16 bits, keep weights in float32.

    Example:
        >>> kerata.dtype_policies.DTypePolicy("mixed_bfloat16").compute_dtype
        'bfloat16'
    """

    _serialized_module = "keras"  # where Keras's files have it

    def __init__(self, name: str | None = None, source_name: str | None = None) -> None:
        name = name or config.floatx()
        self._name, self._source_name = name, source_name
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
        """How weights are quantized; None here."""
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
        return f'<DTypePolicy "{self._name}">'


FloatDTypePolicy = DTypePolicy


class DTypePolicyMap(DTypePolicy):
    """A policy for each layer by its path: exact names first, then regular expressions, then the default.

    Args:
        default_policy: the policy of paths that no key matches.
        policy_map: paths (or regular expressions over paths) and their policies.
    """

    _serialized_module = "keras.dtype_policies"

    def __init__(self, default_policy: Any = None, policy_map: dict[str, Any] | None = None) -> None:
        self._default_policy_argument = default_policy
        super().__init__(get(default_policy).name)
        self._policies: dict[str, DTypePolicy] = {}
        for key, policy in (policy_map or {}).items():
            self[key] = policy

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy where no key matches."""
        return DTypePolicy(self.name)

    def __getitem__(self, key: str) -> DTypePolicy:
        import re

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

    def __contains__(self, key: str) -> bool:
        return key in self._policies

    def __len__(self) -> int:
        return len(self._policies)

    def __iter__(self) -> Any:
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
        return DTypePolicy(config.settings.dtype_policy or config.floatx())
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    return DTypePolicy(dtypes.standardize(identifier))


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """Return the policy as data."""
    from kerata.core import registry

    return registry.serialize_keras_object(dtype_policy)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """Return the policy that `serialize` described."""
    from kerata.core import registry

    return registry.deserialize_keras_object(config, custom_objects)
