"""kerata.utils: what its small helpers return, beside Keras's, and that importing it costs nothing."""

import inspect
import random
import subprocess
import sys

import numpy as np
import pytest

import kerata
from kerata import errors, utils


@pytest.fixture
def keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    import keras

    return keras


@pytest.mark.parametrize("module", ["kerata.utils", "kerata.datasets"])
def test_importing_is_cheap(module):
    code = f"import sys, {module}; print([m for m in ('numpy', 'jax', 'torch', 'rich') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_every_name_is_there():
    for name in utils.__all__:
        assert callable(getattr(utils, name)) or name in ("bounding_boxes", "legacy"), name
    assert utils.set_random_seed is kerata.core.rng.set_random_seed
    assert utils.get_custom_objects() is kerata.core.registry.get_custom_objects()


def test_the_same_signatures_as_keras(keras):
    def parameters(function):
        return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]

    own = {"as_torch_module", "count_flops"}
    for name in set(utils.__all__) - own:
        theirs, ours = getattr(keras.utils, name), getattr(utils, name)
        if inspect.isfunction(theirs):
            assert parameters(ours) == parameters(theirs), name


# Seeds and sessions ---------------------------------------------------------------------------------------------


def test_set_random_seed():
    def draw():
        return random.random(), np.random.rand(), kerata.core.rng.make_seed()

    utils.set_random_seed(7)
    first = draw()
    assert draw() != first
    utils.set_random_seed(7)
    assert draw() == first
    for wrong in (-1, 2**32, "a", 1.5):
        with pytest.raises(errors.InvalidArgument):
            utils.set_random_seed(wrong)


def test_clear_session_starts_names_anew():
    from kerata.core import scopes

    utils.clear_session()
    assert [scopes.auto_name("thing"), scopes.auto_name("thing")] == ["thing", "thing_1"]
    utils.clear_session(free_memory=False)
    assert scopes.auto_name("thing") == "thing"


# Arrays ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "num_classes"),
    [
        ([0, 2, 1], None),
        ([0, 2, 1], 5),
        ([[0], [1]], None),
        ([[0, 1], [1, 1]], 2),
        (np.array([1.0, 0.0]), None),
        (np.array([1, 0], "uint8"), 3),
        (2, 4),
    ],
)
def test_to_categorical(keras, x, num_classes):
    theirs, ours = keras.utils.to_categorical(x, num_classes), utils.to_categorical(x, num_classes)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    np.testing.assert_array_equal(ours, theirs)


def test_to_categorical_of_the_engine():
    ours = utils.to_categorical(kerata.ops.convert_to_tensor([[0], [2]]), 3)
    assert not isinstance(ours, np.ndarray)
    np.testing.assert_array_equal(np.asarray(ours), [[1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("x", "num_classes", "says"),
    [
        ([0, -1], None, "negative"),
        ([0, 3], 3, "too large"),
        ([0.5], None, "no whole number"),
        ([np.nan], None, "no whole number"),
        (["cat"], None, "not numbers"),
        ([], None, "no labels"),
    ],
)
def test_to_categorical_refuses(x, num_classes, says):
    with pytest.raises((errors.InvalidArgument, errors.InvalidType), match=says):
        utils.to_categorical(x, num_classes)


MATRIX = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0], [1.0, -1.0, 2.0]])


@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_normalize(keras, order):
    expected = keras.utils.normalize(MATRIX, -1, order)
    np.testing.assert_allclose(utils.normalize(MATRIX, -1, order), expected, rtol=1e-15)
    # Keras takes axis 0 for -1 in the second half of its formula.
    np.testing.assert_allclose(utils.normalize(MATRIX.T, 0, order), expected.T, rtol=1e-15)
    for axis, x in ((-1, MATRIX), (0, MATRIX.T)):
        on_engine = utils.normalize(kerata.ops.convert_to_tensor(x.astype("float32")), axis, order)
        assert not isinstance(on_engine, np.ndarray)
        np.testing.assert_allclose(np.asarray(on_engine), expected if axis else expected.T, rtol=1e-6)


@pytest.mark.parametrize("x", [np.array([3.0, 4.0]), [3.0, 4.0]])
def test_normalize_of_a_vector(keras, x):
    theirs = np.asarray(keras.utils.normalize(x))
    ours = np.asarray(utils.normalize(x))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.ravel(), [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("x", [np.ones((2, 2)), [[1.0, 1.0], [1.0, 1.0]]])
def test_normalize_of_the_whole(x):
    np.testing.assert_allclose(utils.normalize(x, axis=None), np.full((2, 2), 0.5), rtol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"maxlen": 2},
        {"maxlen": 2, "truncating": "post"},
        {"maxlen": 4, "padding": "post", "value": -1.0},
        {"maxlen": 0},
        {"dtype": "float32", "value": 0.5},
    ],
)
@pytest.mark.parametrize("sequences", [[[1], [2, 3, 4], []], [[[1, 2]], [[3, 4], [5, 6], [7, 8]]]])
def test_pad_sequences(keras, sequences, arguments):
    if arguments.get("maxlen") == 0:
        assert utils.pad_sequences(sequences, **arguments).shape[:2] == (len(sequences), 0)
        return
    theirs, ours = keras.utils.pad_sequences(sequences, **arguments), utils.pad_sequences(sequences, **arguments)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


def test_pad_sequences_of_strings():
    assert utils.pad_sequences([["a"], ["bc", "d"]], dtype=object, value="").tolist() == [["", "a"], ["bc", "d"]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"sequences": 3}, "no sequences"),
        ({"sequences": [1, [2]]}, "no sequences"),
        ({"sequences": [[[1, 2]], [[3]]]}, "different shapes"),
        ({"sequences": [[1]], "padding": "left"}, "padding"),
        ({"sequences": [[1]], "truncating": "left"}, "truncating"),
        ({"sequences": [[1]], "value": "x"}, "cannot fill up"),
    ],
)
def test_pad_sequences_refuses(arguments, says):
    with pytest.raises(errors.InvalidArgument, match=says):
        utils.pad_sequences(**arguments)


@pytest.mark.parametrize(
    ("packed", "unpacked"),
    [((1,), 1), ((1, 2), (1, 2)), ((1, 2, 3), (1, 2, 3)), (([1, 2],), ([1, 2],)), (((1,),), ((1,),))],
)
def test_packing(keras, packed, unpacked):
    assert utils.pack_x_y_sample_weight(*packed) == unpacked == keras.utils.pack_x_y_sample_weight(*packed)
    x, y, weight = utils.unpack_x_y_sample_weight(unpacked)
    assert (x, y, weight) == (*packed, None, None)[:3] == keras.utils.unpack_x_y_sample_weight(unpacked)


def test_a_batch_of_four_parts_is_refused():
    with pytest.raises(errors.InvalidArgument, match="4 parts"):
        utils.unpack_x_y_sample_weight((1, 2, 3, 4))
