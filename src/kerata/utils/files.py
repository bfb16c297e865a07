"""Files from elsewhere, kept in a cache: found or downloaded, proved by their hash, unpacked.

A file takes its name only when it is whole. How bytes come over the network is the matter of `download`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kerata import config, errors
from kerata.data import archive
from kerata.utils.download import download

__all__ = ["get_file"]

_LENGTHS = {"sha256": 64, "md5": 32}  # of a hash, in hexadecimal digits


@errors.user_facing
def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Sequence[str] | None = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """Return the path of a file from `origin`, downloaded unless it is in the cache.

    Args:
        fname: the name in the cache; the last part of `origin` where not given.
        origin: the address.
        untar: as `extract`, for tar alone (Keras's older word).
        md5_hash: as `file_hash`, by MD5 (Keras's older word).
        file_hash: what the file must hash to, in hexadecimal; a file in the cache is checked too. With it, a download
            that was interrupted goes on where it stopped.
        cache_subdir: folder within the cache; an absolute path stands for itself.
        hash_algorithm: "sha256", "md5", or "auto": what the length of `file_hash` tells.
        extract: unpack an archive. The folder is called `fname`, or `<stem>_extracted` where `fname` has a dot.
        archive_format: "tar" (plain, gz, bz2, xz), "zip", a list of these, or "auto": both.
        cache_dir: the cache; `kerata.config.home()` where not given, so that files stand in `kerata.config.data_dir()`.
        force_download: download even if the file is there.

    Returns:
        The path of the file, or with `extract` of the folder.

    Raises:
        DownloadFailed: the address cannot be reached; the message says where to put the file by hand.
        CorruptFile: the hash differs, or the archive is damaged or unsafe; nothing of it stays.
        InvalidArgument: an argument cannot be.

    Example:
        >>> path = kerata.utils.get_file(
        ...     origin="https://storage.googleapis.com/tensorflow/tf-keras-datasets/boston_housing.npz"
        ... )
    """
    if not origin:
        raise errors.InvalidArgument("`origin`, the address of the file, is missing.", where="get_file")
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    digest = None if file_hash is None else _Digest.of(str(file_hash), hash_algorithm)
    name = _name(fname, origin)
    folder = Path(config.home() if cache_dir is None else cache_dir).expanduser() / cache_subdir
    unpacked, formats = None, _formats("tar" if untar else archive_format) if extract or untar else ()
    target = folder / name
    if extract or untar:
        has_dot = fname is not None and "." in name
        target = folder / (name if has_dot else f"{name}_archive")
        unpacked = folder / (f"{name.partition('.')[0]}_extracted" if has_dot else name)

    stale = digest is not None and target.exists() and not digest.matches(target)
    if force_download or stale or not target.exists():
        _make(folder)
        with _part_of(target, keep=digest is not None and not force_download) as part:
            _fetch(origin, part, digest, _by_hand(origin, target, digest if stale else None))
            # The archive takes its name last, so that one in the cache was always unpacked.
            if unpacked is not None:
                archive.extract(part, unpacked, formats)
            os.replace(part, target)
    elif unpacked is not None and not unpacked.is_dir():
        archive.extract(target, unpacked, formats)
    return str(unpacked or target)


class _Digest(NamedTuple):
    algorithm: str
    value: str

    @classmethod
    def of(cls, value: str, algorithm: str) -> _Digest:
        if algorithm == "auto":
            algorithm = next((name for name, length in _LENGTHS.items() if length == len(value)), "auto")
        elif algorithm not in _LENGTHS:
            raise errors.UnknownName("hash algorithm", algorithm, ("auto", *_LENGTHS), where="get_file")
        if len(value) != _LENGTHS.get(algorithm):
            raise errors.InvalidArgument(
                "`file_hash` is no such hash.", where="get_file", got=repr(value),
                expected=" or ".join(f"{length} hexadecimal digits ({name})" for name, length in _LENGTHS.items()),
            )  # fmt: skip
        return cls(algorithm, value.lower())

    def matches(self, file: Path) -> bool:
        return self.of_file(file) == self.value

    def of_file(self, file: Path) -> str:
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, self.algorithm).hexdigest()


def _fetch(origin: str, part: Path, digest: _Digest | None, hint: str) -> None:
    """Bring `part`, of which an earlier run may have left a beginning, to the whole and right file."""
    if digest is None:
        return download(origin, part, hint=hint)
    was_begun = part.exists()
    if was_begun and digest.matches(part):
        return None
    download(origin, part, resume=True, hint=hint)
    if was_begun and not digest.matches(part):  # perhaps it was the beginning of another file
        part.unlink()
        download(origin, part, resume=True, hint=hint)
    if not digest.matches(part):
        raise errors.CorruptFile(
            f"the downloaded file is not the expected one: its {digest.algorithm} differs. It was not kept.",
            where=origin, expected=digest.value, got=digest.of_file(part),
            hint="the file at this address was replaced, or something between here and there changes it",
        )  # fmt: skip
    return None


@contextlib.contextmanager
def _part_of(target: Path, keep: bool) -> Iterator[Path]:
    """Yield a path beside `target` that this process alone writes to.

    With `keep`, what an earlier run left stands there already, and what an interruption leaves is kept for a later
    one under the common name `<target>.part`. Renaming is atomic, so of two processes one gets it and neither waits.
    """
    left = target.with_name(f"{target.name}.part")
    own = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    if keep:
        with contextlib.suppress(FileNotFoundError):
            os.rename(left, own)
    try:
        yield own
    except errors.CorruptFile:
        raise
    except BaseException:
        if keep and own.exists():
            os.replace(own, left)
        raise
    finally:
        own.unlink(missing_ok=True)


def _name(fname: str | os.PathLike[str] | None, origin: str) -> str:
    name = os.fspath(fname) if fname else os.path.basename(urllib.parse.urlsplit(origin).path)
    if not name:
        raise errors.InvalidArgument("the address ends without a file's name.", where=origin, hint="give `fname`")
    if name in (".", "..") or "/" in name or "\\" in name:
        raise errors.InvalidArgument(
            "`fname` is a name, without a folder.", where="get_file", got=repr(name),
            hint="give the folder as `cache_dir` or `cache_subdir`",
        )  # fmt: skip
    return name


def _formats(archive_format: str | Sequence[str] | None) -> tuple[str, ...]:
    if archive_format == "auto":
        return ("tar", "zip")
    formats = (archive_format,) if isinstance(archive_format, str) else tuple(archive_format or ())
    if not formats:
        raise errors.InvalidArgument("`extract` needs an `archive_format`.", where="get_file", got=archive_format)
    return formats


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.KerataError(
            "the folder for downloads cannot be made.", where=str(folder), got=error,
            hint="give another by `cache_dir`, or set KERATA_HOME",
        ) from error  # fmt: skip


def _by_hand(origin: str, target: Path, unmatched: _Digest | None) -> str:
    hint = f"without a network, fetch {origin} elsewhere and put it here as {target}"
    if unmatched:
        hint += f" (the file that is there now is another: its {unmatched.algorithm} is not {unmatched.value})"
    return hint
