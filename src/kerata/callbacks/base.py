"""`Callback`, and the list that calls them in Keras's order."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kerata import config, errors, tree

__all__ = ["Callback", "CallbackList"]


class Callback:
    """Runs code while a model trains, evaluates or predicts; a subclass overrides what it needs.

    The compiled loop runs many steps at once. A callback with a batch hook is served with exact single steps, so it may
    read and change the model between batches. One that only reads `logs` can set `reads_only_logs = True`: its hooks
    are then called for every step too, after the chunk of steps that it belongs to, and training keeps its speed.

    Example:
        >>> class Announce(kerata.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(epoch, logs["loss"])
    """

    reads_only_logs = False
    _idle: tuple[Callable[..., Any], ...] = ()  # batch hooks of the class that do nothing with these arguments

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The model."""
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive `verbose`, `epochs` and `steps`."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Receive the model."""
        self._model = model

    def _close(self) -> None:
        """Called when a run has ended, also by an error: let go of files and the like."""

    def on_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """The older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """The older name of `on_train_batch_end`."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Called before an epoch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Called after an epoch, with the logs of training and of validation (`val_…`)."""

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called before a training step."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called after a training step."""
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called before a step of `evaluate`."""

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called after a step of `evaluate`."""

    def on_predict_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called before a step of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called after a step of `predict`."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `fit` begins."""

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `fit` ends."""

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `evaluate` begins, also inside `fit`."""

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `evaluate` ends."""

    def on_predict_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `predict` begins."""

    def on_predict_end(self, logs: dict[str, Any] | None = None) -> None:
        """Called when `predict` ends."""


def _batch_hooks(mode: str) -> tuple[str, ...]:
    own = (f"on_{mode}_batch_begin", f"on_{mode}_batch_end")
    return (*own, "on_batch_begin", "on_batch_end") if mode == "train" else own


def _hears_batches(callback: Any, mode: str) -> bool:
    """Return whether a callback has a hook for the batches of `mode` that does something."""
    if not isinstance(callback, Callback):
        return True
    return any(
        hook in vars(callback) or getattr(type(callback), hook) not in (getattr(Callback, hook), *callback._idle)
        for hook in _batch_hooks(mode)
    )


def _acts_between_batches(callback: Any, mode: str) -> bool:
    """Return whether a callback may touch the model between batches: what a class says holds for its own hooks."""
    if not getattr(callback, "reads_only_logs", False):
        return True
    if not isinstance(callback, Callback):
        return False
    hooks = _batch_hooks(mode)
    for kind in type(callback).__mro__:
        if "reads_only_logs" in vars(kind):
            return any(hook in vars(callback) for hook in hooks)
        if any(hook in vars(kind) for hook in hooks):
            return True
    return False


class CallbackList:
    """Calls several callbacks, in order.

    Args:
        callbacks: the callbacks; nests are flattened.
        add_history: add a `History`.
        add_progbar: add the progress display.
        model: told to every callback.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        from kerata.callbacks.history import History
        from kerata.callbacks.progress import ProgbarLogger

        self.callbacks: list[Any] = [c for c in tree.flatten(callbacks or []) if c is not None]
        for callback in self.callbacks:
            if not hasattr(callback, "on_epoch_end") or isinstance(callback, type):
                hint = f"{callback.__name__}() makes one" if isinstance(callback, type) else None
                raise errors.InvalidType(
                    "this is no callback.", where="fit: callbacks", expected="a Callback", got=repr(callback),
                    hint=hint or "derive its class from kerata.callbacks.Callback",
                )  # fmt: skip
        self.history: Any = next((c for c in self.callbacks if isinstance(c, History)), None)
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        if add_history and self.history is None:
            self.history = History()
            self.callbacks.append(self.history)
        self.model: Any = None
        if model is not None:
            self.set_model(model)
        self.set_params(params)
        self._sort()

    def _sort(self) -> None:
        modes = ("train", "test", "predict")
        self._active = {mode: [c for c in self.callbacks if _hears_batches(c, mode)] for mode in modes}
        self._progress = [c for c in self.callbacks if hasattr(c, "on_steps")]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # the hooks, which are made below

    @classmethod
    def ensure(
        cls, callbacks: Any, model: Any, verbose: Any = "auto", epochs: int = 1, steps: int | None = None,
        add_history: bool = False,
    ) -> CallbackList:  # fmt: skip
        """Return `callbacks` as a list that a running `fit`, `evaluate` or `predict` calls."""
        if isinstance(callbacks, CallbackList):
            return callbacks
        verbose = 1 if verbose == "auto" else int(verbose)
        if not config.is_interactive_logging_enabled() and verbose == 1:
            verbose = 2
        return cls(
            callbacks, add_history=add_history, add_progbar=bool(verbose), model=model, verbose=verbose, epochs=epochs,
            steps=steps,
        )  # fmt: skip

    def append(self, callback: Any) -> None:
        """Add a callback at the end."""
        self.callbacks.append(callback)
        callback.set_params(self.params)
        self._sort()

    def needs_exact_steps(self, mode: str) -> bool:
        """Return whether a callback may read or change the model between batches."""
        return any(_acts_between_batches(c, mode) for c in self._active[mode])

    def set_steps(self, steps: int) -> None:
        """Tell how many steps an epoch has, once that is known."""
        self.params["steps"] = steps

    def before_step(self, mode: str, step: int) -> None:
        """Call the begin hooks of one exact step."""
        for callback in self._active[mode]:
            getattr(callback, f"on_{mode}_batch_begin")(step, logs={})

    def after_steps(
        self, mode: str, start: int, stop: int, last: dict[str, Any], logs_of: Callable[[int], Any]
    ) -> None:
        """Call the end hooks of the steps from `start` to `stop`, and move the progress display."""
        active = self._active[mode]
        exact = self.needs_exact_steps(mode)
        if active:
            for step in range(start, stop):
                if not exact:
                    self.before_step(mode, step)
                logs = logs_of(step)
                for callback in active:
                    getattr(callback, f"on_{mode}_batch_end")(step, logs=logs)
        for callback in self._progress:
            callback.on_steps(mode, stop, last)

    def finish(self) -> None:
        """Close what must be closed, also after an error."""
        for callback in self.callbacks:
            if hasattr(callback, "_close"):
                callback._close()

    def set_params(self, params: dict[str, Any]) -> None:
        """Tell every callback `verbose`, `epochs` and `steps`."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Tell every callback the model."""
        self.model = model
        for callback in self.callbacks:
            callback.set_model(model)


def _call_all(hook: str) -> Callable[..., None]:
    """Return the method that calls `hook` of every callback; it has the parameters of `Callback`'s."""
    signature = inspect.signature(getattr(Callback, hook))

    @functools.wraps(getattr(Callback, hook))
    def method(self: CallbackList, *args: Any, **kwargs: Any) -> None:
        if not self.callbacks:
            return
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        _, *given, logs = bound.arguments.values()
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            if "_batch_" in hook:  # as Keras calls them
                getattr(callback, hook)(*given, logs=logs)
            else:
                getattr(callback, hook)(*given, logs)

    return method


for _hook in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(CallbackList, _hook, _call_all(_hook))
