"""Whole models in one `.keras` file: a zip of metadata, config and weights."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerata import errors
from kerata.core import registry
from kerata.saving.assets import restore_assets, store_assets
from kerata.saving.files import atomic_write, clear_errors, existing, open_archive, open_member, read_member
from kerata.saving.stores import HDF5Store
from kerata.saving.weights import need_built, restore_state, store_state

__all__ = ["load_model", "save_model"]

FORMAT_VERSION = "3.15.0"
"""The Keras whose layout is written."""


@errors.user_facing
def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
    """Save architecture, weights, compile settings and optimizer state of `model` in one `.keras` file.

    The file is written beside its place and then moved there, so a broken write never costs the old one.

    Example:
        >>> model = kerata.Sequential([kerata.layers.Input((3,)), kerata.layers.Dense(1)])
        >>> kerata.saving.save_model(model, "small.keras")
    """
    path = Path(os.fspath(filepath)).expanduser()
    if zipped is False:
        raise errors.Unsupported("a model is saved as one file.", where="save_model: zipped=False")
    unknown = set(kwargs) - {"save_format", "include_optimizer"}
    if unknown:
        raise errors.InvalidType("unknown arguments.", where="save_model", got=sorted(unknown))
    if not path.name.endswith(".keras"):
        hint = f"use {path.with_suffix('.keras').name!r}"
        if path.name.endswith((".h5", ".hdf5")):
            hint += "; old HDF5 models can be read, and are no longer written"
        raise errors.InvalidArgument(
            "the file's name has another ending.", where="save_model", expected="*.keras", got=path.name, hint=hint
        )
    need_built(model, "save_model")
    with registry.ObjectSharing():
        data = registry.serialize_keras_object(model)
    keeps_optimizer = kwargs.get("include_optimizer", True)
    if not keeps_optimizer:
        data.pop("compile_config", None)
    config = json.dumps(data)
    now = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    metadata = json.dumps({"keras_version": FORMAT_VERSION, "date_saved": now})
    with (
        atomic_write(path, overwrite) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
    ):
        archive.writestr("metadata.json", metadata)
        archive.writestr("config.json", config)
        weights = temporary.with_suffix(".weights.h5")
        try:
            with HDF5Store(weights, "w", str(path)) as store:
                store_state(model, store, () if keeps_optimizer else (model.optimizer,))
            archive.write(weights, "model.weights.h5")
        finally:
            weights.unlink(missing_ok=True)
        store_assets(model, archive)


@contextlib.contextmanager
def weights_of(path: Path) -> Iterator[HDF5Store]:
    """Open the weights in a `.keras` file."""
    where = f"{path}: model.weights.h5"
    with (
        open_archive(path) as archive,
        open_member(archive, "model.weights.h5") as member,
        HDF5Store(member, "r", where) as store,
    ):
        yield store


@errors.user_facing
def load_model(
    filepath: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """Return the model in a `.keras` file (or an old `.h5` one), of kerata or of Keras.

    Loading runs no code from the file: it can name kerata's classes and registered ones only.

    Args:
        custom_objects: classes and functions of yours that the file names.
        compile: whether to compile the model as it was, with its optimizer's state.
        safe_mode: must stay True; there is no other way to load.

    Raises:
        CorruptFile: when the file is missing, cut, damaged or of another kind.
        UnknownName: when it names something that is not registered.
    """
    if not safe_mode:
        raise errors.Unsupported(
            "there is no unsafe loading: no file can make kerata run code.", where="load_model: safe_mode=False",
            expected="safe_mode=True",
            hint="give the code yourself: custom_objects={name: function or class}",
        )  # fmt: skip
    path = existing(filepath, "file")
    if path.is_dir():
        raise errors.Unsupported(
            "this is a folder, and a model is one file.", where=str(path), hint="TensorFlow's SavedModel is not read"
        )
    with registry.CustomObjectScope(custom_objects), registry.ObjectSharing(), clear_errors(path):
        if path.name.endswith((".h5", ".hdf5")):
            from kerata.saving.legacy import load_legacy

            return load_legacy(path, compile)
        with open_archive(path) as archive:
            config = _json(archive, "config.json")
        if not isinstance(config, dict):
            raise errors.CorruptFile("config.json holds no model.", where=str(path))
        compile_config = config.pop("compile_config", None)
        model = registry.deserialize_keras_object(config)
        if not hasattr(model, "compile_from_config"):
            raise errors.CorruptFile("the file holds no model.", where=str(path), got=type(model).__name__)
        if compile and compile_config:
            model.compile_from_config(compile_config)
        with weights_of(path) as store:
            restore_state(model, store)
        with open_archive(path) as archive:
            restore_assets(model, archive)
    return model


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    text = read_member(archive, name)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.CorruptFile(
            "a part of the archive is no JSON.", where=f"{archive.filename}: {name}", got=error,
            hint="copy or download it again, and compare the sizes",
        ) from None  # fmt: skip
