"""The functions of `keras.backend`, most of which are ops under older names.

The table in `compat/names.py` says where each name lives.
"""

from kerata.compat.finder import names_of

__getattr__, __dir__ = names_of("keras.backend")
