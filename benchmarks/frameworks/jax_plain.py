"""JAX by hand: parameters in a dict, Adam written out, an epoch one compiled `lax.scan` over data on the device."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from jax import lax, random
from jax import numpy as jnp

from benchmarks.workloads import Epoch

RATE, DECAY_1, DECAY_2, EPSILON = 0.001, 0.9, 0.999, 1e-7


def kernel(key: jax.Array, *shape: int) -> jax.Array:
    return jax.nn.initializers.glorot_uniform()(key, shape)


def dropout(x: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    return x if key is None else jnp.where(random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def convolve(x: jax.Array, weights: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(x, weights, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def max_pool(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def mlp_init(key: jax.Array) -> dict[str, jax.Array]:
    k1, k2 = random.split(key)
    return {"w1": kernel(k1, 784, 128), "b1": jnp.zeros(128), "w2": kernel(k2, 128, 10), "b2": jnp.zeros(10)}


def mlp(p: dict[str, jax.Array], x: jax.Array, key: jax.Array | None) -> jax.Array:
    return jax.nn.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]


def cnn_init(key: jax.Array) -> dict[str, jax.Array]:
    k1, k2, k3, k4 = random.split(key, 4)
    return {
        "w1": kernel(k1, 3, 3, 1, 32), "b1": jnp.zeros(32),
        "w2": kernel(k2, 3, 3, 32, 64), "b2": jnp.zeros(64),
        "w3": kernel(k3, 1600, 128), "b3": jnp.zeros(128),
        "w4": kernel(k4, 128, 10), "b4": jnp.zeros(10),
    }  # fmt: skip


def cnn(p: dict[str, jax.Array], x: jax.Array, key: jax.Array | None) -> jax.Array:
    k1, k2, k3 = (None, None, None) if key is None else random.split(key, 3)
    x = dropout(max_pool(jax.nn.relu(convolve(x, p["w1"]) + p["b1"])), 0.25, k1)
    x = dropout(max_pool(jax.nn.relu(convolve(x, p["w2"]) + p["b2"])), 0.25, k2)
    x = dropout(jax.nn.relu(x.reshape(len(x), -1) @ p["w3"] + p["b3"]), 0.5, k3)
    return x @ p["w4"] + p["b4"]


MODELS = {"mlp": (mlp_init, mlp), "cnn": (cnn_init, cnn)}


@functools.partial(jax.jit, static_argnames=("model", "batch"), donate_argnames=("state",))
def train(state: Any, x: jax.Array, y: jax.Array, key: jax.Array, *, model: Any, batch: int) -> Any:
    """One epoch: state is (parameters, first moments, second moments, step)."""
    shuffle_key, dropout_key = random.split(key)

    def loss_of(p: Any, images: jax.Array, labels: jax.Array, key: jax.Array) -> Any:
        logits = model(p, images, key)
        loss = -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
        return loss.mean(), (loss.sum(), (logits.argmax(1) == labels).sum())

    def step(state: Any, index: jax.Array) -> Any:
        p, m, v, t = state
        grads, sums = jax.grad(loss_of, has_aux=True)(p, x[index], y[index], random.fold_in(dropout_key, t))
        t = t + 1
        m = jax.tree.map(lambda m, g: DECAY_1 * m + (1 - DECAY_1) * g, m, grads)
        v = jax.tree.map(lambda v, g: DECAY_2 * v + (1 - DECAY_2) * g * g, v, grads)
        rate = RATE * jnp.sqrt(1 - DECAY_2**t) / (1 - DECAY_1**t)
        p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), p, m, v)
        return (p, m, v, t), sums

    order = random.permutation(shuffle_key, len(x))
    whole = len(x) // batch * batch
    state, (losses, correct) = lax.scan(step, state, order[:whole].reshape(-1, batch))
    losses, correct = losses.sum(), correct.sum()
    if whole < len(x):  # the last batch is smaller
        state, (last_loss, last_correct) = step(state, order[whole:])
        losses, correct = losses + last_loss, correct + last_correct
    return state, {"loss": losses / len(x), "accuracy": correct / len(x)}


class Training:
    def __init__(self, workload: Epoch, x: np.ndarray, y: np.ndarray):
        init, self.model = MODELS[workload.name]
        self.key, init_key = random.split(random.key(0))
        parameters = jax.jit(init)(init_key)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(parameters))
        zeros = jax.tree.map(np.zeros_like, parameters)
        self.state = jax.device_put((parameters, zeros, jax.tree.map(np.copy, zeros), np.float32(0)))
        self.x, self.y = jax.device_put((x, y))
        self.batch = workload.batch

    def epoch(self) -> dict[str, float]:
        self.key, key = random.split(self.key)
        self.state, logs = train(self.state, self.x, self.y, key, model=self.model, batch=self.batch)
        jax.block_until_ready(self.state)
        return {name: float(value) for name, value in logs.items()}

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> float:
        predict = jax.jit(lambda p, x: self.model(p, x, None).argmax(1))
        parts = (predict(self.state[0], x[start : start + 1000]) for start in range(0, len(x), 1000))
        return float((np.concatenate(list(parts)) == y).mean())
