"""The frameworks, a row each, and what of them is installed here."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util

__all__ = ["CONTENDERS", "Contender", "missing", "versions"]


@dataclasses.dataclass(frozen=True)
class Contender:
    name: str
    module: str  # defines Training
    packages: tuple[str, ...]  # import names
    imports: str
    first_op: str
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    devices: tuple[str, ...] = ("cpu",)  # for which this framework, used so, is a choice


BOTH = ("cpu", "gpu")


def _keras(backend: str) -> Contender:
    return Contender(
        f"Keras ({backend})",
        "benchmarks.frameworks.keras_like",
        ("keras", backend),
        "import keras",
        "import keras; keras.ops.add(1.0, 1.0)",
        {"BENCHMARK_KERAS": "keras", "KERAS_BACKEND": backend},
    )


CONTENDERS = (
    Contender(
        "kerata",
        "benchmarks.frameworks.keras_like",
        ("kerata", "jax"),
        "import kerata",
        "import kerata; kerata.ops.add(1.0, 1.0)",
        {"BENCHMARK_KERAS": "kerata"},
        BOTH,
    ),
    Contender(
        "kerata (torch)",
        "benchmarks.frameworks.keras_like",
        ("kerata", "torch"),
        "import kerata",
        "import kerata; kerata.ops.add(1.0, 1.0)",
        {"BENCHMARK_KERAS": "kerata", "KERAS_BACKEND": "torch"},
        BOTH,
    ),
    _keras("jax"),
    _keras("tensorflow"),
    _keras("torch"),
    Contender(
        "PyTorch",
        "benchmarks.frameworks.torch_plain",
        ("torch",),
        "import torch",
        "import torch; torch.tensor(1.0) + 1.0",
    ),
    Contender(
        "PyTorch (compiled)",
        "benchmarks.frameworks.torch_compiled",
        ("torch",),
        "import torch",
        "import torch; torch.compile(lambda x: x + 1.0)(torch.tensor(1.0))",
        devices=BOTH,
    ),
    Contender(
        "JAX",
        "benchmarks.frameworks.jax_plain",
        ("jax", "optax"),
        "import jax",
        "import jax; jax.numpy.add(1.0, 1.0)",
        devices=BOTH,
    ),
    Contender(
        "Flax (NNX)",
        "benchmarks.frameworks.flax_nnx",
        ("flax", "optax"),
        "from flax import nnx",
        "from flax import nnx; nnx.relu(1.0)",
    ),
)


def missing(contender: Contender) -> tuple[str, ...]:
    """Return the packages that `contender` needs and this environment lacks."""
    return tuple(package for package in contender.packages if importlib.util.find_spec(package) is None)


def versions(contenders: tuple[Contender, ...]) -> dict[str, str]:
    """Return the version of every package of `contenders` that is installed, and of those below them."""
    owners = importlib.metadata.packages_distributions()
    packages = {package for contender in contenders for package in contender.packages} | {"jaxlib", "numpy"}
    return {name: importlib.metadata.version(owners[name][0]) for name in sorted(packages) if name in owners}
