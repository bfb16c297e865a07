"""Reading models and weights that older Keras wrote as HDF5."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from kerata import errors
from kerata.core import registry
from kerata.saving.stores import HDF5Store, _Arrays

__all__ = ["load_legacy", "restore_legacy"]

LARGEST_CONFIG = 256 << 20


def _text(x: Any) -> str:
    return x.decode() if isinstance(x, bytes) else str(x)


def load_legacy(path: Path, compile: bool) -> Any:
    """Return the model in an old `.h5` file."""
    with HDF5Store(path, "r", str(path)) as store:
        text = store.file.attrs.get("model_config")
        if text is None:
            raise errors.CorruptFile(
                "the file holds weights and no model.", where=str(path),
                hint="make the model, then model.load_weights(path)",
            )  # fmt: skip
        config = json.loads(_text(text))
        model = registry.deserialize_keras_object(config)
        restore_legacy(model, store)
        training = store.file.attrs.get("training_config")
        if compile and training is not None:
            settings = json.loads(_text(training))
            settings["optimizer"] = settings.pop("optimizer_config", None)
            model.compile_from_config(settings)
    return model


def restore_legacy(model: Any, store: HDF5Store, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """Set the weights of `model` from an old file, layer by layer in order, or by the layers' names."""
    group = store._group("model_weights") if "model_weights" in store.file else store.file
    saved = []
    for name in map(_text, group.attrs["layer_names"]):
        layer_group = store._group(f"{group.name.strip('/')}/{name}") or {}
        names = [_text(n) for n in getattr(layer_group, "attrs", {}).get("weight_names", [])]
        if names:
            saved.append((name, [_read(layer_group, n, store.where) for n in names]))
    layers = [layer for layer in model.layers if layer.weights]
    if by_name:
        arrays = dict(saved)
        pairs = [(layer, arrays[layer.name]) for layer in layers if layer.name in arrays]
    else:
        if len(saved) != len(layers):
            raise errors.InvalidArgument(
                "the file does not fit the model; nothing was loaded.", where=store.where,
                expected=f"{len(layers)} layers with weights", got=f"{len(saved)}",
            )  # fmt: skip
        pairs = [(layer, values) for layer, (_, values) in zip(layers, saved)]
    fitting = []
    for layer, values in pairs:
        shapes, given = [tuple(w.shape) for w in layer.weights], [v.shape for v in values]
        if shapes == given:
            fitting.append((layer, values))
        elif skip_mismatch:
            warnings.warn(f"{store.where}: layer {layer.name} was skipped: {given} for {shapes}", stacklevel=4)
        else:
            raise errors.ShapeMismatch(
                "the file does not fit the model; nothing was loaded.", where=f"{store.where}: layer {layer.name!r}",
                expected=shapes, got=given, hint="skip_mismatch=True loads what fits",
            )  # fmt: skip
    for layer, values in fitting:
        layer.set_weights(values)


def _read(group: Any, path: str, where: str) -> Any:
    *folders, name = path.split("/")
    for folder in folders:
        group = group[folder]
    return _Arrays(group, where)[name]
