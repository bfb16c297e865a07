"""Data: sources for `fit`, a loader for loops of one's own, and data sets that are built up step by step."""

from kerata.data.dataset import AUTOTUNE, Dataset
from kerata.data.loader import DataLoader, WorkerInfo, batch_random, collate, get_worker_info
from kerata.data.map_style import ArrayDataset, ConcatDataset, Subset, random_split
from kerata.data.py_dataset import PyDataset

__all__ = [
    "AUTOTUNE", "ArrayDataset", "ConcatDataset", "DataLoader", "Dataset", "PyDataset", "Subset", "WorkerInfo",
    "batch_random", "collate", "get_worker_info", "random_split",
]  # fmt: skip
