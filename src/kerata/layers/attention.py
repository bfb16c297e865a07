"""Attention: each query step takes a mean of the values, weighed by how well their keys answer to it.

Shapes: B batch (or several such axes), T query steps, S value and key steps, F features of query and key, V features
of the values.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from kerata import errors, ops, random
from kerata.layers.arguments import fraction, known_size, one_of
from kerata.layers.base import Layer

__all__ = ["AdditiveAttention", "Attention", "all_of", "steps_between"]


class Attention(Layer):
    """y = softmax(scores) value, with scores = scale query keyᵀ; [(B, T, F), (B, S, V), (B, S, F)] -> (B, T, V).

    Called on a list [query, value] or [query, value, key]; the values are their own keys where none are given.

    Args:
        use_scale: whether the scores have a learned scale.
        score_mode: "dot" for the scores above, or "concat" for
            scores = concat_score_weight sum(tanh(scale (query + key))), the sum over F.
        dropout: how much of the weights is dropped in training.
        seed: an int for the same draws each time the program runs.

    `call` also takes

    - mask: a list [query_mask (B, T), value_mask (B, S)], either may be None. Values where theirs is False are left
      out; outputs where the query's is False are 0.
    - return_attention_scores: whether the weights (B, T, S) are returned too.
    - use_causal_mask: whether a step attends only to steps up to its own number.

    Raises:
        ShapeMismatch: when the inputs are no list of two or three.

    Example:
        >>> query, value = numpy.random.rand(2, 4, 8), numpy.random.rand(2, 6, 8)
        >>> kerata.layers.Attention()([query, value]).shape
        (2, 4, 8)

    Source: Luong et al. (2015), Effective approaches to attention-based neural machine translation.
    """

    seed_generator: random.SeedGenerator | None = None

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.score_mode = one_of(self, "score_mode", score_mode, ("dot", "concat"))
        if fraction(self, "dropout", dropout) > 0:
            self.seed_generator = random.SeedGenerator(seed)

    def build(self, input_shape: Any) -> None:
        self._query_value_key(input_shape)
        concat = self.score_mode == "concat"
        self.scale = self.add_weight((), "ones", name="scale") if self.use_scale else None
        self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight") if concat else None

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        query, value, key = self._query_value_key(inputs)
        query_mask, value_mask = self._checked_masks(mask)
        scores = self._masked(self._scores(query, key), value_mask, use_causal_mask)
        weights = ops.softmax(scores, axis=-1)
        if training and self.seed_generator is not None:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        y = ops.matmul(weights, value)
        if query_mask is not None:
            y = ops.where(ops.expand_dims(query_mask, -1), y, 0)
        return (y, weights) if return_attention_scores else y

    def _scores(self, query: Any, key: Any) -> Any:
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return scores if self.scale is None else scores * self.scale
        pairs = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)  # (B, T, S, F)
        pairs = pairs if self.scale is None else self.scale * pairs
        return self.concat_score_weight * ops.sum(ops.tanh(pairs), axis=-1)

    def _masked(self, scores: Any, value_mask: Any, causal: bool) -> Any:
        """Return the scores, very low where a query step may not attend to a value."""
        if value_mask is not None and value_mask.ndim < scores.ndim:
            value_mask = ops.expand_dims(value_mask, -2)
        mask = all_of([value_mask, steps_between(*scores.shape[-2:]) >= 0 if causal else None])
        if mask is None:
            return scores
        return scores - ops.cast(ops.where(mask, 0.0, 65504.0 if scores.dtype == "float16" else 1e9), scores.dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self._checked_masks(mask)[0]

    def _query_value_key(self, items: Any) -> tuple[Any, Any, Any]:
        """Return the three of a list of tensors, or of their shapes."""
        listed = isinstance(items, (list, tuple)) and not any(isinstance(item, (int, type(None))) for item in items)
        if not listed or len(items) not in (2, 3):
            raise errors.ShapeMismatch(
                "attention takes a list of inputs.", where=self._where(),
                expected="[query, value] or [query, value, key]",
                got=f"a list of {len(items)}" if listed else "a single tensor",
            )  # fmt: skip
        return items[0], items[1], items[-1]

    def _checked_masks(self, mask: Any) -> tuple[Any, Any]:
        if mask is None:
            return None, None
        if not isinstance(mask, (list, tuple)) or len(mask) not in (2, 3):
            raise errors.ShapeMismatch(
                "attention takes a list of masks.", where=self._where(), expected="[query_mask, value_mask]",
                got=f"a list of {len(mask)}" if isinstance(mask, (list, tuple)) else "a single mask",
            )  # fmt: skip
        query_mask, value_mask = (None if m is None else ops.cast(m, "bool") for m in mask[:2])
        return query_mask, value_mask


class AdditiveAttention(Attention):
    """y = softmax(scores) value, with scores = sum(scale tanh(query + key)), the sum over F.

    Shapes and `call` are those of `Attention`.

    Args:
        use_scale: whether each of the F features has a learned scale.
        dropout: how much of the weights is dropped in training.

    Raises:
        ShapeMismatch: when the inputs are no list of two or three, or F is not known.

    Example:
        >>> query, value = numpy.random.rand(2, 4, 8), numpy.random.rand(2, 6, 8)
        >>> kerata.layers.AdditiveAttention()([query, value], use_causal_mask=True).shape
        (2, 4, 8)

    Source: Bahdanau et al. (2015), Neural machine translation by jointly learning to align and translate.
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        query_shape, _, _ = self._query_value_key(input_shape)
        features = known_size(self, query_shape, -1) if self.use_scale else None
        self.scale = self.add_weight((features,), name="scale") if self.use_scale else None

    def _scores(self, query: Any, key: Any) -> Any:
        pairs = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))  # (B, T, S, F)
        return ops.sum(pairs if self.scale is None else self.scale * pairs, axis=-1)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "seed": self.seed}
        config.pop("score_mode", None)  # there is only one
        return config


# Masks ----------------------------------------------------------------------------------------------------------


def steps_between(queries: int, keys: int) -> Any:
    """Return ints (T, S): how many steps a key lies before a query; negative for keys that are yet to come."""
    return ops.expand_dims(ops.arange(queries, dtype="int32"), -1) - ops.arange(keys, dtype="int32")


def all_of(masks: Sequence[Any]) -> Any:
    """Return the mask that is True where all of `masks` are; those that are None do not count."""
    given = [ops.cast(mask, "bool") for mask in masks if mask is not None]
    return functools.reduce(ops.logical_and, given) if given else None
