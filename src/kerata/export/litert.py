"""A program for LiteRT (TensorFlow Lite), by way of a SavedModel."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

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
        with program.explained("litert", _ADVICE):
            content = converter.convert()
            _run(tf, content, program)
    with files.atomic_write(path) as temporary:
        temporary.write_bytes(content)


_ADVICE = (
    "a batch of known size, which LiteRT has more operators for: input_signature=[kerata.InputSpec(shape=(1, …), "
    "dtype=…)]; format='onnx' and 'tf_saved_model' take more models"
)


def _run(tf: Any, content: bytes, program: Program) -> None:
    """Run the file once, on zeros: what the converter wrote, the interpreter does not always take."""
    runner = tf.lite.Interpreter(model_content=content).get_signature_runner(saved_model.DEFAULT)
    shapes = {given.name: [size or 1 for size in given.shape] for given in program.inputs}
    details = runner.get_input_details()
    runner(**{name: np.zeros(shape, details[name]["dtype"]) for name, shape in shapes.items() if name in details})
