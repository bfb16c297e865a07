"""The programs in examples/ run as they stand, on a few rows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

SAYS = {  # the last thing that each says, what its numbers must be, and after how many epochs of 512 rows
    "contrastive.py": (r"With 100 labels: ([\d.]+)% of 512 test images right", 30, 100, 1),
    "distiller.py": (r"student taught: ([\d.]+)%", 40, 100, 12),
    "gan.py": (r"told_apart: ([\d.]+)", 0.3, 1.0, 1),
    "own_loop.py": (r"Accuracy on 10,000 test images: ([\d.]+)%", 60, 100, 1),
    "vae.py": (r"val_loss: ([\d.]+)", 200, 550, 1),
}


def test_every_example_is_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*SAYS, "digits.py"}  # which `make demo` runs


@pytest.mark.parametrize("name", SAYS)
def test_example(name, tmp_path):
    # Each program runs once, on few rows: XLA had better not spend time on making it fast.
    environment = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    pattern, least, most, epochs = SAYS[name]
    ran = subprocess.run(
        [sys.executable, EXAMPLES / name, "--epochs", str(epochs), "--rows", "512"], cwd=tmp_path, env=environment,
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = re.findall(pattern, ran.stdout)
    assert found, ran.stdout
    assert least <= float(found[-1]) <= most, ran.stdout
