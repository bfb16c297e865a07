"""Sequences spelled over time (connectionist temporal classification): a label or a blank at each step."""

from __future__ import annotations

from typing import Any

from kerata import errors
from kerata.core import dtypes
from kerata.core.op import Array, FloatArray, op
from kerata.engine import arrays, transforms, xp

__all__ = ["ctc_decode", "ctc_loss"]

_NEVER = -1e30  # the logarithm of no chance at all; finite, so that its slope is


def _log_probabilities(logits: Any) -> Any:
    return logits - arrays.special.logsumexp(logits, axis=-1, keepdims=True)


@op
def ctc_loss(
    target: Array, output: FloatArray, target_length: Array, output_length: Array, mask_index: int = 0
) -> Array:
    """Return -log of the probability that `output` (B, T, classes), logits, spells `target` (B, L).

    The forward pass over labels with a blank (`mask_index`) between any two; paths are summed in log space (Graves
    and others 2006, https://www.cs.toronto.edu/~graves/icml_2006.pdf).
    """
    log_p = _log_probabilities(arrays.cast(output, dtypes.result_type(output.dtype, "float32")))
    batch, times, _ = log_p.shape
    states = 2 * target.shape[1] + 1
    blank = xp.full((batch, target.shape[1]), mask_index, target.dtype)
    labels = xp.concatenate([xp.reshape(xp.stack([blank, target], -1), (batch, states - 1)), blank[:, :1]], 1)
    never = xp.asarray(_NEVER, log_p.dtype)
    # A path may skip the blank between two labels that differ.
    skips = xp.concatenate([xp.zeros((batch, 2), "bool"), labels[:, 2:] != labels[:, :-2]], 1)
    skips = xp.logical_and(skips, labels != mask_index)
    emission = xp.take_along_axis(log_p, xp.broadcast_to(labels[:, None], (batch, times, states)), axis=2)
    alpha = xp.where(xp.arange(states) < 2, emission[:, 0], never)

    def step(alpha: Any, at: Any) -> tuple[Any, None]:
        time, emitted = at
        one = xp.concatenate([xp.full((batch, 1), never), alpha[:, :-1]], 1)
        two = xp.concatenate([xp.full((batch, 2), never), alpha[:, :-2]], 1)[:, :states]
        grown = emitted + xp.logaddexp(xp.logaddexp(alpha, one), xp.where(skips, two, never))
        return xp.where((time < output_length)[:, None], grown, alpha), None

    rest = (xp.arange(1, times), xp.moveaxis(emission[:, 1:], 1, 0))
    alpha, _ = transforms.scan(step, alpha, rest, None, False)
    last = (2 * target_length)[:, None]
    end = xp.take_along_axis(alpha, last, axis=1)[:, 0]
    before = xp.take_along_axis(alpha, xp.maximum(last - 1, 0), axis=1)[:, 0]
    return -xp.where(target_length > 0, xp.logaddexp(end, before), end)


@op
def ctc_decode(
    inputs: FloatArray,
    sequence_lengths: Array,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int | None = 0,
) -> Any:
    """Return the labels (paths, B, T) that `inputs` (B, T, classes) most probably spell, and scores (B, paths).

    After the last label stands -1.

    Args:
        inputs: logits or log-probabilities.
        sequence_lengths: (B,) how many steps count.
        strategy: "greedy" takes the best class of each step; its score is minus the sum of their inputs.
            "beam_search" sums up all ways to spell the same (Graves 2012, https://doi.org/10.1007/978-3-642-24797-2,
            chapter 7.5.3); its scores are log-probabilities.
        beam_width: how many beginnings the search keeps at each step.
        top_paths: how many results it returns, the best first.
        merge_repeated: whether a class that goes on is one label, for "greedy"; the search always does so.
        mask_index: the blank; None for the last class.

    Example:
        >>> logits = [[[0.0, 9.0, 0.0], [0.0, 9.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0]]]
        >>> labels, scores = kerata.ops.ctc_decode(logits, [4])
        >>> labels.tolist(), scores.tolist()
        ([[[1, 1, -1, -1]]], [[-36.0]])
    """
    if strategy not in ("greedy", "beam_search"):
        raise errors.UnknownName("strategy", strategy, ("greedy", "beam_search"), where="ops.ctc_decode")
    inputs = arrays.cast(inputs, dtypes.result_type(inputs.dtype, "float32"))
    blank = inputs.shape[-1] - 1 if mask_index is None else mask_index
    if strategy == "greedy":
        return _decode_greedily(inputs, sequence_lengths, merge_repeated, blank)
    if not 1 <= top_paths <= beam_width:
        raise errors.InvalidArgument(
            "the search returns beginnings that it has kept.", where="ops.ctc_decode",
            expected=f"top_paths from 1 to beam_width={beam_width}", got=f"top_paths={top_paths}",
        )  # fmt: skip
    return _search(_log_probabilities(inputs), sequence_lengths, beam_width, top_paths, blank)


def _decode_greedily(inputs: Any, lengths: Any, merge_repeated: bool, blank: int) -> tuple[Any, Any]:
    steps = xp.arange(inputs.shape[1])
    counts = steps[None] < lengths[:, None]
    score = -xp.sum(xp.where(counts, xp.max(inputs, axis=-1), 0), axis=1, keepdims=True)
    best = arrays.cast(xp.argmax(inputs, axis=-1), "int32")
    label = xp.logical_and(counts, best != blank)
    if merge_repeated:
        new = xp.concatenate([xp.ones_like(label[:, :1]), best[:, 1:] != best[:, :-1]], axis=1)
        label = xp.logical_and(label, new)
    order = xp.argsort(xp.where(label, steps, inputs.shape[1]), axis=-1)  # labels first, as they come
    return xp.take_along_axis(xp.where(label, best, -1), order, axis=-1)[None], score


def _search(log_p: Any, lengths: Any, width: int, top_paths: int, blank: int) -> tuple[Any, Any]:
    """Search by beginnings. For each of W: its labels (B, W, T), how many they are (B, W), and the log-probabilities
    that it is spelled with a blank as the last step, and with a label (B, W)."""
    batch, times, classes = log_p.shape
    first = xp.broadcast_to(xp.where(xp.arange(width) == 0, 0.0, _NEVER), (batch, width))
    beams = (
        xp.full((batch, width, times), -1, "int32"),
        xp.zeros((batch, width), "int32"),
        arrays.cast(first, dtypes.dtype_of(log_p)),
        xp.full((batch, width), _NEVER, log_p.dtype),
    )
    places = xp.arange(times)

    def step(beams: Any, at: Any) -> tuple[Any, None]:
        time, p = at
        grown = _grown(beams, p, blank)
        goes_on = time < lengths
        kept = [
            xp.where(xp.reshape(goes_on, (-1,) + (1,) * (new.ndim - 1)), new, old) for new, old in zip(grown, beams)
        ]
        return tuple(kept), None

    beams, _ = transforms.scan(step, beams, (places, xp.moveaxis(log_p, 1, 0)), None, False)
    labels, _, with_blank, with_label = beams
    scores, best = arrays.top_k(xp.logaddexp(with_blank, with_label), top_paths)
    labels = xp.take_along_axis(labels, best[..., None], axis=1)
    return xp.moveaxis(labels, 1, 0), xp.where(scores > _NEVER / 2, scores, -xp.inf)


def _grown(beams: Any, p: Any, blank: int) -> tuple[Any, ...]:
    """Return the best beginnings after one more step, whose log-probabilities are p (B, classes)."""
    labels, count, with_blank, with_label = beams
    batch, width, times = labels.shape
    classes = p.shape[-1]
    places = xp.arange(times)
    total = xp.logaddexp(with_blank, with_label)
    is_last = places == count[..., None] - 1
    last = xp.sum(xp.where(is_last, labels, 0), axis=-1)  # 0, which is not used, where there is no label yet
    ends_with = xp.logical_and(last[..., None] == xp.arange(classes), count[..., None] > 0)

    # It stays as it is with a blank, or as its last label goes on; that label once more is new only after a blank.
    stay_blank = total + p[:, blank, None]
    stay_label = xp.where(count > 0, with_label + xp.take_along_axis(p, last, axis=1), _NEVER)
    longer = xp.where(ends_with, with_blank[..., None], total[..., None]) + p[:, None]

    # Where a beginning (j) is another one (i) and a label more, both ways to spell it are joined, in j.
    follows = xp.all(labels[:, :, None] == xp.where(is_last, -1, labels)[:, None], axis=-1)
    alive = xp.logical_and(total > _NEVER / 2, count > 0)  # the others fill up the beam, and may stand there twice
    follows = xp.logical_and(follows, xp.logical_and(count[:, :, None] + 1 == count[:, None], alive[:, None]))
    there = xp.logical_and(follows[..., None], ends_with[:, None])  # (B, i, j, classes)
    joined = xp.max(xp.where(there, longer[:, :, None], _NEVER), axis=(1, 3))
    stay_label = xp.logaddexp(stay_label, joined)
    longer = xp.where(xp.logical_or(xp.any(there, axis=2), xp.arange(classes) == blank), _NEVER, longer)

    longer = xp.reshape(longer, (batch, width * classes))
    candidates = xp.concatenate([xp.logaddexp(stay_blank, stay_label), longer], axis=1)
    score, chosen = arrays.top_k(candidates, width)
    grows = chosen >= width
    source = xp.where(grows, (chosen - width) // classes, chosen)
    label = (chosen - width) % classes
    count = xp.take_along_axis(count, source, axis=1)
    added = xp.logical_and(grows[..., None], places == count[..., None])
    labels = xp.where(added, label[..., None], xp.take_along_axis(labels, source[..., None], axis=1))
    return (
        arrays.cast(labels, "int32"),
        count + arrays.cast(grows, "int32"),
        xp.where(grows, _NEVER, xp.take_along_axis(stay_blank, source, axis=1)),
        xp.where(grows, score, xp.take_along_axis(stay_label, source, axis=1)),
    )
