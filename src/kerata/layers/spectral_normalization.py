"""`SpectralNormalization`: keeps the largest singular value of a layer's kernel near 1."""

from __future__ import annotations

from typing import Any

from kerata import errors, initializers, ops
from kerata.core import dtypes
from kerata.layers.arguments import positive
from kerata.layers.base import Layer
from kerata.layers.core import Wrapper

__all__ = ["SpectralNormalization"]


class SpectralNormalization(Wrapper):
    """Divides the wrapped layer's kernel by its largest singular value, sigma, in each call that trains.

    With W the kernel as a matrix (rows, C), a few steps of power iteration follow its singular vectors:
    v = u Wᵀ / |u Wᵀ|, u = v W / |v W|, sigma = v W uᵀ. The vector u is kept from call to call.

    Args:
        layer: a layer with a `kernel`, or with `embeddings`.
        power_iterations: the number of steps in each call.

    Raises:
        InvalidArgument: when the layer has neither a kernel nor embeddings.

    Example:
        >>> layer = kerata.layers.SpectralNormalization(kerata.layers.Dense(4), power_iterations=50)
        >>> layer(numpy.ones((1, 3)), training=True).shape
        (1, 4)
        >>> bool(numpy.linalg.norm(layer.kernel.numpy(), 2) < 1.01)
        True

    Source: Miyato et al. (2018), Spectral normalization for generative adversarial networks.
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = positive(self, "power_iterations", power_iterations)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        found = [getattr(self.layer, name, None) for name in ("kernel", "embeddings")]
        self.kernel: Any = next((weight for weight in found if weight is not None), None)
        if self.kernel is None:
            raise errors.InvalidArgument(
                "the wrapped layer has no weights to normalize.", where=self._where(),
                expected="a layer with `kernel` or `embeddings`", got=repr(self.layer),
            )  # fmt: skip
        self.vector_u = self.add_weight(
            (1, self.kernel.shape[-1]), initializers.TruncatedNormal(stddev=0.02), dtype=self.kernel.dtype,
            trainable=False, name="vector_u",
        )  # fmt: skip

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            zero = ops.all(ops.equal(self.kernel, 0))
            u, kernel = ops.cond(zero, self._unchanged, self.normalized_weights)
            self.vector_u.assign(u)
            self.kernel.assign(kernel)
        y = self.layer(inputs)
        return ops.cast(y, inputs.dtype) if dtypes.is_float(inputs.dtype) else y

    def normalized_weights(self) -> tuple[Any, Any]:
        """Return the next u, and the kernel divided by sigma."""
        w = ops.reshape(self.kernel, (-1, self.kernel.shape[-1]))
        u = v = ops.cast(self.vector_u, w.dtype)
        for _ in range(self.power_iterations):
            v = ops.normalize(ops.matmul(u, ops.transpose(w)), axis=-1)
            u = ops.normalize(ops.matmul(v, w), axis=-1)
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        sigma = ops.matmul(ops.matmul(v, w), ops.transpose(u))
        return ops.cast(u, self.vector_u.dtype), ops.cast(
            ops.reshape(w / sigma, self.kernel.shape), self.kernel.dtype
        )

    def _unchanged(self) -> tuple[Any, Any]:
        return ops.cast(self.vector_u, self.vector_u.dtype), ops.cast(self.kernel, self.kernel.dtype)
