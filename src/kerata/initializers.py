"""Initializers: the values that weights start from.

An initializer is called with a shape and a dtype. Without a seed it draws one when it is made; with an int seed it
gives the same values each time; with a SeedGenerator new ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from kerata import engine, errors, ops, random
from kerata.core import dtypes
from kerata.core.configurable import Configurable
from kerata.core.registry import Vocabulary, serialize_keras_object
from kerata.core.rng import SeedGenerator, make_seed

__all__ = [
    "STFT", "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer",
    "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal",
    "RandomUniform", "STFTInitializer", "TruncatedNormal", "VarianceScaling", "Zeros", "constant", "deserialize", "get",
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_normal", "lecun_uniform", "ones",
    "orthogonal", "random_normal", "random_uniform", "serialize", "stft", "truncated_normal", "variance_scaling",
    "zeros",
]  # fmt: skip


class Initializer(Configurable):
    """The base: a subclass gives `__call__(shape, dtype)`.

    Example:
        >>> class Halves(kerata.initializers.Initializer):
        ...     def __call__(self, shape, dtype=None, **kwargs):
        ...         return 0.5 * kerata.ops.ones(shape, dtype)
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Return the values for a weight of `shape`."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(shape, dtype)")

    def clone(self) -> Self:
        """Return an initializer of the same config."""
        return type(self).from_config(self.get_config())


class Zeros(Initializer):
    """All zeros."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return engine.arrays.filled(shape, 0, dtypes.standardize(dtype))


class Ones(Initializer):
    """All ones."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return engine.arrays.filled(shape, 1, dtypes.standardize(dtype))


class Constant(Initializer):
    """Every value `value`, a number or an array that broadcasts to the shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        if np.ndim(self.value) == 0:
            return engine.arrays.filled(shape, self.value, dtypes.standardize(dtype))
        return ops.broadcast_to(ops.convert_to_tensor(self.value, dtypes.standardize(dtype)), tuple(shape))


class Identity(Initializer):
    """The identity matrix times `gain`."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        if len(shape) != 2:
            raise errors.ShapeMismatch("makes matrices only.", where="Identity", expected="(rows, columns)", got=shape)
        return self.gain * ops.eye(*shape, dtype=dtype)


class RandomInitializer(Initializer):
    """The base of those that draw."""

    def __init__(self, seed: int | SeedGenerator | None = None) -> None:
        if seed is not None and not isinstance(seed, (int, np.integer, SeedGenerator)):
            raise errors.InvalidArgument(
                "this is no seed.",
                where=type(self).__name__,
                expected="an int, a SeedGenerator or None",
                got=repr(seed),
            )
        self._given_seed = seed
        self.seed = make_seed() if seed is None else seed

    def get_config(self) -> dict[str, Any]:
        """Return the arguments; a seed that was not given stays open."""
        return {**super().get_config(), "seed": serialize_keras_object(self._given_seed)}


class RandomNormal(RandomInitializer):
    """Normally distributed values."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | SeedGenerator | None = None) -> None:
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return random.normal(shape, self.mean, self.stddev, dtype, self.seed)


class TruncatedNormal(RandomInitializer):
    """Normally distributed values, none further than two standard deviations from the mean."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | SeedGenerator | None = None) -> None:
        self.mean, self.stddev = mean, stddev
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self.seed)


class RandomUniform(RandomInitializer):
    """Values spread evenly over [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | SeedGenerator | None = None) -> None:
        self.minval, self.maxval = minval, maxval
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return random.uniform(shape, self.minval, self.maxval, dtype, self.seed)


def _fans(shape: Sequence[int], input_axes: Sequence[int] | None, output_axes: Sequence[int] | None) -> tuple[int, int]:
    """Return fan_in and fan_out: how many inputs meet in an output, and how many outputs an input reaches."""
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


class VarianceScaling(RandomInitializer):
    """Values of variance scale / n, n being fan_in, fan_out or their mean, so that signals keep their size.

    Args:
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal", "untruncated_normal" or "uniform".
        input_axes, output_axes: the axes that count as inputs and outputs, where the last two are not.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if scale <= 0:
            raise errors.InvalidArgument("a scale is positive.", where="VarianceScaling", got=scale)
        modes, distributions = ("fan_in", "fan_out", "fan_avg"), ("truncated_normal", "untruncated_normal", "uniform")
        distribution = {"normal": "truncated_normal"}.get(distribution.lower(), distribution.lower())
        if mode not in modes:
            raise errors.UnknownName("mode", mode, modes, where="VarianceScaling")
        if distribution not in distributions:
            raise errors.UnknownName("distribution", distribution, distributions, where="VarianceScaling")
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.input_axes, self.output_axes = input_axes, output_axes
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        fan_in, fan_out = _fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return random.uniform(shape, -limit, limit, dtype, self.seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(variance), dtype, self.seed)
        # A normal distribution cut at two standard deviations has a deviation of 0.8796….
        return random.truncated_normal(shape, 0.0, math.sqrt(variance) / 0.87962566103423978, dtype, self.seed)


class _Scaling(VarianceScaling):
    """A variance scaling with its rule fixed."""

    rule: tuple[float, str, str]

    def __init__(
        self,
        seed: int | SeedGenerator | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self.rule, seed, input_axes, output_axes)


class GlorotUniform(_Scaling):
    """Uniform, variance 2 / (fan_in + fan_out): the default of Dense and Conv.

    Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.
    """

    rule = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaling):
    """Normal, variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""

    rule = (1.0, "fan_avg", "truncated_normal")


class HeNormal(_Scaling):
    """Normal, variance 2 / fan_in: for layers with ReLU (https://arxiv.org/abs/1502.01852)."""

    rule = (2.0, "fan_in", "truncated_normal")


class HeUniform(_Scaling):
    """Uniform, variance 2 / fan_in: for layers with ReLU (https://arxiv.org/abs/1502.01852)."""

    rule = (2.0, "fan_in", "uniform")


class LecunNormal(_Scaling):
    """Normal, variance 1 / fan_in: for layers with SELU (https://arxiv.org/abs/1706.02515)."""

    rule = (1.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaling):
    """Uniform, variance 1 / fan_in (LeCun and others 1998)."""

    rule = (1.0, "fan_in", "uniform")


class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal rows or columns, times `gain` (https://arxiv.org/abs/1312.6120).

    A shape of more than two axes is seen as (all but the last, last).
    """

    def __init__(self, gain: float = 1.0, seed: int | SeedGenerator | None = None) -> None:
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        if len(shape) < 2:
            raise errors.ShapeMismatch("needs two axes or more.", where="Orthogonal", got=shape)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        dtype = dtypes.standardize(dtype)
        exact = dtype if dtype == "float64" else "float32"  # 16 bits are too few for a factorization
        drawn = random.normal((max(rows, columns), min(rows, columns)), dtype=exact, seed=self.seed)
        lib: Any = ops
        if not engine.arrays.is_traced(drawn):  # on the host: XLA loads and compiles for half a second
            lib, drawn = np, ops.convert_to_numpy(drawn)
        q, r = lib.linalg.qr(drawn)
        q = q * lib.sign(lib.diag(r))  # so that every orthogonal matrix is equally likely
        return ops.cast(self.gain * lib.reshape(lib.transpose(q) if rows < columns else q, shape), dtype)


class STFT(Initializer):
    """Kernels (T, 1, F // 2 + 1) that compute one side of a short-time Fourier transform as a convolution.

    Args:
        side: "real" (cosines) or "imag" (sines).
        window: a window's name for `scipy.signal.get_window`, an array (T,), or None.
        scaling: "density", "spectrum" or None.
        periodic: whether the window suits a periodic signal.
    """

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ) -> None:
        if side not in ("real", "imag"):
            raise errors.UnknownName("side", side, ("real", "imag"), where="STFT")
        if scaling not in (None, "density", "spectrum"):
            raise errors.UnknownName("scaling", str(scaling), ("density", "spectrum"), where="STFT")
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        length, _, bands = shape
        angles = -2 * math.pi * np.arange(length)[:, None, None] * np.arange(bands) / (2 * (bands - 1))
        kernel = np.cos(angles) if self.side == "real" else np.sin(angles)
        if self.window is not None:
            window = self._window(length)[:, None, None]
            size = {"density": np.sqrt(np.sum(window**2)), "spectrum": np.sum(np.abs(window)), None: 1}[self.scaling]
            kernel = kernel * window / size
        return ops.convert_to_tensor(kernel, dtypes.standardize(dtype))

    def _window(self, length: int) -> np.ndarray:
        if not isinstance(self.window, str):
            return np.asarray(self.window)
        from scipy import signal

        return np.asarray(signal.get_window(self.window, length, self.periodic))


IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT
constant, ones, zeros, identity, orthogonal, stft = Constant, Ones, Zeros, Identity, Orthogonal, STFT
glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform, variance_scaling = LecunNormal, LecunUniform, VarianceScaling
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal

_vocabulary = Vocabulary(
    "initializer", __name__, Initializer, {"normal": "RandomNormal", "uniform": "RandomUniform", "one": "Ones",
    "zero": "Zeros"},
)  # fmt: skip


def get(identifier: Any) -> Any:
    """Return the initializer for a name, a config, a class, a number or a function; None for None.

    Example:
        >>> kerata.initializers.get("he_normal").mode
        'fan_in'
    """
    return _vocabulary.get(identifier)


def serialize(initializer: Any) -> Any:
    """Return an initializer as data."""
    return _vocabulary.serialize(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the initializer that `serialize` described."""
    return _vocabulary.deserialize(config, custom_objects)
