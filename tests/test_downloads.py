"""get_file against a server on this machine: cache, hashes, resumption, failures, archives that mean harm."""

import contextlib
import hashlib
import http.server
import io
import os
import socket
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

import kerata
from kerata import errors
from kerata.data import archive
from kerata.utils import get_file

CONTENT = bytes(range(256)) * 1000  # 256,000 bytes: several chunks
SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()


class Server:
    """Serves `files`; `troubles` says what goes wrong at the first requests, one after the other.

    A trouble is a status to answer with, ("cut", n) to hang up after n bytes, "wrong range", or a function to call
    before the answer.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.troubles: list = []
        self.ranges, self.etags = True, True
        self.asked: list[tuple[str, str | None, str | None]] = []  # path, Range, If-Range
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(ConnectionError):
                    server.answer(self)

            def log_message(self, *_) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}"

    def answer(self, handler) -> None:
        path = handler.path.partition("?")[0].lstrip("/")
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        self.asked.append((path, asked, condition))
        trouble = self.troubles.pop(0) if self.troubles else None
        if callable(trouble):
            trouble = trouble()
        if isinstance(trouble, int) or path not in self.files:
            return handler.send_error(trouble if isinstance(trouble, int) else 404)
        body = self.files[path]
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if condition not in (None, etag):
            start = 0
        if start > len(body) or (asked and start == len(body)):
            return handler.send_error(416)
        handler.send_response(206 if start else 200)
        if start:
            shift = 1 if trouble == "wrong range" else 0
            handler.send_header("Content-Range", f"bytes {start - shift}-{len(body) - 1}/{len(body)}")
        if self.etags:
            handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        end = start + trouble[1] if isinstance(trouble, tuple) else None
        return handler.wfile.write(body[start:end])


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setattr(download_module(), "FIRST_PAUSE", 0.001)
    monkeypatch.setenv("KERATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    server.files["data.bin"] = CONTENT
    thread = threading.Thread(target=server.http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()


def download_module():
    import kerata.utils.download

    return kerata.utils.download


def closed_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/data.bin"


def datasets() -> Path:
    return kerata.config.data_dir()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


# The cache ------------------------------------------------------------------------------------------------------


def test_downloads_once(server):
    path = get_file(origin=f"{server.address}/data.bin?version=2")
    assert path == str(datasets() / "data.bin") and isinstance(path, str)
    assert Path(path).read_bytes() == CONTENT
    assert get_file("data.bin", f"{server.address}/data.bin") == path
    assert len(server.asked) == 1
    assert names(datasets()) == ["data.bin"]


def test_force_download(server):
    path = Path(get_file("a", f"{server.address}/data.bin"))
    path.write_bytes(b"old")
    assert get_file("a", f"{server.address}/data.bin", force_download=True) == str(path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "home/datasets/a"),
        ({"cache_subdir": "models"}, "home/models/a"),
        ({"cache_dir": "{tmp}/cache"}, "cache/datasets/a"),
        ({"cache_dir": "{tmp}/cache", "cache_subdir": "x/y"}, "cache/x/y/a"),
        ({"cache_dir": "{tmp}/cache", "cache_subdir": "{tmp}/absolute"}, "absolute/a"),
        ({"cache_dir": "~/cache", "cache_subdir": ""}, "user/cache/a"),
    ],
)
def test_where_files_stand(server, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    arguments = {name: value.format(tmp=tmp_path) for name, value in arguments.items()}
    path = get_file("a", f"{server.address}/data.bin", **arguments)
    assert path == str(tmp_path / expected)
    assert Path(path).read_bytes() == CONTENT


def test_file_addresses(server, tmp_path):
    (tmp_path / "here.bin").write_bytes(CONTENT)
    path = get_file(origin=(tmp_path / "here.bin").as_uri(), file_hash=SHA256)
    assert Path(path).read_bytes() == CONTENT


# Hashes ---------------------------------------------------------------------------------------------------------

RIGHT = [
    {"file_hash": SHA256}, {"file_hash": SHA256.upper()}, {"file_hash": SHA256, "hash_algorithm": "sha256"},
    {"file_hash": MD5}, {"file_hash": MD5, "hash_algorithm": "md5"}, {"md5_hash": MD5},
]  # fmt: skip
WRONG = [
    {"file_hash": "0" * 64}, {"file_hash": "0" * 32}, {"md5_hash": "0" * 32}, {"file_hash": "0" * 64, "md5_hash": MD5},
]  # fmt: skip


@pytest.mark.parametrize("arguments", RIGHT)
def test_right_hash(server, arguments):
    for _ in range(2):
        assert Path(get_file(origin=f"{server.address}/data.bin", **arguments)).read_bytes() == CONTENT
    assert len(server.asked) == 1


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_hash_keeps_nothing(server, arguments):
    with pytest.raises(errors.CorruptFile, match="not the expected one") as caught:
        get_file(origin=f"{server.address}/data.bin", **arguments)
    assert (SHA256 if len(caught.value.expected) == 64 else MD5) in str(caught.value)
    assert names(datasets()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"file_hash": "abc"},
        {"file_hash": MD5, "hash_algorithm": "sha256"},
        {"file_hash": SHA256, "hash_algorithm": "md5"},
        {"file_hash": SHA256, "hash_algorithm": "sha1"},
    ],
)
def test_what_is_no_hash_is_refused_before_downloading(server, arguments):
    with pytest.raises(errors.InvalidArgument):
        get_file(origin=f"{server.address}/data.bin", **arguments)
    assert server.asked == []


def test_a_cached_file_with_another_hash_is_replaced(server):
    datasets().mkdir(parents=True)
    (datasets() / "data.bin").write_bytes(b"old")
    path = get_file(origin=f"{server.address}/data.bin", file_hash=SHA256)
    assert Path(path).read_bytes() == CONTENT


def test_a_cached_file_with_another_hash_stands_while_there_is_no_better(server):
    datasets().mkdir(parents=True)
    (datasets() / "data.bin").write_bytes(b"old")
    with pytest.raises(download_module().DownloadFailed, match="the file that is there now is another"):
        get_file(origin=closed_address(), file_hash=SHA256)
    assert (datasets() / "data.bin").read_bytes() == b"old"


# Resumption -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "asked"),
    [
        (CONTENT[:100_000], ["bytes=100000-"]),
        (CONTENT, []),  # it was whole; only its name was missing
        (b"x" * 100_000, ["bytes=100000-", None]),  # the beginning of something else
        (CONTENT + b"x", ["bytes=256001-", None]),  # longer than the file: HTTP 416
        (b"", [None]),
    ],
)
def test_what_an_earlier_run_left_is_resumed_where_a_hash_proves_it(server, left, asked):
    datasets().mkdir(parents=True)
    (datasets() / "data.bin.part").write_bytes(left)
    path = get_file(origin=f"{server.address}/data.bin", file_hash=SHA256)
    assert Path(path).read_bytes() == CONTENT
    assert [range_ for _, range_, _ in server.asked] == asked
    assert names(datasets()) == ["data.bin"]


@pytest.mark.parametrize("arguments", [{}, {"file_hash": SHA256, "force_download": True}])
def test_what_an_earlier_run_left_is_else_not_used(server, arguments):
    datasets().mkdir(parents=True)
    (datasets() / "data.bin.part").write_bytes(CONTENT[:100])
    path = get_file(origin=f"{server.address}/data.bin", **arguments)
    assert Path(path).read_bytes() == CONTENT
    assert [range_ for _, range_, _ in server.asked] == [None]


def test_a_broken_connection_is_taken_up(server):
    server.troubles = [("cut", 100_000), ("cut", 50_000)]
    assert Path(get_file(origin=f"{server.address}/data.bin")).read_bytes() == CONTENT
    etag = f'"{MD5}"'
    assert server.asked == [
        ("data.bin", None, None), ("data.bin", "bytes=100000-", etag), ("data.bin", "bytes=150000-", etag),
    ]  # fmt: skip


def test_a_file_that_changed_meanwhile_is_not_mixed(server):
    other = CONTENT[::-1]

    def change():
        server.files["data.bin"] = other

    server.troubles = [("cut", 100_000), change]
    assert Path(get_file(origin=f"{server.address}/data.bin")).read_bytes() == other


@pytest.mark.parametrize("missing", ["ranges", "etags"])
def test_a_server_that_cannot_resume_sends_all_again(server, missing):
    setattr(server, missing, False)
    server.troubles = [("cut", 100_000)]
    assert Path(get_file(origin=f"{server.address}/data.bin")).read_bytes() == CONTENT
    assert server.asked[1][1] == (None if missing == "etags" else "bytes=100000-")


def test_another_part_than_asked_for_is_not_taken(server):
    server.troubles = [("cut", 100_000), "wrong range"]
    assert Path(get_file(origin=f"{server.address}/data.bin")).read_bytes() == CONTENT
    assert [range_ for _, range_, _ in server.asked] == [None, "bytes=100000-", None]


def test_what_came_before_the_network_was_lost_is_kept(server):
    server.troubles = [("cut", 100_000)] + [503] * 10
    with pytest.raises(download_module().DownloadFailed, match="HTTP 503"):
        get_file(origin=f"{server.address}/data.bin", file_hash=SHA256)
    assert names(datasets()) == ["data.bin.part"]
    server.troubles, server.asked = [], []
    assert Path(get_file(origin=f"{server.address}/data.bin", file_hash=SHA256)).read_bytes() == CONTENT
    assert server.asked == [("data.bin", "bytes=100000-", None)]
    assert names(datasets()) == ["data.bin"]


def test_what_came_before_an_interruption_is_kept(server, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    server.troubles = [("cut", 100_000)]
    monkeypatch.setattr(download_module().time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        get_file(origin=f"{server.address}/data.bin", file_hash=SHA256)
    assert [(path.name, path.stat().st_size) for path in datasets().iterdir()] == [("data.bin.part", 100_000)]


def test_without_a_hash_nothing_is_left_of_a_failure(server):
    server.troubles = [("cut", 100_000)] + [503] * 10
    with pytest.raises(download_module().DownloadFailed):
        get_file(origin=f"{server.address}/data.bin")
    assert names(datasets()) == []


@pytest.mark.parametrize("arguments", [{}, {"file_hash": SHA256}])
def test_at_the_same_time(server, arguments):
    ready, paths = threading.Barrier(6), []

    def fetch():
        ready.wait()
        paths.append(get_file(origin=f"{server.address}/data.bin", **arguments))

    threads = [threading.Thread(target=fetch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Path(path).read_bytes() == CONTENT for path in paths] == [True] * 6
    assert names(datasets()) == ["data.bin"]


# Failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "requests"), [(403, 1), (404, 1), (410, 1), (429, 4), (500, 4), (503, 4)])
def test_http_errors(server, status, requests):
    server.troubles = [status] * 10
    with pytest.raises(download_module().DownloadFailed, match=f"HTTP {status}") as caught:
        get_file("b", f"{server.address}/data.bin")
    assert f"{server.address}/data.bin" in str(caught.value) and str(datasets() / "b") in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert len(server.asked) == requests
    assert names(datasets()) == []


def test_pauses_grow(server, monkeypatch):
    pauses = []
    monkeypatch.setattr(download_module().time, "sleep", pauses.append)
    monkeypatch.setattr(download_module(), "FIRST_PAUSE", 0.5)
    server.troubles = [503, 503, 503]
    get_file(origin=f"{server.address}/data.bin")
    assert pauses == [0.5, 1.0, 2.0]


def test_progress_renews_the_attempts(server):
    server.troubles = [("cut", 1000)] * 10
    assert Path(get_file(origin=f"{server.address}/data.bin")).read_bytes() == CONTENT


def test_no_progress_ends(server):
    server.etags = False  # so that each attempt begins anew, and comes no further
    server.troubles = [("cut", 1000)] * 100
    with pytest.raises(download_module().DownloadFailed, match="ended after 1000 of 256000 bytes"):
        get_file(origin=f"{server.address}/data.bin")
    assert len(server.asked) == 4


def test_offline(server):
    address = closed_address()
    with pytest.raises(download_module().DownloadFailed) as caught:
        get_file("a.bin", address)
    assert f"fetch {address} elsewhere and put it here as {datasets() / 'a.bin'}" in str(caught.value)


def test_a_file_put_there_by_hand_is_taken(server):
    datasets().mkdir(parents=True)
    (datasets() / "a.bin").write_bytes(CONTENT)
    assert get_file("a.bin", closed_address(), file_hash=SHA256) == str(datasets() / "a.bin")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "origin"),
        ({"origin": "data.bin"}, "no address"),
        ({"origin": "gopher://127.0.0.1/data.bin"}, "no address"),
        ({"origin": "http://127.0.0.1:port/data.bin"}, "malformed"),
        ({"origin": "http://127.0.0.1/"}, "file's name"),
        ({"origin": "http://127.0.0.1/a", "fname": "a/b"}, "without a folder"),
        ({"origin": "http://127.0.0.1/a", "fname": "..\\b"}, "without a folder"),
        ({"origin": "http://127.0.0.1/.."}, "without a folder"),
        ({"origin": "http://127.0.0.1/a", "extract": True, "archive_format": None}, "archive_format"),
    ],
)
def test_arguments_that_cannot_be(server, arguments, says):
    with pytest.raises(errors.InvalidArgument, match=says):
        get_file(**arguments)


def test_a_cache_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(errors.KerataError, match="KERATA_HOME"):
        get_file(origin=f"{server.address}/data.bin", cache_dir=tmp_path / "file")


# What is shown --------------------------------------------------------------------------------------------------


def test_one_line_where_nothing_can_be_redrawn(server, capsys):
    get_file(origin=f"{server.address}/data.bin")
    assert capsys.readouterr().out == f"Downloading {server.address}/data.bin\n"
    get_file(origin=f"{server.address}/data.bin")
    assert capsys.readouterr().out == ""


def test_a_bar_in_a_terminal(server, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    get_file(origin=f"{server.address}/data.bin")
    shown = capsys.readouterr().out
    assert "data.bin" in shown and "256.0/256.0 kB" in shown


def test_nothing_where_logging_is_off(server, capsys):
    kerata.config.disable_interactive_logging()
    try:
        get_file(origin=f"{server.address}/data.bin")
    finally:
        kerata.config.enable_interactive_logging()
    assert capsys.readouterr().out == ""


# Archives -------------------------------------------------------------------------------------------------------


def tar(members: dict, mode: str = "w:gz") -> bytes:
    """Return a tar; a member is bytes, or a (type, link target)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        for name, member in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(member, bytes):
                info.size = len(member)
                file.addfile(info, io.BytesIO(member))
            else:
                info.type, info.linkname = member
                file.addfile(info)
    return buffer.getvalue()


def zip_(members: dict, modes: dict | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, member in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (modes or {}).get(name, 0o644) << 16
            file.writestr(info, member)
    return buffer.getvalue()


MEMBERS = {"inner/a.txt": b"a" * 5000, "inner/b/c.txt": b"c", "d": b""}
UNPACKED = ["d", "inner", "inner/a.txt", "inner/b", "inner/b/c.txt"]


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        (tar(MEMBERS, "w"), {}),
        (tar(MEMBERS, "w:gz"), {}),
        (tar(MEMBERS, "w:bz2"), {"archive_format": "tar"}),
        (tar(MEMBERS, "w:xz"), {"archive_format": ["zip", "tar"]}),
        (zip_(MEMBERS), {}),
        (zip_(MEMBERS), {"archive_format": "zip"}),
    ],
)
def test_archives_are_unpacked(server, body, arguments):
    server.files["a"] = body
    folder = Path(get_file("folder", f"{server.address}/a", extract=True, **arguments))
    assert names(folder) == UNPACKED
    assert (folder / "inner/a.txt").read_bytes() == b"a" * 5000


@pytest.mark.parametrize(
    ("fname", "arguments", "folder", "kept"),
    [  # as in Keras
        ("things", {"extract": True}, "things", "things_archive"),
        ("things.tar.gz", {"extract": True}, "things_extracted", "things.tar.gz"),
        (None, {"extract": True}, "a.tar.gz", "a.tar.gz_archive"),
        (None, {"untar": True}, "a.tar.gz", "a.tar.gz_archive"),
    ],
)
def test_names_of_archive_and_folder(server, fname, arguments, folder, kept):
    server.files["a.tar.gz"] = tar({"x": b"x"})
    assert get_file(fname, f"{server.address}/a.tar.gz", **arguments) == str(datasets() / folder)
    assert names(datasets()) == sorted([folder, f"{folder}/x", kept])


def test_an_archive_is_unpacked_once_and_again_when_its_folder_is_gone(server):
    server.files["a.tar"] = tar({"x": b"x", "y": b"y"}, "w")

    def fetch() -> Path:
        return Path(get_file("f", f"{server.address}/a.tar", extract=True))

    (fetch() / "x").unlink()
    assert names(fetch()) == ["y"]
    os.rename(datasets() / "f", datasets() / "elsewhere")
    assert names(fetch()) == ["x", "y"]
    assert len(server.asked) == 1


def test_an_archive_put_there_by_hand_is_unpacked(server):
    body = tar(MEMBERS)
    datasets().mkdir(parents=True)
    (datasets() / "f_archive").write_bytes(body)
    file_hash = hashlib.sha256(body).hexdigest()
    folder = get_file("f", closed_address(), extract=True, file_hash=file_hash)
    assert names(Path(folder)) == UNPACKED


def test_a_new_archive_is_unpacked_over_the_old(server):
    server.files["a"] = tar({"x": b"old", "y": b"y"})
    folder = Path(get_file("f", f"{server.address}/a", extract=True))
    server.files["a"] = tar({"x": b"new"})
    get_file("f", f"{server.address}/a", extract=True, force_download=True)
    assert ((folder / "x").read_bytes(), (folder / "y").read_bytes()) == (b"new", b"y")


def changed(body: bytes, position: int) -> bytes:
    return body[:position] + bytes([body[position] ^ 0xFF]) + body[position + 1 :]


SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
HARMFUL = {
    "parent": tar({"../evil": b"x"}),
    "deeper parent": tar({"a/../../evil": b"x"}),
    "absolute": tar({"/tmp/kerata-evil": b"x"}),
    "backslashes": tar({"..\\evil": b"x"}),
    "drive": tar({"C:/evil": b"x"}),
    "symlink to a file outside": tar({"link": (SYM, "../../../secret")}),
    "symlink to an absolute file": tar({"link": (SYM, "/etc/passwd")}),
    "symlink to a folder, then through it": tar({"link": (SYM, ".."), "link/evil": b"x"}),
    "symlink in two steps": tar({"a": (SYM, "b"), "b": (SYM, "../secret"), "c": b"x"}),
    "symlink in a circle": tar({"a": (SYM, "b"), "b": (SYM, "a")}),
    "hard link outside": tar({"link": (HARD, "../secret")}),
    "hard link to an absolute file": tar({"link": (HARD, "/etc/passwd")}),
    "device": tar({"device": (tarfile.CHRTYPE, "")}),
    "pipe": tar({"pipe": (tarfile.FIFOTYPE, "")}),
    "good, then harmful": tar({"good": b"x", "../evil": b"x"}),
    "zip: parent": zip_({"../evil": b"x"}),
    "zip: absolute": zip_({"/tmp/kerata-evil": b"x"}),
    "zip: backslashes": zip_({"a\\..\\..\\evil": b"x"}),
    "zip: symlink": zip_({"link": b"/etc/passwd"}, {"link": 0o120777}),
    "cut tar": tar({"a": os.urandom(100_000)})[:-50_000],
    "cut plain tar": tar({"a": os.urandom(100_000)}, "w")[:50_000],
    "cut xz": tar({"a": os.urandom(100_000)}, "w:xz")[:-50_000],
    "cut bz2": tar({"a": os.urandom(100_000)}, "w:bz2")[:-50_000],
    "cut zip": zip_({"a": os.urandom(100_000)})[:-50],
    "zip with a damaged checksum": changed(zip_({"a": os.urandom(100_000)}), 50_000),
    "zip with a damaged stream": changed(zip_({"a": bytes(100_000)}), 31),
    "damaged xz": changed(tar({"a": os.urandom(100_000)}, "w:xz"), 50_000),
    "no archive": b"<html>not found</html>",
    "empty": b"",
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_harmful_archives_leave_nothing(server, tmp_path, kind):
    (tmp_path / "home").mkdir()
    for folder in ("", "home"):
        (tmp_path / folder / "secret").write_bytes(b"secret")
    server.files["a"] = HARMFUL[kind]
    with pytest.raises(errors.CorruptFile):
        get_file("folder", f"{server.address}/a", extract=True)
    assert names(tmp_path) == ["home", "home/datasets", "home/secret", "secret"]
    assert not Path("/tmp/kerata-evil").exists()


def test_a_link_within_an_archive_becomes_a_copy(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar({"a/x": b"text", "a/soft": (SYM, "x"), "hard": (HARD, "a/x")}))
    archive.extract(tmp_path / "a.tar", tmp_path / "out")
    for name in ("a/x", "a/soft", "hard"):
        path = tmp_path / "out" / name
        assert path.read_bytes() == b"text" and not path.is_symlink() and path.stat().st_nlink == 1


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(zip_({"a": bytes(600), "b": bytes(600)}))
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(errors.CorruptFile, match="disk"):
        archive.extract(tmp_path / "a.zip", tmp_path / "out")
    assert names(tmp_path) == ["a.zip"]


def test_a_missing_archive_is_no_corrupt_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        archive.extract(tmp_path / "none.zip", tmp_path / "out")


def test_an_unknown_format(tmp_path):
    (tmp_path / "a").write_bytes(tar(MEMBERS))
    with pytest.raises(errors.UnknownName):
        archive.extract(tmp_path / "a", tmp_path / "out", ("rar",))
