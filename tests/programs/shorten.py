"""Run a program, its text as it is, on the first images of MNIST alone: `python shorten.py COUNT program.py`."""

import sys

from kerata import cli
from kerata.datasets import mnist

count, *arguments = sys.argv[1:]
read_all = mnist.load_data


def load_first(path="mnist.npz"):
    return tuple((x[: int(count)], y[: int(count)]) for x, y in read_all(path))


mnist.load_data = load_first
raise SystemExit(cli.main(["run", *arguments]))
