"""The NumPy engine: every formula in its plain form. It infers only, and is the others' reference."""

from kerata.engine.numpy import arrays, devices, nn, random, transforms

name = "numpy"
fast_ways = {}
