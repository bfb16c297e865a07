"""Data: sources for `fit`, and a loader for loops of one's own."""

from kerata.data.loader import ArrayDataset, DataLoader, collate

__all__ = ["ArrayDataset", "DataLoader", "collate"]
