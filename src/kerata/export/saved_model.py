"""A program as a SavedModel of TensorFlow: the StableHLO that JAX exported, called by an operator of TensorFlow's."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kerata import errors, tree
from kerata.core.packages import package
from kerata.export.program import Program

__all__ = ["function_of", "saved_folder", "tensorflow", "write"]

ENDPOINT, DEFAULT = "serve", "serving_default"
PLATFORMS = ("cpu", "cuda", "tpu")


def write(program: Program, path: Path, is_static: bool = True) -> None:
    """Write the folder, with the endpoints "serve" and "serving_default".

    Args:
        is_static: accepted as Keras does; what is exported here never changes its state.
    """
    from kerata.export.archive import ExportArchive

    archive = ExportArchive()
    archive.add_program(ENDPOINT, program)
    archive.write_out(path, verbose=False)


def tensorflow(where: str) -> Any:
    """Return TensorFlow."""
    return package("tensorflow", where, otherwise="format='stablehlo', which needs JAX alone, or 'onnx'")


def function_of(program: Program, variables: list[Any]) -> Any:
    """Return a `tf.function` that takes and returns what the program does, by nests of the same structure.

    Args:
        variables: TensorFlow's, with the weights of the program, in its order.
    """
    tf: Any = tensorflow(program.where)
    from kerata.engine.jax import exporting

    with program.explained("tf_saved_model", "save the model itself: model.save('model.keras')"):
        exported = exporting.exported(program, program.values(), program.specs(), PLATFORMS)
    xla = package("tensorflow.compiler.tf2xla.python.xla", program.where)
    module = exporting.for_older_readers(exported)
    kept = set(exported.module_kept_var_idx)
    results = [(_dtype(tf, x.dtype), _shape(x.shape)) for x in exported.out_avals]

    def run(*arguments: Any) -> Any:
        given = [tf.cast(x, _dtype(tf, aval.dtype)) for x, aval in zip(
            tree.flatten(arguments), exported.in_avals[len(variables) :]
        )]  # fmt: skip
        operands = [*(tf.convert_to_tensor(v) for v in variables), *given]
        outputs = xla.call_module(
            [x for i, x in enumerate(operands) if i in kept], version=exported.calling_convention_version,
            module=module, Tout=[dtype for dtype, _ in results],
            Sout=[shape for _, shape in results], platforms=[name.upper() for name in exported.platforms],
        )  # fmt: skip
        for output, (_, shape) in zip(outputs, results):
            output.set_shape(shape)
        return program.outputs(outputs)

    names = iter(program.inputs)

    def spec(_: Any) -> Any:
        given = next(names)
        return tf.TensorSpec(given.shape, given.dtype, name=given.name)

    return tf.function(run, input_signature=tree.map_structure(spec, program.arguments), autograph=False)


def _dtype(tf: Any, dtype: Any) -> Any:
    return tf.dtypes.as_dtype(dtype.name)


def _shape(shape: Any) -> list[int | None]:
    return [size if isinstance(size, int) else None for size in shape]


def signature(program: Program, function: Callable[..., Any]) -> Any:
    """Return the function as TensorFlow Serving calls it: named tensors in, named tensors out."""
    tf: Any = tensorflow(program.where)
    specs = {given.name: tf.TensorSpec(given.shape, given.dtype, name=given.name) for given in program.inputs}
    structure = tree.flatten_with_spec(program.arguments)[1]

    def named(**tensors: Any) -> dict[str, Any]:
        outputs = function(*structure.unflatten(tensors[name] for name in specs))
        return dict(zip(program.output_names(), tree.flatten(outputs)))

    return tf.function(named, autograph=False).get_concrete_function(**specs)


@contextmanager
def saved_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path`, which takes its place when the block ends without an error.

    Raises:
        InvalidArgument: where `path` is a file, or a folder with anything else than a SavedModel.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not (path / "saved_model.pb").exists()):
        raise errors.InvalidArgument(
            "something else is there already.", where=str(path), expected="no such folder, or an earlier SavedModel",
            got="a file" if path.is_file() else f"a folder with {sorted(p.name for p in path.iterdir())[:5]}",
            hint="choose another path, or take away what is there",
        )  # fmt: skip
    new = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        yield new
        if path.exists():
            old = new.with_suffix(".old")
            path.rename(old)
            new.rename(path)
            shutil.rmtree(old)
        else:
            new.rename(path)
    finally:
        shutil.rmtree(new, ignore_errors=True)
