"""What all estimators share: making a model, fitting it, asking it. What targets mean is said in their own files."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from kerata import errors, tree
from kerata.core.packages import package
from kerata.core.symbolic import KerasTensor
from kerata.models import Model, clone_model

__all__ = ["Estimator", "sklearn"]


def sklearn(module: str) -> Any:
    """Return a module of scikit-learn."""
    return package(f"sklearn.{module}", where="kerata.wrappers", install="scikit-learn")


class Estimator(sklearn("base").BaseEstimator):
    """A model as an estimator of scikit-learn.

    Args:
        model: a compiled model, of which every `fit` trains a new copy; or a function `(X, y, **model_kwargs)` that
            returns one, where `y` has a column for each class or target.
        warm_start: go on with the weights of the last `fit`; a model that was given is then trained itself.
        model_kwargs: more arguments for the function.
        fit_kwargs: arguments for `model.fit`; those given to the estimator's own `fit` come first.

    In `set_params` and in the grid of a search, `model_kwargs__units` and `fit_kwargs__epochs` stand for single
    arguments.

    Attributes:
        model_: the trained model.
        history_: what its `fit` returned.
    """

    def __init__(
        self,
        model: Any,
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    @property
    def epoch_(self) -> int:
        """How many epochs the last `fit` took."""
        return len(self.history_.epoch) if hasattr(self, "history_") else 0

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Any:
        """Train a model and return the estimator.

        Args:
            X: rows of numbers, (n_samples, n_features): an array, a list, a data frame.
            y: targets, one a row.
            sample_weight: a weight for each row; a row of weight 0 counts as absent. Weights scale the loss as they do
                in `Model.fit`; for those that stand for repeated rows, compile with a loss whose `reduction` is
                "mean_with_sample_weight".
            **kwargs: more arguments for `model.fit`. Targets in `validation_data` and classes in `class_weight` are
                those of `y`; "balanced" is understood as well.
        """
        continued = self.warm_start and hasattr(self, "model_")
        X, y = self._checked(X, y, reset=not continued)
        given = {**(self.fit_kwargs or {}), **kwargs}
        weight = self._weights(X, y, sample_weight, given.pop("class_weight", None))
        if y is not None:
            self._look_at(y, continued)
            y = self._encoded(y)
        model = self.model_ if continued else self._new_model(X, y)
        self._n_features_out = _width(model, X)
        if isinstance(given.get("validation_data"), tuple) and y is not None:
            given["validation_data"] = self._validation(model, *given["validation_data"])
        if weight is not None:
            kept = weight != 0
            X, y, weight = X[kept], None if y is None else y[kept], weight[kept]
        self.history_ = model.fit(X, None if y is None else self._targets(model, y), sample_weight=weight, **given)
        self.model_ = model
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the model's outputs: a column each, or an array of one axis where `y` was one."""
        outputs = self._outputs(X)
        return outputs[:, 0] if getattr(self, "_y_ndim", 2) == 1 and outputs.shape[1:] == (1,) else outputs

    def set_params(self, **params: Any) -> Any:
        """Set parameters; `model_kwargs__units=8` sets one of the arguments in `model_kwargs`."""
        for name in [name for name in params if name.startswith(("model_kwargs__", "fit_kwargs__"))]:
            owner, _, key = name.partition("__")
            before = params[owner] if owner in params else getattr(self, owner)
            params[owner] = {**(before or {}), key: params.pop(name)}
        return super().set_params(**params)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True  # how a model starts and shuffles is its own matter
        return tags

    # What targets mean ------------------------------------------------------------------------------------------

    _y_rule: dict[str, Any] = {"multi_output": True, "y_numeric": True}

    def _look_at(self, y: np.ndarray, continued: bool) -> None:
        """Note what `predict` must know of the targets."""
        self._y_ndim = y.ndim

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        """Return targets as numbers, in columns."""
        return y[:, None] if y.ndim == 1 else y

    def _targets(self, model: Model, y: np.ndarray) -> np.ndarray:
        """Return encoded targets as the model's loss wants them."""
        return y

    # Parts of `fit` and `predict` -------------------------------------------------------------------------------

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[np.ndarray, np.ndarray | None]:
        validate = sklearn("utils.validation").validate_data
        found = validate(self, X, y, reset=reset, **({} if y is None else self._y_rule))
        return found if isinstance(found, tuple) else (found, None)

    def _weights(self, X: np.ndarray, y: Any, sample_weight: Any, class_weight: Any) -> np.ndarray | None:
        if sample_weight is None and class_weight is None:
            return None
        weight = sklearn("utils.validation")._check_sample_weight(sample_weight, X)
        if class_weight is not None:
            weight = weight * sklearn("utils.class_weight").compute_sample_weight(class_weight, y)
        if not weight.any():
            raise errors.InvalidArgument("every sample has zero weight.", where=f"{type(self).__name__}.fit")
        return weight

    def _new_model(self, X: np.ndarray, y: Any) -> Model:
        if not isinstance(self.model, Model):
            return self.model(X=X, y=y, **(self.model_kwargs or {}))
        return self.model if self.warm_start else _fresh(self.model)

    def _validation(self, model: Model, X: Any, y: Any, *weights: Any) -> tuple[Any, ...]:
        return (X, self._targets(model, self._encoded(np.asarray(y))), *weights)

    def _outputs(self, X: Any) -> np.ndarray:
        validation = sklearn("utils.validation")
        validation.check_is_fitted(self)
        X = validation.validate_data(self, X, reset=False)
        outputs = tree.flatten(self.model_.predict(X, verbose=0))
        if len(outputs) != 1:
            raise errors.Unsupported(
                "the model has several outputs.", where=type(self).__name__, expected="one", got=len(outputs)
            )
        return outputs[0]


def _fresh(model: Model) -> Model:
    """Return a model of the same architecture and training, with new weights."""
    new = clone_model(model)
    if model.compiled:
        arguments = copy.deepcopy({k: v for k, v in model._compile_arguments.items() if k != "optimizer"})
        optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        new.compile(optimizer, **{**arguments, "jit_compile": model.jit_compile})
    return new


def _width(model: Model, X: np.ndarray) -> int:
    """Return how many columns the model's output has; it is built if it was not."""
    outputs = tree.flatten(model(KerasTensor((None, X.shape[1]), str(X.dtype))))
    return outputs[0].shape[-1]
