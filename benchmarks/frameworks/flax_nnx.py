"""Flax NNX with optax as its guides write it: a compiled step, called from a Python loop over batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jax import numpy as jnp

from benchmarks.data import SlowBatches
from benchmarks.workloads import Work


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


class Normalized(nnx.Module):
    def __init__(self, channels: int, filters: int, window: int, stride: int, rngs: nnx.Rngs):
        self.conv = nnx.Conv(channels, filters, (window, window), stride, use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(filters, momentum=0.9, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.norm(self.conv(x))


class Block(nnx.Module):
    def __init__(self, channels: int, filters: int, rngs: nnx.Rngs):
        stride = filters // channels
        self.first = Normalized(channels, filters, 3, stride, rngs)
        self.second = Normalized(filters, filters, 3, 1, rngs)
        self.shortcut = Normalized(channels, filters, 1, stride, rngs) if stride > 1 else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.second(nnx.relu(self.first(x)))
        return nnx.relu((self.shortcut(x) if self.shortcut else x) + y)


class ResNet(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        sizes = [(16, 16)] * 3 + [(16, 32)] + [(32, 32)] * 2 + [(32, 64)] + [(64, 64)] * 2
        self.first = Normalized(3, 16, 3, 1, rngs)
        self.blocks = nnx.List([Block(channels, filters, rngs) for channels, filters in sizes])
        self.out = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.first(x))
        for block in self.blocks:
            x = block(x)
        return self.out(x.mean((1, 2)))


class LSTM(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.embedding = nnx.Embed(10_000, 128, rngs=rngs)
        self.lstm = nnx.RNN(nnx.OptimizedLSTMCell(128, 128, rngs=rngs))
        self.out = nnx.Linear(128, 2, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        return self.out(self.lstm(self.embedding(tokens))[:, -1])


class Layer(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.norm1, self.norm2 = (nnx.LayerNorm(256, epsilon=1e-5, rngs=rngs) for _ in range(2))
        self.attention = nnx.MultiHeadAttention(4, 256, decode=False, rngs=rngs)
        self.wide, self.narrow = nnx.Linear(256, 1024, rngs=rngs), nnx.Linear(1024, 256, rngs=rngs)

    def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
        x = x + self.attention(self.norm1(x), mask=mask)
        return x + self.narrow(nnx.gelu(self.wide(self.norm2(x))))


class GPT(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.tokens = nnx.Embed(256, 256, rngs=rngs)
        self.positions = nnx.Param(0.02 * jax.random.normal(rngs.params(), (256, 256)))
        self.layers = nnx.List([Layer(rngs) for _ in range(6)])
        self.norm = nnx.LayerNorm(256, epsilon=1e-5, rngs=rngs)
        self.out = nnx.Linear(256, 256, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x, mask = self.tokens(tokens) + self.positions[...], nnx.make_causal_mask(tokens)
        for layer in self.layers:
            x = layer(x, mask)
        return self.out(self.norm(x))


class Tiny(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(16, 16, rngs=rngs) for _ in range(100)])
        self.out = nnx.Linear(16, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = x + nnx.tanh(layer(x))
        return self.out(x)


def linear(rngs: nnx.Rngs) -> nnx.Module:
    return nnx.Linear(1024, 10, rngs=rngs)


MODELS: dict[str, Any] = {
    "mlp": MLP, "cnn": CNN, "resnet": ResNet, "lstm": LSTM, "gpt": GPT, "tiny": Tiny, "linear": linear,
}  # fmt: skip


@nnx.jit
def step(model: Any, optimizer: nnx.Optimizer, x: Any, y: Any) -> tuple[jax.Array, jax.Array]:
    def loss_of(model: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        logits = model(x)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        return losses.mean(), (losses.sum(), (logits.argmax(-1) == y).sum())

    (_, sums), grads = nnx.value_and_grad(loss_of, has_aux=True)(model)
    optimizer.update(model, grads)
    return sums


@nnx.jit
def scores(model: Any, x: Any) -> jax.Array:
    return model(x)


class Training:
    def __init__(self, work: Work, x: np.ndarray, y: np.ndarray):
        self.model = MODELS[work.model](nnx.Rngs(0))
        self.optimizer = nnx.Optimizer(self.model, optax.adam(0.001, eps=1e-7), wrt=nnx.Param)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(self.model, nnx.Param)))
        self.x, self.y, self.batch = x, y, work.batch
        self.random = np.random.default_rng(0)

    def epochs(self, count: int) -> dict[str, float]:
        return [self._epoch() for _ in range(count)][-1]

    def _epoch(self) -> dict[str, float]:
        order = self.random.permutation(len(self.x))
        parts = (order[start : start + self.batch] for start in range(0, len(order), self.batch))
        return self._train((self.x[index], self.y[index]) for index in parts)

    def stream(self, batches: SlowBatches) -> dict[str, float]:
        return self._train(batches)

    def _train(self, batches: Iterable[Any]) -> dict[str, float]:
        self.model.train()
        sums, count = [], 0
        for x, y in batches:
            sums.append(step(self.model, self.optimizer, x, y))
            count += y.size
        losses, correct = (float(jnp.stack(parts).sum()) for parts in zip(*sums))
        jax.block_until_ready(nnx.state(self.model))
        return {"loss": losses / count, "accuracy": correct / count}

    def predict(self, x: np.ndarray) -> np.ndarray:
        self.model.eval()
        return np.concatenate([scores(self.model, x[i : i + self.batch]) for i in range(0, len(x), self.batch)])
