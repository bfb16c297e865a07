"""kerata and Keras: one text, `fit` with its defaults; only the imported package differs."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np

from benchmarks.workloads import Epoch

keras: Any = importlib.import_module(os.environ["BENCHMARK_KERAS"])


def mlp() -> Any:
    layers = keras.layers
    return keras.Sequential([
        keras.Input((784,)),
        layers.Dense(128, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def cnn() -> Any:
    layers = keras.layers
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


MODELS = {"mlp": mlp, "cnn": cnn}


class Training:
    def __init__(self, workload: Epoch, x: np.ndarray, y: np.ndarray):
        keras.utils.set_random_seed(0)
        self.model = MODELS[workload.name]()
        self.model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        self.parameters = sum(int(np.prod(weight.shape)) for weight in self.model.trainable_variables)
        self.x, self.y, self.batch = x, y, workload.batch

    def epoch(self) -> dict[str, float]:
        history = self.model.fit(self.x, self.y, batch_size=self.batch, epochs=1, verbose=0).history
        return {name: history[name][-1] for name in ("loss", "accuracy")}

    def evaluate(self, x: np.ndarray, y: np.ndarray) -> float:
        return self.model.evaluate(x, y, verbose=0)[1]
