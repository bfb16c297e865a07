"""Activations, initializers, regularizers and constraints beside Keras's: values, slopes, configs, signatures."""

import inspect

import keras
import numpy as np
import pytest

import kerata

X = np.concatenate([np.linspace(-9, 9, 41), [-1.0, -0.5, 0.0, 0.5, 1.0, 3.0]]).astype("float32").reshape(-1, 1)
X = np.concatenate([X, -0.7 * X + 0.3], axis=1)

NAMES = [n for n in dir(keras.activations) if not n.startswith("_") and n not in ("get", "serialize", "deserialize")]


@pytest.mark.parametrize("name", NAMES)
def test_activations(name):
    import jax

    arguments = (0.5, -0.1) if name == "threshold" else ()
    ours, theirs = getattr(kerata.activations, name), getattr(keras.activations, name)
    assert kerata.activations.get(name) is ours
    assert kerata.activations.serialize(ours) == keras.activations.serialize(theirs)
    if name == "sparsemax":
        # Keras's result does not sum to 1 where both classes are in the support; for two there is a closed form.
        first = np.clip((1 + X[:, 0] - X[:, 1]) / 2, 0, 1)
        np.testing.assert_allclose(ours(X), np.stack([first, 1 - first], 1), rtol=1e-5, atol=1e-6)
        return
    np.testing.assert_allclose(ours(X, *arguments), theirs(X, *arguments), rtol=1e-5, atol=1e-6)
    upstream = np.random.default_rng(0).normal(size=np.shape(ours(X, *arguments))).astype("float32")
    slope = kerata.grad(lambda x: kerata.ops.sum(ours(x, *arguments) * upstream))(X)
    expected = jax.grad(lambda x: (theirs(x, *arguments) * upstream).sum())(X)
    # Where a formula has a corner its slope is a matter of choice; there only the values must agree.
    keep = ~np.isin(X, [-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0]).any(axis=1)
    np.testing.assert_allclose(np.asarray(slope)[keep], np.asarray(expected)[keep], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "arguments", [{"negative_slope": 0.3}, {"max_value": 2.0}, {"threshold": 1.0, "negative_slope": 0.1}, {}], ids=str
)
def test_relu_with_its_constants(arguments):
    np.testing.assert_allclose(
        kerata.activations.relu(X, **arguments), keras.activations.relu(X, **arguments), rtol=1e-6, atol=1e-6
    )


def test_signatures():
    for area in ("activations", "initializers", "regularizers", "constraints"):
        for name in dir(getattr(keras, area)):
            theirs = getattr(getattr(keras, area), name)
            if name.startswith("_") or not callable(theirs):
                continue
            ours = getattr(getattr(kerata, area), name)
            a, b = inspect.signature(ours), inspect.signature(theirs)
            assert {p: v.default for p, v in a.parameters.items()} == {p: v.default for p, v in b.parameters.items()}, (
                f"{area}.{name}"
            )


INITIALIZERS = [
    ("GlorotUniform", {}), ("GlorotNormal", {}), ("HeNormal", {}), ("HeUniform", {}), ("LecunNormal", {}),
    ("LecunUniform", {}), ("RandomNormal", {"mean": 1.0, "stddev": 0.5}), ("RandomUniform", {"minval": 0.0}),
    ("TruncatedNormal", {"stddev": 2.0}), ("VarianceScaling", {"scale": 3.0, "mode": "fan_out"}),
    ("VarianceScaling", {"distribution": "untruncated_normal"}),
    ("VarianceScaling", {"mode": "fan_avg", "distribution": "uniform", "input_axes": [0, 1], "output_axes": [2, 3]}),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments", INITIALIZERS, ids=str)
def test_random_initializers(name, arguments):
    shape = (3, 20, 30, 12)
    ours = getattr(kerata.initializers, name)(**arguments, seed=3)
    theirs = getattr(keras.initializers, name)(**arguments, seed=3)
    a, b = (np.asarray(f(shape), "float64") for f in (ours, theirs))
    assert a.shape == shape and ours(shape).dtype == "float32"
    assert a.std() == pytest.approx(b.std(), rel=0.02)
    assert a.mean() == pytest.approx(b.mean(), abs=float(7 * b.std() / a.size**0.5))
    assert abs(a).max() == pytest.approx(abs(b).max(), rel=0.15)
    assert ours.get_config() == theirs.get_config()
    np.testing.assert_array_equal(ours(shape), a)  # a seed gives the same values each time
    fresh = getattr(kerata.initializers, name)(**arguments)
    assert not np.array_equal(fresh(shape), a) and fresh.get_config()["seed"] is None
    again = kerata.initializers.deserialize(keras.initializers.serialize(theirs))
    np.testing.assert_array_equal(again(shape), a)


FIXED = [
    ("Zeros", {}, (2, 3)), ("Ones", {}, (2, 3)), ("Constant", {"value": 2.5}, (2, 3)),
    ("Identity", {"gain": 2.0}, (3, 4)),
    ("STFT", {"side": "real"}, (16, 1, 9)), ("STFT", {"side": "imag", "scaling": "spectrum"}, (16, 1, 9)),
    ("STFT", {"window": None}, (16, 1, 9)),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments, shape", FIXED, ids=str)
def test_fixed_initializers(name, arguments, shape):
    ours, theirs = (getattr(k.initializers, name)(**arguments) for k in (kerata, keras))
    np.testing.assert_allclose(ours(shape), theirs(shape), rtol=1e-5, atol=1e-5)
    if name != "Identity":  # whose config in Keras forgets the gain
        assert ours.get_config() == theirs.get_config()


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (3, 2, 5)])
def test_orthogonal(shape):
    def drawn():
        return kerata.initializers.Orthogonal(gain=2.0, seed=0)(shape)

    w = np.asarray(drawn())
    rows = w.reshape(-1, shape[-1])
    gram = rows.T @ rows if rows.shape[0] >= rows.shape[1] else rows @ rows.T
    assert w.dtype == np.float32 and w.shape == shape
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-5)
    np.testing.assert_allclose(kerata.jit(drawn)(), w, atol=1e-5)  # the engine factorizes there, and NumPy outside


W = np.random.default_rng(0).normal(size=(5, 5)).astype("float32")
PENALTIES = [
    ("L1", {"l1": 0.3}), ("L2", {"l2": 0.2}), ("L1L2", {"l1": 0.1, "l2": 0.4}),
    ("OrthogonalRegularizer", {"factor": 0.5}),
    ("OrthogonalRegularizer", {"mode": "columns"}),
]  # fmt: skip
PROJECTIONS = [
    ("MaxNorm", {"max_value": 1.5}), ("NonNeg", {}), ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 1.5, "rate": 0.7}),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments", PENALTIES + PROJECTIONS, ids=str)
def test_regularizers_and_constraints(name, arguments):
    area = "regularizers" if hasattr(keras.regularizers, name) else "constraints"
    ours, theirs = (getattr(getattr(k, area), name)(**arguments) for k in (kerata, keras))
    if arguments == {"mode": "columns"}:  # Keras normalizes the rows here too
        transposed = keras.regularizers.OrthogonalRegularizer(mode="rows")(W.T)
        np.testing.assert_allclose(ours(W), transposed, rtol=1e-5)
    else:
        np.testing.assert_allclose(ours(W), theirs(W), rtol=1e-5, atol=1e-6)
    assert ours.get_config() == {k: approximately(v) for k, v in theirs.get_config().items()}
    again = getattr(kerata, area).deserialize(getattr(keras, area).serialize(theirs))
    np.testing.assert_allclose(again(W), ours(W), rtol=1e-6)
    assert getattr(kerata, area).get(name).get_config().keys() == theirs.get_config().keys()


def approximately(x):
    """Keras rounds factors to float32."""
    return pytest.approx(x, rel=1e-6) if isinstance(x, float) else x


def test_unknown_names_are_answered():
    for area, wrong, right in (
        ("activations", "rellu", "relu"), ("initializers", "he_nromal", "he_normal"), ("regularizers", "l3", "l2"),
        ("constraints", "non_negg", "non_neg"),
    ):  # fmt: skip
        with pytest.raises(kerata.errors.UnknownName, match=right):
            getattr(kerata, area).get(wrong)
