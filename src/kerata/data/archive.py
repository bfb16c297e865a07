"""Archives from elsewhere: unpacked so that no member can leave the folder, link out of it or fill the disk."""

from __future__ import annotations

import errno
import lzma
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from kerata import errors

__all__ = ["extract"]

_DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError,
)  # fmt: skip
_OUR_DISK = (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT)  # no fault of the archive


class _Member(NamedTuple):
    name: str
    size: int
    kind: str  # "file", "folder" or what it is instead
    open: Callable[[], IO[bytes] | None]


def extract(file: str | Path, folder: str | Path, formats: Sequence[str] = ("tar", "zip")) -> None:
    """Unpack the tar (plain, gz, bz2, xz) or zip archive `file` into `folder`.

    A new folder appears whole or not at all; into one that exists, files are added over those of the same name.
    Only the bytes are kept: no owners, modes or times. A link of a tar archive to one of its own files becomes a copy
    of that file; no link is ever made.

    Raises:
        CorruptFile: the archive is damaged, or a member is a device, leads out of the folder or links out of the
            archive; nothing is left behind.

    Example:
        >>> extract("cifar-10-python.tar.gz", "cifar-10")
    """
    file, folder = Path(file), Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with _open(file, formats) as archive:
            _unpack(archive, scratch, str(file))
        scratch.chmod(0o755)  # mkdtemp gives 0o700
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
            shutil.copytree(scratch, folder, dirs_exist_ok=True)
    except errors.KerataError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in _OUR_DISK:
            raise
        raise errors.CorruptFile("the archive cannot be unpacked.", where=str(file), got=error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _open(file: Path, formats: Sequence[str]) -> tarfile.TarFile | zipfile.ZipFile:
    for name in formats:
        if name not in ("tar", "zip"):
            raise errors.UnknownName("archive format", name, ("auto", "tar", "zip"))
        if name == "tar" and tarfile.is_tarfile(file):
            return tarfile.open(file)
        if name == "zip" and zipfile.is_zipfile(file):
            return zipfile.ZipFile(file)
    raise errors.CorruptFile("this is no archive.", where=str(file), expected=" or ".join(formats))


def _unpack(archive: tarfile.TarFile | zipfile.ZipFile, folder: Path, where: str) -> None:
    members = _tar_members(archive) if isinstance(archive, tarfile.TarFile) else _zip_members(archive)
    room = shutil.disk_usage(folder).free
    for member in members:
        if member.kind not in ("file", "folder"):
            raise errors.CorruptFile(
                f"the archive holds a {member.kind}, which is not unpacked.", where=where, got=member.name
            )
        parts = re.split(r"[/\\]", member.name)
        if parts[0] == "" or ".." in parts or ":" in parts[0]:
            raise errors.CorruptFile("a member of the archive leads out of its folder.", where=where, got=member.name)
        target = folder.joinpath(*member.name.split("/"))
        if member.kind == "folder":
            target.mkdir(parents=True, exist_ok=True)
            continue
        if member.size > room:
            raise errors.CorruptFile("the archive holds more than the disk has room for.", where=where)
        target.parent.mkdir(parents=True, exist_ok=True)
        source = member.open()
        if source is None:
            raise errors.CorruptFile("the archive holds a link to a folder or device.", where=where, got=member.name)
        with source, open(target, "wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
        room -= target.stat().st_size  # of a link, the archive tells no size


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Member]:
    for info in archive:
        is_file = info.isfile() or info.issym() or info.islnk()
        kind = "file" if is_file else "folder" if info.isdir() else "special file"
        yield _Member(info.name, info.size, kind, lambda info=info: _tar_open(archive, info))


def _tar_open(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes] | None:
    try:
        return archive.extractfile(info)  # follows a link within the archive, never on the disk
    except KeyError:
        raise errors.CorruptFile(
            "the archive links out of itself.", where=str(archive.name), got=f"{info.name} -> {info.linkname}"
        ) from None


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        is_link = stat.S_ISLNK(info.external_attr >> 16)
        kind = "link" if is_link else "folder" if info.is_dir() else "file"
        yield _Member(info.filename, info.file_size, kind, lambda info=info: archive.open(info))
