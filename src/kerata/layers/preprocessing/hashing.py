"""Layers that put strings and whole numbers into a fixed number of bins by their hash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerata import config as settings
from kerata import engine, errors, ops, tree
from kerata.core.symbolic import KerasTensor, infer
from kerata.layers.arguments import positive
from kerata.layers.base import Layer
from kerata.layers.preprocessing.encoding import check_output_mode, encode_categories
from kerata.layers.preprocessing.fingerprints import as_bytes, fingerprint64, fingerprint_cat64, siphash64
from kerata.layers.preprocessing.words import as_int32, hash_of_decimals, words

__all__ = ["HashedCrossing", "Hashing"]


class _Binning(Layer):
    """Gives each value one of `num_bins` numbers, in some output mode."""

    built = True
    runs_on_host = True  # where it can; text has no other place, and integers keep their 64 bits there

    num_bins: int
    output_mode: str

    def _check(self, num_bins: Any, output_modes: Sequence[str], sparse: bool) -> None:
        positive(self, "num_bins", num_bins)
        if num_bins > (1 << 31) - 1:
            raise errors.InvalidArgument(
                "there are too many bins.", where=type(self).__name__, expected="a number that fits into an int32",
                got=f"num_bins={num_bins}",
            )  # fmt: skip
        check_output_mode(type(self).__name__, self.output_mode, output_modes, sparse)

    def _convert_leaf(self, x: Any) -> Any:
        return x if isinstance(x, np.ndarray) else super()._convert_leaf(x)  # it may hold 64 bits, and the engine not

    def _encoded(self, bins: Any) -> Any:
        return encode_categories(bins, self.output_mode, self.num_bins, self.compute_dtype)

    def compute_output_spec(self, inputs: Any) -> Any:
        return infer(self._encoded, KerasTensor(tree.flatten(inputs)[0].shape, "int32"))


class Hashing(_Binning):
    """Puts each string or int into one of `num_bins` bins, by a hash that is the same everywhere.

    A number is hashed as its decimal form, a float as what remains without its fraction. Strings are read on the host;
    ints of up to 32 bits may also come to the layer inside a compiled model.

    Args:
        num_bins: how many bins there are.
        mask_value: the value that alone goes into bin 0; the others share the bins from 1 on.
        salt: two ints, or one that stands for both: the key of SipHash-2-4. Without it FarmHash's Fingerprint64 is
            taken.
        output_mode: "int" for the bin of each value, "one_hot" for a vector for each value, "multi_hot" and "count"
            for one for each row.
        sparse: must be False.

    Example:
        >>> kerata.layers.Hashing(3)(numpy.array([["A"], ["B"], ["C"]])).tolist()
        [[1], [0], [1]]

    Source: Weinberger et al. (2009), Feature hashing for large scale multitask learning.
    """

    def __init__(
        self, num_bins: int, mask_value: Any = None, salt: int | Sequence[int] | None = None,
        output_mode: str = "int", sparse: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else settings.floatx()
        super().__init__(**kwargs)
        self._keep(locals())
        self._check(num_bins, ("int", "one_hot", "multi_hot", "count"), sparse)
        if output_mode == "int" and self.compute_dtype not in ("int32", "int64"):
            raise errors.InvalidArgument(
                "bins are whole numbers.", where="Hashing", expected="dtype int32 or int64 for output_mode='int'",
                got=f"dtype={self.compute_dtype}",
            )  # fmt: skip
        self.salt = None if salt is None else [salt, salt] if isinstance(salt, int) else list(salt)
        if self.salt is not None and (len(self.salt) != 2 or not all(isinstance(s, int) for s in self.salt)):
            raise errors.InvalidArgument(
                "`salt` cannot be this.", where="Hashing", expected="an int, or two", got=f"salt={salt!r}"
            )

    def call(self, inputs: Any) -> Any:
        masks = self.mask_value is not None and self.num_bins > 1
        bins, masked = (_bins_compiled if engine.arrays.is_traced(inputs) else _bins_on_host)(
            inputs, self.num_bins - masks, self.salt, self.mask_value
        )
        return self._encoded(ops.where(masked, 0, bins + 1) if masks else bins)


def _bins_on_host(x: Any, count: int, key: Sequence[int] | None, mask_value: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the bins of the values x, int64, and where they are the mask value."""
    x = _on_host(x)
    texts = as_bytes(_as_text(x).ravel().tolist())
    hashes = fingerprint64(texts) if key is None else siphash64(texts, key)
    if x.dtype.kind in "USOT" and mask_value is not None:
        mask_value = as_bytes([mask_value])[0]
        masked = np.fromiter((text == mask_value for text in texts), "bool", len(texts)).reshape(x.shape)
    else:
        masked = np.asarray(x == mask_value)
    return (hashes % np.uint64(count)).astype("int64").reshape(x.shape), masked


def _bins_compiled(x: Any, count: int, key: Sequence[int] | None, mask_value: Any) -> tuple[Any, Any]:
    return hash_of_decimals(x, key).modulo(count), None if mask_value is None else x == mask_value


def _on_host(x: Any) -> np.ndarray:
    return ops.convert_to_numpy(x) if engine.arrays.is_array(x) else np.asarray(x)


def _as_text(x: np.ndarray) -> np.ndarray:
    """Return numbers as what Python prints as they are to be written."""
    if x.dtype.kind == "b":
        return np.where(x, "true", "false")
    return x.astype("int64") if x.dtype.kind not in "iuUSOT" else x


class HashedCrossing(_Binning):
    """Puts pairs of features, or more of them, into `num_bins` bins: one for what stands at a place in all of them.

    Strings are read on the host; ints of up to 32 bits may also come to the layer inside a compiled model.

    Args:
        num_bins: how many bins there are.
        output_mode: "int" for the bin, "one_hot" for a vector.
        sparse: must be False.

    Input: a list of arrays of strings or ints, all (B,), or all (B, 1), or all scalars.

    Example:
        >>> letters, numbers = numpy.array(["A", "B", "A"]), numpy.array([101, 101, 102])
        >>> kerata.layers.HashedCrossing(5)([letters, numbers]).tolist()
        [1, 4, 3]
    """

    def __init__(
        self, num_bins: int, output_mode: str = "int", sparse: bool = False, name: str | None = None,
        dtype: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(name=name, dtype="int64" if output_mode == "int" and dtype is None else dtype, **kwargs)
        self._keep(locals())
        self._check(num_bins, ("int", "one_hot"), sparse)

    def call(self, inputs: Any) -> Any:
        self._check_inputs(inputs)
        traced = any(engine.arrays.is_traced(x) for x in inputs)
        crossed: Any = 0xDECAFCAFFE
        for x in inputs:
            crossed = fingerprint_cat64(crossed, words().of(as_int32(x)) if traced else _number(_on_host(x)))
        if traced:
            return self._encoded(crossed.modulo(self.num_bins))
        bins = (crossed % np.uint64(self.num_bins)).astype("int64")
        return self._encoded(bins.reshape(np.shape(inputs[0])))

    def compute_output_spec(self, inputs: Any) -> Any:
        self._check_inputs(inputs)
        return super().compute_output_spec(inputs)

    def _check_inputs(self, inputs: Any) -> None:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise errors.InvalidArgument(
                "a crossing takes a list of features.", where=self._where(), expected="2 arrays or more",
                got=type(inputs).__name__ if not isinstance(inputs, (list, tuple)) else f"{len(inputs)} of them",
            )  # fmt: skip
        shapes = [tuple(x.shape) if hasattr(x, "shape") else np.shape(x) for x in inputs]
        if len(set(shapes)) > 1 or len(shapes[0]) > 2 or shapes[0][1:] not in ((), (1,)):
            raise errors.ShapeMismatch(
                "features of these shapes cannot be crossed.", where=self._where(),
                expected="one shape: (), (B,) or (B, 1)", got=shapes,
            )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        config = {name: value for name, value in super().get_config().items() if name != "trainable"}
        return {**config, "dtype": self.dtype}


def _number(x: np.ndarray) -> np.ndarray:
    """Return ints as uint64 of the same bits, and strings as their fingerprints; in one row."""
    if x.dtype.kind in "USOT":
        return fingerprint64(x.ravel().tolist())
    if x.dtype.kind not in "iu":
        raise errors.InvalidType(
            "only strings and ints are crossed.", where="HashedCrossing", got=f"dtype {x.dtype}",
            hint="put floats into bins with Discretization before",
        )  # fmt: skip
    return x.astype("int64").ravel().view("uint64")
