"""Callbacks: code that runs at the beginnings and ends of epochs and batches."""

from kerata.callbacks.averages import SwapEMAWeights
from kerata.callbacks.backup import BackupAndRestore
from kerata.callbacks.base import Callback, CallbackList
from kerata.callbacks.checkpoint import ModelCheckpoint, OrbaxCheckpoint
from kerata.callbacks.history import History
from kerata.callbacks.plot import Plot
from kerata.callbacks.progress import ProgbarLogger
from kerata.callbacks.reports import CSVLogger, RemoteMonitor
from kerata.callbacks.simple import LambdaCallback, LearningRateScheduler, TerminateOnNaN
from kerata.callbacks.stopping import EarlyStopping, ReduceLROnPlateau
from kerata.callbacks.tensorboard import TensorBoard
from kerata.callbacks.trackers import MLflowLogger, WandbLogger

__all__ = [
    "BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback",
    "LearningRateScheduler", "MLflowLogger", "ModelCheckpoint", "OrbaxCheckpoint", "Plot", "ProgbarLogger",
    "ReduceLROnPlateau", "RemoteMonitor", "SwapEMAWeights", "TensorBoard", "TerminateOnNaN", "WandbLogger",
]  # fmt: skip
