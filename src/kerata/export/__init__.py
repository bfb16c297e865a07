"""Trained models for programs that know nothing of kerata. `Model.export` writes them.

One file a format; `program.py` is what all of them write: a pure function of weights and inputs. The public names
stand in `__init__.pyi`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
