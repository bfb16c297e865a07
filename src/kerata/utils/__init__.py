"""Helpers around models and data, as in `keras.utils`; each is loaded when it is first used.

The public names stand in `__init__.pyi`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
