"""Assets: files of their own that layers keep in a `.keras` archive, such as vocabularies, under `assets/<path>/`.

A layer that has them writes them in `save_assets(folder)` and reads them in `load_assets(folder)`. The folder is a
temporary one: a layer sees what lies in the archive under its own path, and an archive never says where else to read.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import Any

from kerata import errors
from kerata.saving.files import read_member
from kerata.saving.stores import holders

__all__ = ["restore_assets", "store_assets"]

LARGEST_IN_ALL = 4 << 30
_ROOT = "assets"


def store_assets(model: Any, archive: zipfile.ZipFile) -> None:
    """Write the assets of everything in `model` into an archive."""
    with tempfile.TemporaryDirectory(prefix="kerata-assets-") as folder:
        for place, holder in _with_assets(model, "save_assets", Path(folder)):
            holder.save_assets(str(place))
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file() and not file.is_symlink():
                archive.write(file, f"{_ROOT}/{file.relative_to(folder).as_posix()}", zipfile.ZIP_DEFLATED)


def restore_assets(model: Any, archive: zipfile.ZipFile) -> None:
    """Let everything in `model` that has assets read them from an archive."""
    with tempfile.TemporaryDirectory(prefix="kerata-assets-") as folder:
        found = _with_assets(model, "load_assets", Path(folder))
        if not found:
            return
        _unpack(archive, Path(folder))
        for place, holder in found:
            holder.load_assets(str(place))


def _with_assets(model: Any, method: str, folder: Path) -> list[tuple[Path, Any]]:
    """Return each holder that has the method, with a folder of its own."""
    found = [(folder / path, holder) for path, holder in holders(model) if callable(getattr(holder, method, None))]
    for place, _ in found:
        place.mkdir(parents=True, exist_ok=True)
    return found


def _unpack(archive: zipfile.ZipFile, folder: Path) -> None:
    """Write the assets of an archive as plain files; `open_archive` has refused names that lead out of it."""
    infos = [i for i in archive.infolist() if i.filename.startswith(f"{_ROOT}/") and not i.is_dir()]
    if sum(info.file_size for info in infos) > LARGEST_IN_ALL:
        raise errors.CorruptFile(
            "the assets are absurdly large.", where=str(archive.filename), expected=f"at most {LARGEST_IN_ALL} bytes"
        )
    for info in infos:
        file = folder / info.filename.removeprefix(f"{_ROOT}/")
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "xb") as target:  # the same name twice is an error
            target.write(read_member(archive, info.filename))
