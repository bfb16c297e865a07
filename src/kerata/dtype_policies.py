"""Dtype policies: in which dtype a layer computes, and in which it keeps its weights."""

from kerata.core.dtype_policies import DTypePolicy, DTypePolicyMap, FloatDTypePolicy, deserialize, get, serialize

__all__ = ["DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy", "deserialize", "get", "serialize"]
