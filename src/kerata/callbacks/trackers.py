"""Loggers for experiment trackers: MLflow, and Weights & Biases."""

from __future__ import annotations

import sys
from typing import Any

from kerata import errors
from kerata.callbacks.base import Callback
from kerata.callbacks.rates import learning_rates
from kerata.core.packages import package

__all__ = ["MLflowLogger", "WandbLogger"]


class _Tracker(Callback):
    """What the trackers share: a run that begins and ends with `fit`, unless the user has begun it.

    Args:
        log_freq: "epoch", or a number of steps ("batch" is 1) after which `batch_…` is logged too.
    """

    reads_only_logs = True

    def __init__(self, log_freq: int | str = "epoch") -> None:
        super().__init__()
        if log_freq not in ("epoch", "batch") and not (isinstance(log_freq, int) and log_freq > 0):
            where, known = f"{type(self).__name__}: log_freq", "'epoch', 'batch' or a number of steps"
            raise errors.InvalidArgument("this is no frequency.", where=where, expected=known, got=repr(log_freq))
        self.log_freq = 1 if log_freq == "batch" else log_freq
        self._step = 0
        self._own = False  # whether a run of our own is open
        self._outer: Any = None
        if log_freq == "epoch":
            self._idle = (_Tracker.on_train_batch_end,)

    def _begin(self, facts: dict[str, Any]) -> bool:
        """Use the run that is open, or begin one; returns whether it was begun here."""
        raise NotImplementedError

    def _log(self, numbers: dict[str, float], axis: str, step: int) -> None:
        raise NotImplementedError

    def _end(self, failed: bool) -> None:
        raise NotImplementedError

    def _facts(self) -> dict[str, Any]:
        """Return what is told of a training at its beginning."""
        model, optimizer = self.model, self.model.optimizer
        facts = {"model": model.name, "weights": model.count_params(), "epochs": self.params.get("epochs")}
        if optimizer is None:
            return facts
        facts["optimizer"] = type(optimizer).__name__
        for name, value in optimizer.get_config().items():
            if isinstance(value, (bool, int, float, str)) and name != "name":
                value = float(f"{value:.7g}") if isinstance(value, float) else value  # 0.001, as it was given
                facts[f"optimizer_{name}"] = value
        return facts

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._step, self._outer = 0, sys.exc_info()[1]
        self._own = self._begin(self._facts())

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._step += 1
        if self.log_freq != "epoch" and self._step % int(self.log_freq) == 0:
            self._log({f"batch_{name}": value for name, value in (logs or {}).items()}, "batch", self._step)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        rates = {} if self.model.optimizer is None else learning_rates(self.model.optimizer)
        self._log({**(logs or {}), **rates}, "epoch", epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._close()

    def _close(self) -> None:
        """End the run, also after an error."""
        if self._own:
            self._own = False
            self._end(failed=sys.exc_info()[1] is not self._outer)


class MLflowLogger(_Tracker):
    """Logs a training to MLflow: the facts as parameters, the numbers as metrics by epochs. Needs the package `mlflow`.

    A run that is open is used and left open; else one is begun, and ended with `fit`.

    Args:
        experiment_name: the experiment; MLflow's current one by default.
        run_name: a name for the run.
        params: further parameters to log.
        log_freq: "epoch"; "batch", or a number of steps, to log `batch_loss` and its like too.

    Example:
        >>> log = kerata.callbacks.MLflowLogger("digits", params={"layers": 3})  # fit(…, callbacks=[log])
    """

    def __init__(
        self,
        experiment_name: str | None = None,
        run_name: str | None = None,
        params: dict[str, Any] | None = None,
        log_freq: int | str = "epoch",
    ) -> None:
        super().__init__(log_freq)
        self.experiment_name, self.run_name, self.run_params = experiment_name, run_name, params or {}

    def _begin(self, facts: dict[str, Any]) -> bool:
        self._mlflow = package("mlflow", "MLflowLogger")
        params, run = {**facts, **self.run_params}, self._mlflow.active_run()
        if run is None:
            if self.experiment_name is not None:
                self._mlflow.set_experiment(self.experiment_name)
            self._mlflow.start_run(run_name=self.run_name)
        else:  # a parameter of a run is said once, and this may be its second fit
            told = self._mlflow.get_run(run.info.run_id).data.params
            params = {name: value for name, value in params.items() if name not in told}
        self._mlflow.log_params(params)
        return run is None

    def _log(self, numbers: dict[str, float], axis: str, step: int) -> None:
        self._mlflow.log_metrics(numbers, step=step)

    def _end(self, failed: bool) -> None:
        self._mlflow.end_run("FAILED" if failed else "FINISHED")


class WandbLogger(_Tracker):
    """Logs a training to Weights & Biases, the numbers against `epoch`. Needs the package `wandb`.

    A run that is open is used and left open; else one is begun, and finished with `fit`.

    Args:
        project: the project.
        name: a name for the run.
        config: further facts for the run's config.
        log_freq: "epoch"; "batch", or a number of steps, to log `batch_loss` and its like too, against `batch`.
        **kwargs: further arguments of `wandb.init`: `entity`, `tags`, `mode="offline"` …

    Example:
        >>> log = kerata.callbacks.WandbLogger("digits", config={"layers": 3})  # fit(…, callbacks=[log])
    """

    def __init__(
        self,
        project: str | None = None,
        name: str | None = None,
        config: dict[str, Any] | None = None,
        log_freq: int | str = "epoch",
        **kwargs: Any,
    ) -> None:
        super().__init__(log_freq)
        self.project, self.run_name, self.config, self.kwargs = project, name, config or {}, kwargs
        self._run: Any = None

    def _begin(self, facts: dict[str, Any]) -> bool:
        wandb = package("wandb", "WandbLogger")
        begun = wandb.run is None
        self._run = wandb.init(project=self.project, name=self.run_name, **self.kwargs) if begun else wandb.run
        self._run.config.update({**facts, **self.config}, allow_val_change=True)
        self._run.define_metric("*", step_metric="epoch")
        self._run.define_metric("batch_*", step_metric="batch")
        return begun

    def _log(self, numbers: dict[str, float], axis: str, step: int) -> None:
        self._run.log({axis: step, **numbers})

    def _end(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))
