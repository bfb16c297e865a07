"""Activations, normalizations, cross-entropies, attention."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
from cases import case, flags, positive, x

# Activations and normalizations -----------------------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray, axis: Any = -1) -> np.ndarray:
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


FORMULAS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.maximum(x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "celu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "selu": lambda x: 1.05070098735548 * np.where(x > 0, x, 1.67326324235438 * (np.exp(x) - 1)),
    "sigmoid": sigmoid,
    "log_sigmoid": lambda x: np.log(sigmoid(x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "silu": lambda x: x * sigmoid(x),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_shrink": lambda x: x * (np.abs(x) > 0.5),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "squareplus": lambda x: (x + np.sqrt(x**2 + 4)) / 2,
    "sparse_plus": lambda x: np.where(x >= 1, x, np.where(x <= -1, 0, (x + 1) ** 2 / 4)),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
}
for name, formula in FORMULAS.items():
    case(name, x(4, 5) * 3, ref=formula)
case("celu", x(2, 3), alpha=0.5, ref=lambda x, alpha: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)))
case("gelu", x(4, 5), approximate=False, ref=lambda x, approximate: x * scipy.special.ndtr(x))
case("gelu", x(4, 5), ref=lambda x: 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))))
case("glu", x(2, 6), ref=lambda x: x[:, :3] * sigmoid(x[:, 3:]))
case("threshold", x(2, 3), 0.5, 20.0, ref=lambda x, t, v: np.where(x > t, x, v))
case("mish", x(4, 5), ref=lambda x: x * np.tanh(np.log(1 + np.exp(x))))
case("bounded_relu", x(4, 5), ref=lambda x: np.maximum(x, 0))
case(
    "bounded_relu", x(4, 5) * 3, negative_slope=0.1, max_value=2.0, threshold=0.5,
    ref=lambda x, negative_slope, max_value, threshold: np.where(x >= 0.5, np.minimum(x, 2), 0.1 * (x - 0.5)),
)  # fmt: skip
case("softmax", x(2, 5), ref=softmax)
case("softmax", x(2, 3, 4), axis=(1, 2), ref=softmax)
case("softmax", x(2, 3) + 1000, ref=lambda x: softmax(x - 1000), tol=1e-4)
case("log_softmax", x(2, 5), axis=1, ref=lambda x, axis: np.log(softmax(x)))
case("sparsemax", np.array([[0.1, 1.2, 1.0], [3.0, 0.0, 1.0]]), ref=lambda x: np.array([[0, 0.6, 0.4], [1, 0, 0]]))
case("sparsemax", x(4, 5))
case(
    "batch_normalization",
    x(4, 5, 3),
    x(3),
    positive(3),
    -1,
    x(3),
    positive(3),
    ref=lambda x, m, v, axis, b, g: (x - m) / np.sqrt(v + 1e-3) * g + b,
    batch=(0,),
)
case(
    "batch_normalization",
    x(4, 3, 5),
    x(3),
    positive(3),
    1,
    ref=lambda x, m, v, axis: (x - m[:, None]) / np.sqrt(v[:, None] + 1e-3),
    batch=(0,),
)


def standardized(x: np.ndarray, epsilon: float = 1e-7) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)


def by_channel(x: np.ndarray, g: Any, b: Any, axis: int = -1, epsilon: float = 1e-3) -> tuple:
    x = np.moveaxis(x, axis, -1)
    mean, variance = x.mean((0, 1)), x.var((0, 1))
    y = (x - mean) / np.sqrt(variance + epsilon) * (1 if g is None else g) + (0 if b is None else b)
    return np.moveaxis(y, -1, axis), mean, variance


case("normalize_batch", x(4, 5, 3), x(3), x(3), ref=by_channel, view=lambda result: result[0], batch=(0,))
case("normalize_batch", x(4, 3, 5), x(3), None, axis=1, epsilon=0.1, ref=by_channel, grad=False, batch=(0,))
case("layer_normalization", x(4, 5), ref=standardized)
case(
    "layer_normalization",
    x(4, 5),
    positive(5),
    x(5),
    epsilon=0.1,
    ref=lambda x, g, b, epsilon: standardized(x, epsilon) * g + b,
    batch=(0,),
)
case("rms_normalization", x(4, 5), ref=lambda x: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-7))
case(
    "rms_normalization",
    x(4, 5),
    positive(5),
    epsilon=0.1,
    ref=lambda x, g, epsilon: x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * g,
    batch=(0,),
)
case("normalize", x(4, 5), ref=lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True))
case("normalize", x(4, 5), order=1, axis=1, ref=lambda x, order, axis: x / np.abs(x).sum(1, keepdims=True))

# Cross-entropies and attention ------------------------------------------------------------------------------------

TARGETS = np.array([2, 0, 1])
case("categorical_crossentropy", softmax(x(3, 4)), softmax(x(3, 4)), ref=lambda t, p: -np.sum(t * np.log(p), -1))
case(
    "categorical_crossentropy",
    softmax(x(3, 4)),
    x(3, 4),
    from_logits=True,
    ref=lambda t, z, from_logits: -np.sum(t * np.log(softmax(z)), -1),
)
case("sparse_categorical_crossentropy", TARGETS, softmax(x(3, 4)), ref=lambda t, p: -np.log(p[range(3), t]))
case(
    "sparse_categorical_crossentropy",
    TARGETS[:, None],
    x(3, 4),
    from_logits=True,
    ref=lambda t, z, from_logits: -np.log(softmax(z))[range(3), t[:, 0]],
)
case(
    "binary_crossentropy",
    flags(3, 2) * 1.0,
    sigmoid(x(3, 2)),
    ref=lambda t, p: -np.where(t, np.log(p), np.log(1 - p)),
    grad=False,
)
case(
    "binary_crossentropy",
    sigmoid(x(3, 2)),
    x(3, 2),
    from_logits=True,
    ref=lambda t, z, from_logits: np.logaddexp(0, z) - t * z,
)


def ctc_by_paths(
    target: np.ndarray, output: np.ndarray, target_length: np.ndarray, output_length: np.ndarray
) -> np.ndarray:
    """-log of the sum over all paths that spell the target once repeats and blanks (0) are dropped."""
    losses = []
    for labels, logits, length, times in zip(target, output, target_length, output_length):
        p, total = softmax(logits), 0.0
        for path in np.ndindex(*(logits.shape[1],) * int(times)):
            spelled = [c for i, c in enumerate(path) if c and (i == 0 or c != path[i - 1])]
            if spelled == list(labels[:length]):
                total += np.prod([p[t, c] for t, c in enumerate(path)])
        losses.append(-np.log(total))
    return np.array(losses)


case(
    "ctc_loss",
    np.array([[1, 2], [1, 1], [2, 0]]),
    x(3, 4, 3),
    np.array([2, 2, 1]),
    np.array([4, 3, 4]),
    ref=ctc_by_paths,
    tol=1e-4,
)


def labels_by_paths(logits: np.ndarray, lengths: np.ndarray, _: str, beam_width: int, top_paths: int) -> tuple:
    """The most probable labels of each sequence, by adding up the paths that spell the same, one by one."""
    labels, scores = np.full((top_paths, *logits.shape[:2]), -1), np.zeros((len(logits), top_paths))
    for b, (scene, length) in enumerate(zip(logits, lengths)):
        p, total = softmax(scene), {}
        for path in np.ndindex(*(scene.shape[1],) * int(length)):
            spelled = tuple(c for i, c in enumerate(path) if c and (i == 0 or c != path[i - 1]))
            total[spelled] = total.get(spelled, 0) + np.prod([p[t, c] for t, c in enumerate(path)])
        for i, spelled in enumerate(sorted(total, key=total.__getitem__, reverse=True)[:top_paths]):
            labels[i, b, : len(spelled)], scores[b, i] = spelled, np.log(total[spelled])
    return labels, scores


SPELLED = 2 * np.random.default_rng(6).normal(size=(3, 5, 3))
case("ctc_decode", SPELLED, np.array([5, 3, 4]), "beam_search", 40, 3, ref=labels_by_paths, tol=1e-4)
case("ctc_decode", SPELLED, np.array([5, 0, 1]), "beam_search", 4, 1, mask_index=None)
SEEN = 9 * np.eye(3)[[[1, 1, 0, 1, 2, 2], [0, 2, 2, 1, 1, 1]]]
case(
    "ctc_decode",
    SEEN,
    np.array([6, 3]),
    ref=lambda *_: (np.array([[[1, 1, 2, -1, -1, -1], [2, -1, -1, -1, -1, -1]]]), np.array([[-54], [-27]])),
    grad=False,  # corners: equal numbers
)
case(
    "ctc_decode",
    SEEN,
    np.array([6, 3]),
    merge_repeated=False,
    mask_index=2,
    ref=lambda *_, **__: (np.array([[[1, 1, 0, 1, -1, -1], [0, -1, -1, -1, -1, -1]]]), np.array([[-54], [-27]])),
    grad=False,
)


def attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: Any = None, is_causal: bool = False, **_: Any
) -> np.ndarray:
    k, v = (np.repeat(a, q.shape[2] // k.shape[2], 2) for a in (k, v))
    scores = np.einsum("btnh,bsnh->bnts", q, k) / q.shape[-1] ** 0.5
    if is_causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:])) > 0, scores, -np.inf)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    return np.einsum("bnts,bsnh->btnh", softmax(scores), v)


QUERY = x(2, 3, 4, 5)
case("dot_product_attention", QUERY, x(2, 6, 4, 5), x(2, 6, 4, 5), ref=attention)
case("dot_product_attention", QUERY, x(2, 3, 2, 5), x(2, 3, 2, 5), is_causal=True, ref=attention)
case(
    "dot_product_attention",
    QUERY,
    x(2, 3, 4, 5),
    x(2, 3, 4, 5),
    mask=np.tril(np.ones((1, 1, 3, 3), bool)),
    ref=attention,
)
case(
    "dot_product_attention",
    QUERY,
    x(2, 3, 4, 5),
    x(2, 3, 4, 5),
    bias=x(1, 4, 3, 3),
    scale=0.3,
    attn_logits_soft_cap=2.0,
)
case("polar", positive(2, 3), x(2, 3), ref=lambda r, a: r * np.exp(1j * a), grad=False)
case("psnr", x(2, 3), x(2, 3), 1.0, ref=lambda a, b, m: 10 * np.log10(m**2 / np.mean((a - b) ** 2)))
