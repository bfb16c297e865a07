"""What all tests share."""

import sys

import pytest


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_programs():
    """Let each file leave its compiled programs behind: thousands of them would fill the memory."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
