"""Callbacks that tell the numbers of each epoch: to a CSV file, and to a server."""

from __future__ import annotations

import csv
import json
import os
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from kerata.callbacks.base import Callback

__all__ = ["CSVLogger", "RemoteMonitor"]


class CSVLogger(Callback):
    """Writes a line for each epoch to a CSV file: the epoch, and the logs sorted by name.

    The first epoch of a file says which columns there are; a number that is missing later reads `NA`.

    Args:
        filename: the file.
        separator: what stands between columns.
        append: write behind what is in the file, as when training goes on.

    Example:
        >>> log = kerata.callbacks.CSVLogger("training.csv")  # fit(…, callbacks=[log])
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self.csv_file: Any = None
        self.writer: Any = None
        self.keys: list[str] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._close()
        self.csv_file = Path(self.filename).open("a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115  (until training ends)
        self.writer = self.keys = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):  # a later epoch may be the first to validate
                self.keys += [f"val_{key}" for key in self.keys]
            self.writer = csv.writer(self.csv_file, delimiter=self.sep)
            if self.csv_file.tell() == 0:
                self.writer.writerow(["epoch", *self.keys])
        self.writer.writerow([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])
        self.csv_file.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._close()
        self.writer = None

    def _close(self) -> None:
        """Close the file, also after an error."""
        if self.csv_file is not None:
            self.csv_file.close()


def _cell(value: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        return value
    return f'"[{", ".join(map(str, value))}]"'


class RemoteMonitor(Callback):
    """Sends the logs of each epoch to a server by an HTTP POST; a server that is not there only gives a warning.

    Args:
        root: the server's address.
        path: the path behind it.
        field: the form's field that holds the JSON.
        headers: further HTTP headers.
        send_as_json: send the JSON itself instead of a form.

    Example:
        >>> tell = kerata.callbacks.RemoteMonitor("http://localhost:9000")  # fit(…, callbacks=[tell])
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        self.root, self.path, self.field, self.headers, self.send_as_json = root, path, field, headers, send_as_json

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        numbers = {"epoch": epoch, **(logs or {})}
        text = json.dumps(numbers, default=lambda value: np.asarray(value).tolist())
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        body = text if self.send_as_json else urllib.parse.urlencode({self.field: text})
        request = urllib.request.Request(
            self.root + self.path, body.encode(), {"Content-Type": kind, **(self.headers or {})}
        )
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except (OSError, urllib.error.URLError) as error:
            warnings.warn(f"RemoteMonitor: the server at {self.root} did not take the numbers: {error}", stacklevel=2)
