"""A program for LiteRT (TensorFlow Lite), by way of a SavedModel."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from kerata import errors
from kerata.export import saved_model
from kerata.export.program import Program
from kerata.saving import files

__all__ = ["write"]


def write(program: Program, path: Path, **options: Any) -> None:
    """Write one file.

    Args:
        options: attributes of TensorFlow Lite's converter: `optimizations`, `representative_dataset`, …
    """
    tf: Any = saved_model.tensorflow("export(format='litert')")
    with tempfile.TemporaryDirectory() as folder:
        saved_model.write(program, Path(folder, "model"))
        converter = tf.lite.TFLiteConverter.from_saved_model(str(Path(folder, "model")))
        for name, value in options.items():
            if not hasattr(converter, name):
                raise errors.UnknownName("option", name, vars(converter), where="export(format='litert')")
            setattr(converter, name, value)
        with program.explained("litert", "format='onnx' or 'tf_saved_model' takes more"):
            content = converter.convert()
    with files.atomic_write(path) as temporary:
        temporary.write_bytes(content)
