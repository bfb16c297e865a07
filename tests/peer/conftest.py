"""Real Keras is the oracle of the tests in this directory; it computes with JAX here, as kerata does."""

import importlib.util
import os

import pytest

os.environ["KERAS_BACKEND"] = "jax"  # before anything imports keras


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule():
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed (pip install 'kerata[test]')")
