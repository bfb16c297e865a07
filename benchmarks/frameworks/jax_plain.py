"""JAX by hand: parameters in dicts, optax, an epoch one compiled `lax.scan` over data on the device.

A model is two functions: one makes parameters from a key, the other takes parameters, samples and a key (None outside
of training) and returns logits. Batch normalization's running means and variances stand among the parameters, as
"mean" and "variance"; such a model returns what they become as well.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
import optax
from jax import lax, random
from jax import numpy as jnp

from benchmarks.workloads import Work

Parameters = Any
Key = jax.Array | None


def keys() -> Iterator[jax.Array]:
    return (random.fold_in(random.key(0), number) for number in itertools.count())


def dense_init(key: jax.Array, inputs: int, outputs: int) -> Parameters:
    return {"w": jax.nn.initializers.glorot_uniform()(key, (inputs, outputs)), "b": jnp.zeros(outputs)}


def dense(p: Parameters, x: jax.Array) -> jax.Array:
    return x @ p["w"].astype(x.dtype) + p["b"].astype(x.dtype)


def conv_init(key: jax.Array, window: int, channels: int, filters: int) -> jax.Array:
    return jax.nn.initializers.glorot_uniform()(key, (window, window, channels, filters))


def convolve(x: jax.Array, weights: jax.Array, padding: str = "VALID", stride: int = 1) -> jax.Array:
    axes = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, weights.astype(x.dtype), (stride, stride), padding, dimension_numbers=axes)


def dropout(x: jax.Array, rate: float, key: Key) -> jax.Array:
    return x if key is None else jnp.where(random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def max_pool(x: jax.Array, window: int = 2, padding: str = "VALID") -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, window, window, 1), (1, 2, 2, 1), padding)


def mlp_init() -> Parameters:
    key = keys()
    return [dense_init(next(key), 784, 128), dense_init(next(key), 128, 10)]


def mlp(p: Parameters, x: jax.Array, key: Key) -> jax.Array:
    return dense(p[1], jax.nn.relu(dense(p[0], x)))


def cnn_init() -> Parameters:
    key = keys()
    return {
        "w1": conv_init(next(key), 3, 1, 32), "b1": jnp.zeros(32),
        "w2": conv_init(next(key), 3, 32, 64), "b2": jnp.zeros(64),
        "hidden": dense_init(next(key), 1600, 128),
        "out": dense_init(next(key), 128, 10),
    }  # fmt: skip


def cnn(p: Parameters, x: jax.Array, key: Key) -> jax.Array:
    k1, k2, k3 = (None, None, None) if key is None else random.split(key, 3)
    x = dropout(max_pool(jax.nn.relu(convolve(x, p["w1"]) + p["b1"])), 0.25, k1)
    x = dropout(max_pool(jax.nn.relu(convolve(x, p["w2"]) + p["b2"])), 0.25, k2)
    x = dropout(jax.nn.relu(dense(p["hidden"], x.reshape(len(x), -1))), 0.5, k3)
    return dense(p["out"], x)


def normalized_init(key: jax.Array, window: int, channels: int, filters: int) -> Parameters:
    one, zero = jnp.ones(filters), jnp.zeros(filters)
    return {"w": conv_init(key, window, channels, filters), "gamma": one, "beta": zero, "mean": zero, "variance": one}


def normalized(p: Parameters, x: jax.Array, stride: int, training: bool) -> tuple[jax.Array, Parameters]:
    """Return the convolution by batch normalization, which is in float32, and its parameters after."""
    x = convolve(x, p["w"], "SAME", stride)
    dtype, x = x.dtype, x.astype("float32")
    mean, variance = p["mean"], p["variance"]
    if training:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        old = lax.stop_gradient((p["mean"], p["variance"]))
        p = p | {"mean": 0.9 * old[0] + 0.1 * mean, "variance": 0.9 * old[1] + 0.1 * variance}
    return ((x - mean) * (p["gamma"] * lax.rsqrt(variance + 1e-5)) + p["beta"]).astype(dtype), p


def block_init(key: Iterator[jax.Array], channels: int, filters: int, windows: tuple[int, ...]) -> Parameters:
    out = filters if len(windows) == 2 else 4 * filters  # three: narrow, then wide again
    sizes = [channels, *[filters] * (len(windows) - 1), out]
    path = [normalized_init(next(key), *size) for size in zip(windows, sizes[:-1], sizes[1:])]
    return {"path": path} | ({} if channels == out else {"shortcut": normalized_init(next(key), 1, channels, out)})


def block(p: Parameters, x: jax.Array, training: bool) -> tuple[jax.Array, Parameters]:
    stride, shortcut = 1, p.get("shortcut")
    if shortcut is not None:
        _, _, channels, filters = shortcut["w"].shape
        stride = 2 if filters == 2 * channels else 1
    strided = [len(part["w"]) for part in p["path"]].index(3)  # the first of the 3×3 windows makes the steps
    y, path = x, []
    for number, part in enumerate(p["path"]):
        y, after = normalized(part, jax.nn.relu(y) if number else y, stride if number == strided else 1, training)
        path.append(after)
    if shortcut is None:
        return jax.nn.relu(x + y), {"path": path}
    x, after = normalized(shortcut, x, stride, training)
    return jax.nn.relu(x + y), {"path": path, "shortcut": after}


def resnet_init() -> Parameters:
    key = keys()
    sizes = [(16, 16)] * 3 + [(16, 32)] + [(32, 32)] * 2 + [(32, 64)] + [(64, 64)] * 2
    first, blocks = normalized_init(next(key), 3, 3, 16), [block_init(key, *size, (3, 3)) for size in sizes]
    return {"first": first, "blocks": blocks, "out": dense_init(next(key), 64, 10)}


def resnet_50_init() -> Parameters:
    key = keys()
    first, blocks, channels = normalized_init(next(key), 7, 3, 64), [], 64
    for filters, count in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for _ in range(count):
            blocks.append(block_init(key, channels, filters, (1, 3, 1)))
            channels = 4 * filters
    return {"first": first, "blocks": blocks, "out": dense_init(next(key), channels, 1000)}


def resnet(p: Parameters, x: jax.Array, key: Key, dtype: str = "float32") -> Any:
    large = len(p["first"]["w"]) == 7
    x, first = normalized(p["first"], x.astype(dtype), 2 if large else 1, key is not None)
    x, after = jax.nn.relu(x), {**p, "first": first, "blocks": []}
    if large:
        x = max_pool(x, 3, "SAME")
    for parts in p["blocks"]:
        x, part = block(parts, x, key is not None)
        after["blocks"].append(part)
    return dense(p["out"], x.mean((1, 2))), after


def lstm_init() -> Parameters:
    key = keys()
    return {
        "embedding": 0.05 * random.normal(next(key), (10_000, 128)),
        "input": dense_init(next(key), 128, 512),
        "state": jax.nn.initializers.orthogonal()(next(key), (128, 512)),
        "out": dense_init(next(key), 128, 2),
    }


def lstm(p: Parameters, tokens: jax.Array, key: Key) -> jax.Array:
    def step(state: Any, x: jax.Array) -> Any:
        h, c = state
        i, f, g, o = jnp.split(x + h @ p["state"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    x = dense(p["input"], p["embedding"][tokens.T])
    zero = jnp.zeros((len(tokens), 128))
    (h, _), _ = lax.scan(step, (zero, zero), x)
    return dense(p["out"], h)


def gpt_init(vocabulary: int = 256, length: int = 256, width: int = 256, depth: int = 6, tied: bool = False) -> Any:
    key = keys()

    def norm() -> Parameters:
        return {"gamma": jnp.ones(width), "beta": jnp.zeros(width)}

    def layer() -> Parameters:
        sizes = {"heads": (1, 3), "joined": (1, 1), "wide": (1, 4), "narrow": (4, 1)}
        parts = {name: dense_init(next(key), i * width, o * width) for name, (i, o) in sizes.items()}
        return parts | {"n1": norm(), "n2": norm()}

    parts = {
        "tokens": 0.02 * random.normal(next(key), (vocabulary, width)),
        "positions": 0.02 * random.normal(next(key), (length, width)),
        "layers": [layer() for _ in range(depth)],
        "norm": norm(),
    }
    return parts if tied else parts | {"out": dense_init(next(key), width, vocabulary)}


def gpt(p: Parameters, tokens: jax.Array, key: Key, dtype: str = "float32") -> jax.Array:
    # cuDNN's attention takes half the bytes; it is there for halves on a GPU alone.
    fused = "cudnn" if dtype != "float32" and jax.default_backend() == "gpu" else None

    def norm(p: Parameters, x: jax.Array) -> jax.Array:
        x = jax.nn.standardize(x.astype("float32"), axis=-1, epsilon=1e-5) * p["gamma"] + p["beta"]
        return x.astype(dtype)

    x = (p["tokens"][tokens] + p["positions"]).astype(dtype)
    for layer in p["layers"]:
        heads = dense(layer["heads"], norm(layer["n1"], x)).reshape(*x.shape[:2], 3, -1, 64)
        q, k, v = heads[:, :, 0], heads[:, :, 1], heads[:, :, 2]
        y = jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation=fused)
        x = x + dense(layer["joined"], y.reshape(x.shape))
        x = x + dense(layer["narrow"], jax.nn.gelu(dense(layer["wide"], norm(layer["n2"], x))))
    x = norm(p["norm"], x)
    return dense(p["out"], x) if "out" in p else x @ p["tokens"].astype(dtype).T


def tiny_init() -> Parameters:
    key = keys()
    return [*(dense_init(next(key), 16, 16) for _ in range(100)), dense_init(next(key), 16, 10)]


def tiny(p: Parameters, x: jax.Array, key: Key) -> jax.Array:
    for layer in p[:-1]:
        x = x + jnp.tanh(dense(layer, x))
    return dense(p[-1], x)


def linear_init() -> Parameters:
    return dense_init(next(keys()), 1024, 10)


def linear(p: Parameters, x: jax.Array, key: Key) -> jax.Array:
    return dense(p, x)


MODELS: dict[str, tuple[Callable[[], Parameters], Callable[..., Any]]] = {
    "mlp": (mlp_init, mlp), "cnn": (cnn_init, cnn), "resnet": (resnet_init, resnet), "lstm": (lstm_init, lstm),
    "gpt": (gpt_init, gpt), "tiny": (tiny_init, tiny), "linear": (linear_init, linear),
    "resnet-50": (resnet_50_init, resnet),
    "gpt-124m": (functools.partial(gpt_init, 50_304, 1024, 768, 12, tied=True), gpt),
}  # fmt: skip
STATISTICS = ("mean", "variance")
optimizer = optax.adam(0.001, eps=1e-7)


def trained(p: Parameters) -> list[jax.Array]:
    """Return what is no running mean or variance."""
    return [leaf for path, leaf in jax.tree.leaves_with_path(p) if getattr(path[-1], "key", None) not in STATISTICS]


def step(model: Any, state: Any, x: jax.Array, y: jax.Array, key: jax.Array) -> Any:
    """Return the next (parameters, optimizer's state), and the sums of losses and right answers."""
    parameters, slots = state

    def loss_of(p: Parameters) -> Any:
        result = model(p, x, key)
        logits, after = result if isinstance(result, tuple) else (result, p)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype("float32"), y)
        return losses.mean(), (after, losses.sum(), (logits.argmax(-1) == y).sum())

    grads, (after, losses, correct) = jax.grad(loss_of, has_aux=True)(parameters)
    updates, slots = optimizer.update(grads, slots)
    return (optax.apply_updates(after, updates), slots), (losses, correct)  # running statistics have no gradient


one_step = jax.jit(step, static_argnames="model", donate_argnames="state")


@functools.partial(jax.jit, static_argnames=("model", "batch"), donate_argnames="state")
def train(state: Any, x: jax.Array, y: jax.Array, key: jax.Array, *, model: Any, batch: int) -> Any:
    """One epoch."""
    shuffle_key, step_key = random.split(key)
    order = random.permutation(shuffle_key, len(x))
    whole = len(x) // batch
    rows = order[: whole * batch].reshape(whole, batch), random.split(step_key, whole)

    def body(state: Any, row: Any) -> Any:
        index, key = row
        return step(model, state, x[index], y[index], key)

    state, (losses, correct) = lax.scan(body, state, rows)
    losses, correct = losses.sum(), correct.sum()
    if whole * batch < len(x):  # the last batch is smaller
        index = order[whole * batch :]
        state, (last_loss, last_correct) = step(model, state, x[index], y[index], random.fold_in(step_key, whole))
        losses, correct = losses + last_loss, correct + last_correct
    return state, {"loss": losses / y.size, "accuracy": correct / y.size}


@functools.partial(jax.jit, static_argnames="model")
def scores(model: Any, p: Parameters, x: jax.Array) -> jax.Array:
    result = model(p, x, None)
    return (result[0] if isinstance(result, tuple) else result).astype("float32")


class Training:
    def __init__(self, work: Work, x: np.ndarray, y: np.ndarray):
        init, model = MODELS[work.model]
        self.model = model if work.dtype == "float32" else functools.partial(model, dtype=work.dtype)
        self.key = random.key(0)
        parameters = jax.jit(init)()
        self.parameters = sum(leaf.size for leaf in trained(parameters))
        # Copies: the state is donated, and JAX may have given equal arrays one place.
        self.state = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), (parameters, optimizer.init(parameters)))
        self.x, self.y = x, y
        # What is large enough for a memory map is not held a second time.
        self.resident = None if isinstance(x, np.memmap) or work.do != "fit" else jax.device_put((x, y))
        self.batch, self.random = work.batch, np.random.default_rng(0)

    def _next_key(self) -> jax.Array:
        self.key, key = random.split(self.key)
        return key

    def epochs(self, count: int) -> dict[str, float]:
        return [self._epoch() for _ in range(count)][-1]

    def _epoch(self) -> dict[str, float]:
        if self.resident is None:
            order = self.random.permutation(len(self.x))
            parts = (order[i : i + self.batch] for i in range(0, len(order), self.batch))
            return self.stream((self.x[index], self.y[index]) for index in parts)
        self.state, logs = train(self.state, *self.resident, self._next_key(), model=self.model, batch=self.batch)
        jax.block_until_ready(self.state)
        return {name: float(value) for name, value in logs.items()}

    def stream(self, batches: Iterable[Any]) -> dict[str, float]:
        sums, count = [], 0
        for x, y in batches:
            self.state, part = one_step(self.model, self.state, x, y, self._next_key())
            sums.append(part)
            count += y.size
        losses, correct = (float(jnp.stack(parts).sum()) for parts in zip(*sums))
        jax.block_until_ready(self.state)
        return {"loss": losses / count, "accuracy": correct / count}

    def predict(self, x: np.ndarray) -> np.ndarray:
        parts = [scores(self.model, self.state[0], x[i : i + self.batch]) for i in range(0, len(x), self.batch)]
        return np.concatenate(parts)
