"""What a model can do with data: `fit`, `evaluate`, `predict` and single batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerata import config, engine, errors, losses, tree
from kerata.core.op import convert
from kerata.core.rng import make_seed
from kerata.core.scopes import StateScope, around
from kerata.core.symbolic import KerasTensor
from kerata.core.variable import Variable
from kerata.data.sources import ArraySource, Block, Source
from kerata.layers.base import Layer
from kerata.training import host_prefix
from kerata.training.epoch import EpochRunner, stacked
from kerata.training.loop import Pace, Program, on_host, run_block
from kerata.training.steps import Steps, unpack

__all__ = ["Trainer"]


class Trainer(Steps):
    """The training half of `Model`."""

    # Programs ---------------------------------------------------------------------------------------------------

    def _state_variables(self, mode: str) -> list[Variable]:
        found = list(self.variables)
        if mode == "train" and self.optimizer is not None:
            found += self.optimizer.variables
        if mode != "predict":
            found += self.metrics_variables
        return list(dict.fromkeys(found))

    def _program(self, mode: str, block: Block) -> Program:
        """Return the compiled program for blocks like `block`, making it when needed."""
        flags = tuple(v.trainable for v in self.variables) if mode == "train" else ()
        data, structure = tree.flatten_with_spec(block.data)
        shapes = tuple(None if a is None else (tuple(a.shape[1:]), str(a.dtype)) for a in data)
        key = (mode, engine.name(), structure, shapes, flags, self.run_eagerly, around.autocast, config.floatx())
        program = self._programs.get(key)
        while program is None or not program.prepare(block):
            # A step may make Variables at its first run (a metric that waits for shapes): they belong to the state.
            variables = self.trainable_variables if mode == "train" else []
            if variables and self.optimizer is not None and not self.optimizer.built:
                self.optimizer.build(variables)
            step = {"train": self.train_step, "test": self.test_step, "predict": self.predict_step}[mode]
            compiled = not self.run_eagerly and self.jit_compile
            program = self._programs[key] = Program(step, self._state_variables(mode), compiled, mode == "train")
        return program

    def make_train_function(self, force: bool = False) -> None:
        """Forget compiled programs with `force`; they are made again when needed."""
        if force:
            self._programs = {}

    make_test_function = make_predict_function = make_train_function

    def _ensure_built(self, source: Source, mode: str) -> None:
        """Make the weights and the metrics, from the shapes of the first batch."""
        needs_metrics = mode != "predict" and any(
            c is not None and not built
            for c, built in (
                (self._compiled_metrics, getattr(self._compiled_metrics, "built", True)),
                (self._compiled_loss, getattr(self._compiled_loss, "_parts", None) is not None),
            )
        )
        if self.built and not needs_metrics:
            return
        x, y, _ = unpack(source.first_batch())

        def symbol(a: Any) -> Any:
            return None if a is None else KerasTensor((None, *a.shape[1:]), str(a.dtype))

        outputs: Any = None
        overridden = type(self).call is Layer.call
        if not (overridden and self.built):
            try:
                outputs = getattr(self, "_graph", None) and self._graph._outputs_struct if self.built else None
                if outputs is None:
                    outputs = self(tree.map_structure(symbol, x))
            except errors.Unsupported:
                if type(self).train_step is Steps.train_step:
                    raise
                return  # the model has a step of its own and needs no `call`
            except errors.ValueUnknown:
                with StateScope():  # `call` asks for values: so let it have some
                    outputs = self(tree.map_structure(lambda a: None if a is None else convert(a), x))
        if y is None or outputs is None or not needs_metrics:
            return
        targets = tree.map_structure(symbol, y)
        if self._compiled_loss is not None and self._compiled_loss._parts is None:
            self._compiled_loss.build(targets, outputs)
        if self._compiled_metrics is not None and not self._compiled_metrics.built:
            self._compiled_metrics.build(targets, outputs)

    # Fit --------------------------------------------------------------------------------------------------------

    @errors.user_facing
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> Any:
        """Train the model and return its history.

        Args:
            x: arrays (or a nest of them), or an iterable of batches `(x, y)` or `(x, y, sample_weight)`.
            y: targets, when `x` is arrays.
            batch_size: rows in a step, 32 unless given; the last batch of an epoch may hold fewer.
            epochs: how often to go through the data; the last epoch's number when `initial_epoch` is given.
            verbose: 0 silent, 1 a progress bar, 2 one line an epoch; "auto" is 1.
            callbacks: callbacks, or one.
            validation_split: the fraction of the last rows to keep for validation.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or an iterable of batches.
            shuffle: a new order of rows in each epoch.
            class_weight: weights by class number.
            sample_weight: a weight for each row.
            steps_per_epoch, validation_steps: how many batches to take; all of them by default.
            validation_freq: validate every so many epochs, or after the epochs in a list.

        Returns:
            A `History`: `history.history["loss"]` is a list with one number an epoch.
        """
        from kerata import callbacks as callbacks_module

        self._need_compiled("fit")
        self.stop_training = False
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = host_prefix.split_validation(
                self, (x, y, sample_weight), validation_split
            )
        source = host_prefix.make_source(
            self, x, y, sample_weight, batch_size, steps_per_epoch, shuffle, class_weight, seed=make_seed(), where="fit"
        )  # fmt: skip
        self._ensure_built(source, "train")
        _check_targets(self, source)
        validation = None
        if validation_data is not None:
            vx, vy, vw = _unpack_validation(validation_data)
            rows = validation_batch_size or (getattr(source, "batch_size", None) or batch_size)
            validation = host_prefix.make_source(
                self, vx, vy, vw, rows, validation_steps, where="fit: validation_data"
            )
        most = config.max_epochs()
        if most is not None:
            epochs = min(epochs, initial_epoch + most)
        steps = _fewest(steps_per_epoch or source.steps, config.max_steps_per_epoch())
        watchers = callbacks_module.CallbackList.ensure(
            callbacks, model=self, add_history=True, verbose=verbose, epochs=epochs, steps=steps
        )
        runner = EpochRunner(self, "train", source, watchers, steps)
        watchers.on_train_begin()
        logs: dict[str, Any] = {}
        try:
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                watchers.on_epoch_begin(epoch)
                logs = runner.epoch()
                if runner.limit is None:  # the first epoch has shown how long an epoch is
                    runner.limit = runner.seen
                    watchers.set_steps(runner.seen)
                if validation is not None and _validates(epoch, validation_freq):
                    logs.update(
                        {f"val_{k}": v for k, v in self._evaluate(validation, validation_steps, watchers).items()}
                    )
                watchers.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            watchers.finish()
        if self.optimizer is not None:
            self.optimizer.finalize_variable_values(self.trainable_variables)
        watchers.on_train_end(logs)
        self.history = watchers.history
        return self.history

    def _evaluate(self, source: Source, steps: int | None, watchers: Any) -> dict[str, Any]:
        self._ensure_built(source, "test")
        self.reset_metrics()
        watchers.on_test_begin()
        runner = EpochRunner(
            self, "test", source, watchers, _fewest(steps or source.steps, config.max_steps_per_epoch())
        )
        logs = runner.epoch()
        watchers.on_test_end(logs)
        return logs

    @errors.user_facing
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the loss and the metrics on data: a list (one number without metrics), or a dict by names.

        Example:
            >>> model = kerata.Sequential([kerata.layers.Dense(1)])
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> loss, mae = model.evaluate(numpy.ones((8, 2)), numpy.ones((8, 1)), verbose=0)
        """
        from kerata import callbacks as callbacks_module

        if kwargs:
            raise errors.InvalidType("unknown arguments.", where="evaluate", got=sorted(kwargs))
        self._need_compiled("evaluate")
        source = host_prefix.make_source(self, x, y, sample_weight, batch_size, steps, where="evaluate")
        self._ensure_built(source, "test")
        _check_targets(self, source)
        watchers = callbacks_module.CallbackList.ensure(
            callbacks, model=self, verbose=verbose, epochs=1, steps=steps or source.steps
        )
        try:
            logs = self._evaluate(source, steps, watchers)
        finally:
            watchers.finish()
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    @errors.user_facing
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return the outputs for all of `x` as NumPy arrays.

        Example:
            >>> model = kerata.Sequential([kerata.layers.Dense(10, activation="softmax")])
            >>> model.predict(numpy.ones((100, 4)), verbose=0).shape
            (100, 10)
        """
        from kerata import callbacks as callbacks_module

        source = host_prefix.make_source(self, x, None, None, batch_size, steps, where="predict")
        self._ensure_built(source, "predict")
        limit = _fewest(steps or source.steps, config.max_steps_per_epoch())
        watchers = callbacks_module.CallbackList.ensure(callbacks, model=self, verbose=verbose, epochs=1, steps=limit)
        watchers.on_predict_begin()
        runner = EpochRunner(self, "predict", source, watchers, limit)
        try:
            runner.epoch()
        finally:
            watchers.finish()
        outputs = runner.outputs()
        watchers.on_predict_end()
        return outputs

    # One batch --------------------------------------------------------------------------------------------------

    @errors.user_facing
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Learn from one batch and return its loss and metrics."""
        self._need_compiled("train_on_batch")
        return self._on_batch("train", x, y, sample_weight, class_weight, return_dict)

    @errors.user_facing
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Return the loss and metrics of one batch."""
        self._need_compiled("test_on_batch")
        return self._on_batch("test", x, y, sample_weight, None, return_dict)

    @errors.user_facing
    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch as NumPy arrays."""
        return self._on_batch("predict", x, None, None, None, True)

    def _on_batch(self, mode: str, x: Any, y: Any, weight: Any, class_weight: Any, return_dict: bool) -> Any:
        where = f"{mode}_on_batch"
        x = host_prefix.computed(self, x, where)
        source = ArraySource(x, y, weight, batch_size=2**31 - 1, class_weight=class_weight, where=where)
        self._ensure_built(source, mode)
        self.reset_metrics()
        block = next(source.blocks())
        program = self._program(mode, block)
        logs = run_block(program, block, Pace(exact=True), lambda *_: False)
        if mode == "predict":
            return tree.map_structure(lambda a: on_host(a)[0], stacked(logs, program))
        last = program.log_values(logs, 0)
        if return_dict:
            return last
        values = list(last.values())
        return values[0] if len(values) == 1 else values

    # State ------------------------------------------------------------------------------------------------------

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, dict[str, Any]]:
        """Return all state as a tree of arrays by kind and path."""
        form: Callable[[Variable], Any] = (lambda v: v.numpy()) if value_format == "numpy_array" else Variable.raw_value
        groups = {
            "trainable_variables": self.trainable_variables,
            "non_trainable_variables": self.non_trainable_variables,
            "optimizer_variables": self.optimizer.variables if self.optimizer is not None else [],
            "metrics_variables": self.metrics_variables,
        }
        return {group: {v.path: form(v) for v in variables} for group, variables in groups.items()}

    def set_state_tree(self, state_tree: dict[str, dict[str, Any]]) -> None:
        """Set all state from what `get_state_tree` returned."""
        groups = {
            "trainable_variables": self.trainable_variables,
            "non_trainable_variables": self.non_trainable_variables,
            "optimizer_variables": self.optimizer.variables if self.optimizer is not None else [],
            "metrics_variables": self.metrics_variables,
        }
        for group, values in state_tree.items():
            by_path = {v.path: v for v in groups.get(group, [])}
            for path, value in values.items():
                if path not in by_path:
                    raise errors.UnknownName("Variable", path, by_path, where=f"set_state_tree: {group}")
                by_path[path].assign(value)


def _unpack_validation(data: Any) -> tuple[Any, Any, Any]:
    if isinstance(data, (tuple, list)) and len(data) in (2, 3) and not isinstance(data, str):
        return (*data, None)[:3]  # type: ignore[return-value]
    return data, None, None


def _fewest(*counts: int | None) -> int | None:
    known = [c for c in counts if c is not None]
    return min(known) if known else None


def _validates(epoch: int, frequency: Any) -> bool:
    return (epoch + 1) % frequency == 0 if isinstance(frequency, int) else (epoch + 1) in frequency


def _check_targets(model: Trainer, source: Source) -> None:
    """Look at the targets on the host, where a mistake can still be named; a compiled step cannot."""
    if not isinstance(source, ArraySource) or len(source.batch) < 2 or model._compiled_loss is None:
        return
    graph = getattr(model, "_graph", None)
    if graph is None or tree.is_nested(source.batch[1]) or source.batch[1] is None:
        return
    parts = model._compiled_loss._parts or []
    loss = parts[0][0] if len(parts) == 1 else None
    if getattr(loss, "fn", None) is losses.sparse_categorical_crossentropy:
        classes = graph.outputs[0].shape[getattr(loss, "axis", -1)]
        losses.check_labels(source.batch[1], classes, ignore_class=getattr(loss, "ignore_class", None))
