"""What XLA is to be told of the CPU that it compiles for."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

__all__ = ["options"]

_WIDE, _LIBRARY = "xla_cpu_prefer_vector_width", "xla_cpu_experimental_ynn_fusion_type"


def options(short: bool = False) -> dict[str, Any]:
    """Return options to compile by, where nobody chose: vectors of 512 bits, if they are faster.

    A program of `short` products leaves them all to Eigen. YNN, XLA's other library, takes a fifth less time for long
    ones, but divides those of few columns badly between threads; and the thread that is done waits for the other
    asleep, which takes as long as such a product where a processor is woken late, as in a virtual machine.
    """
    chosen = ({_WIDE: 512} if _computes_on_512_bits() else {}) | ({_LIBRARY: ""} if short else {})
    return {name: value for name, value in chosen.items() if name not in os.environ.get("XLA_FLAGS", "")}


@functools.cache
def _computes_on_512_bits() -> bool:
    """AMD's do at once since Zen 5; Zen 4 takes two steps for it; for Intel's XLA's own choice, 256, stands."""
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return False
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    is_new = told.get("vendor_id") == "AuthenticAMD" and int(told.get("cpu family", 0)) >= 26
    return is_new and "avx512f" in told.get("flags", "").split()
