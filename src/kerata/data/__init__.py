"""Data: sources for `fit`, a loader for loops of one's own, and data sets that are built up step by step."""

from kerata.data.dataset import AUTOTUNE, Dataset
from kerata.data.loader import ArrayDataset, DataLoader, collate
from kerata.data.py_dataset import PyDataset

__all__ = ["AUTOTUNE", "ArrayDataset", "DataLoader", "Dataset", "PyDataset", "collate"]
