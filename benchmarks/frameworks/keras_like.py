"""kerata and Keras: one text, `fit` and `predict` with their defaults; only the imported package differs."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np

from benchmarks.data import SlowBatches
from benchmarks.workloads import Work

keras: Any = importlib.import_module(os.environ["BENCHMARK_KERAS"])
layers = keras.layers


def mlp() -> Any:
    return keras.Sequential([
        keras.Input((784,)),
        layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def cnn() -> Any:
    return keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Dropout(0.25),
        layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def convolve(x: Any, filters: int, window: int, strides: int) -> Any:
    x = layers.Conv2D(filters, window, strides, padding="same", use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def resnet() -> Any:
    def block(x: Any, filters: int, strides: int) -> Any:
        y = layers.ReLU()(convolve(x, filters, 3, strides))
        y = convolve(y, filters, 3, 1)
        shortcut = x if strides == 1 else convolve(x, filters, 1, strides)
        return layers.ReLU()(layers.add([shortcut, y]))

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolve(inputs, 16, 3, 1))
    for filters in (16, 32, 64):
        for number in range(3):
            x = block(x, filters, 2 if number == 0 and filters > 16 else 1)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def resnet_50() -> Any:
    def block(x: Any, filters: int, strides: int) -> Any:
        y = layers.ReLU()(convolve(x, filters, 1, 1))
        y = layers.ReLU()(convolve(y, filters, 3, strides))
        y = convolve(y, 4 * filters, 1, 1)
        shortcut = x if x.shape[-1] == 4 * filters else convolve(x, 4 * filters, 1, strides)
        return layers.ReLU()(layers.add([shortcut, y]))

    inputs = keras.Input((224, 224, 3))
    x = layers.ReLU()(convolve(inputs, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for filters, count in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for number in range(count):
            x = block(x, filters, 2 if number == 0 and filters > 64 else 1)
    return keras.Model(inputs, layers.Dense(1000, dtype="float32")(layers.GlobalAveragePooling2D()(x)))


def lstm() -> Any:
    return keras.Sequential([
        keras.Input((200,), dtype="int32"),
        layers.Embedding(10_000, 128),
        layers.LSTM(128),
        layers.Dense(2),
    ])  # fmt: skip


class Positions(layers.Layer):
    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=shape[1:], initializer="uniform")

    def call(self, x: Any) -> Any:
        return x + self.table


def transformer(x: Any, depth: int, heads: int) -> Any:
    width = x.shape[-1]
    for _ in range(depth):
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        attention = layers.MultiHeadAttention(num_heads=heads, key_dim=width // heads)
        x = layers.add([x, attention(y, y, use_causal_mask=True)])
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        y = layers.Dense(4 * width, activation=gelu)(y)
        x = layers.add([x, layers.Dense(width)(y)])
    return layers.LayerNormalization(epsilon=1e-5)(x)


def gpt() -> Any:
    inputs = keras.Input((256,), dtype="int32")
    x = transformer(Positions()(layers.Embedding(256, 256)(inputs)), 6, 4)
    return keras.Model(inputs, layers.Dense(256)(x))


def gpt_124m() -> Any:
    inputs = keras.Input((1024,), dtype="int32")
    tokens = layers.ReversibleEmbedding(50_304, 768)
    x = transformer(Positions()(tokens(inputs)), 12, 12)
    return keras.Model(inputs, tokens(x, reverse=True))


def gelu(x: Any) -> Any:
    return keras.activations.gelu(x, approximate=True)


def tiny() -> Any:
    inputs = x = keras.Input((16,))
    for _ in range(100):
        x = layers.add([x, layers.Dense(16, activation="tanh")(x)])
    return keras.Model(inputs, layers.Dense(10)(x))


def linear() -> Any:
    return keras.Sequential([keras.Input((1024,)), layers.Dense(10)])


MODELS = {
    "mlp": mlp, "cnn": cnn, "resnet": resnet, "lstm": lstm, "gpt": gpt, "tiny": tiny, "linear": linear,
    "resnet-50": resnet_50, "gpt-124m": gpt_124m,
}  # fmt: skip


def model_of(work: Work) -> Any:
    """Return the compiled model."""
    keras.utils.set_random_seed(0)
    if work.dtype != "float32":
        keras.config.set_dtype_policy(f"mixed_{work.dtype}")
    model = MODELS[work.model]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=work.model not in ("mlp", "cnn"))
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


class Training:
    def __init__(self, work: Work, x: np.ndarray, y: np.ndarray):
        self.model = model_of(work)
        self.parameters = sum(int(np.prod(weight.shape)) for weight in self.model.trainable_variables)
        self.x, self.y, self.batch = x, y, work.batch

    def epochs(self, count: int) -> dict[str, float]:
        return self._last(self.model.fit(self.x, self.y, batch_size=self.batch, epochs=count, verbose=0))

    def stream(self, batches: SlowBatches) -> dict[str, float]:
        return self._last(self.model.fit(iter(batches), steps_per_epoch=len(batches), epochs=1, verbose=0))

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.model.predict(x, batch_size=self.batch, verbose=0)

    @staticmethod
    def _last(history: Any) -> dict[str, float]:
        return {name: history.history[name][-1] for name in ("loss", "accuracy")}
