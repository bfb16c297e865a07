"""Writing so that nothing is lost, and reading so that nothing is trusted."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
import struct
import sysconfig
import traceback
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from kerata import errors

__all__ = ["atomic_write", "clear_errors", "existing", "open_archive", "open_member", "read_member"]

LARGEST_JSON = 256 << 20
LARGEST_RATIO = 200  # what claims more than this many times its bytes, and is not small, is a bomb
SMALL = 64 << 20

_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError, NotImplementedError,
    MemoryError,
)  # fmt: skip


# Writing --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def atomic_write(path: Path, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the place of `path` when the block ends without an error.

    The old file stands until the new one is whole and on the disk. A symbolic link stays one, and the new file has
    the permissions of the old.
    """
    if not overwrite and path.exists():
        raise errors.InvalidArgument(
            "the file exists.", where=str(path), got="overwrite=False", hint="pass overwrite=True to replace it"
        )
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise errors.InvalidArgument("there is a folder of this name.", where=str(path))
    if not target.parent.is_dir():
        raise errors.InvalidArgument(
            "the folder does not exist.", where=str(path), hint=f"os.makedirs({str(path.parent)!r}, exist_ok=True)"
        )
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        with open(temporary, "xb"):  # with the permissions that files have here
            pass
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise errors.KerataError(
            "the file could not be written; what was there before still stands.", where=str(path), got=error,
            hint="make room and save again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else
            "may this program write into the folder?",
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


# Reading --------------------------------------------------------------------------------------------------------


def existing(path: Any, what: str) -> Path:
    """Return `path` as a Path, or say what is there instead."""
    path = Path(os.fspath(path)).expanduser()
    if path.exists():
        return path
    near = sorted(p.name for p in path.parent.glob("*") if p.suffix == path.suffix)[:5] if path.parent.is_dir() else []
    hint = f"the folder holds {', '.join(near)}" if near else None
    raise errors.CorruptFile(
        f"there is no such {what}.", where=str(path), hint=hint or "compare the path with what os.listdir() shows"
    )


@contextlib.contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Say of which file an error comes; what the user's own classes raise passes as it is."""
    try:
        yield
    except errors.KerataError:
        raise
    except Exception as error:
        if _is_users(error):
            raise
        raise errors.CorruptFile(
            "the file cannot be read: it is damaged, or of another kind.", where=str(path),
            got=f"{type(error).__name__}: {error}"[:500],
        ) from error  # fmt: skip


_NOT_USERS = (
    os.path.dirname(os.path.dirname(__file__)), *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")), "<frozen"
)  # fmt: skip


def _is_users(error: Exception) -> bool:
    """Return whether `error` comes through code of the user's, such as a custom layer."""
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    return not all(name.startswith(_NOT_USERS) or name.endswith((".pyx", ".pxd", ".pxi")) for name in files)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive, with one clear error for a cut or foreign file."""
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise errors.CorruptFile(
            "the file is no whole `.keras` archive: it is cut, damaged or of another kind.", where=str(path),
            expected="what model.save wrote", got=_kind(path) or error,
            hint="copy or download it again, and compare sizes; load_model reads `.keras` files, and old `.h5` ones",
        ) from None  # fmt: skip
    with archive:
        for name in archive.namelist():
            if name.startswith("/") or ".." in Path(name).parts or "\\" in name or ":" in name:
                raise errors.CorruptFile("the archive holds a path that leaves it.", where=str(path), got=name)
        yield archive


_KINDS = {
    b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"\x89HDF": "an HDF5 file", b"\x80": "a pickle",
    b"\x1f\x8b": "a gzip file", b"<": "a web page, or XML", b"{": "JSON", b"%PDF": "a PDF",
    b"PK\x03\x04": "the beginning of an archive, whose end is missing", b"": "an empty file",
}  # fmt: skip


def _kind(path: Path) -> str | None:
    """Return what a file seems to be by its first bytes."""
    with open(path, "rb") as file:
        start = file.read(8)
    return next((kind for mark, kind in _KINDS.items() if (start.startswith(mark) if mark else not start)), None)


def read_member(archive: zipfile.ZipFile, name: str, largest: int = LARGEST_JSON) -> bytes:
    """Return the bytes of a member, refusing one of absurd size."""
    info = _info(archive, name)
    if info.file_size > largest:
        raise errors.CorruptFile(
            "a part of the archive is absurdly large.", where=f"{archive.filename}: {name}",
            expected=f"at most {largest} bytes", got=info.file_size,
        )  # fmt: skip
    try:
        return archive.read(info)
    except _DAMAGE as error:
        raise _damaged(archive, name, error) from None


def open_member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open a member for reading anywhere in it, after its checksum has been found right."""
    info = _info(archive, name)
    if info.compress_type != zipfile.ZIP_STORED:
        return io.BytesIO(read_member(archive, name, largest=1 << 40))
    try:
        member = _Window(str(archive.filename), info)
    except _DAMAGE as error:
        raise _damaged(archive, name, error) from None
    checksum = 0
    while block := member.read(1 << 20):
        checksum = zlib.crc32(block, checksum)
    if member.tell() != info.file_size or checksum != info.CRC:
        member.close()
        raise _damaged(archive, name, "its checksum is wrong")
    member.seek(0)
    return member  # type: ignore[return-value]


def _info(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise errors.CorruptFile(
            "the archive lacks a part of a model.", where=str(archive.filename), expected=name,
            got=archive.namelist()[:20], hint="this is a zip file of another kind: load it with what wrote it",
        ) from None  # fmt: skip
    there = min(info.compress_size, os.path.getsize(str(archive.filename)))
    if info.file_size > LARGEST_RATIO * there + SMALL:
        raise errors.CorruptFile(
            "a part of the archive would grow absurdly when unpacked.", where=f"{archive.filename}: {name}",
            got=f"{there} bytes that claim to be {info.file_size}",
        )  # fmt: skip
    return info


def _damaged(archive: zipfile.ZipFile, name: str, reason: Any) -> errors.CorruptFile:
    return errors.CorruptFile("a part of the archive is damaged.", where=f"{archive.filename}: {name}", got=reason)


class _Window(io.RawIOBase):
    """An uncompressed member, read in its place: without a copy in memory, and jumps back cost nothing."""

    def __init__(self, filename: str, info: zipfile.ZipInfo) -> None:
        self._file = open(filename, "rb")  # noqa: SIM115
        header = self._file.seek(info.header_offset) or info.header_offset
        signature, *_, name, extra = struct.unpack("<4s5H3L2H", self._file.read(30))
        if signature != b"PK\x03\x04" or info.flag_bits & 1:
            self._file.close()
            raise zipfile.BadZipFile("its header is wrong, or it is encrypted")
        self._start, self._size, self._at = header + 30 + name + extra, info.file_size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(0, self._size - self._at)]
        self._file.seek(self._start + self._at)
        count = self._file.readinto(view)
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
