"""One file over the network: streamed to disk, resumed where it broke off, tried again after growing pauses.

Here are addresses and bytes. What they are kept as, their hashes and archives are the matter of `files`.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from kerata import config, errors

__all__ = ["DownloadFailed", "download"]

ATTEMPTS = 4  # in a row, without a byte more than before
FIRST_PAUSE = 0.5  # seconds; each pause is twice the one before
SILENCE = 30.0  # seconds without a byte, after which the connection counts as lost

_PASSING = (408, 416, 425, 429, 500, 502, 503, 504)  # HTTP answers that may be another the next time
_Advance = Callable[[int, int | None], None]  # (bytes so far, bytes in all)


class DownloadFailed(errors.KerataError, OSError):
    """An address cannot be reached, or does not give the file."""


class _Interrupted(Exception):
    """The connection failed in a way that may pass."""


def download(origin: str, file: Path, *, resume: bool = False, hint: str | None = None) -> None:
    """Write what stands at the address `origin` to `file`.

    A connection that breaks is taken up where it broke, by an HTTP range; should the server's file have changed
    meanwhile, or the server not know ranges, it starts anew.

    Args:
        origin: an address that `urllib` can open: http, https, ftp or file.
        resume: take the bytes that `file` holds as its beginning. Only a hash can tell that they are.
        hint: advice for the error's message.

    Raises:
        DownloadFailed: the server refuses, or cannot be reached in several attempts. What has come stays in `file`.
    """
    if urllib.parse.urlsplit(origin).scheme not in ("http", "https", "ftp", "file"):
        raise errors.InvalidArgument("this is no address to download from.", got=repr(origin), hint="https://…")
    transfer = _Transfer(origin, file, resume)
    furthest = failures = 0
    with _progress(origin) as advance:
        while True:
            try:
                return transfer.receive(advance)
            except http.client.InvalidURL as error:
                raise errors.InvalidArgument("the address is malformed.", where=origin, got=error) from None
            except urllib.error.HTTPError as error:
                error.close()
                reason = f"HTTP {error.code} ({error.reason})"
                may_pass = error.code in _PASSING
                if error.code == 416:  # what we hold is longer than the server's file
                    file.unlink(missing_ok=True)
            except (urllib.error.URLError, _Interrupted) as error:
                reason, may_pass = getattr(error, "reason", error), True
            size = file.stat().st_size if file.exists() else 0
            failures = 1 if size > furthest else failures + 1
            furthest = max(furthest, size)
            if not may_pass or failures >= ATTEMPTS:
                what = "the file could not be downloaded."
                raise DownloadFailed(what, where=origin, got=reason, hint=hint) from None
            time.sleep(FIRST_PAUSE * 2 ** (failures - 1))


class _Transfer:
    """The file at one address, as far as it has come."""

    def __init__(self, origin: str, file: Path, resume: bool) -> None:
        self.origin, self.file, self.resume = origin, file, resume
        self.version: str | None = None  # by which the server knows whether its file is still the same

    def receive(self, advance: _Advance) -> None:
        """Ask for what is missing, and add it to the file."""
        request = urllib.request.Request(self.origin, headers={"User-Agent": "kerata"})
        may_resume = self.resume or self.version is not None
        offset = self.file.stat().st_size if may_resume and self.file.exists() else 0
        if offset:
            request.add_header("Range", f"bytes={offset}-")
            if self.version:
                request.add_header("If-Range", self.version)
        with _errors_as_interruption():
            response = urllib.request.urlopen(request, timeout=SILENCE)
        with response:
            if offset and not self._continues(response, offset):
                offset = 0
            if not offset:
                etag = response.headers.get("ETag") or ""
                # A weak ETag, W/"...", does not promise the same bytes.
                self.version = etag if etag.startswith('"') else response.headers.get("Last-Modified")
            length = response.headers.get("Content-Length")
            total = offset + int(length) if length and length.isdigit() else None
            with open(self.file, "ab" if offset else "wb") as file:
                size = offset
                advance(size, total)
                for chunk in _chunks(response):
                    file.write(chunk)
                    size += len(chunk)
                    advance(size, total)
        if total is not None and size < total:
            raise _Interrupted(f"the connection ended after {size} of {total} bytes")

    def _continues(self, response: Any, offset: int) -> bool:
        """Return whether the answer is the part of the file from `offset` on, and not the whole."""
        if getattr(response, "status", None) != 206:
            return False
        start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if start is None or int(start[1]) != offset:
            self.file.unlink()  # better anew than to ask this server for parts
            raise _Interrupted("the server sent another part of the file than it was asked for")
        return True


def _chunks(response: IO[bytes]) -> Iterator[bytes]:
    while True:
        with _errors_as_interruption():
            chunk = response.read(1 << 16)
        if not chunk:
            return
        yield chunk


@contextlib.contextmanager
def _errors_as_interruption() -> Iterator[None]:
    """Tell errors of the network from those of the disk, which are OSErrors too."""
    try:
        yield
    except (urllib.error.URLError, http.client.InvalidURL):
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(str(error) or type(error).__name__) from error


@contextlib.contextmanager
def _progress(origin: str) -> Iterator[_Advance]:
    """Yield what tells the user how far the download is: a bar where it can be redrawn, one line elsewhere."""
    if not config.is_interactive_logging_enabled():
        logging.getLogger("kerata").info("Downloading %s", origin)
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    if not (console.is_terminal or console.is_jupyter):
        print(f"Downloading {origin}", flush=True)
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(24), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(compact=True), console=console) as bar:
        task = bar.add_task(escape(os.path.basename(origin) or origin), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
