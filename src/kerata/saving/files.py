"""Writing so that nothing is lost, and reading so that nothing is trusted."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from kerata import errors

__all__ = ["atomic_write", "open_archive", "read_member"]

LARGEST_JSON = 256 << 20
LARGEST_RATIO = 200  # a deflated member that claims more than this many times its size is a bomb


@contextlib.contextmanager
def atomic_write(path: Path, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the place of `path` when the block ends without an error.

    The old file stands until the new one is whole and on the disk.
    """
    if not overwrite and path.exists():
        raise errors.InvalidArgument("the file exists.", where=str(path), hint="pass overwrite=True to replace it")
    if not path.parent.is_dir():
        raise errors.InvalidArgument("the folder does not exist.", where=str(path), hint=f"make {path.parent} first")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise errors.KerataError(
            "the file could not be written; what was there before still stands.", where=str(path), got=error,
            hint="is the disk full, or the folder not writable?",
        ) from error  # fmt: skip
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some systems cannot open folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def existing(path: Any, what: str) -> Path:
    """Return `path` as a Path, or say what is there instead."""
    path = Path(os.fspath(path)).expanduser()
    if path.exists():
        return path
    near = sorted(p.name for p in path.parent.glob("*") if p.suffix == path.suffix)[:5] if path.parent.is_dir() else []
    hint = f"the folder holds {', '.join(near)}" if near else None
    raise errors.CorruptFile(f"there is no such {what}.", where=str(path), hint=hint)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive, with one clear error for a cut or foreign file."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise errors.CorruptFile(
            "the file is no whole `.keras` archive: it is cut, damaged or of another kind.", where=str(path), got=error
        ) from None
    with archive:
        for name in archive.namelist():
            if name.startswith("/") or ".." in Path(name).parts or "\\" in name:
                raise errors.CorruptFile("the archive holds a path that leaves it.", where=str(path), got=name)
        yield archive


def read_member(archive: zipfile.ZipFile, name: str, largest: int = LARGEST_JSON) -> bytes:
    """Return the bytes of a member, refusing one of absurd size."""
    info = _info(archive, name)
    if info.file_size > largest:
        raise errors.CorruptFile(
            "a part of the archive is absurdly large.", where=f"{archive.filename}: {name}",
            expected=f"at most {largest} bytes", got=info.file_size,
        )  # fmt: skip
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise errors.CorruptFile(
            "a part of the archive is damaged.", where=f"{archive.filename}: {name}", got=error
        ) from None


def _info(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise errors.CorruptFile(
            "the archive lacks a part of a model.", where=str(archive.filename), expected=name, got=archive.namelist()
        ) from None
    if info.file_size > LARGEST_RATIO * max(info.compress_size, 1):
        raise errors.CorruptFile(
            "a part of the archive would grow absurdly when unpacked.", where=f"{archive.filename}: {name}",
            got=f"{info.compress_size} bytes that claim to be {info.file_size}",
        )  # fmt: skip
    return info


def open_member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open a member for reading anywhere in it."""
    import io

    info = _info(archive, name)
    if info.compress_type == zipfile.ZIP_STORED:
        return archive.open(info)  # read in place, without a copy in memory
    return io.BytesIO(read_member(archive, name, largest=1 << 40))
