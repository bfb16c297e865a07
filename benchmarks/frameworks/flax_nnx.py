"""Flax NNX with optax as its guides write it: a compiled step, called from a Python loop over batches."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jax import numpy as jnp

from benchmarks.workloads import Epoch


class MLP(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(784, 128, rngs=rngs)
        self.out = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.out(nnx.relu(self.hidden(x)))


class CNN(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(1, 32, (3, 3), padding="VALID", rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, (3, 3), padding="VALID", rngs=rngs)
        self.hidden = nnx.Linear(1600, 128, rngs=rngs)
        self.out = nnx.Linear(128, 10, rngs=rngs)
        self.dropout1 = nnx.Dropout(0.25, rngs=rngs)
        self.dropout2 = nnx.Dropout(0.25, rngs=rngs)
        self.dropout3 = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.dropout1(nnx.max_pool(nnx.relu(self.conv1(x)), (2, 2), strides=(2, 2)))
        x = self.dropout2(nnx.max_pool(nnx.relu(self.conv2(x)), (2, 2), strides=(2, 2)))
        x = self.dropout3(nnx.relu(self.hidden(x.reshape(len(x), -1))))
        return self.out(x)


MODELS = {"mlp": MLP, "cnn": CNN}


@nnx.jit
def step(model: Any, optimizer: nnx.Optimizer, x: Any, y: Any) -> tuple[jax.Array, jax.Array]:
    def loss_of(model: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        logits = model(x)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        return losses.mean(), (losses.sum(), (logits.argmax(1) == y).sum())

    (_, sums), grads = nnx.value_and_grad(loss_of, has_aux=True)(model)
    optimizer.update(model, grads)
    return sums


@nnx.jit
def predict(model: Any, x: Any) -> jax.Array:
    return model(x).argmax(1)


class Training:
    def __init__(self, workload: Epoch, x: np.ndarray, y: np.ndarray):
        self.model = MODELS[workload.name](nnx.Rngs(0))
        self.optimizer = nnx.Optimizer(self.model, optax.adam(0.001, eps=1e-7), wrt=nnx.Param)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(self.model, nnx.Param)))
        self.x, self.y, self.batch = x, y, workload.batch
        self.random = np.random.default_rng(0)

    def epoch(self) -> dict[str, float]:
        self.model.train()
        order = self.random.permutation(len(self.x))
        sums = []
        for start in range(0, len(order), self.batch):
            index = order[start : start + self.batch]
            sums.append(step(self.model, self.optimizer, self.x[index], self.y[index]))
        losses, correct = (float(jnp.stack(parts).sum()) for parts in zip(*sums))
        return {"loss": losses / len(order), "accuracy": correct / len(order)}

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> float:
        self.model.eval()
        parts = [predict(self.model, x[start : start + 1000]) for start in range(0, len(x), 1000)]
        return float((np.concatenate(parts) == y).mean())
