"""What a model does with one batch, written once for every engine: `compile`, the steps, losses and metrics."""

from __future__ import annotations

import inspect
from typing import Any

from kerata import engine, errors, losses, optimizers, tree
from kerata.core import registry, scopes
from kerata.core.lifting import value_and_grad
from kerata.core.op import convert
from kerata.core.public_scopes import StatelessScope
from kerata.core.variable import Variable
from kerata.layers.base import Layer
from kerata.metrics import Mean
from kerata.training.compiled import CompiledLoss, CompiledMetrics, output_names, per_output
from kerata.training.loop import Program

__all__ = ["Steps", "unpack"]


class Steps(Layer):
    """What a model does with one batch, and what `compile` has chosen."""

    _not_members = Layer._not_members | {
        "optimizer", "_loss_tracker", "_compiled_loss", "_compiled_metrics", "_programs", "_compile_arguments",
        "history", "train_function", "test_function", "predict_function",
    }  # fmt: skip

    def _start_training_state(self) -> None:
        """Stand as before `compile`."""
        self.optimizer: Any = None
        self.compiled = False
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self._initial_epoch: int | None = None
        self.steps_per_execution = 1
        self.run_eagerly = False
        self.jit_compile: Any = "auto"
        self.loss: Any = None
        self.history: Any = None
        self._loss_tracker: Any = None
        self._compiled_loss: CompiledLoss | None = None
        self._compiled_metrics: CompiledMetrics | None = None
        self._compile_arguments: dict[str, Any] = {}
        self._forget_programs()

    def _forget_programs(self) -> None:
        self._programs: dict[Any, Program] = {}
        self.train_function: Any = None
        self.test_function: Any = None
        self.predict_function: Any = None

    # Compile ----------------------------------------------------------------------------------------------------

    @errors.user_facing
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose how the model is trained.

        Args:
            optimizer: a name ("adam") or an optimizer.
            loss: a name, a loss or a function `(y_true, y_pred)`; for several outputs a list or dict of them.
            loss_weights: a factor for each output's loss.
            metrics, weighted_metrics: lists of names, metrics or functions; the second kind sees sample weights.
            run_eagerly: run each step in Python, uncompiled, to look inside.
            steps_per_execution: kept for Keras; the loop itself chooses how many steps go into one call.
            jit_compile: whether steps are compiled; "auto" for yes on JAX. On PyTorch "auto" repeats the operations of
                a step that kerata's own parts make up, and runs in Python what you wrote, which may branch on values;
                False runs all in Python.
            auto_scale_loss: scale the loss with the "mixed_float16" policy.

        Example:
            >>> model = kerata.Sequential([kerata.layers.Dense(10, activation="softmax")])
            >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        """
        with errors.located("compile: optimizer"):
            self.optimizer = optimizers.get(optimizer)
        overflows = self.dtype_policy.name == "mixed_float16"
        if (
            auto_scale_loss
            and overflows
            and not isinstance(self.optimizer, (optimizers.LossScaleOptimizer, type(None)))
        ):
            self.optimizer = optimizers.LossScaleOptimizer(self.optimizer, name="loss_scale_optimizer")
        names = self._output_names()
        _check_loss(loss, names)
        self.loss = loss
        self._compiled_loss = CompiledLoss(loss, loss_weights, names) if loss is not None else None
        has_metrics = metrics is not None or weighted_metrics is not None
        self._compiled_metrics = CompiledMetrics(metrics, weighted_metrics, names) if has_metrics else None
        self._loss_tracker = Mean(name="loss")
        self.run_eagerly, self.jit_compile = bool(run_eagerly), jit_compile
        if steps_per_execution < 1:
            raise errors.InvalidArgument("at least 1.", where="compile: steps_per_execution", got=steps_per_execution)
        self.steps_per_execution = steps_per_execution
        self.stop_training = False
        self.compiled = True
        self._forget_programs()
        self._compile_arguments = {
            "optimizer": self.optimizer, "loss": loss, "loss_weights": loss_weights, "metrics": metrics,
            "weighted_metrics": weighted_metrics, "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": engine.transforms.compiled if jit_compile == "auto" else bool(jit_compile),
        }  # fmt: skip

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return the arguments of `compile` as data."""
        if not self.compiled:
            return None
        return registry.serialize_keras_object(self._compile_arguments)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config` says."""
        if not config:
            return
        arguments = registry.deserialize_keras_object(config)
        accepted = {
            "optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution",
            "jit_compile", "auto_scale_loss",
        }  # fmt: skip
        arguments = {k: v for k, v in arguments.items() if k in accepted}
        self.compile(**arguments)
        if self.built and self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def _output_names(self) -> list[str] | None:
        graph = getattr(self, "_graph", None)
        if graph is None:
            return None
        names: list[str] = []
        for tensor in graph.outputs:
            name = tensor._history.operation.name if tensor._history else tensor.name
            same = sum(n == name or n.startswith(f"{name}_") and n[len(name) + 1 :].isdigit() for n in names)
            names.append(f"{name}_{same}" if same else name)
        return output_names(graph._outputs_struct, names)

    def _need_compiled(self, method: str) -> None:
        if not self.compiled:
            raise errors.NotCompiled(
                f"the model is not compiled, so `{method}` does not know how to go on.", where=f"model {self.name!r}",
                expected="compile before fit and evaluate", got=f"{method} of a model that was only made",
                hint="model.compile(optimizer='adam', loss=..., metrics=[...])",
            )  # fmt: skip

    # Steps, to be overridden ------------------------------------------------------------------------------------

    def train_step(self, data: Any) -> dict[str, Any]:
        """Learn from one batch and return what to log; override it for a training of your own.

        Runs inside the compiled loop: it may read and assign Variables, and must not look at values.

        Args:
            data: `x`, `(x, y)` or `(x, y, sample_weight)`, as arrays.

        Example:
            >>> class MyModel(kerata.Model):
            ...     def train_step(self, data):
            ...         x, y = data
            ...
            ...         def loss_fn():
            ...             y_pred = self(x, training=True)
            ...             return self.compute_loss(x, y, y_pred), y_pred
            ...
            ...         (loss, y_pred), gradients = kerata.value_and_grad(loss_fn, self, has_aux=True)()
            ...         self.optimizer.apply(gradients, self.trainable_variables)
            ...         return self.compute_metrics(x, y, y_pred)
        """
        x, y, sample_weight = unpack(data)
        scaled = hasattr(self.optimizer, "scale_loss")

        def loss_fn() -> tuple[Any, Any]:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight, training=True)
            if loss is None:
                raise errors.InvalidArgument(
                    "there is no loss to minimise.", where=f"model {self.name!r}", expected="a loss", got="None",
                    hint="give `loss=` to compile, or call add_loss in a layer",
                )  # fmt: skip
            masks = tree.map_structure(scopes.get_mask, y_pred)
            objective = self.optimizer.scale_loss(loss) if scaled else loss
            return objective, (loss, y_pred, masks)

        if variables := self.trainable_variables:
            (_, (loss, y_pred, masks)), gradients = value_and_grad(loss_fn, variables, has_aux=True)()
            self.optimizer.apply(gradients, variables)
        else:
            _, (loss, y_pred, masks) = loss_fn()
            errors.warn_once(f"The model {self.name!r} has no trainable weights: training changes nothing.")
        tree.map_structure(lambda t, m: scopes.set_mask(t, m) if m is not None else None, y_pred, masks)
        self._loss_tracker.update_state(loss, sample_weight=_rows(x))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch and return what to log."""
        x, y, sample_weight = unpack(data)
        y_pred = self(x, training=False)
        loss = self.compute_loss(x, y, y_pred, sample_weight, training=False)
        if loss is not None:
            self._loss_tracker.update_state(loss, sample_weight=_rows(x))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """Return the outputs for one batch."""
        x, _, _ = unpack(data)
        return self(x, training=False)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the loss of a batch: that of `compile`, and what layers and regularizers add."""
        terms = []
        if self._compiled_loss is not None:
            if y is None:
                raise errors.InvalidArgument(
                    "the loss needs targets and there are none.", where="fit: y", expected="an array of targets",
                    got="None", hint="fit(x, y); a generator or data set yields pairs (x, y)",
                )  # fmt: skip
            loss = self._compiled_loss(y, y_pred, sample_weight)
            if loss is not None:
                terms.append(loss)
        terms += [engine.xp.sum(loss) for loss in self.losses]
        if not terms:
            return None
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def stateless_compute_loss(
        self,
        trainable_variables: Any,
        non_trainable_variables: Any,
        metrics_variables: Any,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple[Any, tuple[Any, Any, Any]]:
        """Return `compute_loss` under the values given for the Variables, and the three lists of values after it."""
        given = [
            (self.trainable_variables, trainable_variables), (self.non_trainable_variables, non_trainable_variables),
            (self.metrics_variables, metrics_variables),
        ]  # fmt: skip
        with StatelessScope([pair for variables, values in given for pair in zip(variables, values)]) as scope:
            loss = self.compute_loss(x, y, y_pred, sample_weight, training)
        after = [[scope.get_current_value(v) for v in variables] for variables, _ in given]
        return loss, (trainable_variables, after[1], after[2])

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Add a batch to the metrics of `compile` and return every metric's value so far."""
        if self._compiled_metrics is not None:
            self._compiled_metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return every metric's value so far, by name."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            value = metric.result()
            results.update(value if isinstance(value, dict) else {metric.name: convert(value)})
        return results

    @property
    def metrics(self) -> list[Any]:
        """The metrics, that of the loss first."""
        found = [self._loss_tracker] if self._loss_tracker is not None else []
        if self._compiled_loss is not None:
            found += self._compiled_loss.metrics
        if self._compiled_metrics is not None:
            found.append(self._compiled_metrics)
        return [*found, *self._held_metrics()]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the metrics."""
        return [m.name for m in self._each_metric()]

    @property
    def metrics_variables(self) -> list[Variable]:
        """The Variables of the metrics."""
        return [v for m in self.metrics for v in m.variables]

    def _each_metric(self) -> list[Any]:
        return [
            m for metric in self.metrics for m in (getattr(metric, "metrics", None) or [metric]) if hasattr(m, "name")
        ]

    def reset_metrics(self) -> None:
        """Empty every metric."""
        for metric in self.metrics:
            metric.reset_state()


def unpack(batch: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample_weight of a batch."""
    if isinstance(batch, list):
        batch = tuple(batch)
    if not isinstance(batch, tuple):
        return batch, None, None
    x, y, sample_weight = (*batch, None, None)[:3]
    return x, y, sample_weight


def _rows(x: Any) -> Any:
    return next(leaf.shape[0] for leaf in tree.flatten(x) if leaf is not None)


def _check_loss(loss: Any, names: list[str] | None) -> None:
    """Raise at once for a loss that does not exist, or is for an output that does not."""
    if names is not None and not (isinstance(loss, dict) and "class_name" in loss):
        per_output(loss, None, names, "loss")
    for item in tree.flatten(loss):
        with errors.located("compile: loss"):
            if isinstance(item, str):
                losses.get(item)
            elif isinstance(item, (int, float)):
                raise errors.InvalidType(
                    "this is no loss.", expected="a name, a Loss, or a function (y_true, y_pred)", got=repr(item),
                    hint="loss='mse', or a function itself, without calling it",
                )  # fmt: skip
            elif inspect.isfunction(item) or inspect.ismethod(item):
                _check_loss_function(item)


def _check_loss_function(function: Any) -> None:
    signature = inspect.signature(function)
    try:
        signature.bind(None, None)
    except TypeError as error:
        name = getattr(function, "__name__", "loss")
        raise errors.InvalidType(
            "a loss is called with targets and predictions.", expected=f"{name}(y_true, y_pred)",
            got=f"{name}{signature}: {error}", hint="further settings go into defaults, or into functools.partial",
        ) from None  # fmt: skip
