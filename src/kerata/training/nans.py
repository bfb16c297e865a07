"""Where NaN came from: looked for once, after the loss has become NaN. A healthy run pays one comparison a chunk."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from kerata import engine, errors, tree
from kerata.core import scopes
from kerata.core.lifting import value_and_grad
from kerata.core.op import convert
from kerata.core.scopes import StateScope
from kerata.core.variable import Variable
from kerata.data.sources import ArraySource, Source
from kerata.training.loop import on_host

__all__ = ["is_lost", "tell"]


def is_lost(logs: dict[str, Any]) -> bool:
    """Return whether the loss among `logs` is NaN or infinite."""
    loss = logs.get("loss")
    return isinstance(loss, float) and not math.isfinite(loss)


def tell(model: Any, source: Source, batch: Any) -> None:
    """Warn that the loss is NaN, and say where that began: in the data, a layer, the loss, a gradient, the weights."""
    try:
        cause = _in_data(_near_at_hand(source, batch)) or _in_model(model, batch)
    except Exception as error:  # a step of the user's own, that cannot be repeated here
        cause = f"The search for its cause ended with {type(error).__name__}: {error}"
    errors.warn(f"model {model.name!r}: the loss is no longer finite. {cause}")


def _near_at_hand(source: Source, batch: Any) -> Any:
    """Return all the data where they are arrays that can be looked through in a moment, and the batch otherwise."""
    if isinstance(source, ArraySource) and sum(leaf.nbytes for leaf in source.leaves if leaf is not None) < 1 << 30:
        return source.batch
    return batch


def _in_data(batch: Any) -> str | None:
    for part, name in zip(batch if isinstance(batch, tuple) else (batch,), ("x", "y", "sample_weight")):
        for path, leaf in tree.flatten_with_path(part):
            wrong = _wrong(leaf)
            if wrong is not None and wrong.any():
                place = ", ".join(str(int(i)) for i in np.argwhere(wrong)[0])
                label = name + "".join(f"[{p!r}]" for p in path)
                return (
                    f"The data hold NaN or infinity: {int(wrong.sum())} of {wrong.size} values of {label}, the first "
                    f"at [{place}]. Fill them, or leave such rows out: numpy.isfinite({label}) finds them."
                )
    return None


def _wrong(x: Any) -> Any:
    """Return where an array is not finite; None for what is no array of floats."""
    if not hasattr(x, "shape") or not hasattr(x, "dtype") or "float" not in str(x.dtype):
        return None
    array = np.asarray(x if isinstance(x, np.ndarray) else engine.arrays.to_numpy(convert(x)))
    return ~np.isfinite(array.astype("float32") if array.dtype.kind != "f" else array)


def _is_wrong(x: Any) -> bool:
    return any((wrong := _wrong(leaf)) is not None and bool(wrong.any()) for leaf in tree.flatten(x))


def _in_model(model: Any, batch: Any) -> str:
    from kerata.training.steps import unpack

    x, y, sample_weight = unpack(batch)
    lost = [v for v in model.trainable_variables if _is_wrong(v.value)]
    owners = {v: layer for layer in model._flatten_layers() for v in layer._own_weights()}
    fresh = [(v, _like_new(v, owners.get(v))) for v in model.variables if _is_wrong(v.value)]
    found: list[str] = []
    outputs: Any = None

    def loss_fn() -> Any:
        nonlocal outputs
        with _watched(model, found):
            outputs = model(x, training=True)
        return model.compute_loss(x, y, outputs, sample_weight, training=True)

    with StateScope(fresh):
        loss = loss_fn()
        if found:
            return found[0]
        if _is_huge(outputs):
            return _TOO_LARGE.format("")
        if _is_wrong(loss) and not _is_huge(outputs):
            return (
                "Its outputs are finite and their loss is not: look at the loss for logarithms, roots and quotients at "
                "the edge of what they are defined for, such as log(0); + 1e-7 keeps away from it."
            )
        variables = model.trainable_variables
        _, gradients = value_and_grad(loss_fn, variables)()
    bad = [v.path for v, g in zip(variables, gradients) if g is not None and _is_wrong(g)]
    if bad:
        return (
            f"Values are finite, and the gradient that comes back to layer {bad[-1].rpartition('/')[0]!r} is not: a "
            "root, a norm or a quotient behind it has no slope at 0; + 1e-7 keeps away from there."
        )
    place = f" (first {lost[0].path!r})" if lost else ""
    return _TOO_LARGE.format(place)


_TOO_LARGE = (
    "The data, the layers and the loss are well, so the steps were too large: the weights{} grew out of bounds. Try a "
    "smaller learning_rate, inputs scaled to about 1, or clipnorm=1.0 in the optimizer."
)


def _is_huge(outputs: Any) -> bool:
    """Return whether outputs are so large that their squares are no numbers, or nearly so."""
    arrays = [np.abs(on_host(x).astype("float64")) for x in tree.flatten(outputs) if hasattr(x, "shape")]
    return any(a.size and np.isfinite(a).all() and a.max() > 1e15 for a in arrays)


def _like_new(variable: Variable, owner: Any) -> Any:
    """Return values with which `variable`, a weight of the layer `owner`, might have begun."""
    initializer = getattr(owner, f"{variable.name}_initializer", None)
    if callable(initializer):
        return convert(initializer(tuple(variable.shape), dtype=variable.dtype))
    scale = 1 / math.sqrt(max(1, variable.shape[0] if len(variable.shape) > 1 else 1))
    drawn = np.random.default_rng(0).uniform(-scale, scale, tuple(variable.shape))
    return engine.arrays.as_array(drawn.astype("float32"), variable.dtype)


@contextlib.contextmanager
def _watched(model: Any, found: list[str]) -> Iterator[None]:
    """Note, inside the block, the first layer that makes something not finite of what is finite."""
    layers = [layer for layer in model._flatten_layers(include_self=False) if "call" not in vars(layer)]

    def watch(layer: Any) -> Any:
        call = layer.call

        def watched(*args: Any, **kwargs: Any) -> Any:
            outputs = call(*args, **kwargs)
            flat = tree.flatten((args, kwargs, outputs))
            if not found and not any(engine.arrays.is_traced(a) for a in flat if hasattr(a, "shape")):
                wrong = [w for leaf in tree.flatten(outputs) if (w := _wrong(leaf)) is not None and w.any()]
                if wrong and not _is_wrong((args, kwargs)):
                    found.append(
                        f"It began in layer {layer.path!r} ({type(layer).__name__}), which makes NaN or infinity "
                        f"({int(wrong[0].sum())} of {wrong[0].size} values) of finite inputs: keep logarithms, roots, "
                        "quotients and exponentials away from the edge of what they are defined for."
                    )
            return outputs

        return watched

    for layer in layers:
        vars(layer)["call"] = watch(layer)
    try:
        with scopes.StateScope():
            yield
    finally:
        for layer in layers:
            vars(layer).pop("call", None)
