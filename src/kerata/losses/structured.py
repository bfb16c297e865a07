"""Losses of whole images, embeddings and sequences: overlap, similarity within a batch, alignment."""

from __future__ import annotations

from typing import Any

from kerata import config, errors, ops
from kerata.core import scopes
from kerata.losses.checks import as_float, pair

__all__ = ["circle", "ctc", "dice", "tversky"]

_NOTHING = -1e9  # the logarithm of nothing


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
    """Return 1 - 2 Σ y p / (Σ y + Σ p + ε) over `axis` (all axes for None): how little two regions overlap.

    Example:
        >>> round(float(kerata.losses.dice([[[1.0], [0.0]]], [[[1.0], [0.0]]])), 4)
        0.0
    """
    y_true, y_pred = pair("dice", y_true, y_pred)
    overlap = ops.sum(y_true * y_pred, axis=axis)
    return 1.0 - 2.0 * overlap / (ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis) + config.epsilon())


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Any:
    """Return 1 - overlap / (overlap + alpha · missed + beta · wrongly marked + ε); ½ and ½ make it `dice`.

    Salehi et al., "Tversky loss function for image segmentation", https://arxiv.org/abs/1706.05721.

    Example:
        >>> round(float(kerata.losses.tversky([[[1.0], [0.0]]], [[[1.0], [0.0]]])), 4)
        0.0
    """
    y_true, y_pred = pair("tversky", y_true, y_pred)
    overlap = ops.sum(y_true * y_pred, axis=axis)
    missed = ops.sum((1.0 - y_pred) * y_true, axis=axis)
    wrong = ops.sum(y_pred * (1.0 - y_true), axis=axis)
    return 1.0 - overlap / (overlap + missed * alpha + wrong * beta + config.epsilon())


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Any:
    """Return how badly embeddings of one class keep together and apart from other classes, for each sample.

    softplus(log Σ exp(gamma · n (s_n - margin)) + log Σ exp(-gamma · p (s_p - 1 + margin))), weights n and p grow with
    the distance from the aim.

    Args:
        y_true: class numbers, (B,).
        y_pred: embeddings of length one, (B, D).
        ref_labels, ref_embeddings: what to compare with, (R,) and (R, D); the batch itself for None.
        remove_diagonal: whether a sample is not compared with itself.
        gamma: the scale.
        margin: how far the aim is from perfect similarity.

    Sun et al., "Circle Loss", https://arxiv.org/abs/2002.10857.

    Example:
        >>> round(float(kerata.losses.circle([0, 0, 1], [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])[1]), 1)
        38.4
    """
    y_true, y_pred = ops.cast(y_true, "int32"), as_float(y_pred)
    if len(y_pred.shape) != 2:
        raise errors.ShapeMismatch(
            "embeddings are rows.", where="loss 'circle'", expected="y_pred of shape (B, D)",
            got=f"shape {tuple(y_pred.shape)}",
        )  # fmt: skip
    references = y_pred if ref_embeddings is None else ops.convert_to_tensor(ref_embeddings)
    ref_labels = y_true if ref_labels is None else ops.cast(ref_labels, "int32")

    distance = ops.maximum(1.0 - ops.matmul(y_pred, ops.transpose(references)), 0.0)
    same = ops.reshape(y_true, (-1, 1)) == ops.reshape(ref_labels, (1, -1))
    others = ~same
    if remove_diagonal:
        same = same & ~ops.eye(same.shape[0], same.shape[1], dtype="bool")

    pull = -gamma * (margin + distance) * (margin - distance)
    push = gamma * ops.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance)
    # A sample alone in its class (or with no other class) loses nothing; -inf would make its gradient NaN.
    pulled = ops.logsumexp(ops.where(same, pull, _NOTHING), axis=1)
    pushed = ops.logsumexp(ops.where(others, push, _NOTHING), axis=1)
    loss = ops.softplus(pulled + pushed)
    scopes.set_mask(loss, loss > 0)
    return loss


def ctc(y_true: Any, y_pred: Any) -> Any:
    """Return minus the log-likelihood of label sequences under all their alignments; class 0 is the blank.

    Args:
        y_true: class numbers, (B, L), filled up with 0 at the end.
        y_pred: logits, (B, T, C).

    Graves et al., "Connectionist Temporal Classification", 2006.

    Example:
        >>> round(float(kerata.losses.ctc([[1, 0]], numpy.zeros((1, 2, 3)))[0]), 4)  # 3 of 9 paths spell "1"
        1.0986
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), as_float(y_pred)
    for name, x, rank, meaning in (("y_true", y_true, 2, "(B, L)"), ("y_pred", y_pred, 3, "(B, T, C)")):
        if len(x.shape) != rank:
            raise errors.ShapeMismatch(
                "a sequence loss takes sequences.", where="loss 'ctc'", expected=f"{name} of shape {meaning}",
                got=f"shape {tuple(x.shape)}",
            )  # fmt: skip
    label_length = ops.sum(ops.cast(y_true != 0, "int32"), axis=-1)
    time = ops.cast(ops.ones_like(label_length), "int32") * y_pred.shape[1]
    return ops.ctc_loss(ops.cast(y_true, "int32"), y_pred, label_length, time, mask_index=0)
