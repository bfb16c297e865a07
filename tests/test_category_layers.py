"""Layers for categories: hashes that are TensorFlow's bit for bit, on the host and compiled, and ways to encode.

The numbers were computed by Keras 3.15 with TensorFlow 2.21.
"""

import numpy as np
import pytest

import kerata
from kerata import engine as engines
from kerata import errors
from kerata.layers.preprocessing.fingerprints import fingerprint64, siphash64

layers = kerata.layers


@pytest.fixture(params=["numpy", "jax", "torch"])
def engine(request):
    if request.param == "torch":
        pytest.importorskip("torch")
    with engines.using(request.param) as engine:
        yield engine


def array(x):
    return kerata.ops.convert_to_numpy(x)


# Hashes -----------------------------------------------------------------------------------------------------------

TEXT = ("the quick brown fox jumps over a lazy dog; é " * 8).encode()
HASHES = [  # length, Fingerprint64 and SipHash with the key (133, 2^63 - 5), both modulo 2^61 - 1
    (0, 1936946117179621459, 1966918518888562581), (1, 41293780012299868, 1443943717014934649),
    (2, 2062431265022373354, 773156357597341863), (3, 86360239927963501, 177447789975754743),
    (4, 1001158104500252861, 2269781820965462811), (7, 1772533008485499018, 157118201306401687),
    (8, 1283776352585038085, 435109383014916100), (16, 1440586843996968232, 1443293597113651222),
    (17, 2098926860416782729, 1337330289411868449), (32, 45585968354366658, 969238375797283354),
    (33, 1597124692922233618, 660932303696963312), (64, 458313983332753472, 1994274756382162538),
    (65, 108958599424920282, 2158372693964457148), (128, 1521764081859511771, 847085265945094835),
    (129, 384742821932562989, 1477774761198400451), (300, 1972612601412992536, 138731379568696676),
]  # fmt: skip


def test_hashes_are_those_of_tensorflow():
    texts = [TEXT[:length] for length, _, _ in HASHES]
    modulus = np.uint64(2**61 - 1)
    assert (fingerprint64(texts) % modulus).tolist() == [farm for _, farm, _ in HASHES]
    assert (siphash64(texts, [133, 2**63 - 5]) % modulus).tolist() == [sip for _, _, sip in HASHES]
    assert fingerprint64(["é"]).tolist() == fingerprint64(["é".encode()]).tolist()


INTS = np.array([
    0, 7, -3, 42, 100, -99, 9999, -1234, 123456, -123456, 1234567, 99999999, -10000000, 123456789, 2**31 - 1, -(2**31),
], "int32")  # fmt: skip
LETTERS = np.array([["A"], ["B"], ["C"], ["D"], ["E"]])
HASHED = {  # the constructor's arguments, the input, the bins
    "strings": ({"num_bins": 3}, LETTERS, [[1], [0], [1], [1], [2]]),
    "bytes": ({"num_bins": 3}, LETTERS.astype("S"), [[1], [0], [1], [1], [2]]),
    "objects": ({"num_bins": 3}, LETTERS.astype(object), [[1], [0], [1], [1], [2]]),
    "a list": ({"num_bins": 3}, [["A"], ["B"]], [[1], [0]]),
    "a string": ({"num_bins": 3}, "E", 2),
    "a mask": ({"num_bins": 3, "mask_value": ""}, np.array(["A", "B", "", "C", "D"]), [1, 1, 0, 2, 2]),
    "two salts": ({"num_bins": 3, "salt": [133, 137]}, LETTERS, [[1], [2], [1], [0], [2]]),
    "one salt": ({"num_bins": 3, "salt": 133}, LETTERS, [[0], [0], [2], [1], [0]]),
    "ints": ({"num_bins": 10**9}, INTS, [
        252572735, 82856088, 851291699, 284905736, 400329355, 416707472, 117423829, 137627048, 686038998, 72617904,
        570208423, 96626519, 973563408, 209267306, 630760757, 892340469,
    ]),
    "ints, salt and mask": ({"num_bins": 1000, "salt": 7, "mask_value": 42}, INTS, [
        29, 50, 959, 0, 835, 46, 362, 163, 890, 249, 373, 222, 72, 795, 630, 262,
    ]),
    "64 bits": ({"num_bins": 1000}, np.array([2**40, -(2**63)]), [378, 112]),
    "floats": ({"num_bins": 1000}, np.array([1.5, -3.7, 1e12]), [849, 699, 412]),
    "bools": ({"num_bins": 1000}, np.array([True, False]), [570, 757]),
    "one_hot": ({"num_bins": 5, "output_mode": "one_hot"}, INTS[:2, None], [[0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]),
    "multi_hot": (
        {"num_bins": 5, "output_mode": "multi_hot"}, np.array([[3, -2], [0, 1234567890]]),
        [[1, 1, 0, 0, 0], [1, 0, 0, 0, 1]],
    ),
    "count": ({"num_bins": 5, "output_mode": "count"}, np.array([3, -2, 0, 1234567890]), [2, 1, 0, 0, 1]),
}  # fmt: skip


@pytest.mark.parametrize("row", HASHED)
def test_hashing(row, engine):
    kwargs, x, expected = HASHED[row]
    if row == "one_hot":
        bins = array(layers.Hashing(5)(x))[:, 0]
        expected = np.eye(5)[bins]
    y = array(layers.Hashing(**kwargs)(x))
    assert y.dtype == "float32" if "output_mode" in kwargs else y.dtype in ("int32", "int64")  # as the engine counts
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    "bins, more",
    [
        (1, {}), (7, {"mask_value": 7}), (2**15, {}), (2**15 + 1, {"mask_value": -3}), (10**9, {}),
        (1000, {"salt": [133, 2**63 - 5]}),
    ],
    ids=str,
)  # fmt: skip
def test_compiled_programs_hash_ints_as_the_host_does(bins, more):
    powers = [sign * (10**n + step) for n in range(10) for step in (-1, 0, 1) for sign in (-1, 1)]
    x = np.array([*INTS, *powers, *range(-12, 12)], "int32")
    layer = layers.Hashing(bins, **more)
    np.testing.assert_array_equal(array(kerata.jit(layer)(x)), array(layer(x)))


def test_a_compiled_program_refuses_what_an_int32_does_not_hold():
    with pytest.raises(errors.Unsupported, match="dtype uint32"):
        kerata.jit(layers.Hashing(5))(np.array([1], "uint32"))


CROSSED = {
    "rows": (5, [np.array(["A", "B", "A", "B", "A"]), np.array([101, 101, 101, 102, 102])], [1, 4, 1, 1, 3]),
    "columns": (5, [np.array([["A"], ["B"]]), np.array([[101], [101]])], [[1], [4]]),
    "scalars": (5, [np.array("A"), np.array(5)], 4),
    "lists": (5, [[1, 2], [3, 4]], [1, 2]),
    "three": (1000, [np.array([1, 2]), np.array(["a", "b"]), np.array([5, 6])], [103, 666]),
    "ints": (100000, [INTS, INTS[::-1]], [
        97974, 19180, 43999, 34275, 17635, 19583, 92221, 31131, 64712, 3585, 69852, 30035, 55203, 46218, 51478, 77224,
    ]),
}  # fmt: skip


@pytest.mark.parametrize("row", CROSSED)
def test_hashed_crossing(row, engine):
    bins, inputs, expected = CROSSED[row]
    np.testing.assert_array_equal(array(layers.HashedCrossing(bins)(inputs)), expected)
    if row in ("rows", "columns"):
        y = layers.HashedCrossing(bins, output_mode="one_hot")(inputs)
        np.testing.assert_array_equal(array(y), np.eye(5)[np.ravel(expected)])
    if row == "ints" and engine.transforms.compiled:
        crossed = kerata.jit(lambda *x: layers.HashedCrossing(bins)(list(x)))(*inputs)
        np.testing.assert_array_equal(array(crossed), expected)


# Encoding ---------------------------------------------------------------------------------------------------------

ENCODED = {  # output mode, input, output
    "one_hot of a scalar": ("one_hot", 2, [[0, 0, 1, 0]]),
    "one_hot of a row": ("one_hot", [2, 1], [[0, 0, 1, 0], [0, 1, 0, 0]]),
    "one_hot of a column": ("one_hot", [[2], [0]], [[0, 0, 1, 0], [1, 0, 0, 0]]),
    "one_hot of a matrix": ("one_hot", [[2, 1]], [[[0, 0, 1, 0], [0, 1, 0, 0]]]),
    "multi_hot of a scalar": ("multi_hot", 2, [0, 0, 1, 0]),
    "multi_hot of a row": ("multi_hot", [2, 1, 1], [0, 1, 1, 0]),
    "multi_hot of a matrix": ("multi_hot", [[2, 1, 1], [0, 0, 3]], [[0, 1, 1, 0], [1, 0, 0, 1]]),
    "multi_hot of rows of rows": ("multi_hot", [[[0, 1], [2, 3]]], [[[1, 1, 0, 0], [0, 0, 1, 1]]]),
    "count of a row": ("count", [2, 1, 1], [0, 2, 1, 0]),
    "count of a matrix": ("count", [[2, 1, 1], [0, 0, 3]], [[0, 2, 1, 0], [2, 0, 0, 1]]),
    "out of range": ("count", [[7, -1, 1]], [[0, 1, 0, 0]]),
}


@pytest.mark.parametrize("row", ENCODED)
def test_category_encoding(row, engine):
    mode, x, expected = ENCODED[row]
    layer = layers.CategoryEncoding(4, output_mode=mode)
    x = np.array(x, "int32")
    y = array(layer(x))
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y, expected)
    if x.ndim > 1:
        symbolic = layer(kerata.Input(x.shape[1:], dtype="int32"))
        assert symbolic.shape == (None, *y.shape[1:]) and symbolic.dtype == "float32"
    if engine.transforms.compiled:
        np.testing.assert_array_equal(array(kerata.jit(layer)(x)), expected)


def test_count_weights(engine):
    layer = layers.CategoryEncoding(4, output_mode="count")
    x, weights = np.array([[2, 1, 1], [0, 0, 3]]), np.array([[0.5, 1, 2], [1, 1, 1]])
    np.testing.assert_array_equal(array(layer(x, count_weights=weights)), [[0, 3, 0.5, 0], [2, 0, 0, 1]])
    with pytest.raises(errors.InvalidArgument, match="belongs to the mode 'count'"):
        layers.CategoryEncoding(4)(x, count_weights=weights)


def test_categories_in_other_dtypes():
    for dtype in ("bfloat16", "uint8", "int32"):
        y = layers.CategoryEncoding(4, dtype=dtype)(np.array([[0, 3]], "uint8"))
        assert kerata.utils.standardize_dtype(y.dtype) == dtype
        assert array(kerata.ops.cast(y, "float32")).tolist() == [[1, 0, 0, 1]]


# Discretization ---------------------------------------------------------------------------------------------------

MATRIX = [[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]]
DISCRETIZED = {
    "int": ("int", MATRIX, [[0, 2, 3, 1], [1, 3, 2, 1]]),
    "int of whole numbers": ("int", np.array([[1, 2, 3]]), [[2, 3, 3]]),
    "one_hot": ("one_hot", [[-1.5], [1.0]], [[1, 0, 0, 0], [0, 0, 1, 0]]),
    "multi_hot": ("multi_hot", MATRIX, [[1, 1, 1, 1], [0, 1, 1, 1]]),
    "count": ("count", MATRIX, [[1, 1, 1, 1], [0, 2, 1, 1]]),
    "count of a row": ("count", MATRIX[1], [0, 2, 1, 1]),
}


@pytest.mark.parametrize("row", DISCRETIZED)
def test_discretization(row, engine):
    mode, x, expected = DISCRETIZED[row]
    layer = layers.Discretization([0.0, 1.0, 2.0], output_mode=mode)
    y = array(layer(np.array(x)))
    assert y.dtype == ("int32" if mode == "int" else "float32")
    np.testing.assert_array_equal(y, expected)
    if np.ndim(x) > 1:
        assert layer(kerata.Input(np.shape(x)[1:])).shape == (None, *y.shape[1:])


def test_narrow_floats_meet_the_boundaries_as_they_came():
    layer = layers.Discretization([1000.5], dtype="mixed_bfloat16")
    assert array(layer(np.array([1000.0, 1001.0], "float32"))).tolist() == [0, 1]  # both are 1000 in bfloat16


def test_discretization_learns_boundaries(engine):
    x = (np.arange(2000) * 37 % 1999) ** 1.5
    batches = [x[:700], x[700:900].reshape(20, 10), x[900:]]
    layer = layers.Discretization(num_bins=5, epsilon=0.05)
    with pytest.raises(errors.StateError, match="boundaries are not known"):
        layer(x)
    layer.adapt(x)
    np.testing.assert_allclose(
        layer.bin_boundaries, [7940.07763671875, 22542.62109375, 41465.33984375, 63880.04296875], rtol=1e-6
    )
    layer.adapt(batches)
    np.testing.assert_allclose(layer.bin_boundaries, [8090.17626953125, 22925.0625, 42067.61328125, 64120.046875], 1e-6)
    layer.adapt(iter(batches), steps=2)
    expected = [8090.17431640625, 22925.05859375, 42067.61328125, 63460.78515625]
    np.testing.assert_allclose(layer.bin_boundaries, expected, rtol=1e-6)
    again = layers.Discretization.from_config(layer.get_config())
    np.testing.assert_array_equal(array(again(x)), array(layer(x)))
    with pytest.raises(errors.StateError, match="nothing to learn"):
        layers.Discretization([1.0]).adapt(x)


# All of them ------------------------------------------------------------------------------------------------------

POLICY = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "int64"}, "registered_name": None}
CONFIGS = {  # the class, what it is made with, and its config in a file of Keras
    "Hashing": ({"num_bins": 5, "salt": 3, "mask_value": "x", "name": "it"}, {
        "name": "it", "trainable": True, "dtype": POLICY, "num_bins": 5, "salt": [3, 3], "mask_value": "x",
        "output_mode": "int", "sparse": False,
    }),
    "HashedCrossing": (
        {"num_bins": 5, "name": "it"},
        {"num_bins": 5, "output_mode": "int", "sparse": False, "name": "it", "dtype": "int64"},
    ),
    "CategoryEncoding": ({"num_tokens": 5, "name": "it", "dtype": "float32"}, {
        "name": "it", "trainable": True, "dtype": {**POLICY, "config": {"name": "float32"}}, "num_tokens": 5,
        "output_mode": "multi_hot",
    }),
    "Discretization": ({"num_bins": 4, "name": "it"}, {
        "bin_boundaries": None, "num_bins": 4, "epsilon": 0.01, "output_mode": "int", "sparse": False, "name": "it",
        "dtype": "float32",
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_are_those_of_keras(name):
    arguments, config = CONFIGS[name]
    layer = getattr(layers, name)(**arguments)
    assert layer.get_config() == config
    data = {"module": "keras.layers", "class_name": name, "config": config, "registered_name": None}
    assert layers.serialize(layer) == data
    assert layers.deserialize(data).get_config() == config


@pytest.mark.parametrize("name", CONFIGS)
def test_wrong_arguments(name):
    kind, first = getattr(layers, name), {"Discretization": "num_bins"}.get(name)
    make = (lambda **more: kind(5, **more)) if first is None else (lambda **more: kind(num_bins=5, **more))
    with pytest.raises(errors.Unsupported, match="sparse tensors do not exist"):
        make(sparse=True, output_mode="one_hot")
    with pytest.raises(errors.UnknownName, match="one_hot"):
        make(output_mode="one_hott")
    with pytest.raises(errors.InvalidArgument):
        kind() if name in ("CategoryEncoding", "Discretization") else kind(0)


def test_wrong_inputs_of_a_crossing():
    layer = layers.HashedCrossing(5)
    with pytest.raises(errors.InvalidArgument, match="2 arrays or more"):
        layer([np.array([1])])
    with pytest.raises(errors.ShapeMismatch, match="cannot be crossed"):
        layer([np.array([1]), np.array([1, 2])])
    with pytest.raises(errors.InvalidType, match="only strings and ints"):
        layer([np.array([1]), np.array([1.0])])
    with pytest.raises(errors.InvalidArgument, match="`salt` cannot be this"):
        layers.Hashing(5, salt=[1, 2, 3])
    with pytest.raises(errors.InvalidArgument, match="int32 or int64"):
        layers.Hashing(5, dtype="float32")


def test_symbolic_strings_and_ints():
    text, number = kerata.Input((1,), dtype="string"), kerata.Input((1,), dtype="int32")
    for x in (text, number):
        assert layers.Hashing(5)(x).shape == (None, 1) and "int" in layers.Hashing(5)(x).dtype
        assert layers.Hashing(5, output_mode="count")(x).shape == (None, 5)
        assert layers.HashedCrossing(5, output_mode="one_hot")([x, number]).shape == (None, 5)


def test_ints_are_hashed_inside_a_trained_model():
    pytest.importorskip("jax")
    a, b = kerata.Input((1,), dtype="int32"), kerata.Input((1,), dtype="int32")
    features = [
        layers.Hashing(4, output_mode="one_hot")(a), layers.HashedCrossing(64, output_mode="one_hot")([a, b])
    ]  # fmt: skip
    model = kerata.Model([a, b], layers.Dense(1)(layers.Concatenate()(features)))
    x = [np.arange(8)[:, None] % 2, np.arange(8)[:, None] % 3]
    y = (x[0] == x[1]).astype("float32")
    model.compile(kerata.optimizers.Adam(0.1), "mse")
    losses = model.fit(x, y, epochs=60, verbose=0).history["loss"]
    assert losses[-1] < 0.01 < losses[0]
