"""Whole programs as people write them, run unmodified by `kerata run`.

Those in `scripts/` are ours. More are taken from the folder that $KERATA_TEST_PROGRAMS names, where there is one.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GIVEN = os.environ.get("KERATA_TEST_PROGRAMS")
RUN = ["-m", "kerata", "run"]


def run(arguments, folder):
    """Run python with `arguments` in `folder`; return (exit status, stdout, stderr)."""
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment)
    return done.returncode, done.stdout, done.stderr


def last_number(name, out):
    """Return the number in the last line of `out` that begins with `name:`."""
    return float(re.findall(rf"^{name}: (\S+)$", out, flags=re.MULTILINE)[-1])


def test_functional(tmp_path):
    status, out, err = run([*RUN, HERE / "scripts" / "functional.py", tmp_path], tmp_path)
    assert (status, err) == (0, "")
    assert last_number("right", out) > 0.8
    assert (tmp_path / "best.keras").is_file()


def test_tf_subclass(tmp_path):
    status, out, err = run([*RUN, HERE / "scripts" / "tf_subclass.py"], tmp_path)
    assert (status, err) == (0, "")
    assert out.splitlines() == ["GPUs: True", "weights: 5", "small error: True"]


def test_old_keras(tmp_path):
    status, out, err = run([*RUN, HERE / "scripts" / "old_keras.py"], tmp_path)
    assert status == 0, err
    assert last_number("Test accuracy", out) > 0.9
    assert "Traceback" not in err


# The programs given --------------------------------------------------------------------------------------------

WHOLE = RUN
SHORT = [HERE / "shorten.py", "1000"]
FRAGMENT = [*RUN, HERE / "supply.py"]

PROGRAMS = [  # file, how it is run, epochs, name of the last accuracy, the least that it must reach
    ("mnist_mlp.py", WHOLE, 5, "Test accuracy", 0.97),
    ("mnist_cnn.py", SHORT, 10, "Test accuracy", 0.75),
    ("tf_keras_mnist.py", SHORT, 5, None, None),
    ("mlp_input_dim.fragment.py", FRAGMENT, 10, "Accuracy of the fragment's model", 0.80),
    ("mlp_adam_lr.fragment.py", FRAGMENT, 10, "Accuracy of the fragment's model", 0.80),
    ("tf_keras_dense.fragment.py", FRAGMENT, 10, "Accuracy of the fragment's model", 0.80),
]


def given(name):
    if not GIVEN:
        pytest.skip("KERATA_TEST_PROGRAMS names no folder of programs")
    return Path(GIVEN) / name


@pytest.mark.parametrize("name, how, epochs, metric, least", PROGRAMS, ids=[row[0] for row in PROGRAMS])
def test_given_program(tmp_path, name, how, epochs, metric, least):
    status, out, err = run([*how, given(name)], tmp_path)
    assert status == 0, err
    assert "Traceback" not in err
    assert re.findall(r"^Epoch (\d+)/", out, flags=re.MULTILINE) == [str(n + 1) for n in range(epochs)]
    if metric:
        assert last_number(metric, out) >= least


def test_every_given_program_is_in_the_table():
    """A program added to the folder is either run here or named here."""
    folder = given("")
    elsewhere = {"mnist_mlp_wrong_loss.py", "pytorch_mnist.py"}  # below
    assert {file.name for file in folder.glob("*.py")} == {row[0] for row in PROGRAMS} | elsewhere


def test_a_wrong_loss_is_answered_with_both_cures(tmp_path):
    program = given("mnist_mlp_wrong_loss.py")
    status, out, err = run([*RUN, program], tmp_path)
    assert status == 1
    assert "sparse_categorical_crossentropy" in err
    assert "to_categorical" in err
    frames = re.findall(r'^  File "(.*?)", line (\d+)', err, flags=re.MULTILINE)
    assert frames == [(os.path.normpath(program), "21")]  # the line with `fit`, and nothing of kerata or the engine
    assert "JAX" not in err
    assert "Epoch" not in out


def test_a_program_of_pytorch_finds_torchvision(tmp_path):
    pytest.importorskip("torch")
    status, out, err = run([*SHORT, given("pytorch_mnist.py")], tmp_path)
    assert (status, err) == (0, "")
    *epochs, last = out.splitlines()
    assert [line.partition(",")[0] for line in epochs] == [f"Epoch: {n + 1}" for n in range(10)]
    found = re.fullmatch(r"Accuracy of the network on the 10000 test images: (\d+) %", last)
    assert found and int(found[1]) >= 75
