"""Helpers around models and data, as in `keras.utils`."""

from kerata.data.download import get_file
from kerata.utils.arrays import (
    normalize,
    pack_x_y_sample_weight,
    to_categorical,
    unpack_x_y_sample_weight,
)

__all__ = ["get_file", "normalize", "pack_x_y_sample_weight", "to_categorical", "unpack_x_y_sample_weight"]
