"""Reading models and weights that older Keras wrote as HDF5."""

from __future__ import annotations

import itertools
import json
import warnings
from pathlib import Path
from typing import Any

from kerata import errors
from kerata.core import registry
from kerata.saving.stores import HDF5Arrays, HDF5Store

__all__ = ["is_legacy", "load_legacy", "restore_legacy"]


def is_legacy(store: HDF5Store) -> bool:
    """Return whether the file is of the old kind."""
    return "layer_names" in store.file.attrs or "layer_names0" in store.file.attrs or "model_weights" in store.file


def load_legacy(path: Path, compile: bool) -> Any:
    """Return the model in an old `.h5` file."""
    with HDF5Store(path, "r", str(path)) as store:
        config = _json(store, "model_config")
        if config is None:
            raise errors.CorruptFile(
                "the file holds weights and no model.", where=str(path),
                hint="make the model, then model.load_weights(path)",
            )  # fmt: skip
        model = registry.deserialize_keras_object(config)
        if not hasattr(model, "compile_from_config"):
            raise errors.CorruptFile("the file holds no model.", where=str(path), got=type(model).__name__)
        restore_legacy(model, store)
        settings = _json(store, "training_config")
        if compile and isinstance(settings, dict):
            settings["optimizer"] = settings.pop("optimizer_config", None)
            model.compile_from_config(settings)
            _restore_optimizer(model.optimizer, store)
    return model


def restore_legacy(model: Any, store: HDF5Store, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """Set the weights of `model` from an old file, layer by layer in order, or by the layers' names.

    Nothing is changed before every array is known to fit, unless `skip_mismatch` asks for what fits.
    """
    group = store.group("model_weights") if "model_weights" in store.file else store.file
    if group is None:
        raise errors.CorruptFile("the file holds no weights.", where=store.where)
    saved = [(name, _arrays(store, group, name)) for name in _names(group, "layer_names")]
    saved = [(name, arrays) for name, arrays in saved if arrays]
    layers = [layer for layer in model.layers if layer.weights]
    if by_name:
        arrays = dict(saved)
        pairs = [(layer, layer.name, arrays[layer.name]) for layer in layers if layer.name in arrays]
    else:
        if len(saved) != len(layers):
            raise errors.InvalidArgument(
                "the file does not fit the model; nothing was loaded.", where=store.where,
                expected=f"{len(layers)} layers with weights: {[layer.name for layer in layers]}",
                got=f"{len(saved)}: {[name for name, _ in saved]}", hint="by_name=True matches layers by their names",
            )  # fmt: skip
        pairs = [(layer, name, arrays) for layer, (name, arrays) in zip(layers, saved)]
    top = _arrays(store, group, "top_level_model_weights")
    if top:
        pairs.append((model, "top_level_model_weights", top))
    fitting = []
    for layer, name, arrays in pairs:
        own = layer._own_weights() if layer is model else layer.weights
        # Old files list what is trained first, through all the layers inside.
        variables = [v for v in own if v.trainable] + [v for v in own if not v.trainable]
        shapes, given = [tuple(v.shape) for v in variables], [a.shape for a in arrays]
        if shapes == given:
            fitting += zip(variables, arrays)
        elif skip_mismatch:
            warnings.warn(f"{store.where}: layer {layer.name!r} was skipped: {given} for {shapes}", stacklevel=4)
        else:
            raise errors.ShapeMismatch(
                f"the file does not fit layer {layer.name!r} ({type(layer).__name__}); nothing was loaded.",
                where=f"{store.where}: {name}", expected=shapes, got=given, hint="skip_mismatch=True loads what fits",
            )  # fmt: skip
    for variable, array in fitting:
        variable.assign(array)


def _restore_optimizer(optimizer: Any, store: HDF5Store) -> None:
    group = store.group("optimizer_weights")
    if group is None or optimizer is None or not optimizer.built:
        return
    arrays = [_array(store, group, name) for name in _names(group, "weight_names")]
    if [a.shape for a in arrays] != [tuple(v.shape) for v in optimizer.variables]:
        warnings.warn(f"{store.where}: the optimizer starts afresh: its arrays in the file do not fit it", stacklevel=5)
        return
    optimizer.set_weights(arrays)


def _arrays(store: HDF5Store, group: Any, name: str) -> list[Any]:
    inner = store.group(name, group)
    return [] if inner is None else [_array(store, inner, n) for n in _names(inner, "weight_names")]


def _array(store: HDF5Store, group: Any, path: str) -> Any:
    folder, _, name = path.rpartition("/")
    inner = store.group(folder, group)
    return HDF5Arrays({} if inner is None else inner, f"{store.where}: {folder}")[name]


def _names(group: Any, attribute: str) -> list[str]:
    """Return a list of names among the attributes; a long one is split over several, numbered."""
    if attribute in group.attrs:
        return [_text(n) for n in group.attrs[attribute]]
    parts = itertools.takewhile(lambda part: part in group.attrs, (f"{attribute}{i}" for i in itertools.count()))
    return [_text(n) for part in parts for n in group.attrs[part]]


def _text(x: Any) -> str:
    return x.decode() if isinstance(x, bytes) else str(x)


def _json(store: HDF5Store, attribute: str) -> Any:
    text = store.file.attrs.get(attribute)
    if text is None:
        return None
    try:
        return json.loads(_text(text))
    except (ValueError, RecursionError) as error:
        where = f"{store.where}: {attribute}"
        raise errors.CorruptFile("a part of the file is no JSON.", where=where, got=error) from None
