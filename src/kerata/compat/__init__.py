"""Scripts written for Keras or tf.keras, on kerata: `install` makes those names mean kerata in this process.

Neither Keras nor TensorFlow is needed, or loaded where it is installed. What each name stands for is in the
table of `names.py`; `kerata run script.py` does all this for a script.
"""

from kerata.compat.finder import install, installed, uninstall

__all__ = ["install", "installed", "uninstall"]
