"""Weights in files: `.weights.h5` and `.safetensors`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerata import errors
from kerata.core.rng import SeedGenerator
from kerata.optimizers import Optimizer
from kerata.saving.files import atomic_write, clear_errors, existing
from kerata.saving.stores import Arrays, HDF5Store, SafetensorsStore, holders

__all__ = ["load_weights", "need_built", "restore_state", "save_weights", "store_state"]


# Whole models ---------------------------------------------------------------------------------------------------


def store_state(model: Any, store: Any, without: tuple[Any, ...] = ()) -> None:
    """Write the arrays of everything in `model` into `store`."""
    for path, holder in holders(model):
        if any(holder is x for x in without):
            continue
        arrays: dict[str, Any] = {}
        holder.save_own_variables(arrays)
        store.write(path, arrays, getattr(holder, "name", None))


class _Misfit(NamedTuple):
    """Something that the file and the model do not agree on."""

    what: str
    expected: str
    got: str


def restore_state(model: Any, store: Any, skip_mismatch: bool = False) -> None:
    """Set the arrays of everything in `model` from `store`.

    Nothing is changed before every array is known to fit, unless `skip_mismatch` asks for what fits.
    """
    planned, misfits, paths = [], [], set()
    _build_optimizer(model, store)
    for path, holder in holders(model):
        paths.add(path)
        arrays = store.read(path)
        if not arrays and (not _own(holder) or isinstance(holder, SeedGenerator)):  # files of Keras keep no seeds
            continue
        misfit = _compare(path, holder, arrays)
        if misfit is None:
            planned.append((holder, arrays))
        elif isinstance(holder, Optimizer) and ("0" not in arrays or not np.any(arrays["0"])):
            continue  # it never ran: there is nothing to lose
        elif skip_mismatch or isinstance(holder, Optimizer):  # slots of another model are no reason to refuse weights
            _warn(f"{store.where}: {misfit.what} was skipped; it has {misfit.expected}, the file {misfit.got}")
        else:
            misfits.append(misfit)
    misfits += _unknown(store, paths)
    if misfits and not skip_mismatch:
        raise _refusal(model, store.where, misfits)
    for holder, arrays in planned:
        holder.load_own_variables(arrays)


def _build_optimizer(model: Any, store: Any) -> None:
    """Make the slots of a model that was compiled and has not been trained, where the file has values for them."""
    optimizer = getattr(model, "optimizer", None)
    if not isinstance(optimizer, Optimizer) or optimizer.built or not (model.built and model.trainable_variables):
        return
    if len(store.read("optimizer")) > len(optimizer.variables):
        optimizer.build(model.trainable_variables)


def _own(holder: Any) -> list[Any]:
    return holder._file_weights() if hasattr(holder, "_file_weights") else list(holder.variables)


def _compare(path: str, holder: Any, arrays: Arrays) -> _Misfit | None:
    if type(holder).load_own_variables.__module__.partition(".")[0] != "kerata":
        return None  # the user's own way to load
    if getattr(holder, "own_layout", False):
        return None
    own = _own(holder)
    what = f"{getattr(holder, 'name', None)!r} ({type(holder).__name__} at {path or 'the top'})"
    if len(own) != len(arrays):
        return _Misfit(what, f"{len(own)} arrays {[tuple(v.shape) for v in own]}", f"{len(arrays)} arrays")
    for i, variable in enumerate(own):
        if str(i) not in arrays:
            return None  # a layer with a layout of its own
        shape = arrays.shape(str(i))
        if shape != tuple(variable.shape):
            return _Misfit(what, f"{variable.name} of shape {tuple(variable.shape)}", f"shape {shape}")
    return None


def _unknown(store: Any, paths: set[str]) -> Iterator[_Misfit]:
    """Yield what the file holds for layers that the model lacks."""
    for path, names in store.paths():
        if names and path not in paths and "optimizer" not in path and "seed_generator" not in path:
            yield _Misfit(f"the file's {path!r}", "no such layer", f"{len(names)} arrays")


def _refusal(model: Any, where: str, misfits: list[_Misfit]) -> errors.KerataError:
    first, *more = misfits
    hint = "load_weights(…, skip_mismatch=True) loads what fits"
    if not model.built:
        hint = "the model has no weights yet: build it, or call it on data, before loading"
    got = first.got
    if more:
        listed = "".join(f"\n            {m.what}: expected {m.expected}, got {m.got}" for m in more[:7])
        rest = f"\n            and {len(more) - 7} more" if len(more) > 7 else ""
        got = f"{got}\n  and also: {listed.lstrip()}{rest}"
    return errors.ShapeMismatch(
        f"the file does not fit {first.what}; nothing was loaded.", where=where, expected=first.expected, got=got,
        hint=hint,
    )  # fmt: skip


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)


# Weights alone --------------------------------------------------------------------------------------------------


def _store_for(path: Path) -> type:
    if path.name.endswith(".safetensors"):
        return SafetensorsStore
    if path.name.endswith((".h5", ".hdf5")):
        return HDF5Store
    raise errors.InvalidArgument(
        "the file's name says no known format.", where=str(path), expected="*.weights.h5, *.safetensors or *.keras"
    )


@errors.user_facing
def save_weights(model: Any, filepath: Any, overwrite: bool = True, max_shard_size: Any = None, **kwargs: Any) -> None:
    """Save the weights (and the optimizer's state) of `model`.

    The file is written beside its place and then moved there, so a broken write never costs the old one.

    Args:
        filepath: ends in `.weights.h5` (Keras's layout) or `.safetensors`.
        overwrite: whether a file there may be replaced.

    Example:
        >>> model = kerata.Sequential([kerata.layers.Input((3,)), kerata.layers.Dense(1)])
        >>> kerata.saving.save_weights(model, "small.weights.h5")
    """
    if kwargs:
        raise errors.InvalidType("unknown arguments.", where="save_weights", got=sorted(kwargs))
    if max_shard_size is not None:
        raise errors.Unsupported("weights are saved in one file.", where="save_weights: max_shard_size")
    path = Path(os.fspath(filepath)).expanduser()
    if not path.name.endswith((".weights.h5", ".safetensors")):
        raise errors.InvalidArgument(
            "the file's name has another ending.", where="save_weights", expected="*.weights.h5 or *.safetensors",
            got=path.name, hint=f"use {path.name.partition('.')[0] + '.weights.h5'!r}",
        )  # fmt: skip
    need_built(model, "save_weights")
    kind = _store_for(path)
    with atomic_write(path, overwrite) as temporary, kind(temporary, "w", str(path)) as store:
        store_state(model, store)


@errors.user_facing
def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Load weights from a `.weights.h5`, `.safetensors`, `.keras` or old `.h5` file.

    Args:
        skip_mismatch: load what fits and warn of the rest.
        by_name: for old `.h5` files: match layers by their names, and leave those that the file lacks.

    Raises:
        ShapeMismatch: when the file does not fit the model; the model is then as before.
        CorruptFile: when the file is missing, cut, damaged or foreign.

    Example:
        >>> model = kerata.Sequential([kerata.layers.Input((3,)), kerata.layers.Dense(1)])
        >>> model.save_weights("small.weights.h5")
        >>> kerata.saving.load_weights(model, "small.weights.h5")
    """
    by_name = bool(kwargs.pop("by_name", False))
    if kwargs:
        raise errors.InvalidType("unknown arguments.", where="load_weights", got=sorted(kwargs))
    path = existing(filepath, "file")
    with clear_errors(path):
        _load_weights(model, path, skip_mismatch, by_name)


def _load_weights(model: Any, path: Path, skip_mismatch: bool, by_name: bool) -> None:
    if path.name.endswith(".keras"):
        from kerata.saving.archive import weights_of

        _refuse_names(by_name, path)
        with weights_of(path) as store:
            restore_state(model, store, skip_mismatch)
        return
    with _store_for(path)(path, "r", str(path)) as store:
        if isinstance(store, HDF5Store):
            from kerata.saving import legacy

            if legacy.is_legacy(store):
                legacy.restore_legacy(model, store, by_name, skip_mismatch)
                return
        _refuse_names(by_name, path)
        restore_state(model, store, skip_mismatch)


def _refuse_names(by_name: bool, path: Path) -> None:
    if by_name:
        raise errors.Unsupported(
            "only old HDF5 files are read by the layers' names.", where=f"load_weights: {path}: by_name",
            hint="this file is read by the layers' places; skip_mismatch=True loads what fits",
        )  # fmt: skip


def need_built(model: Any, method: str) -> None:
    """Refuse a model without weights."""
    if not model.built:
        raise errors.NotBuilt(
            "the model has no weights yet.", where=f"{method}: model {model.name!r}",
            hint="build it, or call it on data, first",
        )  # fmt: skip
