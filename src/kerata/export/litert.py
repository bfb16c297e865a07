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
            _try(tf, content, tf.saved_model.load(str(Path(folder, "model"))), program, exact=not options)
    with files.atomic_write(path) as temporary:
        temporary.write_bytes(content)


_ADVICE = "format='onnx' or 'tf_saved_model', which take more models"


def _try(tf: Any, content: bytes, saved: Any, program: Program, exact: bool) -> None:
    """Run the file once beside the SavedModel: what the converter writes, the interpreter does not always take."""
    runner = tf.lite.Interpreter(model_content=content).get_signature_runner(saved_model.DEFAULT)
    random, details = np.random.default_rng(0), runner.get_input_details()
    inputs = {}
    for given in program.inputs:
        shape, dtype = [size or 2 for size in given.shape], np.dtype(details[given.name]["dtype"])
        inputs[given.name] = (random.normal(size=shape) if dtype.kind == "f" else np.zeros(shape)).astype(dtype)
    found = runner(**inputs)
    expected = saved.signatures[saved_model.DEFAULT](**{name: tf.constant(x) for name, x in inputs.items()})
    for name in found if exact else ():
        np.testing.assert_allclose(found[name], expected[name].numpy(), rtol=1e-3, atol=1e-4)
