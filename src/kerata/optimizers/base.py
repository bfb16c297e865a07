"""`Optimizer`: what surrounds an update rule, written once: slots, clipping, decay, accumulation, averages.

An optimizer itself is a rule: new weights and slots out of old ones, the gradient, the learning rate and the step.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from kerata import engine, errors, ops
from kerata.core import dtypes, registry, scopes
from kerata.core.configurable import Configurable
from kerata.core.symbolic import snake_case
from kerata.core.tracking import Stateful
from kerata.core.variable import Variable
from kerata.engine import xp
from kerata.initializers import Constant
from kerata.optimizers.clipping import clipped
from kerata.optimizers.joining import is_elementwise, jointly, small_ones
from kerata.optimizers.options import OLD_SPELLINGS, Rate, check_options, spell_out_options, with_old_spellings
from kerata.optimizers.schedules import LearningRateSchedule

__all__ = ["Optimizer", "VarListOptimizer"]

Pairs = list[tuple[Any, Variable]]


class Optimizer(Stateful, Configurable):
    """The base of optimizers: changes Variables by their gradients, step by step.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        weight_decay: each step first takes `weight_decay * learning_rate` of a weight off it.
        clipnorm: the largest norm of one Variable's gradient; longer ones are shortened.
        clipvalue: the largest magnitude of one gradient's element.
        global_clipnorm: the largest norm of all gradients together. Only one of the three can be set.
        use_ema: whether to keep a moving average of the weights, `a = ema_momentum * a + (1 - ema_momentum) * w`.
        ema_momentum: how slowly the average follows.
        ema_overwrite_frequency: after every so many steps the weights become their average; None for only at the end
            of training, by `finalize_variable_values`.
        loss_scale_factor: the loss is multiplied by it and the gradients divided, against underflow.
        gradient_accumulation_steps: weights change at every so many steps, by the mean of the gradients since.
        name: the first part of the paths of the optimizer's Variables.

    An optimizer of your own is a class with `slots`, what it remembers for each weight, and `rule`. (Overriding
    `build` and `update_step` works as well.)

    Example:
        >>> class HeavyBall(kerata.optimizers.Optimizer):
        ...     def __init__(self, learning_rate=0.01, momentum=0.9, **options):
        ...         super().__init__(learning_rate, **options)
        ...         self.momentum = momentum
        ...
        ...     def slots(self):
        ...         return [{"velocity": 0.0}]
        ...
        ...     def rule(self, w, g, lr, t, v):
        ...         v = self.momentum * v - lr * g
        ...         return w + v, v
    """

    _not_members = frozenset({"_trainable_variables"})

    def __init__(
        self,
        learning_rate: Rate,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._variables: list[Variable] = []  # stands before other attributes: its order is the order in files
        self.name = name or scopes.auto_name(snake_case(type(self).__name__))
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum, self.ema_overwrite_frequency = ema_momentum, ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        learning_rate = with_old_spellings(learning_rate, kwargs)
        if kwargs:
            raise errors.InvalidType("unknown arguments.", where=type(self).__name__, got=sorted(kwargs))
        check_options(self)
        self.built = False
        self._trainable_variables: list[Variable] = []
        self._positions: dict[Variable, int] = {}
        self._slots: dict[Variable, list[Variable]] = {}
        self._averages: dict[Variable, Variable] = {}
        self._accumulators: dict[Variable, Variable] = {}
        self._kept_from_decay: set[Variable] = set()
        self._names_kept_from_decay: re.Pattern[str] | None = None
        self._iterations = self.add_variable((), dtype="int32", name="iteration")
        self._learning_rate: Any = learning_rate
        if not callable(learning_rate):
            self._learning_rate = self.add_variable((), Constant(learning_rate), name="learning_rate")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = spell_out_options(vars(cls)["__init__"], Optimizer.__init__)  # type: ignore[method-assign]

    # The rule, to be overridden ---------------------------------------------------------------------------------

    def slots(self) -> Sequence[Mapping[str, float]]:
        """Return the slots' names with the values they start from; slots of one mapping lie side by side in files."""
        return ()

    def rule(self, w: Any, g: Any, lr: Any, t: Any, *slots: Any) -> tuple[Any, ...]:
        """Return the new weights and the new slots; arrays in, arrays out.

        Args:
            w: the weights.
            g: their gradient.
            lr: the learning rate, a scalar.
            t: the step, a scalar: 1 at the first update.
            slots: what the rule returned the step before, in the order of `slots()`.
        """
        raise errors.Unsupported(
            "an optimizer needs a rule.", where=type(self).__name__, hint="define `rule`, or `update_step`"
        )

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Assign to `variable` and its slots what the rule makes of them."""
        targets = variable, *self._slots[variable]
        w, *slots = (v.raw_value() for v in targets)
        for target, value in zip(targets, self._ruled(learning_rate, self.iterations + 1, w, gradient, *slots)):
            target.assign_new(value)

    def _ruled(self, lr: Any, t: Any, w: Any, g: Any, *slots: Any) -> tuple[Any, ...]:
        """Return what the rule makes of arrays of any dtype."""
        # A step of 1/1000 is lost in 16 bits: the equations are in float32 at least, whatever weights are kept in.
        dtype = dtypes.result_type(w.dtype, "float32")
        return self.rule(*(_as(dtype, x) for x in (w, g, lr, t, *slots)))

    def begin_update(self) -> None:
        """Called once at each update, before the rule is applied to each Variable; does nothing unless overridden."""

    # Variables --------------------------------------------------------------------------------------------------

    def build(self, variables: Iterable[Variable]) -> None:
        """Make the slots for `variables`; does nothing the second time."""
        if self.built:
            return
        variables = list(variables)
        self._trainable_variables = variables
        self._positions = {v: i for i, v in enumerate(variables)}
        ruled = [v for v in variables if not v.overwrite_with_gradient]
        if self.use_ema:
            self._averages = {v: self.add_variable_from_reference(v, "average") for v in ruled}
        if self.gradient_accumulation_steps:
            name = "gradient_accumulator"
            self._accumulators = {v: self.add_variable_from_reference(v, name) for v in variables}
        self._slots = {v: [] for v in variables}
        self.add_slots(ruled)
        self.built = True

    def add_slots(self, variables: list[Variable]) -> None:
        """Fill `self._slots`; override it where slots differ from one Variable to another."""
        for group in self.slots():
            for variable in variables:
                self._slots[variable] += [
                    self.add_variable_from_reference(variable, name, Constant(start)) for name, start in group.items()
                ]

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str | None = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Return a new Variable of the optimizer's own; its place in files is the order of these calls."""
        if isinstance(initializer, str) and initializer == "zeros":
            initializer = Constant(0)
        with scopes.name_scope(self.name):
            variable = Variable(
                initializer, tuple(shape), dtype, trainable=False, autocast=False, aggregation=aggregation,
                layout=layout, name=name,
            )  # fmt: skip
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """Return a new Variable with the shape and dtype of `reference_variable`."""
        path = reference_variable.path.replace("/", "_")
        return self.add_variable(
            reference_variable.shape, initializer, reference_variable.dtype, layout=reference_variable._layout,
            name=f"{path}_{name or 'var'}",
        )  # fmt: skip

    def add_optimizer_variables(
        self, trainable_variables: Iterable[Variable], name: str | Sequence[str], initializer: Any = "zeros"
    ) -> Any:
        """Return a list of new Variables, one for each of `trainable_variables`; a tuple of lists for several names."""
        names = [name] if isinstance(name, str) else list(name)
        starts = list(initializer) if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        if len(names) != len(starts):
            raise errors.InvalidArgument(
                "each name needs an initializer.", where="add_optimizer_variables", got=f"{names} and {starts}"
            )
        columns: tuple[list[Variable | None], ...] = tuple([] for _ in names)
        for v in trainable_variables:
            for column, n, start in zip(columns, names, starts):
                column.append(None if v.overwrite_with_gradient else self.add_variable_from_reference(v, n, start))
        return columns[0] if isinstance(name, str) else columns

    def _get_variable_index(self, variable: Variable) -> int:
        """Return the place of `variable` among those that the optimizer was built with."""
        return self._positions[variable]

    def assign(self, variable: Variable, value: Any) -> None:
        """Set `variable`, which may be a weight or a slot."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Add to `variable`."""
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtract from `variable`."""
        variable.assign_sub(value)

    # Steps ------------------------------------------------------------------------------------------------------

    @errors.user_facing
    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[Variable] | None = None) -> None:
        """Change the Variables by one step.

        Args:
            grads: one gradient for each Variable; None for a Variable that the loss does not depend on.
            trainable_variables: the Variables, among those that the optimizer was built with (the first call builds
                it); all of those for None.

        Example:
            >>> w = kerata.Variable(3.0)
            >>> kerata.optimizers.SGD(0.5).apply([numpy.float32(2.0)], [w])
            >>> float(w)
            2.0
        """
        if len(grads) == 0:
            return
        pairs = self._pairs(grads, trainable_variables)
        if self.loss_scale_factor is not None:
            pairs = [(g if v.overwrite_with_gradient else g / self.loss_scale_factor, v) for g, v in pairs]
        if self.gradient_accumulation_steps:
            self._accumulate(pairs, self.gradient_accumulation_steps)
        else:
            self._update(pairs)
        if self.use_ema:
            self._update_averages()
        for _, variable in pairs:
            if variable.constraint is not None and not variable.overwrite_with_gradient:
                variable.assign(variable.constraint(variable.raw_value()))
        self._iterations.assign_add(1)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """Change the Variables by one step, given pairs of gradient and Variable; returns the step counter."""
        grads, variables = zip(*grads_and_vars)
        self.apply(grads, variables)
        return self._iterations

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """Return the new values of the weights and of `self.variables`, given the old ones; nothing is assigned."""
        where = f"optimizer {self.name!r}: stateless_apply"
        if not self.built:
            raise errors.NotBuilt("the slots do not exist yet.", where=where, hint="optimizer.build(variables)")
        weights, own = self._trainable_variables, self.variables
        for values, variables in ((optimizer_variables, own), (trainable_variables, weights)):
            if len(values) != len(variables):
                raise errors.InvalidArgument(
                    "one value for each Variable is needed.", where=where, expected=[v.path for v in variables],
                    got=f"{len(values)} values",
                )  # fmt: skip
        state = zip([*weights, *own], map(engine.arrays.as_array, [*trainable_variables, *optimizer_variables]))
        with scopes.StateScope(state) as scope:
            self.apply(grads)
        return [scope.values[v] for v in weights], [scope.values[v] for v in own]

    def _pairs(self, grads: Sequence[Any], variables: Iterable[Variable] | None) -> Pairs:
        """Return the gradients that exist, each with its Variable."""
        where = f"optimizer {self.name!r}"
        if variables is None:
            if not self.built:
                raise errors.NotBuilt(
                    "gradients came without their Variables.", where=where,
                    hint="optimizer.apply(gradients, variables), or optimizer.build(variables) before",
                )  # fmt: skip
            variables = self._trainable_variables
        variables = list(variables)
        if len(grads) != len(variables):
            raise errors.InvalidArgument(
                "each Variable needs one gradient.", where=where, expected=f"{len(variables)} gradients",
                got=f"{len(grads)}",
            )  # fmt: skip
        if not self.built:
            self.build(variables)
        if unknown := [v.path for v in variables if v not in self._positions]:
            raise errors.InvalidArgument(
                "the optimizer was not built with these Variables.", where=where, got=", ".join(unknown),
                expected="some of " + ", ".join(v.path for v in self._trainable_variables),
                hint="make a new optimizer (compile the model anew) after adding or unfreezing weights",
            )  # fmt: skip
        pairs = [(g, v) for g, v in zip(grads, variables) if g is not None]
        missing = [v.path for g, v in zip(grads, variables) if g is None]
        if not pairs:
            raise errors.InvalidArgument(
                "no Variable has a gradient.", where=where, expected="a loss that depends on the Variables",
                got=f"None for {', '.join(missing)}",
                hint="compute the loss with kerata.ops from what the model returns; NumPy and stop_gradient cut it off",
            )  # fmt: skip
        if missing:
            errors.warn_once(f"{where}: the loss does not depend on {', '.join(missing)}; they stay as they are.")
        for g, v in pairs:
            if tuple(np.shape(g)) != tuple(v.shape):
                raise errors.ShapeMismatch(
                    "a gradient has the shape of its Variable.", where=f"{where}, Variable {v.path!r}",
                    expected=tuple(v.shape), got=tuple(np.shape(g)),
                )  # fmt: skip
        return pairs

    def _accumulate(self, pairs: Pairs, steps: int) -> None:
        """Sum gradients up; at every so many steps update by their mean."""
        sums = []
        for g, v in pairs:
            before = self._accumulators[v].raw_value()
            sums.append((xp.maximum(g, before) if v.overwrite_with_gradient else g + before, v))

        def update() -> None:
            self._update([(s if v.overwrite_with_gradient else s / steps, v) for s, v in sums])
            for s, v in sums:
                self._accumulators[v].assign(xp.zeros_like(s))

        def wait() -> None:
            for s, v in sums:
                self._accumulators[v].assign(s)

        due = (self._iterations.raw_value() + 1) % steps == 0
        ops.cond(due, update, wait)

    def _update(self, pairs: Pairs) -> None:
        for g, v in pairs:
            if v.overwrite_with_gradient:
                v.assign(g)
        pairs = [(g, v) for g, v in pairs if not v.overwrite_with_gradient]
        if not pairs:
            return
        rate = self.learning_rate
        gradients = clipped([g for g, _ in pairs], self.clipnorm, self.clipvalue, self.global_clipnorm)
        self.begin_update()
        variables = [v for _, v in pairs]
        self._decay(variables, rate)
        if not self._update_at_once(gradients, variables, rate):
            for g, v in zip(gradients, variables):
                self.update_step(g, v, rate)

    @property
    def _steps_by_rule(self) -> bool:
        """Whether the rule is all that happens to a Variable."""
        step = type(self).update_step
        return step is Optimizer.update_step or is_elementwise(step)

    def packs(self) -> list[list[Variable]]:
        """Return groups of own small Variables that a loop may keep joined, as `jointly` joins them."""
        if not (self._steps_by_rule and is_elementwise(type(self).rule)):
            return []
        ruled = [v for v in self._trainable_variables if not v.overwrite_with_gradient]
        small = [ruled[i] for i in small_ones(ruled)]
        columns = [*zip(*(self._slots[v] for v in small)), [self._averages[v] for v in small if v in self._averages]]
        alike = [[v for v in column if v.dtype == dtype] for column in columns for dtype in {v.dtype for v in column}]
        return [group for group in alike if len(group) > 1]

    def _update_at_once(self, gradients: Sequence[Any], variables: list[Variable], rate: Any) -> bool:
        """Apply the rule to all Variables together, if the engine or the rule allows it; return whether."""
        rule = type(self).rule
        way = engine.active().fast_ways.get(f"{rule.__module__}.{rule.__qualname__}")
        if not self._steps_by_rule or (way is None and not is_elementwise(rule)):
            return False
        targets = [(v, *self._slots[v]) for v in variables]
        olds = [tuple(v.raw_value() for v in row) for row in targets]
        gradients = [engine.arrays.as_array(g) for g in gradients]
        lr, t = (_as("float32", x) for x in (rate, self.iterations + 1))
        new: Any = NotImplemented
        if way is not None:
            weights, *slots = map(list, zip(*olds))
            # Outside of a scope the slots are the Variables' own, which the results replace.
            new = way(self, weights, gradients, lr, t, *slots, may_overwrite=scopes.around.state is None)
        if new is not NotImplemented:
            new = list(zip(*new))
        elif is_elementwise(rule):
            step = self.iterations + 1
            rows = [(w, g, *slots) for (w, *slots), g in zip(olds, gradients)]
            new = jointly(lambda *row: self._ruled(rate, step, *row), rows)
        else:
            return False
        _assign(targets, new)
        return True

    # Weight decay and averages ----------------------------------------------------------------------------------

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Keep Variables from weight decay: those listed, and those whose name matches one of `var_names`.

        Example:
            >>> optimizer = kerata.optimizers.AdamW()
            >>> optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        """
        self._kept_from_decay = set(var_list or ())
        names = list(var_names or ())
        self._names_kept_from_decay = re.compile("|".join(names)) if names else None

    def decay_of(self, variable: Variable) -> float | None:
        """Return the weight decay of `variable`, None for none."""
        return None if self.is_kept_from_decay(variable) else self.weight_decay

    def is_kept_from_decay(self, variable: Variable) -> bool:
        """Return whether `exclude_from_weight_decay` named `variable`."""
        names = self._names_kept_from_decay
        return variable in self._kept_from_decay or (names is not None and names.search(variable.name) is not None)

    def _decay(self, variables: list[Variable], rate: Any) -> None:
        alike: dict[float, list[Variable]] = {}
        for variable in variables:
            if (decay := self.decay_of(variable)) is not None:
                alike.setdefault(decay, []).append(variable)
        for decay, own in alike.items():
            def decayed(w: Any, decay: float = decay) -> tuple[Any, ...]:
                return (w - w * _as(w.dtype, decay) * _as(w.dtype, rate),)

            _assign([(v,) for v in own], jointly(decayed, [(v.raw_value(),) for v in own]))

    def _update_averages(self) -> None:
        step, every = self.iterations, self.ema_overwrite_frequency

        def averaged(average: Any, w: Any) -> tuple[Any, ...]:
            momentum = _as(w.dtype, step != 0) * self.ema_momentum  # 0 at first: the average starts as the weights
            average = momentum * average + (1 - momentum) * w
            return (average, xp.where((step + 1) % every == 0, average, w)) if every else (average,)

        pairs = [(average, variable) for variable, average in self._averages.items()]
        _assign(pairs, jointly(averaged, [(a.raw_value(), v.raw_value()) for a, v in pairs]))

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Set the weights to what they shall be after training: with `use_ema` their averages."""
        for variable in var_list:
            if variable in self._averages:
                variable.assign(self._averages[variable])

    # Learning rate and step -------------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next step: a Variable, or what the schedule or function says."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self._iterations)
        return self._learning_rate if isinstance(self._learning_rate, Variable) else self._learning_rate()

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        current = self._learning_rate
        if callable(learning_rate) and not isinstance(learning_rate, Variable):
            self._learning_rate = learning_rate
            self._variables = [v for v in self._variables if v is not current]
        elif isinstance(current, Variable):
            current.assign(learning_rate)
        else:
            raise errors.InvalidType(
                "a schedule decides the learning rate, so that a number cannot be set.",
                where=f"optimizer {self.name!r}: learning_rate", got=repr(learning_rate),
                hint="make the optimizer with a number as learning_rate, or set another schedule",
            )  # fmt: skip

    @property
    def iterations(self) -> Any:
        """How many updates there were."""
        if self.gradient_accumulation_steps:
            return self._iterations.raw_value() // self.gradient_accumulation_steps
        return self._iterations

    def scale_loss(self, loss: Any) -> Any:
        """Return the loss of which gradients are to be taken; `apply` undoes the scale."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    # Files and configs ------------------------------------------------------------------------------------------

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set every Variable of the optimizer, in the order of `variables`."""
        if not self.built:
            raise errors.NotBuilt(
                "the slots do not exist yet.", where=f"optimizer {self.name!r}", hint="optimizer.build(variables)"
            )
        for variable, weight in zip(self.variables, weights):
            variable.assign(weight)

    def save_own_variables(self, store: Any) -> None:
        """Put the arrays of the optimizer's Variables into `store`, by their place."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Set the optimizer's Variables from `store`; a store of another length is skipped with a warning."""
        variables = self.variables
        if len(store) != len(variables):
            warnings.warn(
                f"optimizer {self.name!r} starts afresh: it has {len(variables)} arrays and the file {len(store)}."
                + ("" if self.built else " It is not built yet."),
                stacklevel=2,
            )
            return
        for i, variable in enumerate(variables):
            variable.assign(store[str(i)])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this optimizer anew, as data; the learning rate is the present one."""
        config = super().get_config()
        config = {name: value for name, value in config.items() if name not in OLD_SPELLINGS}
        if "learning_rate" in config:
            rate = self._learning_rate
            data = float(rate) if isinstance(rate, Variable) else registry.serialize_keras_object(rate)
            config["learning_rate"] = data
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """Make an optimizer from what `get_config` returned; `custom_objects` may hold its schedule."""
        with registry.CustomObjectScope(custom_objects):
            return super().from_config({k: v for k, v in config.items() if k not in _WITHOUT_MEANING})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class VarListOptimizer(Optimizer):
    """The base of those whose `build` calls the Variables `var_list`, as Keras's do; its base and its SGD do not."""

    def build(self, var_list: Iterable[Variable]) -> None:
        """Make the slots for `var_list`; does nothing the second time."""
        super().build(var_list)


_WITHOUT_MEANING = ("is_legacy_optimizer", "jit_compile")  # found in the configs of old files


def _as(dtype: Any, x: Any) -> Any:
    return engine.arrays.as_array(x.raw_value() if isinstance(x, Variable) else x, dtypes.standardize(dtype))


def _assign(targets: Iterable[Sequence[Variable]], values: Iterable[Sequence[Any]]) -> None:
    """Assign each row of values to its row of Variables; a Variable without a value stays."""
    for variables, row in zip(targets, values):
        for variable, value in zip(variables, row):
            variable.assign_new(value)
