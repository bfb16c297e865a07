"""Every mistake of the table is answered with its message, in the user's own frame; the page of them is the table."""

import os
import subprocess
import sys
from pathlib import Path

import mistakes_files  # noqa: F401
import mistakes_labels  # noqa: F401
import mistakes_models  # noqa: F401
import mistakes_own  # noqa: F401
import mistakes_shapes  # noqa: F401
import mistakes_training  # noqa: F401
import numpy
import pytest
from catalogue import MISTAKES, make, matches

import kerata
from kerata import errors, layers
from tools import mistakes as page

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered(name, tmp_path, monkeypatch, capsys):
    one = MISTAKES[name]
    outcome = make(one, tmp_path)
    assert issubclass(outcome.kind, one.kind), outcome.message
    assert one.message and matches(outcome.message, one.message), outcome.message
    if isinstance(outcome.error, errors.KerataError):
        assert outcome.error.where and outcome.error.hint, outcome.message
    assert outcome.files, "no frame of the user's is left"
    assert all(Path(file).parent == HERE for file in outcome.files), outcome.files
    if one.after is not None:
        monkeypatch.chdir(tmp_path)
        one.after(**outcome.variables)
    assert capsys.readouterr().out == ""


def test_there_are_many():
    assert len(MISTAKES) >= 100
    assert len({one.title for one in MISTAKES.values()}) == len(MISTAKES)


def test_the_page_is_the_table():
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == page.written(MISTAKES), "run `make errors`"


# What a program that ends by an error prints --------------------------------------------------------------------

PROGRAMS = {  # the last line of a program: the frames shown
    "kerata.layers.Dense(-1)": 1,
    "kerata.ops.matmul(numpy.ones((2, 3)), numpy.ones((2, 3)))": 1,
    "kerata.Sequential([kerata.Input((4,)), kerata.layers.Dense(1)])(numpy.ones((2, 3)))": 1,
    "kerata.Sequential([kerata.Input((4,)), kerata.layers.Dense(1)]).fit(numpy.ones((2, 4)))": 1,
    "[kerata.ops.add(one, '1') for one in [numpy.ones(3)]]": 2,
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What one process prints of all programs, each run as the end of a program is."""
    folder = tmp_path_factory.mktemp("programs")
    lines = "\n".join(
        f"try:\n    {text}\nexcept Exception as error:\n    sys.excepthook(type(error), error, error.__traceback__)\n"
        "print('----', file=sys.stderr)"
        for text in PROGRAMS
    )
    (folder / "program.py").write_text(f"import sys\nimport numpy\nimport kerata\n{lines}\n")

    def run(**environment):
        done = subprocess.run(
            [sys.executable, "program.py"], cwd=folder, capture_output=True, encoding="utf-8", timeout=120,
            env={**os.environ, "PYTHONNOUSERSITE": "1", **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return dict(zip(PROGRAMS, done.stderr.split("----\n")))

    return run


def test_the_frames_of_a_program_are_the_users(told):
    for text, shown in told().items():
        frames = [line for line in shown.splitlines() if line.startswith("  File ")]
        assert len(frames) >= 1 and all("program.py" in frame for frame in frames), shown
        assert shown.count("Traceback") == 1 and text in shown, shown


def test_internal_frames_come_when_asked_for(told):
    for shown in told(KERATA_INTERNAL_FRAMES="1").values():
        assert os.path.join("kerata", "") in shown


# What is not in the table ---------------------------------------------------------------------------------------


def test_the_cures_of_a_compiled_condition():
    """What the message advises works: run_eagerly, and ops.where."""

    class Net(kerata.Model):
        def __init__(self, eager):
            super().__init__()
            self.dense, self.eager = layers.Dense(1), eager

        def call(self, x):
            x = self.dense(x)
            if self.eager:
                return x if kerata.ops.mean(x) > 0 else -x
            return kerata.ops.where(kerata.ops.mean(x) > 0, x, -x)

    x, y = numpy.ones((4, 3)), numpy.ones((4, 1))
    for eager in (True, False):
        model = Net(eager)
        model.compile("sgd", "mse", run_eagerly=eager)
        assert len(model.fit(x, y, verbose=0).history["loss"]) == 1


def test_an_error_goes_through_another_process():
    import pickle

    told = errors.ShapeMismatch("it does not fit.", where="here", expected=1, got=2, hint="three")
    again = pickle.loads(pickle.dumps(told))
    assert type(again) is errors.ShapeMismatch and str(again) == str(told) and again.hint == "three"


def test_out_of_memory_in_each_engines_words():
    class OutOfMemoryError(RuntimeError):
        """As PyTorch calls it."""

    for error in (
        MemoryError(), OutOfMemoryError("CUDA out of memory."), RuntimeError("RESOURCE_EXHAUSTED: Out of memory"),
    ):  # fmt: skip
        assert errors.is_out_of_memory(error)
        assert isinstance(errors.in_our_words(error), errors.OutOfMemory)
    assert not errors.is_out_of_memory(RuntimeError("memory format"))


def test_a_healthy_run_is_not_searched(monkeypatch):
    from kerata.training import nans

    monkeypatch.setattr(nans, "tell", lambda *_: pytest.fail("the loss is finite"))
    model = kerata.Sequential([kerata.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(numpy.ones((4, 2)), numpy.ones((4, 1)), epochs=2, verbose=0)
