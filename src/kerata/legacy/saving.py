"""Objects as data under the names of `keras.legacy.saving`.

The table in `compat/names.py` says where each name lives.
"""

from kerata.compat.finder import names_of

__getattr__, __dir__ = names_of("keras.legacy.saving")
