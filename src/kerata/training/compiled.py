"""The losses and metrics of `compile`, matched to the model's outputs."""

from __future__ import annotations

from typing import Any

from kerata import errors, losses, metrics, tree
from kerata.core.op import convert
from kerata.losses.base import LossFunctionWrapper

__all__ = ["CompiledLoss", "CompiledMetrics", "output_names"]


def output_names(y_pred: Any, names: list[str] | None) -> list[str]:
    """Return a name for each output: its key ("rest/second" in a nest), the layer's name, or `output_0`, …"""
    if isinstance(y_pred, dict):
        return ["/".join(map(str, path)) for path, _ in tree.flatten_with_path(y_pred)]
    count = len(tree.flatten(y_pred))
    if names and len(names) == count:
        return list(names)
    return [f"output_{i}" for i in range(count)]


def outputs_of(y_pred: Any, names: list[str]) -> list[Any]:
    """Return the outputs in the order of their names."""
    return [_said_for(name, y_pred) for name in names] if isinstance(y_pred, dict) else tree.flatten(y_pred)


def _said_for(name: str, nest: Any) -> Any:
    """Return what a nest says for an output: "rest/second" may be a key, or a key in the dict of a key."""
    if isinstance(nest, (list, tuple)):
        nest = {str(i): value for i, value in enumerate(nest)}
    if not isinstance(nest, dict):
        return None
    first, _, rest = name.partition("/")
    return nest[name] if name in nest else _said_for(rest, nest.get(first)) if rest else None


def per_output(given: Any, y_pred: Any, names: list[str], what: str) -> list[Any]:
    """Return what `given` says for each output: a value for all, a list, or a dict by output names."""
    if isinstance(given, dict):
        known = {*names, *(name.partition("/")[0] for name in names)}
        unknown = [k for k in given if k not in known]
        if unknown:
            raise errors.UnknownName(f"output for `{what}`", unknown[0], names, where="compile")
        return [_said_for(name, given) for name in names]
    if isinstance(given, (list, tuple)) and len(names) > 1:
        if len(given) != len(names):
            raise errors.InvalidArgument(
                f"`{what}` has the wrong number of entries.", where="compile",
                expected=f"{len(names)}, one for each output {names}", got=len(given),
                hint=f"a single one serves all outputs; or give a dict: {{{names[0]!r}: …}}",
            )  # fmt: skip
        return list(given)
    if isinstance(given, (list, tuple)) and what != "metrics":
        if len(given) != 1:
            raise errors.InvalidArgument(
                f"`{what}` has the wrong number of entries.", where="compile", expected=f"one, for {names[0]!r}",
                got=f"{len(given)}: {list(given)}", hint="further numbers to watch belong to `metrics`",
            )  # fmt: skip
        return list(given)
    return [given] * len(names)


def flatten_targets(y: Any, y_pred: Any, names: list[str], what: str = "y") -> list[Any]:
    """Return the targets in the order of the outputs."""
    if isinstance(y, dict):
        found = [_said_for(name, y) for name in names]
        if any(target is None for target in found) and not isinstance(y_pred, dict) and len(names) == len(y):
            return list(y.values())
        return found
    flat = tree.flatten(y)
    if len(flat) == 1 and len(names) > 1 and (flat[0] is None or what == "sample_weight"):
        return flat * len(names)
    if len(flat) != len(names):
        raise errors.InvalidArgument(
            f"the number of targets in `{what}` is wrong.", where="fit", expected=f"{len(names)}: {names}",
            got=len(flat), hint="give a list in this order, or a dict by these names",
        )  # fmt: skip
    return flat


class CompiledLoss:
    """The total loss over all outputs, and the loss of each where there are several.

    Args:
        loss: a loss (name, object, function) for all outputs, or a list or dict of them.
        loss_weights: a factor for each output.
        names: the outputs' names.
    """

    def __init__(self, loss: Any, loss_weights: Any = None, names: list[str] | None = None) -> None:
        self.loss, self.loss_weights, self._names = loss, loss_weights, names
        self.metrics: list[Any] = []
        self._parts: list[tuple[Any, float]] | None = None
        self._outputs: list[str] = []

    def build(self, y: Any, y_pred: Any) -> None:
        """Find the loss of each output."""
        names = self._outputs = output_names(y_pred, self._names)
        chosen = per_output(self.loss, y_pred, names, "loss")
        weights = per_output(self.loss_weights, y_pred, names, "loss_weights")
        if isinstance(self.loss_weights, (int, float)):
            weights = [self.loss_weights] * len(names)
        self._parts = [(_as_loss(loss), 1.0 if weight is None else weight) for loss, weight in zip(chosen, weights)]
        with_loss = [name for name, (loss, _) in zip(names, self._parts) if loss is not None]
        self.metrics = [metrics.Mean(name=f"{name}_loss") for name in with_loss] if len(with_loss) > 1 else []

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if self._parts is None:
            self.build(y, y_pred)
        parts = self._parts or []
        targets = flatten_targets(y, y_pred, self._outputs)
        outputs = outputs_of(y_pred, self._outputs)
        weights = flatten_targets(sample_weight, y_pred, self._outputs, "sample_weight")
        total, trackers = None, iter(self.metrics)
        for name, target, output, weight, (loss, factor) in zip(self._outputs, targets, outputs, weights, parts):
            if loss is None:
                continue
            try:
                value = loss(target, output, sample_weight=weight)
            except Exception as error:
                errors.note(error, f"in the loss of output {name!r}")
                raise
            if self.metrics:
                rows = output.shape[0] if getattr(output, "ndim", 0) else 1
                next(trackers).update_state(value, sample_weight=rows)
            value = value * factor if factor != 1.0 else value
            total = value if total is None else total + value
        return total


def _as_loss(identifier: Any) -> Any:
    loss = losses.get(identifier)
    if loss is None or isinstance(loss, losses.Loss):
        return loss
    return LossFunctionWrapper(loss, name=getattr(loss, "__name__", None))


_AMBIGUOUS = {
    "accuracy": ("BinaryAccuracy", "SparseCategoricalAccuracy", "CategoricalAccuracy"),
    "crossentropy": ("BinaryCrossentropy", "SparseCategoricalCrossentropy", "CategoricalCrossentropy"),
}


def _as_metric(identifier: Any, y: Any, y_pred: Any) -> Any:
    """Return the metric that `identifier` means for targets and outputs of these shapes."""
    if isinstance(identifier, metrics.Metric):
        return identifier
    word = {"acc": "accuracy", "ce": "crossentropy"}.get(identifier, identifier) if isinstance(identifier, str) else ""
    if word in _AMBIGUOUS and hasattr(y, "shape") and hasattr(y_pred, "shape"):
        binary, sparse, categorical = _AMBIGUOUS[word]
        if y_pred.shape[-1:] in ((1,), ()):
            kind = binary
        elif len(y.shape) < len(y_pred.shape) or y.shape[-1] == 1:
            kind = sparse
        else:
            kind = categorical
        return getattr(metrics, kind)(name=identifier)
    with errors.located("compile: metrics"):
        found = metrics.get(identifier)
    if isinstance(found, metrics.Metric):
        if isinstance(identifier, str):
            found.name = identifier  # logs carry the name that the user wrote
        return found
    if identifier is None:
        return None
    name = identifier if isinstance(identifier, str) else getattr(found, "__name__", type(found).__name__)
    return metrics.MeanMetricWrapper(found, name=name)


class CompiledMetrics(metrics.Metric):
    """The metrics of `compile`, for each output, weighted or not."""

    def __init__(self, plain: Any, weighted: Any, names: list[str] | None = None) -> None:
        super().__init__(name="compile_metrics")
        self.plain, self.weighted, self._names = plain, weighted, names
        self.built = False
        self._parts: list[tuple[str, list[Any], list[Any]]] = []

    def build(self, y: Any, y_pred: Any) -> None:
        """Make the metrics for each output."""
        names = output_names(y_pred, self._names)
        outputs = outputs_of(y_pred, names)
        targets = flatten_targets(y, y_pred, names)
        groups = [
            [
                [_as_metric(m, target, output) for m in _listed(chosen) if m is not None]
                for chosen, target, output in zip(_metrics_per_output(given, y_pred, names), targets, outputs)
            ]
            for given in (self.plain, self.weighted)
        ]
        self._parts = list(zip(names, *groups))
        self.built = True

    @property
    def metrics(self) -> list[Any]:
        """Every metric."""
        return [m for _, plain, weighted in self._parts for m in (*plain, *weighted)]

    @property
    def variables(self) -> list[Any]:
        """The Variables of every metric."""
        return [v for m in self.metrics for v in m.variables]

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to every metric."""
        if not self.built:
            self.build(y, y_pred)
        names = [name for name, _, _ in self._parts]
        outputs = outputs_of(y_pred, names)
        targets = flatten_targets(y, y_pred, names)
        weights = flatten_targets(sample_weight, y_pred, names, "sample_weight")
        for (name, plain, weighted), target, output, weight in zip(self._parts, targets, outputs, weights):
            for metric, w in [*((m, None) for m in plain), *((m, weight) for m in weighted)]:
                try:
                    if w is None:
                        metric.update_state(target, output)
                    else:
                        metric.update_state(target, output, sample_weight=w)
                except Exception as error:
                    errors.note(error, f"in the metric {metric.name!r} of output {name!r}")
                    raise

    def reset_state(self) -> None:
        """Empty every metric."""
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> dict[str, Any]:
        """Return every metric's value by its name in the logs."""
        results: dict[str, Any] = {}
        several = len(self._parts) > 1
        for name, plain, weighted in self._parts:
            for metric in (*plain, *weighted):
                before = f"{name}_" if several else ""
                key = f"{before}{metric.name}"
                if key in results:
                    again = f"{before}weighted_{metric.name}"
                    key = again if again not in results else f"{key}_{len(results)}"
                value = metric.result()
                if isinstance(value, dict):
                    results.update(value)
                else:
                    results[key] = convert(value)
        return results


def _listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple)) else [x]


def _metrics_per_output(given: Any, y_pred: Any, names: list[str]) -> list[Any]:
    """Return the metrics of each output; a flat list is for all outputs alike."""
    if given is None:
        return [[]] * len(names)
    if isinstance(given, (list, tuple)) and len(names) > 1:
        if len(given) == len(names) and any(isinstance(m, (list, tuple)) or m is None for m in given):
            return [m or [] for m in given]
        if len(given) == len(names):
            return [[m] for m in given]
        raise errors.InvalidArgument(
            "`metrics` has the wrong number of entries.", where="compile",
            expected=f"{len(names)}, one for each output {names}", got=len(given),
            hint="give a dict by output names, or a list of lists",
        )  # fmt: skip
    return [[] if m is None else m for m in per_output(given, y_pred, names, "metrics")]
