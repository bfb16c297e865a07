"""Attention of several heads: each projects query, key and value in its own way and attends for itself.

Shapes: B batch, T query steps, S value and key steps, F features, N query heads, K key and value heads, H width of a
head's queries and keys, V width of its values. T and S may be several axes each in `MultiHeadAttention`.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from kerata import errors, initializers, ops, regularizers
from kerata.core import registry
from kerata.layers.activation import Softmax
from kerata.layers.arguments import Named, fraction, normalized_axes, positive
from kerata.layers.attention import all_of, steps_between
from kerata.layers.base import Layer
from kerata.layers.einsum import EinsumDense
from kerata.layers.input_spec import InputSpec
from kerata.layers.regularization import Dropout

__all__ = ["GroupQueryAttention", "GroupedQueryAttention", "MultiHeadAttention"]


class _Heads(Layer):
    """What both have: projections into heads and back, masks, and the attention between."""

    supports_masking = True
    attention_axes: Any = (1,)

    def _check_arguments(self, activity_regularizer: Any) -> None:
        self._projections_regularizer = regularizers.get(activity_regularizer)
        fraction(self, "dropout", self.dropout)
        if self.sliding_window is not None:
            positive(self, "sliding_window", self.sliding_window)
        if self.flash_attention and self.dropout > 0:
            raise errors.InvalidArgument(
                "flash attention never holds the weights that `dropout` would drop.", where=type(self).__name__,
                got=f"flash_attention=True, dropout={self.dropout}",
            )  # fmt: skip

    # Projections ------------------------------------------------------------------------------------------------

    def _build_projections(
        self, query: Any, value: Any, key: Any, heads: tuple[int, int], widths: tuple[int, int], output: Sequence[int]
    ) -> None:
        """Build all projections, for shapes of the inputs, `heads` N and K, and their `widths` H and V."""
        key = value if key is None else key
        if tuple(value[1:-1]) != tuple(key[1:-1]):
            raise errors.ShapeMismatch(
                "there is one key for each value.", where=self._where(),
                expected="the same shape but for the features", got=f"value {tuple(value)}, key {tuple(key)}",
            )  # fmt: skip
        (n, k), (h, v) = heads, widths
        self._query_dense = self._projection("query", query, (n, h))
        self._key_dense = self._projection("key", key, (k, h))
        if self.use_gate:
            self._gate_dense = self._projection("gate", query, (n, v), activation="sigmoid")
        self._value_dense = self._projection("value", value, (k, v))
        self._softmax = Softmax(tuple(range(-len(self.attention_axes), 0)), dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)
        self._output_dense = self._projection("attention_output", (*query[:-1], n, v), output, summed=2)

    def _projection(
        self, name: str, shape: Any, output: Sequence[int], summed: int = 1, activation: Any = None
    ) -> EinsumDense:
        """Return a layer that turns the last `summed` axes of an input of `shape` into those of `output`."""
        x, new = string.ascii_lowercase[: len(shape)], string.ascii_uppercase[: len(output)]
        kept, gone = x[:-summed], x[-summed:]
        layer = EinsumDense(
            f"{x},{gone}{new}->{kept}{new}",
            (*(None,) * (len(kept) - 1), *output),
            activation=activation,
            bias_axes=new if self.use_bias else None,
            kernel_initializer=_another(self.kernel_initializer),
            bias_initializer=_another(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            activity_regularizer=self._projections_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            name=name,
            dtype=self.dtype_policy,
        )
        layer.build(tuple(shape))
        return layer

    # Attention --------------------------------------------------------------------------------------------------

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        mask = self._attention_mask(query, value, query_mask, value_mask, key_mask, attention_mask)
        y, weights = self._compute_attention(
            self._query_dense(query),
            self._key_dense(value if key is None else key),
            self._value_dense(value),
            mask,
            training,
            return_attention_scores,
            use_causal_mask,
        )
        y = self._output_dense(y * self._gate_dense(query) if self.use_gate else y)
        return (y, weights) if return_attention_scores else y

    def _attention_mask(self, query: Any, value: Any, of_query: Any, of_value: Any, of_key: Any, given: Any) -> Any:
        """Return what every mask allows, but for the causal one; (B, T, S) or what broadcasts to it, or None."""
        near = None
        if self.sliding_window is not None:
            near = ops.abs(steps_between(query.shape[1], value.shape[1])) < self.sliding_window
        of_query = None if of_query is None else ops.expand_dims(of_query, -1)
        of_steps = [None if mask is None else ops.expand_dims(mask, -2) for mask in (of_value, of_key)]
        return all_of([of_query, *of_steps, near, given])

    def _compute_attention(
        self,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Any, Any]:
        """Return softmax(query keyᵀ / √H) value for each head, (B, T, N, V), and the weights (B, N, T, S).

        The weights are None where the engine's own attention does all at once. A subclass may do it in another way.
        """
        axes, rank = self.attention_axes, query.ndim
        at_once = not self.dropout and not return_attention_scores and rank == 4 and axes == (1,)
        if return_attention_scores and self.flash_attention:
            raise errors.InvalidArgument(
                "flash attention never holds the weights that are asked for.", where=self._where(),
                got="flash_attention=True, return_attention_scores=True",
            )  # fmt: skip
        if use_causal_mask and not at_once:
            attention_mask = all_of([attention_mask, steps_between(query.shape[1], key.shape[1]) >= 0])
        if attention_mask is not None:
            attention_mask = _for_heads(attention_mask, rank - 1 + len(axes), 2 * len(axes))
        scale = query.shape[-1] ** -0.5
        if at_once:
            y = ops.dot_product_attention(
                query, key, value, mask=attention_mask, scale=scale, is_causal=use_causal_mask,
                flash_attention=self.flash_attention,
            )  # fmt: skip
            return y, None
        if (share := query.shape[-2] // key.shape[-2]) > 1:
            key, value = ops.repeat(key, share, axis=-2), ops.repeat(value, share, axis=-2)
        scores_of, means_of = _equations(rank, axes)
        weights = self._softmax(ops.einsum(scores_of, query * scale, key), mask=attention_mask)
        kept = self._dropout_layer(weights, training=training)
        return ops.einsum(means_of, kept, value), weights

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("flash_attention", None)  # how it is computed, not what
        return {**config, "activity_regularizer": registry.serialize_keras_object(self._projections_regularizer)}


def _another(initializer: Any) -> Any:
    """Return an initializer like this one that draws other numbers, unless its seed is given."""
    return initializer.clone() if isinstance(initializer, initializers.Initializer) else initializer


def _for_heads(mask: Any, rank: int, attended: int) -> Any:
    """Return `mask` with the axes it lacks of `rank`; they stand before its last `attended` ones."""
    batch = max(mask.ndim - attended, 0)
    return ops.reshape(mask, (*mask.shape[:batch], *(1,) * (rank - mask.ndim), *mask.shape[batch:]))


def _equations(rank: int, axes: Sequence[int]) -> tuple[str, str]:
    """Return the einsum equations of scores and of weighed values, with capitals for key and value steps.

    For one axis of steps they are "abcd,aBcd->acbB" and "acbB,aBcd->abcd".
    """
    query = string.ascii_lowercase[:rank]
    key = "".join(letter.upper() if axis in axes else letter for axis, letter in enumerate(query))
    apart = "".join(query[axis] for axis in range(rank - 1) if axis not in axes)
    weights = apart + "".join(query[axis] for axis in axes) + "".join(key[axis] for axis in axes)
    return f"{query},{key}->{weights}", f"{weights},{key}->{query}"


# The layers -----------------------------------------------------------------------------------------------------


class MultiHeadAttention(_Heads):
    """y = concat(head_1 … head_N) W, head_i = softmax(q_i k_iᵀ / √H) v_i, with q_i, k_i, v_i projected from the inputs.

    (B, T, F) and (B, S, F') -> (B, T, F): called as `layer(query, value)` or `layer(query, value, key)`; values are
    their own keys where none are given, and `layer(x, x)` is self-attention.

    Args:
        num_heads: N, the number of heads.
        key_dim: H, the width of a head's queries and keys.
        value_dim: V, the width of a head's values; H by default.
        dropout: how much of the weights is dropped in training.
        use_bias: whether the projections have biases.
        output_shape: the features of the output, an int or several; those of the query by default.
        attention_axes: the axes of the steps; by default all between batch and features.
        sliding_window: a step attends only to steps fewer than this many away.
        flash_attention: whether to insist on an algorithm that never holds all weights; None leaves it to the engine.
        use_gate: whether each head's result is multiplied by sigmoid(query G), with learned G.
        seed: an int for the same draws of dropout each time the program runs.

    `call` also takes

    - query_mask (B, T), value_mask and key_mask (B, S): which steps are real; by default the masks that the inputs
      carry.
    - attention_mask (B, T, S): which query step may attend to which value; one (B, N, T, S) tells the heads apart.
    - return_attention_scores: whether the weights (B, N, T, S) are returned too.
    - use_causal_mask: whether a step attends only to steps up to its own number.

    A step that may attend to nothing has no meaningful result.

    Raises:
        InvalidArgument: for flash attention with dropout, or when its weights are asked for.
        ShapeMismatch: when there are not as many keys as values.

    Example:
        >>> x = numpy.random.rand(2, 10, 64)
        >>> kerata.layers.MultiHeadAttention(num_heads=4, key_dim=16)(x, x, use_causal_mask=True).shape
        (2, 10, 64)

    Source: Vaswani et al. (2017), Attention is all you need; Qiu et al. (2025), Gated attention for large language
    models.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Named = "glorot_uniform",
        bias_initializer: Named = "zeros",
        kernel_regularizer: Named = None,
        bias_regularizer: Named = None,
        activity_regularizer: Named = None,
        kernel_constraint: Named = None,
        bias_constraint: Named = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self._check_arguments(activity_regularizer)
        self.num_heads = positive(self, "num_heads", num_heads)
        self.key_dim = positive(self, "key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else positive(self, "value_dim", value_dim)
        self.output_shape, self.attention_axes = _several(output_shape), _several(attention_axes)

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        rank = len(query_shape)
        axes = range(1, rank - 1) if self.attention_axes is None else self.attention_axes
        self.attention_axes = normalized_axes(self, tuple(axes), rank)
        if not set(self.attention_axes) <= set(range(1, rank - 1)):
            raise errors.ShapeMismatch(
                "attention goes over axes between batch and features.", where=self._where(),
                expected=f"axes from 1 to {rank - 2}", got=f"attention_axes={self.attention_axes}",
            )  # fmt: skip
        output = self.output_shape or (query_shape[-1],)
        heads, widths = (self.num_heads, self.num_heads), (self.key_dim, self.value_dim)
        self._build_projections(query_shape, value_shape, key_shape, heads, widths, output)
        # Keras's names of them, in programs and in files.
        self.query_dense, self.key_dense = self._query_dense, self._key_dense
        self.value_dense, self.output_dense = self._value_dense, self._output_dense


class GroupedQueryAttention(_Heads):
    """`MultiHeadAttention` in which groups of N / K query heads share a key and value head.

    (B, T, F) and (B, S, F') -> (B, T, F); K = N is multi-head attention, K = 1 multi-query attention. The arguments
    of `call` are those of `MultiHeadAttention`.

    Args:
        head_dim: H, the width of a head.
        num_query_heads: N, the number of query heads.
        num_key_value_heads: K, the number of key and value heads, a divisor of N.
        dropout: how much of the weights is dropped in training.
        use_bias: whether the projections have biases.
        sliding_window: a step attends only to steps fewer than this many away.
        flash_attention: whether to insist on an algorithm that never holds all weights; None leaves it to the engine.
        use_gate: whether each head's result is multiplied by sigmoid(query G), with learned G.
        seed: an int for the same draws of dropout each time the program runs.

    Raises:
        InvalidArgument: when K is no divisor of N, for flash attention with dropout, or when its weights are asked for.
        ShapeMismatch: when there are not as many keys as values.

    Example:
        >>> x = numpy.random.rand(2, 10, 64)
        >>> layer = kerata.layers.GroupQueryAttention(head_dim=16, num_query_heads=4, num_key_value_heads=2)
        >>> layer(x, x).shape
        (2, 10, 64)

    Source: Ainslie et al. (2023), GQA: training generalized multi-query transformer models from multi-head checkpoints.
    """

    _serialized_module, _serialized_name = "keras.layers", "GroupQueryAttention"
    input_spec = InputSpec(ndim=3)

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Named = "glorot_uniform",
        bias_initializer: Named = "zeros",
        kernel_regularizer: Named = None,
        bias_regularizer: Named = None,
        activity_regularizer: Named = None,
        kernel_constraint: Named = None,
        bias_constraint: Named = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._keep(locals())
        self._check_arguments(activity_regularizer)
        self.head_dim = positive(self, "head_dim", head_dim)
        self.num_query_heads = positive(self, "num_query_heads", num_query_heads)
        self.num_key_value_heads = positive(self, "num_key_value_heads", num_key_value_heads)
        if num_query_heads % num_key_value_heads:
            raise errors.InvalidArgument(
                "the query heads cannot be shared out.", where=type(self).__name__,
                expected="`num_query_heads` as a multiple of `num_key_value_heads`",
                got=f"{num_query_heads} and {num_key_value_heads}",
            )  # fmt: skip

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        heads, widths = (self.num_query_heads, self.num_key_value_heads), (self.head_dim, self.head_dim)
        self._build_projections(query_shape, value_shape, key_shape, heads, widths, (query_shape[-1],))


def _several(value: Any) -> tuple[int, ...] | None:
    return (value,) if isinstance(value, int) else tuple(value) if value else None


GroupQueryAttention = GroupedQueryAttention  # its public name
