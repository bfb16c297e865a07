"""`ReversibleEmbedding`: a table of vectors that also leads back, from vectors to scores of the numbers."""

from __future__ import annotations

from typing import Any

from kerata import ops
from kerata.core import scopes
from kerata.layers.arguments import Named
from kerata.layers.core import Embedding

__all__ = ["ReversibleEmbedding"]


class ReversibleEmbedding(Embedding):
    """A table looked up by number, y = embeddings[x], and in reverse y = x embeddingsᵀ, the score of each number.

    Ints (B, …) -> (B, …, U); with `reverse=True` in the call (B, …, U) -> (B, …, input_dim), as at the two ends of a
    language model.

    Args:
        input_dim: how many vectors there are; the numbers go from 0 to `input_dim - 1`.
        output_dim: U, the length of a vector.
        tie_weights: whether the way back uses the same table; otherwise it has one of its own.
        mask_zero: whether the number 0 stands for "nothing here", to be masked in the layers after.
        reverse_dtype: the dtype in which the way back is computed; by default the layer's compute dtype.
        logit_soft_cap: the scores become cap tanh(scores / cap), between -cap and cap.

    Example:
        >>> layer = kerata.layers.ReversibleEmbedding(1000, 64)
        >>> x = layer(numpy.array([[4, 0, 999]]))
        >>> layer(x, reverse=True).shape
        (1, 3, 1000)

    Source: Press and Wolf (2017), Using the output embedding to improve language models.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Named = "uniform",
        embeddings_regularizer: Named = None,
        embeddings_constraint: Named = None,
        mask_zero: bool = False,
        reverse_dtype: str | None = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.tie_weights = tie_weights  # first, since a table that is given is built at once
        super().__init__(
            input_dim, output_dim, embeddings_initializer, embeddings_regularizer, embeddings_constraint, mask_zero,
            **kwargs,
        )  # fmt: skip
        self._keep(locals())

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            super().build(input_shape)
            if not self.tie_weights:
                shape = (self.output_dim, self.input_dim)
                self.reverse_embeddings = self.add_weight(shape, self.embeddings_initializer, name="reverse_embeddings")

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        return self._scores(inputs) if reverse else self._looked_up(inputs)

    def _looked_up(self, numbers: Any) -> Any:
        vectors = super().call(numbers)
        if self.mask_zero:
            scopes.set_mask(vectors, super().compute_mask(numbers))
        return vectors

    def _scores(self, vectors: Any) -> Any:
        table = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        dtype = self.reverse_dtype or self.compute_dtype
        scores = ops.matmul(ops.cast(vectors, dtype), ops.cast(table, dtype))
        cap = self.logit_soft_cap
        return scores if cap is None else cap * ops.tanh(scores / cap)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None  # `call` sets it, since it depends on the direction

    def get_config(self) -> dict[str, Any]:
        return {"quantization_config": None, **super().get_config()}
