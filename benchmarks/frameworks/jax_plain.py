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
    return x @ p["w"] + p["b"]


def conv_init(key: jax.Array, window: int, channels: int, filters: int) -> jax.Array:
    return jax.nn.initializers.glorot_uniform()(key, (window, window, channels, filters))


def convolve(x: jax.Array, weights: jax.Array, padding: str = "VALID", stride: int = 1) -> jax.Array:
    axes = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, weights, (stride, stride), padding, dimension_numbers=axes)


def dropout(x: jax.Array, rate: float, key: Key) -> jax.Array:
    return x if key is None else jnp.where(random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def max_pool(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


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


BLOCKS = [(16, 16)] * 3 + [(16, 32)] + [(32, 32)] * 2 + [(32, 64)] + [(64, 64)] * 2


def resnet_init() -> Parameters:
    key = keys()

    def normalized(window: int, channels: int, filters: int) -> Parameters:
        w, one, zero = conv_init(next(key), window, channels, filters), jnp.ones(filters), jnp.zeros(filters)
        return {"w": w, "gamma": one, "beta": zero, "mean": zero, "variance": one}

    def block(channels: int, filters: int) -> Parameters:
        parts = [normalized(3, channels, filters), normalized(3, filters, filters)]
        return parts if channels == filters else [*parts, normalized(1, channels, filters)]

    return {"first": normalized(3, 3, 16), "blocks": list(itertools.starmap(block, BLOCKS)),
            "out": dense_init(next(key), 64, 10)}  # fmt: skip


def resnet(p: Parameters, x: jax.Array, key: Key) -> Any:
    def normalized(p: Parameters, x: jax.Array, stride: int = 1) -> tuple[jax.Array, Parameters]:
        x = convolve(x, p["w"], "SAME", stride)
        mean, variance = p["mean"], p["variance"]
        if key is not None:
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            old = lax.stop_gradient((p["mean"], p["variance"]))
            p = p | {"mean": 0.9 * old[0] + 0.1 * mean, "variance": 0.9 * old[1] + 0.1 * variance}
        return (x - mean) * (p["gamma"] * lax.rsqrt(variance + 1e-5)) + p["beta"], p

    x, first = normalized(p["first"], x)
    x, after = jax.nn.relu(x), {**p, "first": first, "blocks": []}
    for parts in p["blocks"]:
        stride = 1 if len(parts) == 2 else 2
        y, new1 = normalized(parts[0], x, stride)
        y, new2 = normalized(parts[1], jax.nn.relu(y))
        if stride == 2:
            x, new3 = normalized(parts[2], x, stride)
        x = jax.nn.relu(x + y)
        after["blocks"].append([new1, new2] if stride == 1 else [new1, new2, new3])
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


def gpt_init() -> Parameters:
    key = keys()

    def norm() -> Parameters:
        return {"gamma": jnp.ones(256), "beta": jnp.zeros(256)}

    def layer() -> Parameters:
        sizes = {"heads": (256, 768), "joined": (256, 256), "wide": (256, 1024), "narrow": (1024, 256)}
        return {name: dense_init(next(key), *size) for name, size in sizes.items()} | {"n1": norm(), "n2": norm()}

    return {
        "tokens": 0.02 * random.normal(next(key), (256, 256)),
        "positions": 0.02 * random.normal(next(key), (256, 256)),
        "layers": [layer() for _ in range(6)],
        "norm": norm(),
        "out": dense_init(next(key), 256, 256),
    }


def gpt(p: Parameters, tokens: jax.Array, key: Key) -> jax.Array:
    def norm(p: Parameters, x: jax.Array) -> jax.Array:
        return jax.nn.standardize(x, axis=-1, epsilon=1e-5) * p["gamma"] + p["beta"]

    x = p["tokens"][tokens] + p["positions"]
    for layer in p["layers"]:
        heads = dense(layer["heads"], norm(layer["n1"], x)).reshape(*x.shape[:2], 3, 4, 64)
        y = jax.nn.dot_product_attention(heads[:, :, 0], heads[:, :, 1], heads[:, :, 2], is_causal=True)
        x = x + dense(layer["joined"], y.reshape(x.shape))
        x = x + dense(layer["narrow"], jax.nn.gelu(dense(layer["wide"], norm(layer["n2"], x))))
    return dense(p["out"], norm(p["norm"], x))


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
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
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
    return result[0] if isinstance(result, tuple) else result


class Training:
    def __init__(self, work: Work, x: np.ndarray, y: np.ndarray):
        init, self.model = MODELS[work.model]
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
