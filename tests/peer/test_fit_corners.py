"""What `fit`, `evaluate` and `predict` do at their corners, here and in real Keras, from the same weights.

Each corner is a function of the package: it makes a model whose first weights are `start`'s, uses it, and returns what
a user would see: histories, results, weights. (What `add_loss` adds stands in test_training.py with its numbers: Keras
tells such losses apart by their `id()`, which Python gives to another object later, so that now and then one is lost.)
"""

import keras
import numpy as np
import pytest

import kerata

rng = np.random.default_rng(3)
X, X2 = rng.normal(size=(40, 6)).astype("float32"), rng.normal(size=(40, 3)).astype("float32")
CLASS = rng.integers(0, 3, 40)
PRICE = rng.normal(size=(40, 1)).astype("float32")
WEIGHT = rng.uniform(0, 2, 40).astype("float32")
WORDS = rng.integers(0, 9, (40, 7)) * (np.arange(7) < rng.integers(2, 8, (40, 1)))
TAGS = rng.integers(0, 3, (40, 7))

CORNERS = {}


def corner(function):
    CORNERS[function.__name__] = function
    return function


def started(model):
    """Give the weights of the model the same values in both packages, by their order and shapes."""
    draw = np.random.default_rng(7)
    model.set_weights([draw.normal(0, 0.5, w.shape).astype("float32") for w in model.get_weights()])
    return model


def two_outputs(k, form="list"):
    a, b = k.Input((6,), name="a"), k.Input((3,), name="b")
    x = k.layers.Dense(8, activation="tanh")(k.layers.Concatenate()([a, b]))
    kind = k.layers.Dense(3, activation="softmax", name="kind")(x)
    price = k.layers.Dense(1, name="price")(x)
    outputs = {"list": [kind, price], "dict": {"kind": kind, "price": price}}[form]
    return started(k.Model([a, b] if form == "list" else {"a": a, "b": b}, outputs))


def small(k, units=3, activation="softmax", **dense):
    return started(
        k.Sequential([k.Input((6,)), k.layers.Dense(8, "tanh", **dense), k.layers.Dense(units, activation)])
    )


def batches(size=8, forever=False, weighted=False):
    while True:
        for i in range(0, 40, size):
            rows = slice(i, i + size)
            yield (X[rows], CLASS[rows], WEIGHT[rows]) if weighted else (X[rows], CLASS[rows])
        if not forever:
            return


PLAIN = {"shuffle": False, "verbose": 0, "batch_size": 16}
SPARSE = "sparse_categorical_crossentropy"


@corner
def outputs_in_a_list(k):
    model = two_outputs(k)
    model.compile("sgd", [SPARSE, "mse"], loss_weights=[1.0, 0.3], metrics=[["accuracy"], ["mae", "mse"]])
    history = model.fit([X, X2], [CLASS, PRICE], epochs=2, validation_split=0.2, **PLAIN).history
    return history, model.evaluate([X, X2], [CLASS, PRICE], verbose=0), model.predict([X, X2], verbose=0)


@corner
def outputs_in_a_list_by_names(k):
    model = two_outputs(k)
    model.compile(
        "sgd", {"kind": SPARSE, "price": "mse"}, loss_weights={"kind": 0.5, "price": 2.0},
        metrics={"kind": ["accuracy"], "price": "mae"}, weighted_metrics={"price": ["mae"]},
    )  # fmt: skip
    y, weights = {"kind": CLASS, "price": PRICE}, {"kind": WEIGHT, "price": 1 - WEIGHT / 3}
    if k is keras:  # raises a KeyError for dicts, where the outputs are a list and the metrics a dict
        y, weights = list(y.values()), list(weights.values())
    history = model.fit({"a": X, "b": X2}, y, sample_weight=weights, epochs=2, **PLAIN).history
    return history, model.evaluate({"a": X, "b": X2}, y, verbose=0, return_dict=True)


@corner
def outputs_in_a_dict(k):
    model = two_outputs(k, "dict")
    model.compile("sgd", {"kind": SPARSE, "price": "mse"}, metrics={"kind": "accuracy"})
    history = model.fit({"a": X, "b": X2}, {"kind": CLASS, "price": PRICE}, epochs=1, **PLAIN).history
    return history, model.predict({"a": X, "b": X2}, verbose=0)


@corner
def one_output_has_no_loss(k):
    model = two_outputs(k)
    model.compile("sgd", [SPARSE, None], metrics=[["accuracy"], None])
    return model.fit([X, X2], [CLASS, PRICE], epochs=1, **PLAIN).history


@corner
def one_loss_and_one_metric_for_all_outputs(k):
    model = two_outputs(k)
    model.compile("sgd", "mse", metrics=["mae", "mse"])
    y = [np.eye(3, dtype="float32")[CLASS], PRICE]
    return model.fit([X, X2], y, epochs=1, sample_weight=[WEIGHT, WEIGHT], **PLAIN).history


@corner
def metrics_of_the_same_name(k):
    model = small(k)
    model.compile("sgd", SPARSE, metrics=["accuracy"], weighted_metrics=["accuracy"])
    return model.fit(X, CLASS, sample_weight=WEIGHT, epochs=1, **PLAIN).history


@corner
def endless_generator(k):
    model = small(k)
    model.compile("sgd", SPARSE, metrics=["accuracy"])
    history = model.fit(
        batches(forever=True, weighted=True), steps_per_epoch=3, epochs=3, validation_data=batches(forever=True),
        validation_steps=2, validation_freq=[1, 3], verbose=0,
    ).history  # fmt: skip
    return history, model.evaluate(batches(forever=True), steps=4, verbose=0), model.get_weights()


@corner
def validation_with_weights(k):
    model = small(k)
    model.compile("sgd", SPARSE, weighted_metrics=["accuracy"])
    validation = {"validation_data": (X[:10], CLASS[:10], WEIGHT[:10]), "validation_batch_size": 4}
    return model.fit(X, CLASS, **validation, epochs=4, validation_freq=2, **PLAIN).history


@corner
def steps_with_arrays(k):
    model = small(k)
    model.compile("sgd", SPARSE, metrics=["accuracy"])
    validation = {"validation_data": (X, CLASS), "validation_steps": 1}
    return model.fit(X, CLASS, steps_per_epoch=2, epochs=1, **validation, **PLAIN).history


def tagger(k):
    words = k.Input((7,), dtype="int32")
    x = k.layers.Embedding(9, 5, mask_zero=True)(words)
    x = k.layers.LSTM(6, return_sequences=True)(x)
    return started(k.Model(words, k.layers.Dense(3, activation="softmax")(x)))


@corner
def masks_reach_losses_and_metrics(k):
    model = tagger(k)
    model.compile("sgd", SPARSE, metrics=["accuracy"], weighted_metrics=["accuracy", SPARSE])
    history = model.fit(WORDS, TAGS, epochs=2, **PLAIN).history
    # While it trains on JAX, Keras forgets the mask in the metrics, which its `evaluate` has.
    return history["loss"], model.evaluate(WORDS, TAGS, verbose=0, return_dict=True), model.get_weights()


@corner
def masks_and_weights_of_samples_and_steps(k):
    model = tagger(k)
    model.compile("sgd", SPARSE, weighted_metrics=["accuracy"])
    of_samples = np.outer(WEIGHT, np.ones(7)) if k is keras else WEIGHT  # which Keras does not take beside a mask
    model.fit(WORDS, TAGS, sample_weight=of_samples, epochs=1, **PLAIN)
    of_steps = np.outer(WEIGHT, np.arange(7.0))
    model.fit(WORDS, TAGS, sample_weight=of_steps, epochs=1, **PLAIN)
    return model.get_weights(), model.evaluate(WORDS, TAGS, sample_weight=of_steps, verbose=0)


@corner
def class_weights(k):
    model = small(k)
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    y = np.eye(3, dtype="float32")[CLASS]
    history = model.fit(X, y, class_weight={0: 3.0, 2: 0.1}, validation_data=(X, y), epochs=2, **PLAIN).history
    return history, model.get_weights()


@corner
def class_weights_and_sample_weights(k):
    model = small(k)
    model.compile("sgd", SPARSE)
    if k is keras:  # takes no class weights beside sample weights, and none for a generator
        of_class = np.array([3.0, 0.5, 1.0])[CLASS]
        return model.fit(X, CLASS, sample_weight=WEIGHT * of_class, shuffle=False, batch_size=8, verbose=0).history
    return model.fit(batches(weighted=True), class_weight={0: 3.0, 1: 0.5}, epochs=1, verbose=0).history


@corner
def freezing_after_compile(k):
    model = small(k)
    model.compile(k.optimizers.SGD(0.1, momentum=0.9), SPARSE)
    model.fit(X, CLASS, epochs=1, **PLAIN)
    model.layers[0].trainable = False
    model.compile(k.optimizers.SGD(0.1, momentum=0.9), SPARSE)
    frozen = model.fit(X, CLASS, epochs=1, **PLAIN).history
    model.layers[0].trainable = True
    model.compile(k.optimizers.SGD(0.1, momentum=0.9), SPARSE)
    return frozen, model.fit(X, CLASS, epochs=1, **PLAIN).history, model.get_weights()


@corner
def no_loss_but_what_layers_add(k):
    model = small(k, kernel_regularizer="l2")
    model.compile("sgd")
    return model.fit(X, epochs=2, **PLAIN).history, model.get_weights()


@corner
def recompiling_and_going_on(k):
    model = small(k)
    model.compile("adam", SPARSE, metrics=["accuracy"])
    first = model.fit(X, CLASS, epochs=2, **PLAIN)
    second = model.fit(X, CLASS, initial_epoch=2, epochs=4, **PLAIN)
    # With no metrics at all Keras keeps those of before.
    model.compile(k.optimizers.SGD(k.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)), "mse", metrics=["mae"])
    third = model.fit(X, np.eye(3, dtype="float32")[CLASS], epochs=2, **PLAIN)
    return [h.history for h in (first, second, third)], [first.epoch, second.epoch, third.epoch], model.get_weights()


@corner
def batches_by_hand(k):
    model = small(k)
    model.compile("sgd", SPARSE, metrics=["accuracy"])
    seen = [model.train_on_batch(X[i : i + 8], CLASS[i : i + 8]) for i in range(0, 40, 8)]
    seen.append(model.train_on_batch(X, CLASS, sample_weight=WEIGHT))
    seen.append(model.train_on_batch(X, CLASS, class_weight={0: 2.0}))
    seen.append(model.test_on_batch(X[:8], CLASS[:8]))
    model.reset_metrics()
    told = model.test_on_batch(X, CLASS, return_dict=True)
    return seen, told, model.predict_on_batch(X[:5])


@corner
def losses_of_functions_and_objects(k):
    def twice(y_true, y_pred):
        return 2.0 * k.ops.mean(k.ops.abs(y_true - y_pred), axis=-1)

    def nearly(y_true, y_pred):
        return k.ops.cast(k.ops.abs(y_true - y_pred) < 0.5, "float32")

    model = small(k, 1, None)
    model.compile("sgd", twice, metrics=[nearly, k.metrics.MeanSquaredError(name="square"), k.losses.huber])
    history = model.fit(X, PRICE, epochs=1, sample_weight=WEIGHT, **PLAIN).history
    model.compile("sgd", k.losses.MeanSquaredError(reduction="sum"), metrics=["mae"])
    return history, model.fit(X, PRICE[:, 0], epochs=1, **PLAIN).history, model.get_weights()


@corner
def overridden_loss_and_metrics(k):
    class Own(k.Model):
        def __init__(self):
            super().__init__()
            self.dense = k.layers.Dense(3, "softmax")
            self.tracker = k.metrics.Mean(name="tracked")

        def call(self, x, training=False):
            return self.dense(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            loss = super().compute_loss(x, y, y_pred, sample_weight) + 0.1 * k.ops.mean(k.ops.square(y_pred))
            self.tracker.update_state(loss)
            return loss

        def compute_metrics(self, x, y, y_pred, sample_weight):
            results = super().compute_metrics(x, y, y_pred, sample_weight)
            results["largest"] = k.ops.max(y_pred)
            return results

        @property
        def metrics(self):
            return [*super().metrics]

    model = Own()
    model(X)
    started(model).compile("sgd", SPARSE, metrics=["accuracy"])
    return model.fit(X, CLASS, epochs=2, validation_data=(X, CLASS), **PLAIN).history


@corner
def a_step_that_takes_and_returns_the_state(k):
    import jax

    class Own(k.Model):
        def __init__(self):
            super().__init__()
            self.norm, self.dense = k.layers.BatchNormalization(), k.layers.Dense(3, "softmax")

        def call(self, x, training=False):
            return self.dense(self.norm(x, training=training))

        def loss_and_rest(self, trainable, other, x, y):
            y_pred, other = self.stateless_call(trainable, other, x, training=True)
            return self.compute_loss(x, y, y_pred), (y_pred, other)

        def train_step(self, state, data):
            trainable, other, slots, counts = state
            x, y = data
            gradient = jax.value_and_grad(self.loss_and_rest, has_aux=True)
            (loss, (y_pred, other)), gradients = gradient(trainable, other, x, y)
            trainable, slots = self.optimizer.stateless_apply(slots, gradients, trainable)
            return self.logs_after(counts, loss, y, y_pred, (trainable, other, slots))

        def test_step(self, state, data):
            trainable, other, counts = state
            x, y = data
            y_pred, other = self.stateless_call(trainable, other, x, training=False)
            return self.logs_after(counts, self.compute_loss(x, y, y_pred), y, y_pred, (trainable, other))

        def logs_after(self, counts, loss, y, y_pred, state):
            logs, after = {}, []
            for metric in self.metrics:
                before = counts[len(after) : len(after) + len(metric.variables)]
                now = metric.stateless_update_state(before, *((loss,) if metric.name == "loss" else (y, y_pred)))
                after += now
                result = metric.stateless_result(now)
                logs.update(result if isinstance(result, dict) else {metric.name: result})
            return logs, (*state, after)

    model = Own()
    model(X)
    started(model).compile("adam", SPARSE, metrics=["accuracy"])
    history = model.fit(X, CLASS, epochs=2, validation_data=(X, CLASS), **PLAIN).history
    return history, model.get_weights(), model.predict(X, verbose=0)


@corner
def several_steps_in_one_execution(k):
    model = small(k)
    model.compile("sgd", SPARSE, metrics=["accuracy"], steps_per_execution=2)
    return model.fit(X, CLASS, epochs=2, shuffle=False, verbose=0, batch_size=10).history, model.get_weights()


@corner
def eagerly_and_uncompiled(k):
    model = small(k)
    model.compile("sgd", SPARSE, metrics=["accuracy"], run_eagerly=True)
    first = model.fit(X, CLASS, epochs=1, **PLAIN).history
    model.compile("sgd", SPARSE, metrics=["accuracy"], jit_compile=False)
    return first, model.fit(X, CLASS, epochs=1, **PLAIN).history


@corner
def layers_with_a_training_flag(k):
    model = started(k.Sequential([k.Input((6,)), k.layers.BatchNormalization(momentum=0.5), k.layers.Dense(1)]))
    model.compile("sgd", "mse")
    history = model.fit(X, PRICE, epochs=2, validation_data=(X, PRICE), **PLAIN).history
    return history, model.get_weights(), model.predict(X, verbose=0)


@corner
def nested_outputs(k):
    inputs = k.Input((6,))
    a, b = k.layers.Dense(2, name="a")(inputs), k.layers.Dense(1, name="b")(inputs)
    model = started(k.Model(inputs, {"first": a, "rest": {"second": b}}))
    y = {"first": X[:, :2], "rest": {"second": PRICE}}
    model.compile("sgd", {"first": "mse", "rest": {"second": "mae"}})
    return model.fit(X, y, epochs=1, **PLAIN).history, model.predict(X, verbose=0)


@corner
def prediction_from_a_generator(k):
    model = two_outputs(k)
    parts = (([X[i : i + 7], X2[i : i + 7]],) for i in range(0, 40, 7))
    return model.predict(parts, verbose=0), model.predict([X, X2], batch_size=9, steps=2, verbose=0)



def alike(ours, theirs, where):
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs), where  # Keras's JAX backend sorts them
        for key, value in theirs.items():
            alike(ours[key], value, f"{where}[{key!r}]")
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs), where
        for i, value in enumerate(theirs):
            alike(ours[i], value, f"{where}[{i}]")
    elif isinstance(theirs, str):
        assert ours == theirs, where
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6, err_msg=where)


@pytest.mark.parametrize("name", CORNERS)
def test_corner(name):
    alike(CORNERS[name](kerata), CORNERS[name](keras), name)
