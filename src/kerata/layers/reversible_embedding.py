"""`ReversibleEmbedding`: a table of vectors that also leads back, from vectors to scores of the numbers."""

from __future__ import annotations

from typing import Any

from kerata import ops, quantizers
from kerata.core import registry, scopes
from kerata.layers.arguments import Named
from kerata.layers.core import Embedding
from kerata.layers.quantization import Form

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
            if not self.tie_weights and self.quantization_mode is None:
                shape = (self.output_dim, self.input_dim)
                self.reverse_embeddings = self.add_weight(shape, self.embeddings_initializer, name="reverse_embeddings")

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        return self._scores(inputs) if reverse else self._vectors(inputs)

    def _vectors(self, numbers: Any) -> Any:
        vectors = super().call(numbers)
        if self.mask_zero:
            scopes.set_mask(vectors, super().compute_mask(numbers))
        return vectors

    def _scores(self, vectors: Any) -> Any:
        vectors = ops.cast(vectors, self.reverse_dtype or self.compute_dtype)
        scores = self._product(self._times_table, vectors, of=self._forms()[-1])
        if self.tie_weights and self.lora_enabled:
            a, b = self._factors()
            scores = scores + self._times_table(self._times_table(vectors, b), a) * self.lora_alpha / self.lora_rank
        cap = self.logit_soft_cap
        return scores if cap is None else cap * ops.tanh(scores / cap)

    def _times_table(self, vectors: Any, table: Any) -> Any:
        table = ops.cast(table, vectors.dtype)
        return ops.matmul(vectors, ops.transpose(table) if self.tie_weights else table)

    def _forms(self) -> list[Form]:
        back = Form("reverse_embeddings", (self.output_dim, self.input_dim), axis=0, packed=0)
        return super()._forms() if self.tie_weights else [*super()._forms(), back]

    def _default_inputs_quantizer(self, mode: str) -> Any:
        return quantizers.AbsMaxQuantizer()

    @property
    def variable_serialization_spec(self) -> dict[str | None, list[str]]:
        """For each mode, the names of the weights in the order of a file; those that a layer has not are left out."""
        found, name = super().variable_serialization_spec, "reverse_embeddings"
        parts = {None: [name], "int8": [name, f"{name}_scale"], "int4": [name, f"{name}_scale", f"{name}_zero"]}
        return found if self.tie_weights else {mode: found[mode] + parts[mode] for mode in found}

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None  # `call` sets it, since it depends on the direction

    def get_config(self) -> dict[str, Any]:
        config = registry.serialize_keras_object(self.quantization_config)
        return {**super().get_config(), "quantization_config": config}
