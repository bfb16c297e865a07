"""The rows of the table of ops, by the same rooms as the ops themselves; importing this fills `cases.CASES`."""

from rows import arrays, elementwise, image, linear_algebra, networks, reductions, signals, windows

__all__ = ["arrays", "elementwise", "image", "linear_algebra", "networks", "reductions", "signals", "windows"]
