"""Weights in files: `.weights.h5` and `.safetensors`."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from kerata import errors
from kerata.optimizers import Optimizer
from kerata.saving.files import atomic_write, existing
from kerata.saving.stores import HDF5Store, SafetensorsStore, holders

__all__ = ["load_weights", "save_weights"]


def store_state(model: Any, store: Any) -> None:
    """Write the arrays of everything in `model` into `store`."""
    for path, holder in holders(model):
        arrays: dict[str, Any] = {}
        holder.save_own_variables(arrays)
        store.write(path, arrays, getattr(holder, "name", None))


def restore_state(model: Any, store: Any, skip_mismatch: bool = False) -> None:
    """Set the arrays of everything in `model` from `store`.

    Nothing is changed before every array is known to fit, unless `skip_mismatch` asks for what fits.
    """
    planned, problems = [], []
    for path, holder in holders(model):
        arrays = store.read(path)
        own = _own(holder)
        if not own and not len(arrays):
            continue
        problem = _mismatch(holder, own, arrays)
        if problem is None:
            planned.append((holder, arrays))
        else:
            problems.append((path, holder, problem))
    # Slots of an optimizer that never ran, or of another model, are no reason to refuse weights.
    serious = [p for p in problems if not isinstance(p[1], Optimizer)]
    if serious and not skip_mismatch:
        lines = [f"{path or model.name} ({type(holder).__name__}): {what}" for path, holder, what in serious[:8]]
        more = f"\n  and {len(serious) - 8} more" if len(serious) > 8 else ""
        hint = "skip_mismatch=True loads what fits"
        if not model.built:
            hint = "the model has no weights yet: build it, or call it on data, before loading"
        raise errors.InvalidArgument(
            "the file does not fit the model; nothing was loaded.", where=store.where,
            got="\n            ".join(lines) + more, hint=hint,
        )  # fmt: skip
    for path, holder, what in problems:
        if skip_mismatch:
            warnings.warn(f"{store.where}: {path} ({type(holder).__name__}) was skipped: {what}", stacklevel=4)
    for holder, arrays in planned:
        holder.load_own_variables(arrays)


def _own(holder: Any) -> list[Any]:
    return holder._own_weights() if hasattr(holder, "_own_weights") else list(holder.variables)


def _mismatch(holder: Any, own: list[Any], arrays: Any) -> str | None:
    if type(holder).load_own_variables.__module__.partition(".")[0] != "kerata":
        return None  # the user's own way to load
    if len(own) != len(arrays):
        return f"the layer has {len(own)} arrays, the file {len(arrays)}"
    for i, variable in enumerate(own):
        if str(i) not in arrays:
            return None  # a layer with a layout of its own
        shape = tuple(arrays[str(i)].shape)
        if shape != tuple(variable.shape):
            return f"{variable.name} is {tuple(variable.shape)} in the model and {shape} in the file"
    return None


def _store_for(path: Path) -> type:
    if path.name.endswith(".safetensors"):
        return SafetensorsStore
    if path.name.endswith((".h5", ".hdf5", ".keras")):
        return HDF5Store
    raise errors.InvalidArgument(
        "the file's name says no known format.", where=str(path), expected="*.weights.h5 or *.safetensors"
    )


def save_weights(model: Any, filepath: Any, overwrite: bool = True, max_shard_size: Any = None, **kwargs: Any) -> None:
    """Save the weights (and the optimizer's state) of `model`.

    Args:
        filepath: ends in `.weights.h5` (Keras's layout) or `.safetensors`.
        overwrite: whether a file there may be replaced.
    """
    if max_shard_size is not None:
        raise errors.Unsupported("weights are saved in one file.", where="save_weights: max_shard_size")
    path = Path(os.fspath(filepath)).expanduser()
    if not path.name.endswith((".weights.h5", ".safetensors")):
        raise errors.InvalidArgument(
            "the file's name has another ending.", where="save_weights", expected="*.weights.h5 or *.safetensors",
            got=path.name,
        )  # fmt: skip
    _need_built(model, "save_weights")
    kind = _store_for(path)
    with atomic_write(path, overwrite) as temporary, kind(temporary, "w", str(path)) as store:
        store_state(model, store)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Load weights from a `.weights.h5`, `.safetensors`, `.keras` or old `.h5` file.

    Args:
        skip_mismatch: load what fits and warn of the rest.

    Raises:
        InvalidArgument: when the file does not fit the model; the model is then as before.
        CorruptFile: when the file is cut, damaged or foreign.
    """
    path = existing(filepath, "file")
    if path.name.endswith(".keras"):
        from kerata.saving.archive import weights_of

        with weights_of(path) as store:
            restore_state(model, store, skip_mismatch)
        return
    with _store_for(path)(path, "r", str(path)) as store:
        if isinstance(store, HDF5Store) and _is_legacy(store):
            from kerata.saving.legacy import restore_legacy

            restore_legacy(model, store, by_name=bool(kwargs.get("by_name")), skip_mismatch=skip_mismatch)
            return
        restore_state(model, store, skip_mismatch)


def _is_legacy(store: HDF5Store) -> bool:
    return "layer_names" in store.file.attrs or "model_weights" in store.file


def _need_built(model: Any, method: str) -> None:
    if not model.built:
        raise errors.NotBuilt(
            "the model has no weights yet.", where=f"{method}: model {model.name!r}",
            hint="build it, or call it on data, first",
        )  # fmt: skip
