"""What XLA is to be told of the CPU that it compiles for."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

__all__ = ["options"]

_WIDE = "xla_cpu_prefer_vector_width"


def options() -> dict[str, Any]:
    """Return options to compile by: vectors of 512 bits, where they are faster and nobody chose."""
    return {_WIDE: 512} if _computes_on_512_bits() and _WIDE not in os.environ.get("XLA_FLAGS", "") else {}


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
