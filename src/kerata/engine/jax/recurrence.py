"""All steps of a recurrent layer by one kernel of cuDNN.

There is one for the LSTM, which JAX reaches by `jax.experimental.rnn`; for the GRU it has none, so that one is a loop
on every device. The tests run JAX's own reference of the kernel in its place, on a CPU: they hold the order of the
weights, the states, masks and gradients, but not the kernel itself.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kerata.engine.jax import arrays, devices
from kerata.engine.protocol import Array

__all__ = ["lstm"]


def lstm(
    cell: Any, x: Array, states: list[Array], kernel: Array, recurrent_kernel: Array, bias: Array, mask: Array = None
) -> tuple[Array, list[Array]]:
    """An LSTM of tanh and sigmoid over x (T, B, I), in float32 on a CUDA device.

    A mask (T, B) is followed where its values are known, as they are not inside a program, and where what it leaves
    out ends each sequence. The kernel's gradient has no gradient, and a compiled program with it takes no `vmap` or
    forward mode from outside: for those there is `use_cudnn=False`.
    """
    values = [a for a in (x, *states, kernel, recurrent_kernel, bias) if a is not None]
    if not _on_cuda() or x.size == 0 or any(a.dtype != jnp.float32 for a in values):
        return NotImplemented
    lengths = np.full(x.shape[1], x.shape[0], "int32") if mask is None else _lengths(mask)
    if lengths is None:
        return NotImplemented
    from jax.experimental import rnn

    bias = jnp.zeros(kernel.shape[-1], x.dtype) if bias is None else bias
    # The kernel's gates come in the cell's order; it has a second bias, which adds nothing here.
    weights = jnp.concatenate([kernel.T.ravel(), recurrent_kernel.T.ravel(), bias, jnp.zeros_like(bias)])
    h, c = (state[None] for state in states)  # of the one layer
    run: Any = rnn.lstm
    try:
        y, h, c = run(
            jnp.swapaxes(x, 0, 1), h, c, weights, lengths, input_size=x.shape[-1], hidden_size=h.shape[-1],
            num_layers=1, dropout=0.0, bidirectional=False,
        )  # fmt: skip
    except (ValueError, TypeError, NotImplementedError, RuntimeError, AttributeError):  # no cuDNN, this precision, vmap
        return NotImplemented
    return jnp.swapaxes(y, 0, 1), [h[0], c[0]]


def _on_cuda() -> bool:
    try:
        return devices.platform() == "gpu" and bool(jax.devices("cuda"))
    except RuntimeError:  # a GPU of another maker
        return False


def _lengths(mask: Array) -> np.ndarray | None:
    """Return how many steps of each sequence `mask` keeps; None where that is unknown or not all it says."""
    if arrays.is_traced(mask):
        return None
    kept = np.asarray(mask)
    return kept.sum(0, dtype="int32") if kept[0].all() and not (kept[1:] & ~kept[:-1]).any() else None
