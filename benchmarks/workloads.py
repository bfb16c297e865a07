"""The work that is timed, a row each, and the data it runs on. The models stand in `frameworks/`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

__all__ = ["MNIST", "WORKLOADS", "Epoch", "Start", "Workload", "read", "write_slice"]

MNIST = Path(__file__).parent.parent / "src" / "kerata" / "datasets" / "files" / "mnist.npz"


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One pass over the training images: shuffled, with loss and accuracy, weights kept from turn to turn."""

    name: str
    label: str
    title: str
    shape: tuple[int, ...]  # of one sample
    batch: int
    parameters: int


@dataclasses.dataclass(frozen=True)
class Start:
    """A new process, timed to the end of the first batch of `epoch` or over one statement of the contender."""

    name: str
    label: str
    title: str
    epoch: Epoch | None = None
    statement: str = ""  # a field of Contender


Workload = Epoch | Start

MLP = Epoch(
    "mlp",
    "dense, epoch",
    "Dense network 784-128-10, Adam, batch 32: one epoch of MNIST",
    shape=(784,),
    batch=32,
    parameters=101_770,
)
CNN = Epoch(
    "cnn",
    "convolutional, epoch",
    "Convolutional network (two convolutions, two dense, dropout), Adam, batch 128: one epoch of MNIST",
    shape=(28, 28, 1),
    batch=128,
    parameters=225_034,
)

WORKLOADS: tuple[Workload, ...] = (
    MLP,
    CNN,
    Start(
        "mlp-first-step",
        "dense, first step",
        "Dense network: from process start to the end of the first batch, compile cache warm",
        epoch=MLP,
    ),
    Start(
        "cnn-first-step",
        "convolutional, first step",
        "Convolutional network: from process start to the end of the first batch, compile cache warm",
        epoch=CNN,
    ),
    Start(
        "import",
        "import",
        "The import statement in a new process (kerata loads its engine when first used: see the next table)",
        statement="imports",
    ),
    Start(
        "first-op",
        "import and add",
        "The import and one addition, engine and all, in a new process",
        statement="first_op",
    ),
)


def write_slice(file: Path, samples: int, test_samples: int) -> Path:
    """Write the first images of MNIST to `file`, uncompressed, so that workers read it in no time."""
    counts = {"train": samples, "test": test_samples}
    with np.load(MNIST, allow_pickle=False) as full:
        names = {f"{axis}_{split}": count for split, count in counts.items() for axis in "xy"}
        np.savez(file, **{name: full[name][:count] for name, count in names.items()})
    return file


def read(file: str, split: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return images float32 (N, *shape) in [0, 1] and labels int32 (N,)."""
    with np.load(file, allow_pickle=False) as arrays:
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
    return x.reshape(-1, *shape).astype("float32") / 255, y.astype("int32")
