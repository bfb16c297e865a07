"""What to say when memory has run out: how much was asked for, by what, and what asks for less."""

from __future__ import annotations

from typing import Any

from kerata import errors, tree
from kerata.core.variable import Variable

__all__ = ["explained"]


def explained(error: Exception, model: Any, mode: str, block: Any) -> Exception:
    """Return `error`, told in our words where it says that memory has run out."""
    if isinstance(error, errors.KerataError) or not errors.is_out_of_memory(error):
        return error
    variables = model._state_variables(mode)
    held = sorted(variables, key=_bytes, reverse=True)[:3]
    largest = ", ".join(f"{v.path} {tuple(v.shape)} {_text(_bytes(v))}" for v in held)
    _, size = block.shape
    rows = f"batches of {size} rows"
    rows += " of shapes " + ", ".join(str(tuple(a.shape[2:])) for a in tree.flatten(block.data) if a is not None)
    return errors.OutOfMemory(
        "there is not enough memory for a step.", where=f"model {model.name!r}", expected="room for weights, their "
        "slots, and what each layer keeps of a batch for its gradient",
        got=f"{rows}; weights and slots {_text(sum(map(_bytes, variables)))}, the largest {largest}; the engine says: "
        f"{next(iter(str(error).splitlines()), '')[:200]}",
        hint=f"batch_size={max(1, size // 2)} or less; then dtype policy 'mixed_bfloat16', smaller layers, "
        "or kerata.RematScope around them",
    ).with_traceback(error.__traceback__)  # fmt: skip


def _bytes(variable: Variable) -> int:
    return getattr(variable.raw_value(), "nbytes", 0)


def _text(size: float) -> str:
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.0f} B" if units[0] == "B" else f"{size:.1f} {units[0]}"
