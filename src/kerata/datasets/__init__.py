"""Well-known data sets, as NumPy arrays: MNIST from the package itself, the others downloaded once."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
