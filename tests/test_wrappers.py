"""Models as estimators of scikit-learn: its own checks, and facts about labels, searches, copies and mistakes."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import kerata
from kerata import layers, losses, wrappers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
NAMES = np.array(["cat", "dog", "elk"])[np.argmax(X, axis=1)]
PETS = np.where(X[:, 0] > 0, "dog", "cat")


@pytest.fixture
def on_torch():
    """Let steps run one by one and cheaply: scikit-learn's checks fit several hundred models."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with kerata.engine.using("torch"):
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def in_doubles(on_torch):
    kerata.config.set_floatx("float64")
    yield
    kerata.config.set_floatx("float32")


def network(X, y, loss="mse", activation=None, units=None, hidden=16):
    """A network that starts at the same place each time, so that two fits agree."""
    outputs = units or (1 if y is None else y.shape[1])
    model = kerata.Sequential([
        kerata.Input((X.shape[1],)),
        layers.Dense(hidden, "relu", kernel_initializer=kerata.initializers.GlorotUniform(seed=1)),
        layers.Dense(outputs, activation, kernel_initializer=kerata.initializers.GlorotUniform(seed=2)),
    ])  # fmt: skip
    model.compile(kerata.optimizers.Adam(0.05), loss)
    return model


FIT = {"epochs": 10, "batch_size": 512, "shuffle": False, "verbose": 0}


# scikit-learn's own checks --------------------------------------------------------------------------------------


class _Seeded:
    """With `network` and no shuffling an estimator promises more than it can for any model, and is asked for more."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        for kind in (tags.classifier_tags, tags.regressor_tags):
            if kind is not None:
                kind.poor_score = False
        return tags


@pytest.mark.parametrize(
    ("cls", "loss", "activation"),
    [
        (wrappers.SKLearnClassifier, losses.CategoricalCrossentropy, "softmax"),
        (wrappers.SKLearnRegressor, losses.MeanSquaredError, None),
        (wrappers.SKLearnTransformer, losses.MeanSquaredError, None),
    ],
    ids=lambda x: getattr(x, "__name__", str(x)),
)
def test_scikit_learns_own_checks(in_doubles, cls, loss, activation):
    arguments = {"loss": loss(reduction="mean_with_sample_weight"), "activation": activation}
    estimator = type(cls.__name__, (_Seeded, cls), {"__module__": __name__, "__init__": cls.__init__})
    globals()[cls.__name__] = estimator  # where pickle looks for it
    told = []

    def note(check_name, status, exception, **_):
        told.append((status, check_name, str(exception)[:300]))

    check_estimator(
        estimator(network, model_kwargs=arguments, fit_kwargs=FIT), on_fail=None, on_skip=None, callback=note
    )
    assert len(told) > 50
    # The one that is skipped asks for an environment variable of SciPy's, set before SciPy is imported.
    assert [t for t in told if t[0] != "passed" and t[:2] != ("skipped", "check_array_api_input")] == []


# Classes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "units", "activation", "loss"),
    [
        (NAMES, 3, "softmax", "categorical_crossentropy"),
        (NAMES, 3, "softmax", "sparse_categorical_crossentropy"),
        (NAMES, 5, None, losses.SparseCategoricalCrossentropy(from_logits=True)),
        (NAMES, 3, "sigmoid", "binary_crossentropy"),
        (NAMES, 3, None, losses.BinaryCrossentropy(from_logits=True)),
        (PETS, 1, "sigmoid", "binary_crossentropy"),
        (PETS, 1, None, losses.BinaryCrossentropy(from_logits=True)),
        (PETS, 2, "softmax", "categorical_crossentropy"),
        (np.unique(NAMES, return_inverse=True)[1] * 10 - 7, 3, "softmax", "categorical_crossentropy"),
    ],
    ids=str,
)
def test_labels_of_any_kind_reach_any_loss(on_torch, labels, units, activation, loss):
    arguments = {"units": units, "activation": activation, "loss": loss}
    classifier = wrappers.SKLearnClassifier(network, model_kwargs=arguments, fit_kwargs={**FIT, "epochs": 40})
    classifier.fit(X, labels, validation_data=(X[:9], labels[:9]))
    predicted, probabilities = classifier.predict(X), classifier.predict_proba(X)
    assert classifier.score(X, labels) > 0.9
    assert predicted.dtype == labels.dtype and list(classifier.classes_) == sorted(set(labels))
    assert probabilities.shape == (60, len(set(labels)))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(classifier.classes_[probabilities.argmax(axis=1)], predicted)
    assert classifier.decision_function(X).shape == ((60,) if labels is PETS else (60, 3))
    assert classifier.epoch_ == 40 and len(classifier.history_.history["val_loss"]) == 40


def test_weights_of_classes_and_rows_choose_what_is_learnt(on_torch):
    """The inputs say nothing, so the weights alone decide."""
    same, labels = np.ones((20, 2)), np.array(["a"] * 15 + ["b"] * 5)
    arguments = {"loss": losses.CategoricalCrossentropy(reduction="mean_with_sample_weight"), "activation": "softmax"}
    classifier = wrappers.SKLearnClassifier(network, model_kwargs=arguments, fit_kwargs={**FIT, "epochs": 60})

    def chance(**given):
        return classifier.fit(same, labels, **given).predict_proba(same)[0, 1]

    assert chance() == pytest.approx(0.25, abs=0.02)
    assert chance(class_weight="balanced") == pytest.approx(0.5, abs=0.02)
    assert chance(class_weight={"b": 9.0}) == pytest.approx(0.75, abs=0.02)
    assert chance(sample_weight=np.arange(20) >= 10) == pytest.approx(0.5, abs=0.02)


def test_several_targets_and_one(on_torch):
    two = np.stack([X[:, 0], X[:, 1] - X[:, 2]], axis=1)
    regressor = wrappers.SKLearnRegressor(network, fit_kwargs={**FIT, "epochs": 60})
    assert regressor.fit(X, two).predict(X).shape == (60, 2) and regressor.score(X, two) > 0.8
    assert regressor.fit(X, two[:, 0]).predict(X).shape == (60,)
    assert regressor.fit(X, two[:, :1]).predict(X).shape == (60, 1)


def test_a_transformer_names_its_columns_and_may_learn_without_targets(on_torch):
    class Autoencoder(kerata.Sequential):
        def train_step(self, data):
            return super().train_step((data[0], data[0]) if isinstance(data, tuple) else (data, data))

    def autoencoder(X, y):
        model = Autoencoder([kerata.Input((3,)), layers.Dense(3)])
        model.compile("adam", "mse")
        return model

    transformer = wrappers.SKLearnTransformer(autoencoder, fit_kwargs=FIT).set_output(transform="pandas")
    frame = transformer.fit_transform(X)
    assert list(frame.columns) == [f"sklearntransformer{i}" for i in range(3)]
    assert transformer.history_.history["loss"][-1] < transformer.history_.history["loss"][0]


# Searches and pipelines, on the engine that people use ----------------------------------------------------------


def test_pipelines_and_searches():
    arguments = {"loss": "categorical_crossentropy", "activation": "softmax"}
    classifier = wrappers.SKLearnClassifier(network, model_kwargs=arguments, fit_kwargs={**FIT, "epochs": 40})
    pipeline = make_pipeline(StandardScaler(), classifier)
    grid = {"sklearnclassifier__model_kwargs__hidden": [8], "sklearnclassifier__fit_kwargs__epochs": [1, 40]}
    search = GridSearchCV(pipeline, grid, cv=2, scoring="roc_auc").fit(X, PETS)
    assert search.best_params_["sklearnclassifier__fit_kwargs__epochs"] == 40 and search.best_score_ > 0.9
    best = search.best_estimator_[-1]
    assert best.model_kwargs == {**arguments, "hidden": 8} and "hidden" not in arguments
    assert best.model_.layers[0].units == 8
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict_proba(X), search.predict_proba(X))
    assert again[-1].history_.history == best.history_.history
    assert cross_val_score(pipeline, X, NAMES, cv=2).mean() > 0.7


# Models given as they are ---------------------------------------------------------------------------------------


def test_a_model_is_copied_unless_warm(on_torch):
    model = network(X, X)
    before = model.get_weights()
    regressor = wrappers.SKLearnRegressor(model, fit_kwargs=FIT).fit(X, X)
    assert regressor.model is model and regressor.model_ is not model
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert regressor.model_.optimizer.iterations == 10 and model.optimizer.iterations == 0
    first = regressor.history_.history["loss"]
    assert regressor.fit(X, X).history_.history["loss"] == first
    regressor.set_params(warm_start=True)
    assert regressor.fit(X, X).history_.history["loss"][0] < first[-1]
    assert regressor.model_.optimizer.iterations == 20
    copied = clone(regressor)
    assert copied.model is not model and copied.fit_kwargs == FIT and not hasattr(copied, "model_")
    warm = wrappers.SKLearnRegressor(model, warm_start=True, fit_kwargs=FIT).fit(X, X)
    assert warm.model_ is model and model.optimizer.iterations == 10


def test_sample_weights_can_be_routed(on_torch):
    arguments = {"loss": "categorical_crossentropy", "activation": "softmax"}
    classifier = wrappers.SKLearnClassifier(network, model_kwargs=arguments, fit_kwargs=FIT)
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(classifier.set_fit_request(sample_weight=True))
        with pytest.raises(ValueError, match="zero weight|non-zero"):
            pipeline.fit(X, PETS, sample_weight=np.zeros(60))


# Mistakes -------------------------------------------------------------------------------------------------------


def _fitted(**arguments):
    return wrappers.SKLearnClassifier(network, model_kwargs=arguments, fit_kwargs={**FIT, "epochs": 1}).fit(X, PETS)


@pytest.mark.parametrize(
    ("mistake", "error", "message"),
    [
        (lambda c: c.fit(X, ["one"] * 60), ValueError, "more than one class"),
        (lambda c: c.fit(X, X[:, 0]), ValueError, "Unknown label type"),
        (lambda c: c.fit(scipy.sparse.csr_matrix(X), PETS), TypeError, "Sparse data was passed"),
        (lambda c: c.fit(X, NAMES), ValueError, "tells only two classes"),
        (lambda c: c.fit(X, PETS, validation_data=(X, NAMES)), ValueError, "labels of no class"),
        (lambda c: c.set_params(warm_start=True).fit(X, NAMES), ValueError, "labels of no class"),
        (lambda c: c.predict(X[:, :2]), ValueError, "2 features"),
        (lambda c: c.predict_proba(100 * X), kerata.errors.Unsupported, "no probabilities"),
        (lambda c: clone(c).predict(X), NotFittedError, "not fitted"),
        (lambda c: c.set_params(units=3), ValueError, "Invalid parameter 'units'"),
        (lambda c: c.set_params(model=kerata.Sequential([layers.Dense(2)])).fit(X, PETS), ValueError, "not compiled"),
    ],
)
def test_mistakes_are_told(on_torch, mistake, error, message):
    with pytest.raises(error, match=message):
        mistake(_fitted(units=1, loss="mse"))


def test_scikit_learn_is_asked_for_when_it_is_used():
    program = """
import sys
import kerata
kerata.wrappers
assert "sklearn" not in sys.modules
sys.modules["sklearn"] = None
try:
    kerata.wrappers.SKLearnClassifier
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "kerata.wrappers" in done.stdout and "pip install scikit-learn" in done.stdout


# Pickles of models ----------------------------------------------------------------------------------------------


class Doubling(layers.Layer):
    """A layer that is registered nowhere."""

    def call(self, x):
        return 2 * x


def halved_error(y_true, y_pred):
    return (y_true - y_pred) ** 2 / 2


def halve(x):
    return x / 2


def test_pickles_carry_weights_training_state_and_what_is_the_users_own(on_torch):
    model = kerata.Sequential([kerata.Input((3,)), Doubling(), layers.Dense(1, activation=halve)])
    model.compile("adam", halved_error)
    model.fit(X, X[:, :1], verbose=0)
    first, second = pickle.loads(pickle.dumps((model, model)))
    assert first is second and isinstance(first.layers[0], Doubling)
    np.testing.assert_array_equal(first.predict(X, verbose=0), model.predict(X, verbose=0))
    assert first.optimizer.iterations == model.optimizer.iterations == 2 and first.loss is halved_error
    assert first.jit_compile == "auto"

    new = pickle.loads(pickle.dumps(kerata.Sequential([Doubling(), layers.Dense(1)])))
    assert not new.built and new(X).shape == (60, 1)


def test_copies_in_memory_need_no_file(on_torch):
    class Local(layers.Layer):  # which no file could name
        def call(self, x):
            return -x

    model = kerata.Sequential([kerata.Input((3,)), Local(), layers.Dense(1)])
    deep, shallow = copy.deepcopy(model), copy.copy(model)
    assert deep.weights[0] is not model.weights[0] and shallow.weights[0] is model.weights[0]
    np.testing.assert_array_equal(deep.predict(X, verbose=0), model.predict(X, verbose=0))
    with pytest.raises((AttributeError, pickle.PicklingError), match="[Ll]ocal"):
        pickle.dumps(model)
