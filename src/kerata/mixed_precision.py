"""Dtype policies under the names of `keras.mixed_precision`.

The table in `compat/names.py` says where each name lives.
"""

from kerata.compat.finder import names_of

__getattr__, __dir__ = names_of("keras.mixed_precision")
