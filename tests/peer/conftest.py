"""Real Keras is the oracle of the tests in this directory; it computes with JAX here, as kerata does."""

import importlib.util
import os

import pytest

os.environ["KERAS_BACKEND"] = "jax"  # before anything imports keras


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule():
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed (pip install 'kerata[test]')")


@pytest.fixture(scope="package", autouse=True)
def _compile_quickly():
    """Let XLA compile without optimizing: each of these small programs runs once."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
