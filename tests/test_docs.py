"""The pages and docstrings are programs: every block of Python in them runs, and prints what is shown below it.

The examples of a docstring see `kerata` and `numpy`, as a reader of `help` has them.
"""

import concurrent.futures
import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

import kerata
from kerata.core.op import OPS

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", "docs/guide.md", "docs/zh/README.md", "docs/zh/guide.md"]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
END_OF_BLOCK = "-- end of block --"

# A fence and what is between it and the next one: language, text.
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def program_of(page):
    """Return the page's Python as one program, in which every line stands where it stands in the page."""
    lines = [""] * (page.count("\n") + 1)
    for block in BLOCK.finditer(page):
        if block[1] == "python":
            first = page.count("\n", 0, block.start(2))
            code = block[2].splitlines()
            lines[first : first + len(code)] = code
            lines[first + len(code)] = f"print({END_OF_BLOCK!r})"
    return "\n".join(lines)


def expected_of(page):
    """Return, for each block of Python, the output shown right below it; None where the page shows none."""
    blocks = list(BLOCK.finditer(page))
    shown = []
    for block, after in zip(blocks, [*blocks[1:], None]):
        if block[1] == "python":
            follows = after is not None and after[1] == "text" and not page[block.end() : after.start()].strip()
            shown.append(after[2] if follows else None)
    return shown


def run(name, folder):
    """Run a page in a process of its own: it may register classes, choose an engine or set a dtype policy."""
    file = folder / f"{Path(name).stem}.py"
    file.write_text(program_of((ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
    return subprocess.run(
        [sys.executable, file], cwd=folder, capture_output=True, encoding="utf-8", timeout=300,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},  # it compiles sooner
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def pages(request, tmp_path_factory):
    """The runs of the pages, by name: one after another, beside the examples of the docstrings."""
    asked = [i.callspec.params["name"] for i in request.session.items if i.name.startswith("test_page_runs")]
    worker = concurrent.futures.ThreadPoolExecutor(1)
    yield {name: worker.submit(run, name, tmp_path_factory.mktemp("page")) for name in asked}
    worker.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = BLOCK.sub("", (ROOT / name).read_text(encoding="utf-8"))
    links = [link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", page) if "://" not in link]
    headings = [title.lower() for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)]
    anchors = {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in headings}
    assert [file for file, _, _ in links if not (ROOT / name).parent.joinpath(file).exists()] == []
    assert [anchor for file, _, anchor in links if not file and anchor not in anchors] == []


PACKAGE = Path(kerata.__file__).parent
DOWNLOADED = "boston_housing", "california_housing", "cifar10", "cifar100", "fashion_mnist", "imdb", "reuters"
NEED_A_DOWNLOAD = {"data.archive", "utils.files", *(f"datasets.{name}" for name in DOWNLOADED)}
NEED_A_LIBRARY = {"layers.wrapped.tensorflow"}
MODULES = {
    ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
    for file in PACKAGE.rglob("*.py")
    if ">>> " in file.read_text(encoding="utf-8")
}


@pytest.mark.parametrize("name", sorted(MODULES - NEED_A_DOWNLOAD - NEED_A_LIBRARY))
def test_docstring_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"kerata.{name}")
    said = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for examples in doctest.DocTestFinder().find(module, globs={"kerata": kerata, "numpy": numpy}):
        runner.run(examples, out=said.append)
    OPS.pop("squash", None)  # an example's op is none of kerata's
    assert runner.tries > 0
    assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("name", PAGES)
def test_page_runs(name, pages):
    page = (ROOT / name).read_text(encoding="utf-8")
    done = pages[name].result()
    assert done.returncode == 0, done.stderr
    outputs = done.stdout.split(f"{END_OF_BLOCK}\n")
    wrong = [
        f"the page says:\n{expected}\nand it prints:\n{got}"
        for got, expected in zip(outputs, expected_of(page))
        if expected is not None and not doctest.OutputChecker().check_output(expected, got, FLAGS)
    ]
    assert not wrong, "\n".join(wrong)
