"""StringLookup, IntegerLookup and TextVectorization. The expected values are what Keras 3.15 with TensorFlow gives."""

import functools
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import kerata
from kerata import engine, errors, layers
from kerata.training import host_prefix

ENGINES = ("jax", "torch", "numpy")
FILE = Path(__file__).parent / "files" / "text_layers.keras"


@pytest.fixture(params=ENGINES)
def each_engine(request):
    pytest.importorskip(request.param)
    with engine.using(request.param):
        yield request.param


def array(x):
    return np.asarray(engine.arrays.to_numpy(x)) if engine.arrays.is_array(x) else np.asarray(x)


def adapted(layer, data, **kwargs):
    layer.adapt(data, **kwargs)
    return layer


LETTERS = ["a", "b", "c", "d"]
NUMBERS = [12, 36, 1138, 42]
STRINGS = [["a", "c", "d", "d"], ["d", "z", "b", "z"]]
INTEGERS = [[12, 1138, 42, 42], [42, 7, 36, 7]]


# Lookups --------------------------------------------------------------------------------------------------------

FOUR_BY_FIVE = [
    [[0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]],
    [[0, 0, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 0, 0]],
]
IDF = [0.25, 0.75, 0.6, 0.4]
MODES = {
    "int": ({}, [[1, 3, 4, 4], [4, 0, 2, 0]]),
    "one_hot": ({}, FOUR_BY_FIVE),
    "multi_hot": ({}, [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]]),
    "count": ({}, [[0, 1, 0, 1, 2], [2, 0, 1, 0, 1]]),
    "tf_idf": ({"idf_weights": IDF}, [[0, 0.25, 0, 0.6, 0.8], [1, 0, 0.75, 0, 0.4]]),
}


@pytest.mark.parametrize("mode", MODES)
def test_output_modes(mode, each_engine):
    arguments, expected = MODES[mode]
    texts = layers.StringLookup(vocabulary=LETTERS, output_mode=mode, **arguments)
    numbers = layers.IntegerLookup(vocabulary=NUMBERS, output_mode=mode, **arguments)
    for layer, data in (
        (texts, STRINGS), (texts, np.array(STRINGS)), (texts, np.array(STRINGS, object)),
        (texts, np.array(STRINGS, "S")),
        (numbers, INTEGERS), (numbers, np.array(INTEGERS)), (numbers, engine.arrays.as_array(np.array(INTEGERS))),
    ):  # fmt: skip
        result = layer(data)
        assert engine.arrays.is_array(result)
        np.testing.assert_allclose(array(result), expected, rtol=1e-6)
        assert layer.compute_output_shape((2, 4)) == np.shape(expected)
    assert (array(result).dtype.kind == "f") == (mode == "tf_idf")
    if each_engine != "numpy":  # the search in a compiled function
        compiled = kerata.jit(numbers)(engine.arrays.as_array(np.array(INTEGERS)))
        np.testing.assert_allclose(array(compiled), expected, rtol=1e-6)


SHAPES = [  # mode, input, output
    ("one_hot", ["a", "d", "q"], [[0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]),
    ("one_hot", [["a"], ["q"]], [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]),
    ("one_hot", np.array("d"), [[0, 0, 0, 0, 1]]),
    ("multi_hot", ["a", "d", "q"], [1, 1, 0, 0, 1]),
    ("count", np.array("d"), [0, 0, 0, 0, 1]),
    ("count", [[["a", "a"], ["q", "a"]]], [[[0, 2, 0, 0, 0], [1, 1, 0, 0, 0]]]),
    ("int", np.array("d"), 4),
    ("int", "d", 4),
    ("int", [[["a", "a"], ["q", "a"]]], [[[1, 1], [0, 1]]]),
]


@pytest.mark.parametrize("mode, data, expected", SHAPES)
def test_shapes(mode, data, expected):
    result = array(layers.StringLookup(vocabulary=LETTERS, output_mode=mode)(data))
    assert result.tolist() == expected


MASKED = [
    ("int", [[2, 4, 0], [0, 3, 1]]),
    ("multi_hot", [[0, 1, 0, 1], [1, 0, 1, 0]]),
    ("one_hot", [[[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]]),
]


@pytest.mark.parametrize("mode, expected", MASKED)
def test_mask_token(mode, expected):
    texts = layers.StringLookup(vocabulary=["a", "b", "c"], output_mode=mode, mask_token="d")
    assert array(texts([["a", "c", "d"], ["d", "b", "q"]])).tolist() == expected
    numbers = layers.IntegerLookup(vocabulary=[1, 2, 3], output_mode=mode, mask_token=4)
    data = np.array([[1, 3, 4], [4, 2, 9]])
    assert array(numbers(data)).tolist() == expected
    assert array(kerata.jit(numbers)(engine.arrays.as_array(data))).tolist() == expected


SOME = ["m", "z", "hello", "", "é", "a", "日本"]
TENS = np.array([100, 300, 700, 1100, 1700, 2000, 10, -3])
BUCKETS = {
    "strings": (layers.StringLookup, {"mask_token": ""}, LETTERS, 3, SOME, [1, 2, 2, 0, 2, 4, 3]),
    "salted": (layers.StringLookup, {"salt": [5, 7]}, LETTERS, 3, SOME, [2, 2, 2, 2, 0, 3, 0]),
    "floormod": (layers.IntegerLookup, {}, [1, 2], 3, [1, 2, 3, 4, 5, -1, -7, 2**40], [3, 4, 0, 1, 2, 2, 2, 1]),
    "farmhash": (
        layers.IntegerLookup, {"oov_method": "farmhash"}, [10, 20, 30], 4, TENS, [3, 3, 2, 2, 0, 1, 4, 3],
    ),
    "farmhash salted": (
        layers.IntegerLookup, {"oov_method": "farmhash", "salt": 9}, [10, 20, 30], 4, TENS, [3, 0, 3, 0, 3, 3, 4, 3],
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", BUCKETS)
def test_several_places_for_unknown_terms(row):
    cls, arguments, vocabulary, places, data, expected = BUCKETS[row]
    layer = cls(vocabulary=vocabulary, num_oov_indices=places, **arguments)
    assert array(layer(data)).tolist() == expected
    if row == "floormod":
        small = np.array(data[:-1], "int32")
        assert array(kerata.jit(layer)(engine.arrays.as_array(small))).tolist() == expected[:-1]
    if row == "farmhash":
        with pytest.raises(errors.Unsupported, match="on the host"):
            kerata.jit(layer)(engine.arrays.as_array(np.array([1, 2])))


def test_inverted(each_engine):
    texts = layers.StringLookup(vocabulary=LETTERS, invert=True, mask_token="")
    assert texts([[0, 1, 2], [5, 9, -1]]).tolist() == [["", "[UNK]", "a"], ["d", "[UNK]", "[UNK]"]]
    numbers = layers.IntegerLookup(vocabulary=[7, 8], invert=True, mask_token=0)
    assert array(numbers([[0, 1, 2], [3, 9, -1]])).tolist() == [[0, -1, 7], [8, -1, -1]]
    assert numbers.get_vocabulary() == [0, -1, 7, 8]
    if each_engine != "numpy":
        assert array(kerata.jit(numbers)(engine.arrays.as_array(np.array([0, 3, 9])))).tolist() == [0, 8, -1]


UNICODE = ["é", "e", "ß", "", "Z", "z", "日", "😀", "", "e", "[UNK]", "[UNK]", "[UNK]"]
SIGNED = np.array([[12, 1138, 42], [42, 1000, 36], [-1, -5, 0]])
ADAPTED = [  # layer, data, vocabulary: by frequency, ties by the last in the order of bytes
    (layers.StringLookup, {}, [["a", "c", "d"], ["d", "z", "b"]], ["[UNK]", "d", "z", "c", "b", "a"]),
    (layers.StringLookup, {}, UNICODE, ["[UNK]", "e", "", "😀", "日", "é", "ß", "z", "Z"]),
    (layers.StringLookup, {"mask_token": "", "max_tokens": 4}, UNICODE, ["", "[UNK]", "e", "😀"]),
    (layers.IntegerLookup, {}, SIGNED, [-1, 42, 1138, 1000, 36, 12, 0, -5]),
    (layers.IntegerLookup, {"mask_token": 0, "max_tokens": 5}, SIGNED, [0, -1, 42, 1138, 1000]),
    (layers.TextVectorization, {}, (b for b in [["a b"], ["b c", "d d d"]]), ["", "[UNK]", "d", "b", "c", "a"]),
]


@pytest.mark.parametrize("cls, arguments, data, expected", ADAPTED)
def test_adapt(cls, arguments, data, expected):
    layer = adapted(cls(**arguments), data)
    assert layer.get_vocabulary() == expected
    assert layer.vocabulary_size() == len(expected)
    special = 2 if "mask_token" in arguments or cls is layers.TextVectorization else 1
    assert layer.get_vocabulary(include_special_tokens=False) == expected[special:]


def test_adapt_in_steps_and_by_hand():
    batches = [["a b"], ["b c", "d d d"]]
    layer = adapted(layers.TextVectorization(), iter(batches), steps=1)
    assert layer.get_vocabulary() == ["", "[UNK]", "b", "a"]
    layer.reset_state()
    for batch in batches:
        layer.update_state(np.array(batch))
    layer.finalize_state()
    assert layer.get_vocabulary() == ["", "[UNK]", "d", "b", "c", "a"]
    layer.finalize_state()  # nothing new was counted
    assert layer.vocabulary_size() == 6
    with pytest.raises(errors.InvalidArgument, match="learns none"):
        layers.StringLookup(vocabulary=["a"]).adapt(["b"])


def test_idf_weights():
    rows = adapted(layers.StringLookup(output_mode="tf_idf"), [["a", "a", "c"], ["d", "z", "a"], ["c", "c", "c"]])
    assert rows.get_vocabulary() == ["[UNK]", "c", "a", "z", "d"]
    weights = [0.8047189712524414, 0.6931471824645996, 0.6931471824645996, 0.9162907600402832, 0.9162907600402832]
    np.testing.assert_allclose(rows.idf_weights, weights, rtol=1e-6)
    expected = [[weights[0], weights[1], weights[2], 0, 0], [0, 0, 1.3862943649291992, weights[3], 0]]
    np.testing.assert_allclose(array(rows([["a", "c", "q"], ["a", "a", "z"]])), expected, rtol=1e-6)
    flat = adapted(layers.StringLookup(output_mode="tf_idf"), ["a", "a", "c"])  # three documents
    np.testing.assert_allclose(flat.idf_weights, [0.8047189712524414, 0.6931471824645996, 0.9162907600402832])
    padded = layers.StringLookup(
        vocabulary=["[UNK]", *LETTERS], idf_weights=[0.9, *IDF], output_mode="tf-idf", max_tokens=7,
        pad_to_max_tokens=True,
    )  # fmt: skip
    expected = [[0, 0.25, 0, 0.6, 0.8, 0, 0], [1.8, 0, 0.75, 0, 0.4, 0, 0]]
    np.testing.assert_allclose(array(padded(STRINGS)), expected, rtol=1e-6)


REFUSED = [
    ({"max_tokens": 1}, "more than 1"),
    ({"pad_to_max_tokens": True}, "needs `max_tokens`"),
    ({"num_oov_indices": -1}, "no negative"),
    ({"output_mode": "x"}, "multi_hot"),
    ({"invert": True, "output_mode": "count"}, "invert"),
    ({"idf_weights": [1.0]}, "tf_idf"),
    ({"vocabulary": ["a"], "output_mode": "tf_idf"}, "idf_weights"),
    ({"vocabulary": ["a", "a"]}, "more than once"),
    ({"vocabulary": ["a", "b", "c"], "max_tokens": 3}, "larger than `max_tokens`"),
    ({"vocabulary": ["a", "m"], "mask_token": "m"}, "mask token"),
    ({"vocabulary": ["a", "[UNK]"], "invert": True}, "oov token"),
    ({"vocabulary": []}, "empty"),
    ({"vocabulary": "/nope"}, "no such vocabulary file"),
    ({"salt": "x"}, "salt"),
    ({"vocabulary": ["a"], "output_mode": "tf_idf", "idf_weights": [1.0, 2.0]}, "one idf weight"),
]


@pytest.mark.parametrize("arguments, message", REFUSED)
def test_refused_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.StringLookup(**arguments)


def test_refused_calls():
    with pytest.raises(errors.InvalidArgument, match="lacks"):
        layers.StringLookup(vocabulary=LETTERS, num_oov_indices=0)(["a", "q"])
    for cls, data in ((layers.StringLookup, ["a"]), (layers.IntegerLookup, [1]), (layers.TextVectorization, ["a"])):
        with pytest.raises(errors.NotBuilt, match="no vocabulary"):
            cls()(data)
    with pytest.raises(errors.InvalidType, match="not all of this is text"):
        layers.StringLookup(vocabulary=LETTERS)([[1, 2]])
    with pytest.raises(errors.ShapeMismatch, match="unequal"):
        layers.StringLookup(vocabulary=LETTERS)([["a", "b"], ["c"]])
    with pytest.raises(errors.InvalidType, match="no integers"):
        layers.IntegerLookup(vocabulary=[1])(["a"])
    with pytest.raises(errors.ShapeMismatch, match="one item"):
        layers.TextVectorization(vocabulary=LETTERS)([["a b", "c"]])
    for arguments in ({"sparse": True, "output_mode": "count"}, {"ragged": True}):
        with pytest.raises(errors.Unsupported, match="do not exist"):
            layers.TextVectorization(**arguments)
    fixed = layers.StringLookup(output_mode="count")
    fixed.set_vocabulary(["a"])
    with pytest.raises(errors.StateError, match="cannot change"):
        fixed.set_vocabulary(["a", "b"])


def test_vocabulary_forms(tmp_path):
    (tmp_path / "words.txt").write_bytes("a\nb\r\né\n".encode())
    (tmp_path / "numbers.txt").write_text("5\n-7\n")
    from_file = layers.StringLookup(vocabulary=str(tmp_path / "words.txt"), num_oov_indices=2, mask_token="m")
    assert from_file.get_vocabulary() == ["m", "[UNK]", "[UNK]", "a", "b", "é"]
    assert from_file.get_config()["vocabulary"] is None
    assert layers.IntegerLookup(vocabulary=str(tmp_path / "numbers.txt")).get_vocabulary() == [-1, 5, -7]
    for vocabulary in (("a", "é"), np.array(["a", "é"]), ["[UNK]", "a", "é"], [b"a", "é".encode()]):
        assert layers.StringLookup(vocabulary=vocabulary).get_vocabulary() == ["[UNK]", "a", "é"]
    latin = layers.StringLookup(vocabulary=["é"], encoding="latin-1")
    assert array(latin([b"\xe9", b"\xc3\xa9"])).tolist() == [1, 0]
    broken = adapted(layers.StringLookup(), [b"\xff", b"\xff", b"ok"])  # no UTF-8, and still a term
    assert array(broken([b"\xff", b"ok", b"\xfe"])).tolist() == [1, 2, 0]


# Text -----------------------------------------------------------------------------------------------------------

TEXTS = ["Foo qux, BAR!", "qux it's baz-baz", "", "  one   two three four\tfive "]
WORDS = ["foo", "bar", "baz", "qux", "one", "two", "three"]
FULL = [[2, 5, 3, 0, 0], [5, 1, 1, 0, 0], [0, 0, 0, 0, 0], [6, 7, 8, 1, 1]]
COUNTS = [[0, 1, 1, 0, 1, 0, 0, 0], [2, 0, 0, 0, 1, 0, 0, 0], [0] * 8, [2, 0, 0, 0, 0, 1, 1, 1]]
VECTORIZED = [
    ({}, FULL),
    ({"output_sequence_length": 3}, [row[:3] for row in FULL]),
    ({"output_sequence_length": 6}, [[*row, 0] for row in FULL]),
    ({"standardize": None}, [[1, 1, 1, 0, 0], *FULL[1:]]),
    ({"standardize": "lower"}, [[2, 1, 1, 0, 0], *FULL[1:]]),
    ({"standardize": "strip_punctuation"}, [[1, 5, 1, 0, 0], *FULL[1:]]),
    ({"ngrams": 2}, [[2, 5, 3, 1, 1, 0, 0, 0, 0], [5, 1, 1, 1, 1, 0, 0, 0, 0], [0] * 9, [6, 7, 8, 1, 1, 1, 1, 1, 1]]),
    ({"ngrams": (2,)}, [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]),
    ({"ngrams": (3, 1)}, [[1, 2, 5, 3, 0, 0, 0, 0], [1, 5, 1, 1, 0, 0, 0, 0], [0] * 8, [1, 1, 1, 6, 7, 8, 1, 1]]),
    ({"output_mode": "multi_hot"}, np.minimum(COUNTS, 1).tolist()),
    ({"output_mode": "count"}, COUNTS),
    ({"output_mode": "count", "max_tokens": 10, "pad_to_max_tokens": True}, [[*row, 0, 0] for row in COUNTS]),
    (
        {"output_mode": "tf_idf", "idf_weights": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]},
        [[0, 0.1, 0.2, 0, 0.4, 0, 0, 0], [0.8, 0, 0, 0, 0.4, 0, 0, 0], [0] * 8, [0.8, 0, 0, 0, 0, 0.5, 0.6, 0.7]],
    ),
    ({"split": None}, [1, 1, 0, 1]),
    ({"split": None, "output_sequence_length": 2}, [1, 1]),
    ({"split": None, "ngrams": 2}, [1, 1, 0, 1, 1, 1, 1]),
    ({"split": None, "output_mode": "multi_hot"}, [1, 0, 0, 0, 0, 0, 0, 0]),
    (
        {"standardize": np.char.lower, "split": lambda x: [s.split(" ")[:2] for s in x]},
        [[2, 1], [5, 1], [0, 0], [0, 0]],
    ),
]


@pytest.mark.parametrize("arguments, expected", VECTORIZED)
def test_text_vectorization(arguments, expected):
    layer = layers.TextVectorization(vocabulary=WORDS, **arguments)
    np.testing.assert_allclose(array(layer(TEXTS)), expected, rtol=1e-6)
    if layer._split is not None:
        np.testing.assert_allclose(array(layer(np.array(TEXTS)[:, None])), expected, rtol=1e-6)


def test_text_vectorization_of_other_shapes(each_engine):
    layer = layers.TextVectorization(vocabulary=WORDS)
    nested = [[["foo bar q"], ["baz"]], [["one"], ["two three foo qux"]]]
    assert array(layer("foo bar q")).tolist() == [2, 3, 1]
    assert array(layer(nested)).tolist() == [[[2, 3, 1, 0], [4, 0, 0, 0]], [[6, 0, 0, 0], [7, 8, 2, 5]]]
    tokens = [["foo", "bar", "baz"], ["bar", "baz", "q"]]
    pairs = layers.TextVectorization(vocabulary=["foo", "bar baz", "foo bar"], split=None, ngrams=2)
    assert array(pairs(tokens)).tolist() == [[2, 1, 1, 4, 3], [1, 1, 1, 3, 1]]
    assert pairs.compute_output_shape((2, 3)) == (2, 5)


def test_characters_and_spaces():
    spaces = "a\u00a0b c\td\ne\u3000f\x1cg\x0bh\x0ci\rj\u2003k\u0085l\u2028m"
    words = adapted(layers.TextVectorization(standardize=None), [spaces])
    expected = {"a\xa0b", "c", "d", "e\u3000f\x1cg", "h", "i", "j\u2003k\x85l\u2028m"}
    assert set(words.get_vocabulary(include_special_tokens=False)) == expected
    by_character = layers.TextVectorization(standardize=None, split="character")
    characters = adapted(by_character, [b"h\xc3\xa9\xff\xe6\x97\xa5 e\xcc\x81"])
    found = characters.get_vocabulary(include_special_tokens=False)
    assert set(found) == {"h", "é", "\ufffd", "日", " ", "e", "\u0301"}
    lowered = adapted(layers.TextVectorization(), ["ÀÉ ABC ẞ İ"])  # only ASCII's letters are lowered
    assert set(lowered.get_vocabulary(include_special_tokens=False)) == {"ÀÉ", "abc", "ẞ", "İ"}


def test_adapt_texts():
    layer = adapted(layers.TextVectorization(), TEXTS)
    expected = ["", "[UNK]", "qux", "two", "three", "one", "its", "four", "foo", "five", "bazbaz", "bar"]
    assert layer.get_vocabulary() == expected
    pairs = adapted(layers.TextVectorization(ngrams=2, max_tokens=9), TEXTS)
    assert pairs.get_vocabulary()[2:] == ["qux", "two three", "two", "three four", "three", "qux its", "qux bar"]
    weighted = adapted(layers.TextVectorization(output_mode="tf_idf"), TEXTS)
    result = array(weighted(["foo qux qux", "zzz"]))
    expected = [[0, 1.6945956945419312, *[0] * 5, 1.0986123085021973, 0, 0, 0], [1.0734808444976807, *[0] * 10]]
    np.testing.assert_allclose(result, expected, rtol=1e-6)


# In models ------------------------------------------------------------------------------------------------------

REVIEWS = np.array([["good film"], ["bad, bad film"], ["good good"], ["so bad"]] * 4)
LABELS = np.array([1, 0, 1, 0] * 4)


def classifier(length=4, inside=False, start=True):
    kerata.utils.set_random_seed(1)
    vectorize = adapted(layers.TextVectorization(output_sequence_length=length), REVIEWS)
    first = [kerata.Input((1,), dtype="string")] if start else []
    first = [kerata.Sequential([*first, vectorize])] if inside else [*first, vectorize]
    model = kerata.Sequential([
        *first, layers.Embedding(10, 8, mask_zero=True), layers.GlobalAveragePooling1D(),
        layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    model.compile(kerata.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    return model


class Batches:
    def __len__(self):
        return 4

    def __iter__(self):
        return ((REVIEWS[i : i + 4], LABELS[i : i + 4]) for i in range(0, 16, 4))


KINDS = [(4, False, True), (None, False, True), (4, True, True), (4, False, False)]


@pytest.mark.parametrize("length, inside, start", KINDS)
@pytest.mark.parametrize("engine_name", ["jax", "torch"])
def test_a_model_that_starts_with_text(length, inside, start, engine_name):
    pytest.importorskip(engine_name)
    with engine.using(engine_name):
        model = classifier(length, inside, start)
        history = model.fit(REVIEWS, LABELS, epochs=12, batch_size=4, validation_split=0.25, verbose=0)
        assert history.history["val_accuracy"][-1] == 1
        assert model.evaluate(REVIEWS, LABELS, verbose=0, return_dict=True)["accuracy"] == 1
        predicted = model.predict(REVIEWS, verbose=0, batch_size=5)
        np.testing.assert_array_equal(predicted[:, 0] > 0.5, LABELS)
        same = functools.partial(np.testing.assert_allclose, desired=predicted, rtol=1e-5, atol=2e-7)  # 1 + e^x rounds
        same(array(model(REVIEWS)))
        same(model.predict_on_batch(REVIEWS))
        same(model.predict(REVIEWS.tolist(), verbose=0))
        same(model.predict(REVIEWS[:, 0], verbose=0))


def test_batches_of_text():
    """What comes in batches trains the model just as arrays do."""
    by_batches, by_arrays = classifier(), classifier()
    by_batches.fit(Batches(), epochs=2, verbose=0, validation_data=Batches())
    by_arrays.fit(REVIEWS, LABELS, epochs=1, batch_size=4, shuffle=False, verbose=0)
    by_arrays.fit(iter(Batches()), epochs=1, verbose=0)
    for one, other in zip(by_batches.get_weights(), by_arrays.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert by_arrays.train_on_batch(REVIEWS[:4], LABELS[:4]) is not None
    streamed = classifier(None)  # the width differs from batch to batch
    assert np.isfinite(streamed.fit(REVIEWS, LABELS, batch_size=3, verbose=0).history["loss"][0])


def columns():
    """A functional model of text, categories, ids beyond 32 bits and plain numbers; two layers read one input."""
    text, kind = kerata.Input((1,), dtype="string", name="text"), kerata.Input((1,), dtype="string", name="kind")
    code, size = kerata.Input((1,), dtype="int64", name="code"), kerata.Input((2,), name="size")
    vectorize = adapted(layers.TextVectorization(output_mode="tf_idf"), REVIEWS)
    kinds = layers.StringLookup(vocabulary=["x", "y"], output_mode="one_hot", num_oov_indices=2)
    codes = layers.IntegerLookup(vocabulary=[5, 2**40], num_oov_indices=0, output_mode="multi_hot")
    parts = [vectorize(text), kinds(text), kinds(kind), codes(code), size]
    model = kerata.Model([text, kind, code, size], layers.Concatenate()(parts))
    return model, {
        "text": np.array([["good"], ["x"]]), "kind": np.array([["y"], ["x"]]), "code": np.array([[2**40], [5]]),
        "size": np.array([[1.0, 2.0], [3.0, 4.0]], "float32"),
    }  # fmt: skip


@pytest.mark.parametrize("engine_name", ["jax", "torch"])
def test_several_inputs(engine_name):
    with engine.using(engine_name):
        model, data = columns()
        result = model.predict(data, verbose=0)
        np.testing.assert_allclose(model.predict(list(data.values()), verbose=0), result)
        assert result.shape == (2, 5 + 4 + 4 + 2 + 2) == (2, model.output_shape[1])
        assert result[:, -4:].tolist() == [[0, 1, 1, 2], [1, 0, 3, 4]]
        with pytest.raises(errors.InvalidArgument, match="lacks"):
            model.predict({**data, "code": np.array([[1], [2]])}, verbose=0)
        lookup = layers.StringLookup(vocabulary=["a"], output_mode="count")
        outer = kerata.Sequential([kerata.Input((1,), dtype="string"), lookup])
        again = kerata.Input((1,), dtype="string")
        assert kerata.Model(again, layers.Dense(3)(outer(again))).predict([["a"]], verbose=0).shape == (1, 3)


def test_a_model_of_ones_own():
    class Own(kerata.Model):
        def __init__(self):
            super().__init__()
            self.vectorize, self.embed = layers.TextVectorization(vocabulary=["a"]), layers.Embedding(3, 2)

        def call(self, x):
            return self.embed(self.vectorize(x))

    assert Own()(np.array([["a b"]])).shape == (1, 2, 2)
    with pytest.raises(errors.InvalidType, match="turn text"):
        Own().predict(np.array([["a b"]]), verbose=0)


def test_text_does_not_come_out_of_a_model():
    text = kerata.Input((1,), dtype="string")
    numbers = layers.StringLookup(vocabulary=["a"])(text)
    model = kerata.Model(text, layers.StringLookup(vocabulary=["a"], invert=True)(numbers))
    assert model(np.array([["a"], ["q"]])).tolist() == [["a"], ["[UNK]"]]
    with pytest.raises(errors.Unsupported, match="text goes where"):
        model.predict([["a"]], verbose=0)
    with pytest.raises(errors.Unsupported, match="no engine computes with text"):
        layers.Dense(2)(text)
    assert host_prefix.of(classifier()) is not None
    assert host_prefix.of(kerata.Sequential([kerata.Input((2,)), layers.Dense(1)])) is None


# Files ----------------------------------------------------------------------------------------------------------

FILE_DATA = [
    np.array([["the cat"], ["a DOG sat, é?"], ["日本 the unknown"], [""]]),
    np.array([["red"], ["mauve"], ["green"], ["pink"]]),
    np.array([[5], [9], [0], [77]]),
]
FILE_PREDICTIONS = [
    [0.2934980094432831, 0.37268394231796265], [0.4945065379142761, 0.05771665275096893],
    [0.2338745892047882, 0.5160183310508728], [0.5733001232147217, 0.21468424797058105],
]  # fmt: skip


@pytest.mark.parametrize("engine_name", ["jax", "torch"])
def test_a_file_of_keras_with_tensorflow(engine_name, tmp_path):
    with engine.using(engine_name):
        model = kerata.models.load_model(FILE)
        np.testing.assert_allclose(model.predict(FILE_DATA, verbose=0), FILE_PREDICTIONS, rtol=1e-5)
        assert model.get_layer("integer_lookup").get_vocabulary() == [-1, 5, 9, -3]
        model.save(tmp_path / "again.keras")
        again = kerata.models.load_model(tmp_path / "again.keras")
        np.testing.assert_allclose(again.predict(FILE_DATA, verbose=0), FILE_PREDICTIONS, rtol=1e-5)
    with zipfile.ZipFile(FILE) as theirs, zipfile.ZipFile(tmp_path / "again.keras") as ours:
        assets = [name for name in theirs.namelist() if name.startswith("assets/")]
        assert sorted(assets) == sorted(name for name in ours.namelist() if name.startswith("assets/"))
        assert [theirs.read(name) for name in assets] == [ours.read(name) for name in assets]


CONFIGS = {
    "StringLookup": (
        {"vocabulary": LETTERS, "mask_token": "", "name": "sl"},
        {
            "invert": False, "max_tokens": None, "num_oov_indices": 1, "oov_token": "[UNK]", "mask_token": "",
            "output_mode": "int", "sparse": False, "pad_to_max_tokens": False, "idf_weights": None,
            "vocabulary": LETTERS, "vocabulary_size": 6, "oov_method": "floormod", "salt": None, "encoding": "utf-8",
        },
    ),
    "IntegerLookup": (
        {"vocabulary": np.array([3, 4]), "name": "il"},
        {
            "invert": False, "max_tokens": None, "num_oov_indices": 1, "oov_token": -1, "mask_token": None,
            "output_mode": "int", "sparse": False, "pad_to_max_tokens": False, "vocabulary_dtype": "int64",
            "idf_weights": None, "vocabulary": [3, 4], "vocabulary_size": 3, "oov_method": "floormod", "salt": None,
        },
    ),
    "TextVectorization": (
        {"vocabulary": LETTERS, "name": "tv", "ngrams": (2, 3), "split": None, "standardize": None},
        {
            "max_tokens": None, "standardize": None, "split": None, "ngrams": [2, 3], "output_mode": "int",
            "output_sequence_length": None, "pad_to_max_tokens": False, "sparse": False, "ragged": False,
            "vocabulary": LETTERS, "idf_weights": None, "encoding": "utf-8", "vocabulary_size": 6,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_serialized_form(name):
    arguments, expected = CONFIGS[name]
    layer = getattr(layers, name)(**arguments)
    data = json.loads(json.dumps(layers.serialize(layer)))
    dtype = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": None}
    assert data["config"] == {"name": arguments["name"], "trainable": True, "dtype": dtype, **expected}
    assert (data["module"], data["class_name"], data["registered_name"]) == ("keras.layers", name, None)
    again = layers.deserialize(data)
    assert again.get_config() == layer.get_config()
    assert again.get_vocabulary() == layer.get_vocabulary()


@kerata.saving.register_keras_serializable("text")
def shout(x):
    return np.char.upper(x)


def test_functions_and_idf_weights_are_kept(tmp_path):
    vectorize = adapted(layers.TextVectorization(standardize=shout, output_mode="tf_idf"), ["a b", "b"])
    lookup = layers.IntegerLookup(vocabulary=[1, 2], idf_weights=np.array([0.5, 2.0]), output_mode="tf_idf")
    text, code = kerata.Input((1,), dtype="string"), kerata.Input((3,), dtype="int64")
    model = kerata.Model([text, code], [vectorize(text), lookup(code)])
    data = [[["a b b"]], np.array([[1, 2, 2]])]
    expected = model.predict(data, verbose=0)
    model.save(tmp_path / "m.keras")
    again = kerata.models.load_model(tmp_path / "m.keras")
    for one, other in zip(again.predict(data, verbose=0), expected):
        np.testing.assert_array_equal(one, other)
    assert again.get_layer(vectorize.name).get_vocabulary() == ["[UNK]", "B", "A"]


def rewritten(source, target, **changes):
    """Copy an archive with members changed, added (bytes) or left out (None)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if changes.get(name, b"") is not None:
                new.writestr(name, changes.pop(name, old.read(name)))
        for name, data in changes.items():
            if data is not None:
                new.writestr(name, data)
    return target


@pytest.fixture
def saved(tmp_path):
    layer = adapted(layers.StringLookup(name="words"), ["b", "b", "a", "", "x\u2028y"])
    kerata.Sequential([kerata.Input((1,), dtype="string"), layer]).save(tmp_path / "good.keras")
    return tmp_path / "good.keras"


VOCABULARY = "assets/layers/string_lookup/vocabulary.txt"


def test_vocabularies_are_assets(saved):
    with zipfile.ZipFile(saved) as archive:
        assert archive.read(VOCABULARY).decode() == "[UNK]\nb\nx\u2028y\na\n"
        assert json.loads(archive.read("config.json"))["config"]["layers"][1]["config"]["vocabulary"] is None
    assert kerata.models.load_model(saved).layers[0].get_vocabulary() == ["[UNK]", "b", "x\u2028y", "a", ""]


DAMAGED = {
    "no vocabulary": ({VOCABULARY: None}, "lacks the vocabulary"),
    "another size": ({VOCABULARY: b"[UNK]\nb"}, "another size"),
    "repeated": ({VOCABULARY: b"[UNK]\nb\nb\na\nc"}, "no vocabulary"),
    "a bomb": ({VOCABULARY: b"\n" * (100 << 20)}, "absurdly"),
    "a way out": ({"assets/../../evil.txt": b"x"}, "leaves it"),
    "an absolute path": ({"/assets/evil.txt": b"x"}, "leaves it"),
    "a folder for a file": ({f"{VOCABULARY}/x": b"x"}, "damaged, or of another kind"),
}


@pytest.mark.parametrize("row", DAMAGED)
def test_damaged_assets(row, saved, tmp_path):
    changes, message = DAMAGED[row]
    bad = rewritten(saved, tmp_path / "bad.keras", **changes)
    if row == "a bomb":
        with zipfile.ZipFile(saved) as old, zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, changes.get(name, old.read(name)))
    with pytest.raises(errors.CorruptFile, match=message):
        kerata.models.load_model(bad)
    assert not (tmp_path.parent / "evil.txt").exists()


def test_a_config_names_no_file(saved, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("s3cret\n")
    with zipfile.ZipFile(saved) as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][1]["config"]["vocabulary"] = str(secret)
    bad = rewritten(saved, tmp_path / "bad.keras", **{"config.json": json.dumps(config).encode()})
    with pytest.raises(errors.InvalidArgument, match="never makes files be read"):
        kerata.models.load_model(bad)
    with pytest.raises(errors.InvalidArgument, match="never makes files be read"):
        layers.TextVectorization.from_config({"vocabulary": str(secret)})


def test_terms_with_line_breaks_are_not_lost_silently(tmp_path):
    layer = adapted(layers.TextVectorization(split="character"), ["a\nb"])
    model = kerata.Sequential([kerata.Input((1,), dtype="string"), layer])
    with pytest.raises(errors.Unsupported, match="line break"):
        model.save(tmp_path / "m.keras")
    kept = layers.TextVectorization(split="character", vocabulary=layer.get_vocabulary())
    kerata.Sequential([kerata.Input((1,), dtype="string"), kept]).save(tmp_path / "m.keras")
    assert kerata.models.load_model(tmp_path / "m.keras").layers[0].get_vocabulary() == layer.get_vocabulary()


def test_layers_of_ones_own_have_assets(tmp_path):
    @kerata.saving.register_keras_serializable("text")
    class Noted(layers.Layer):
        note = ""

        def call(self, x):
            return x

        def save_assets(self, folder):
            Path(folder, "note.txt").write_text(self.note)

        def load_assets(self, folder):
            self.note = Path(folder, "note.txt").read_text()

    layer = Noted()
    layer.note = "remember"
    kerata.Sequential([kerata.Input((2,)), layer]).save(tmp_path / "m.keras")
    assert kerata.models.load_model(tmp_path / "m.keras").layers[0].note == "remember"
