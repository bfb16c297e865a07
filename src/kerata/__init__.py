"""kerata: deep learning the Keras way, with PyTorch's freedom and a compiled loop's speed.

Names resolve when they are first used; importing this package loads no engine. The public names stand in
`__init__.pyi`.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__", "version"]


def version() -> str:
    """Return kerata's version."""
    return __version__
