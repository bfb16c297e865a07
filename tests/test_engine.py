"""How the engine is chosen, what importing costs, and where things are kept."""

import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest

import kerata


def python(code, **environment):
    """Run `code` in a fresh interpreter and return what it prints."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("KERATA_", "KERAS_"))}
    result = subprocess.run(
        [sys.executable, "-c", code], env={**clean, **environment}, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_importing_loads_no_engine():
    code = "import sys, kerata; print([m for m in ('jax', 'torch', 'numpy', 'h5py', 'rich') if m in sys.modules])"
    assert python(code) == "[]"
    loaded = python("import sys, kerata; kerata.layers.Dense; print('jax' in sys.modules)")
    assert loaded == "False"


ASK = "import sys, kerata; x = kerata.ops.ones((1,)); print(kerata.config.engine(), 'jax' in sys.modules)"


def test_the_environment_chooses(tmp_path):
    assert python(ASK).startswith("jax")
    assert python(ASK, KERATA_ENGINE="numpy") == "numpy False"
    assert python(ASK, KERAS_BACKEND="numpy") == "numpy False"
    assert python(ASK, KERATA_ENGINE="jax", KERAS_BACKEND="numpy").startswith("jax")
    assert python(ASK, KERAS_BACKEND="tensorflow").startswith("jax")


def test_the_configuration_file_chooses(tmp_path):
    (tmp_path / "kerata.json").write_text(json.dumps({"engine": "numpy", "floatx": "float64"}))
    assert python(ASK, KERATA_HOME=str(tmp_path)) == "numpy False"
    code = "import kerata; print(kerata.config.floatx(), kerata.ops.ones((1,)).dtype)"
    assert python(code, KERATA_HOME=str(tmp_path)) == "float64 float64"
    assert python(ASK, KERATA_HOME=str(tmp_path), KERATA_ENGINE="jax").startswith("jax")


def test_a_call_and_a_block_choose():
    model = kerata.Sequential([kerata.Input((4,)), kerata.layers.Dense(3, activation="tanh"), kerata.layers.Dense(2)])
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    expected = np.asarray(model(x))
    with kerata.config.using_engine("numpy"):
        assert kerata.config.engine() == "numpy"
        y = model(x)
        assert isinstance(y, np.ndarray)
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    assert kerata.config.engine() == "jax"
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(kerata.errors.UnknownName, match="jax"):
        kerata.config.set_engine("jaks")


def test_the_numpy_engine_only_infers():
    model = kerata.Sequential([kerata.Input((4,)), kerata.layers.Dense(2)])
    model.compile("sgd", "mse")
    with kerata.config.using_engine("numpy"), pytest.raises(kerata.errors.Unsupported, match="jax"):
        model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)


def test_compiled_programs_are_kept_privately(tmp_path):
    code = "import kerata; kerata.jit(lambda x: kerata.ops.sin(x) @ x)(kerata.ops.ones((64, 64))); print('ran')"
    assert python(code, KERATA_HOME=str(tmp_path)) == "ran"
    folder = tmp_path / "cache" / "xla"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    other = tmp_path / "other"
    other.mkdir()
    assert python(code, KERATA_HOME=str(other), KERATA_COMPILATION_CACHE="0") == "ran"
    assert not (other / "cache").exists()
