"""Five whole programs, trained here and in real Keras from the same start: the same curves, within rounding.

Each program is a function of the package that makes a compiled model as a user writes it, and says what it is fitted
to. What rounding does is measured: Keras itself is trained twice more, its first weights changed in their last bit.
A value of the history may then differ from Keras's by 1e-5 of itself, or by ten times what those changes do where that
is more, and never by more than `MOST`.
"""

import keras
import numpy as np
import pytest

import kerata

MOST = 2e-4
rng = np.random.default_rng(11)
(DIGITS, NUMBERS), _ = kerata.datasets.mnist.load_data()
DIGITS, NUMBERS = DIGITS[:400, ..., None].astype("float32") / 255, NUMBERS[:400]

PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


@program
def image_classifier(k):
    model = k.Sequential(
        [
            k.Input((28, 28, 1)),
            k.layers.Conv2D(8, 3, use_bias=False),
            k.layers.BatchNormalization(momentum=0.8),
            k.layers.Activation("relu"),
            k.layers.MaxPooling2D(2),
            k.layers.Conv2D(12, 3, activation="relu", padding="same", kernel_regularizer=k.regularizers.L2(1e-3)),
            k.layers.MaxPooling2D(2),
            k.layers.Flatten(),
            k.layers.Dense(24, activation="relu"),
            k.layers.Dense(10, activation="softmax"),
        ]
    )
    top = k.metrics.SparseTopKCategoricalAccuracy(3, name="top")
    model.compile(k.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy", top])
    return model, {"x": DIGITS, "y": NUMBERS, "validation_split": 0.2, "batch_size": 32}


PRAISE = "a warm and clever film", "I laughed all evening", "what a lovely cast", "the best story of the year", "bravo"
BLAME = "a dull and noisy film", "I slept all evening", "what a tired cast and plot", "the worst story", "no", "a bore"
LINK = "", "and", "my friend said", "to be honest with you"
SENTENCES = [f"{a} {link} {b}" for side in (PRAISE, BLAME) for a in side for b in side for link in LINK]
MOOD = np.array([words.startswith(PRAISE) for words in SENTENCES], "float32")
ORDER = rng.permutation(len(SENTENCES))


@program
def text_classifier(k):
    # Keras's TextVectorization needs TensorFlow, so that both models are given the numbers that ours makes of words.
    vectorize = kerata.layers.TextVectorization(max_tokens=30, output_sequence_length=12)
    vectorize.adapt(SENTENCES)
    x, y = np.asarray(vectorize(SENTENCES))[ORDER], MOOD[ORDER]
    assert (x == 0).any() and (x == 1).any()  # some padded, and some words not known

    words = k.Input((12,), dtype="int32")
    h = k.layers.Embedding(30, 8, mask_zero=True)(words)
    h = k.layers.Bidirectional(k.layers.LSTM(6, return_sequences=True))(h)
    h = k.layers.LSTM(6)(h)
    model = k.Model(words, k.layers.Dense(1, activation="sigmoid")(h))
    model.compile(k.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy", k.metrics.AUC(name="auc")])
    return model, {"x": x[:160], "y": y[:160], "validation_data": (x[160:], y[160:]), "batch_size": 16}


ROWS = 300
AGE = rng.uniform(18, 80, (ROWS, 1)).astype("float32")
SIZES = rng.lognormal(3, 1, (ROWS, 3)).astype("float32")
CITY = rng.choice(["Bern", "Lima", "Oslo", "Pune"], (ROWS, 1))
KINDS = rng.integers(0, 5, (ROWS, 2))
PRICE = 0.02 * AGE + np.log(SIZES).sum(-1, keepdims=True) / 3 + (CITY == "Oslo") + (KINDS == 2).any(-1, keepdims=True)


@program
def table_with_preprocessing(k):
    # Keras's StringLookup needs TensorFlow, so that both models are given the numbers of the cities.
    city = np.asarray(kerata.layers.StringLookup(vocabulary=["Bern", "Lima", "Oslo"])(CITY))
    x = {"age": AGE, "sizes": SIZES, "city": city, "kinds": KINDS}
    normalize, bins = k.layers.Normalization(), k.layers.Discretization(num_bins=4, output_mode="one_hot")
    normalize.adapt(SIZES)
    if k is keras:  # its `adapt` asks for TensorFlow, though only to know what it has been given
        bins.update_state(AGE)
        bins.finalize_state()
    else:
        bins.adapt(AGE)
    inputs = {
        name: k.Input(v.shape[1:], name=name, dtype="float32" if v.dtype == "float32" else "int32")
        for name, v in x.items()
    }
    h = k.layers.Concatenate()(
        [
            bins(inputs["age"]),
            normalize(inputs["sizes"]),
            k.layers.Flatten()(k.layers.Embedding(4, 2)(inputs["city"])),
            k.layers.CategoryEncoding(5, output_mode="multi_hot")(inputs["kinds"]),
        ]
    )
    h = k.layers.Dense(16, activation="relu")(h)
    h = k.layers.LayerNormalization()(k.layers.Dropout(0.0)(h))
    model = k.Model(list(inputs.values()), k.layers.Dense(1)(h))  # the data come by name, and not in this order
    optimizer = k.optimizers.Adam(5e-3, weight_decay=1e-3, clipnorm=1.0)
    percent = k.metrics.MeanAbsolutePercentageError(name="percent")
    model.compile(optimizer, "mse", metrics=["mae", k.metrics.RootMeanSquaredError(name="rmse"), percent])
    weight = np.where(AGE[:, 0] > 60, 0.5, 1.0).astype("float32")
    return model, {"x": x, "y": PRICE, "sample_weight": weight, "validation_split": 0.25, "batch_size": 32}


@program
def autoencoder(k):
    image = k.Input((28, 28, 1))
    h = k.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(image)
    h = k.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(h)
    code = k.layers.Dense(16, name="code")(k.layers.Flatten()(h))
    h = k.layers.Reshape((7, 7, 8))(k.layers.Dense(7 * 7 * 8, activation="relu")(code))
    h = k.layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu")(h)
    h = k.layers.UpSampling2D(2, interpolation="bilinear")(h)
    decoded = k.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(h)
    model = k.Model(image, decoded)
    model.compile(k.optimizers.Adam(2e-3), "binary_crossentropy", metrics=["mse"])
    return model, {"x": DIGITS[:256], "y": DIGITS[:256], "validation_data": (DIGITS[256:320],) * 2, "batch_size": 32}


@program
def two_digits_compared_and_added(k):
    reader = k.Sequential(
        [
            k.Input((28, 28, 1)),
            k.layers.AveragePooling2D(2),
            k.layers.Conv2D(8, 3, strides=2, activation="gelu"),
            k.layers.Flatten(),
            k.layers.Dense(16, activation="tanh"),
        ]
    )
    left, right = k.Input((28, 28, 1), name="left"), k.Input((28, 28, 1), name="right")
    a, b = reader(left), reader(right)  # the same weights read both
    order = k.layers.Dense(3, activation="softmax", name="order")(k.layers.Subtract()([a, b]))
    total = k.layers.Dense(1, name="total")(k.layers.Dense(8, activation="relu")(k.layers.Add()([a, b])))
    model = k.Model({"left": left, "right": right}, {"order": order, "total": total})
    rate = k.optimizers.schedules.CosineDecay(0.0, 30, warmup_target=0.02, warmup_steps=6)
    model.compile(
        k.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        loss={"order": "sparse_categorical_crossentropy", "total": "huber"},
        loss_weights={"order": 1.0, "total": 0.25},
        metrics={"order": ["accuracy"], "total": ["mae", "mse"]},
    )
    first, second = NUMBERS[:200].astype("int32"), NUMBERS[200:].astype("int32")
    x = {"left": DIGITS[:200], "right": DIGITS[200:]}
    y = {"order": np.sign(first - second) + 1, "total": (first + second)[:, None].astype("float32")}
    past, rest = ({name: v[rows] for name, v in x.items()} for rows in (slice(160), slice(160, 200)))
    y_past, y_rest = ({name: v[rows] for name, v in y.items()} for rows in (slice(160), slice(160, 200)))
    return model, {"x": past, "y": y_past, "validation_data": (rest, y_rest), "batch_size": 32}


def curves(model, epochs, **data):
    """Train; return the history, one array for each of its names, and what the model predicts then."""
    history = model.fit(**data, epochs=epochs, shuffle=False, verbose=0).history
    assert all(len(values) == epochs for values in history.values())
    predicted = model.predict(data["x"], verbose=0)
    named = predicted if isinstance(predicted, dict) else {"output": predicted}
    return {name: np.array(v) for name, v in history.items()} | {f"predicted {name}": v for name, v in named.items()}


def gap(came, true):
    """Return how far two results are apart: relative to each value of a history, or to the greatest predicted."""
    return np.max(np.abs(came - true) / (np.abs(true) if true.ndim == 1 else np.max(np.abs(true))))


def begin(model, weights, slots):
    """Give the model these first weights, and its optimizer these numbers."""
    model.set_weights(weights)
    for variable, value in zip(model.optimizer.variables, slots, strict=True):
        variable.assign(value)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_curves_are_those_of_keras(name, epochs=5):
    keras.utils.set_random_seed(1)
    (theirs, data), (ours, _) = (PROGRAMS[name](k) for k in (keras, kerata))
    for variable, value in zip(ours.trainable_variables, theirs.trainable_variables, strict=True):
        variable.assign(np.asarray(value.value))
    theirs.optimizer.build(theirs.trainable_variables)
    start, slots = theirs.get_weights(), [np.array(v.value) for v in theirs.optimizer.variables]

    true, came = curves(theirs, epochs, **data), curves(ours, epochs, **data)
    assert set(came) == set(true)
    assert true["loss"][-1] < 0.9 * true["loss"][0]  # or there is nothing to compare
    own, draw = dict.fromkeys(true, 0.0), np.random.default_rng(5)
    for _ in range(2):
        begin(theirs, [w * (1 + 6e-8 * draw.normal(size=w.shape).astype("float32")) for w in start], slots)
        own = {key: max(own[key], gap(value, true[key])) for key, value in curves(theirs, epochs, **data).items()}
    for key in true:
        bar = min(max(1e-5, 10 * own[key]), MOST)
        assert gap(came[key], true[key]) <= bar, f"{key}: {came[key]}, not {true[key]}; Keras from itself: {own[key]}"
