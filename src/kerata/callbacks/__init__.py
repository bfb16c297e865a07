"""Callbacks: code that runs at the beginnings and ends of epochs and batches."""

from kerata.callbacks.base import Callback, CallbackList
from kerata.callbacks.checkpoint import ModelCheckpoint
from kerata.callbacks.history import History
from kerata.callbacks.progress import ProgbarLogger
from kerata.callbacks.simple import LambdaCallback, LearningRateScheduler, TerminateOnNaN
from kerata.callbacks.stopping import EarlyStopping, ReduceLROnPlateau

__all__ = [
    "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback", "LearningRateScheduler",
    "ModelCheckpoint", "ProgbarLogger", "ReduceLROnPlateau", "TerminateOnNaN",
]  # fmt: skip
