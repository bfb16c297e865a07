"""Every test that takes `engine` runs on each engine whose library is installed."""

import pytest
from cases import INSTALLED

from kerata import config
from kerata import engine as engines


def params(names):
    return [
        pytest.param(name, marks=[] if name in INSTALLED else [pytest.mark.skip(reason=f"{name} is not installed")])
        for name in names
    ]


METHODS = "a tensor's methods are PyTorch's own; the namespace's functions are NumPy's"
OPERATORS = "PyTorch's operators refuse most arrays of NumPy; kerata.ops takes both"
DIFFERENT = {
    ("torch", "test_an_array_is_a_value", "torch"): "a tensor of PyTorch can be written to",
    ("torch", "test_namespace", "an array of NumPy and float"): OPERATORS,
    ("torch", "test_namespace", "sum of bools"): METHODS,
    ("torch", "test_namespace", "mean of ints"): METHODS,
    ("torch", "test_namespace", "variance"): METHODS,
    ("torch", "test_namespace", "argmax"): METHODS,
    ("torch", "test_special_functions", "betainc"): "PyTorch has none",
    ("torch", "test_double_precision_from_outside_does_not_spread", "array"): OPERATORS,
    **{
        ("torch", "test_operators_take_every_kind_on_either_side", row): OPERATORS
        for row in ("<-tensor-ndarray", *(f"{sign}-ndarray-tensor" for sign in ("+", "-", "*", "**", "@", "<")))
    },
}
"""What an engine does in its own way: the test, its row, and why. It must indeed fail there."""


@pytest.fixture(autouse=True)
def traced_and_not_lowered(monkeypatch):
    """PyTorch's compiler takes seconds for a program: here programs are traced, and their graphs run as they are."""
    if "torch" in INSTALLED:
        from kerata.engine.torch import compiling

        monkeypatch.setattr(compiling, "lowered", lambda graph: graph)


@pytest.fixture(params=params([name for name in config.ENGINES if name != "numpy"]))
def differentiating(request):
    return request.param


@pytest.fixture(params=params(config.ENGINES))
def engine(request):
    row = request.node.callspec.id.removeprefix(f"{request.param}-")
    if reason := DIFFERENT.get((request.param, request.node.originalname, row)):
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    with engines.using(request.param) as engine:
        yield engine


@pytest.fixture
def beside_numpy(differentiating):
    """Each engine that is compared with the NumPy engine."""
    with engines.using(differentiating) as engine:
        yield engine
