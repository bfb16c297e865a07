"""`SKLearnClassifier`: a model that tells classes apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from kerata import errors, tree
from kerata.core.symbolic import snake_case
from kerata.models import Model
from kerata.wrappers.base import Estimator, sklearn

__all__ = ["SKLearnClassifier"]


class SKLearnClassifier(sklearn("base").ClassifierMixin, Estimator):
    """A model as a classifier of scikit-learn, for two classes or more; labels may be numbers or strings.

    The model has an output for each class, or a single one that tells two classes apart. Labels reach it as its loss
    wants them: in one column for a single output, as numbers for "sparse_categorical_crossentropy", else with a column
    for each class.

    Args:
        model: a compiled model, of which every `fit` trains a new copy; or a function `(X, y, **model_kwargs)` that
            returns one, where `y` has a column for each class.
        warm_start: go on with the weights of the last `fit`; a model that was given is then trained itself.
        model_kwargs: more arguments for the function.
        fit_kwargs: arguments for `model.fit`.

    Attributes:
        model_: the trained model.
        history_: what its `fit` returned.
        classes_: the labels, sorted.

    Example:
        >>> def network(X, y, units=8):
        ...     layers = [kerata.layers.Dense(units, "relu"), kerata.layers.Dense(y.shape[1], "softmax")]
        ...     model = kerata.Sequential(layers)
        ...     model.compile("adam", "categorical_crossentropy")
        ...     return model
        >>> X, y = numpy.random.rand(20, 3), numpy.array(["left", "right"] * 10)
        >>> classifier = kerata.wrappers.SKLearnClassifier(network, fit_kwargs={"epochs": 2, "verbose": 0})
        >>> classifier.fit(X, y).predict_proba(X).shape
        (20, 2)
    """

    _y_rule: dict[str, Any] = {}

    def decision_function(self, X: Any) -> np.ndarray:
        """Return how far each row speaks for its class.

        Two classes: one number a row, above 0 for the second class. More classes: the model's outputs, as they are.
        """
        outputs = self._outputs(X)[:, : len(self.classes_)]
        if outputs.shape[1] == 1:
            return outputs[:, 0] if _is_from_logits(self.model_) else outputs[:, 0] - 0.5
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict(self, X: Any) -> np.ndarray:
        """Return the most likely label of each row."""
        decision = self.decision_function(X)
        return self.classes_[(decision > 0).astype(int) if decision.ndim == 1 else decision.argmax(axis=1)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, (n_samples, n_classes).

        Raises:
            Unsupported: where the model's outputs are neither probabilities nor known to be logits.
        """
        outputs = self._outputs(X)[:, : len(self.classes_)].astype(np.float64)
        if _is_from_logits(self.model_):
            one_by_one = outputs.shape[1] == 1 or _loss_name(self.model_).startswith("binary")
            outputs = special.expit(outputs) if one_by_one else special.softmax(outputs, axis=1)
        if outputs.min() < 0 or outputs.max() > 1 + 1e-6:
            raise errors.Unsupported(
                "the model's outputs are no probabilities.", where="predict_proba", expected="numbers from 0 to 1",
                got=f"{outputs.min():.4g} to {outputs.max():.4g}",
                hint="end the model with softmax or sigmoid, or give its loss from_logits=True",
            )  # fmt: skip
        if outputs.shape[1] == 1:
            return np.concatenate([1 - outputs, outputs], axis=1)
        return outputs / outputs.sum(axis=1, keepdims=True)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True  # nobody knows, before the model is there
        return tags

    # What targets mean ------------------------------------------------------------------------------------------

    def _look_at(self, y: np.ndarray, continued: bool) -> None:
        sklearn("utils.multiclass").check_classification_targets(y)
        if continued:
            return  # `_encoded` refuses labels that are new
        classes = np.unique(y)
        if len(classes) < 2:
            raise errors.InvalidArgument(
                "a classifier needs more than one class.", where=f"{type(self).__name__}.fit", got=classes
            )
        self.classes_ = classes

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        if y.ndim == 2 and y.shape[1] > 1:
            return y  # of validation data: in columns already
        y = y.ravel()
        numbers = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        if (new := self.classes_[numbers] != y).any():
            raise errors.InvalidArgument(
                "there are labels of no class.", where=f"{type(self).__name__}.fit", expected=self.classes_,
                got=np.unique(y[new]),
            )  # fmt: skip
        return np.eye(len(self.classes_), dtype=np.float32)[numbers]

    def _targets(self, model: Model, y: np.ndarray) -> np.ndarray:
        if _loss_name(model).startswith("sparse_categorical"):
            return y.argmax(axis=1)
        if self._n_features_out == 1:
            if y.shape[1] > 2:
                raise errors.InvalidArgument(
                    "a single output tells only two classes apart.", where=f"{type(self).__name__}.fit", got=y.shape[1]
                )
            return y[:, 1:]
        return y


def _loss_name(model: Model) -> str:
    loss = next(iter(tree.flatten(model.loss)), None)
    return snake_case(loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__))


def _is_from_logits(model: Model) -> bool:
    return any(getattr(loss, "from_logits", False) for loss in tree.flatten(model.loss))
