"""A program of JAX with its weights in one file, and the way back: `load` needs JAX and nothing of the model."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from kerata import engine, errors, tree
from kerata.export.program import Given, Program
from kerata.saving import files

__all__ = ["LoadedProgram", "load", "write"]

LARGEST_PROGRAM = 1 << 30


def write(program: Program, path: Path, platforms: Sequence[str] = ("cpu", "cuda", "tpu")) -> None:
    """Write a zip archive of three parts: the program that `jax.export` serialized, the weights, and what they are.

    Args:
        platforms: what the file runs on, as JAX names it.
    """
    from kerata.engine.jax import exporting

    with program.explained("stablehlo", "save the model itself: model.save('model.keras')"):
        exported = exporting.exported(program, program.values(), program.specs(), platforms)
    names = program.weight_names()
    weights = {name: x.astype(aval.dtype) for name, x, aval in zip(names, program.values(), exported.in_avals)}
    facts = {
        "kind": "kerata stablehlo", "weights": names,
        "inputs": [dataclasses.asdict(given) for given in program.inputs],
        "arguments": _encoded(_numbered(program.arguments)),
        "outputs": _encoded(program.outputs(range(len(exported.out_avals)))),
    }  # fmt: skip
    with files.atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr("signature.json", json.dumps(facts))
        archive.writestr("program.bin", bytes(exported.serialize()))
        archive.writestr("weights.safetensors", safetensors.numpy.save(weights))


def load(path: str | os.PathLike[str]) -> LoadedProgram:
    """Return the program in a file that `model.export(path, format="stablehlo")` wrote, ready to be called.

    It runs on JAX, whatever engine is in use, and needs no code of the model. The file is a program: load those whose
    author you trust to give right answers; it reaches nothing but the arrays that it is called with.

    Raises:
        CorruptFile: for a file that is none of these.

    Example:
        >>> model = kerata.Sequential([kerata.Input((3,)), kerata.layers.Dense(2)])
        >>> model.export("small.stablehlo", format="stablehlo")
        >>> program = kerata.export.load("small.stablehlo")
        >>> program(numpy.ones((5, 3), "float32")).shape
        (5, 2)
    """
    from kerata.engine.jax import exporting

    path = files.existing(path, "exported program")
    with files.clear_errors(path), files.open_archive(path) as archive:
        facts = json.loads(files.read_member(archive, "signature.json"))
        exported = exporting.restored(files.read_member(archive, "program.bin", LARGEST_PROGRAM))
        with files.open_member(archive, "weights.safetensors") as member:
            parts = dict(safetensors.deserialize(member.read()))
        weights = [
            np.frombuffer(parts[name]["data"], aval.dtype).reshape(parts[name]["shape"])  # NumPy knows no bfloat16
            for name, aval in zip(facts["weights"], exported.in_avals)
        ]
        return LoadedProgram(
            exporting.compiled(exported, weights),
            [Given(g["name"], tuple(g["shape"]), g["dtype"]) for g in facts["inputs"]],
            _decoded(facts["arguments"]), _decoded(facts["outputs"]),
        )  # fmt: skip


class LoadedProgram:
    """What `load` returns: called as the model was, it returns arrays of JAX, in the model's structure.

    Attributes:
        inputs: the name, shape and dtype of each input; None is a size that may differ from call to call.
    """

    def __init__(self, run: Any, inputs: list[Given], arguments: Any, outputs: Any) -> None:
        self._run, self.inputs, self._arguments, self._outputs = run, inputs, arguments, outputs

    def __call__(self, *args: Any) -> Any:
        """Compute the outputs for arrays, or nests of them, like the model's inputs."""
        try:
            found = tree.flatten(tree.map_structure_up_to(self._arguments, lambda x: x, tuple(args)))
        except (ValueError, TypeError):
            found = tree.flatten(args)
        if len(found) != len(self.inputs):
            raise errors.InvalidArgument(
                "the inputs are not those of the program.", where="exported program",
                expected=", ".join(map(_told, self.inputs)), got=f"{len(found)} of them",
            )  # fmt: skip
        jax = engine.load("jax")
        arrays = [jax.arrays.as_array(x, given.dtype) for x, given in zip(found, self.inputs)]
        for x, given in zip(arrays, self.inputs):
            if x.ndim != len(given.shape) or any(n not in (None, m) for n, m in zip(given.shape, x.shape)):
                raise errors.ShapeMismatch(
                    "the data do not fit the input.", where=f"exported program, input {given.name!r}",
                    expected=f"shape {given.shape}", got=f"shape {tuple(x.shape)}",
                )  # fmt: skip
        return tree.pack_sequence_as(self._outputs, self._run(arrays))

    def __repr__(self) -> str:
        return f"<LoadedProgram of {', '.join(map(_told, self.inputs))}>"


def _told(given: Given) -> str:
    return f"{given.name}: {given.dtype} {given.shape}"


def _numbered(structure: Any) -> Any:
    """Return a nest with the number of each leaf in its place; a Given is a leaf."""
    leaves, spec = tree.flatten_with_spec(structure)
    return spec.unflatten(range(len(leaves)))


def _encoded(x: Any) -> Any:
    """Return a nest of numbers for JSON, which has no tuples."""
    if isinstance(x, dict):
        return {"dict": [[key, _encoded(value)] for key, value in x.items()]}
    if isinstance(x, (list, tuple)):
        return {"list" if isinstance(x, list) else "tuple": [_encoded(value) for value in x]}
    return x


def _decoded(x: Any) -> Any:
    if not isinstance(x, dict):
        return x
    if "dict" in x:
        return {key: _decoded(value) for key, value in x["dict"]}
    return [_decoded(v) for v in x["list"]] if "list" in x else tuple(_decoded(v) for v in x["tuple"])
