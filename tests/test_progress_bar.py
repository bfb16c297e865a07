"""`Progbar`: the means that it shows are Keras's."""

import os
import re

import pytest

from kerata import errors, utils

os.environ["KERAS_BACKEND"] = "jax"  # before anything imports keras

CALLS = [  # (steps done, values) of each call of `update`
    [(1, [("loss", 4.0)]), (2, [("loss", 2.0)]), (3, [])],
    [(2, [("loss", 1.0)]), (3, [("loss", 4.0), ("acc", 0.5)])],
    [(1, [("loss", 1e-6), ("acc", 3.0)]), (2, None), (3, None)],
    [(0, [("loss", 3.0)]), (1, [("loss", 5.0)]), (2, [("acc", -2.0)]), (3, None)],
]
ARGUMENTS = [{}, {"stateful_metrics": ["loss"]}, {"stateless_metrics": ["loss"]}, {"unit_name": "file"}]


def shown(text):
    return [(name, float(value)) for name, value in re.findall(r"(\w+): (-?[\d.e+-]+)", text)]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
@pytest.mark.parametrize("calls", CALLS, ids=str)
def test_as_keras(capsys, calls, arguments):
    keras = pytest.importorskip("keras")
    said = []
    for module in (keras.utils, utils):
        bar = module.Progbar(3, verbose=2, **arguments)
        for current, values in calls:
            bar.update(current, values)
        said.append(capsys.readouterr().out)
    theirs, ours = said
    assert shown(ours) == shown(theirs)
    assert ours.count("\n") == theirs.count("\n") == 1
    assert ours.startswith("3/3 - 0s - ")
    assert f"/{arguments.get('unit_name', 'step')}" in ours


def test_add_and_ends(capsys):
    bar = utils.Progbar(None)
    bar.add(2, [("loss", 1.0)])
    bar.add(2, [("loss", 2.0)])
    assert capsys.readouterr().out == ""  # no terminal: nothing is redrawn
    bar.update(4, finalize=True)
    assert re.fullmatch(r"4/Unknown - 0s - \d+[mu]?s/step - loss: 1.5000\n", capsys.readouterr().out)
    silent = utils.Progbar(1, verbose=0)
    silent.add(1)
    assert capsys.readouterr().out == ""
    with pytest.raises(errors.InvalidArgument, match="stateless_metrics"):
        utils.Progbar(1, stateful_metrics=[], stateless_metrics=[])


def test_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("kerata.utils.progress_bar._can_redraw", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    bar = utils.Progbar(20, interval=0)
    for _ in range(20):
        bar.add(1, [("loss", 0.25)])
    out = capsys.readouterr().out
    assert "20/20" in out
    assert "loss: 0.2500" in out
    assert bar._bar is None  # the terminal is left as it was
