"""Reading and preparing data under the names of `keras.preprocessing`.

The table in `compat/names.py` says where each name lives.
"""

from kerata.compat.finder import names_of
from kerata.preprocessing import image as image
from kerata.preprocessing import sequence as sequence

__getattr__, __dir__ = names_of("keras.preprocessing")
