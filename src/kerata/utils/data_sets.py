"""Names that stand in `keras.utils` though their home is in `kerata.data`."""

from kerata.data.directory import (
    audio_dataset_from_directory,
    image_dataset_from_directory,
    text_dataset_from_directory,
)
from kerata.data.py_dataset import PyDataset
from kerata.data.splitting import split_dataset
from kerata.data.timeseries import timeseries_dataset_from_array

Sequence = PyDataset
"""Keras's older name."""

__all__ = [
    "PyDataset", "Sequence", "audio_dataset_from_directory", "image_dataset_from_directory", "split_dataset",
    "text_dataset_from_directory", "timeseries_dataset_from_array",
]  # fmt: skip
