"""Optimizers by equations worked out by hand, and what surrounds them."""

import math
import warnings

import jax
import numpy as np
import pytest

import kerata
from kerata import errors, optimizers
from kerata.core.scopes import StateScope
from kerata.optimizers import schedules

# One step from w = 1 with g = 0.5 and learning rate 0.1, without the tiny epsilons.
W, G, LR = 1.0, 0.5, 0.1
NADAM = (0.9 * (1 - 0.5 * 0.96), 0.9 * (1 - 0.5 * 0.96**2))

FIRST_STEPS = [
    ("SGD", {}, W - LR * G),
    ("SGD", {"momentum": 0.9}, W - LR * G),
    ("SGD", {"momentum": 0.9, "nesterov": True}, W - 1.9 * LR * G),
    ("SGD", {"weight_decay": 0.2}, W - 0.2 * LR * W - LR * G),
    ("SGD", {"clipvalue": 0.3}, W - LR * 0.3),
    ("SGD", {"clipnorm": 0.3}, W - LR * 0.3),
    ("SGD", {"clipnorm": 0.7}, W - LR * G),
    ("SGD", {"global_clipnorm": 0.3}, W - LR * 0.3),
    ("SGD", {"loss_scale_factor": 4.0}, W - LR * G / 4),
    ("SGD", {"gradient_accumulation_steps": 2}, W),
    ("Lion", {}, W - LR),
    ("Adam", {"epsilon": 0.0}, W - LR),
    ("Adam", {"epsilon": 0.0, "amsgrad": True}, W - LR),
    ("AdamW", {"epsilon": 0.0}, W - 0.004 * LR - LR),
    ("Adamax", {"epsilon": 0.0}, W - LR),
    ("Lamb", {"epsilon": 0.0}, W - LR),
    ("ScheduleFreeAdamW", {"epsilon": 0.0}, W - LR),
    ("ScheduleFreeAdamW", {"epsilon": 0.0, "warmup_steps": 4}, W - LR / 4),
    ("Adafactor", {}, W - LR),
    ("Nadam", {}, W - LR * (NADAM[1] * 0.1 / (1 - NADAM[0] * NADAM[1]) + (1 - NADAM[0]) / (1 - NADAM[0]))),
    ("RMSprop", {"epsilon": 0.0}, W - LR / math.sqrt(0.1)),
    ("RMSprop", {"epsilon": 0.0, "centered": True}, W - LR / math.sqrt(0.1 - 0.01)),
    ("Adagrad", {"epsilon": 0.0}, W - LR * G / math.sqrt(0.1 + G**2)),
    ("Adadelta", {"epsilon": 0.01}, W - LR * 0.1 * G / math.sqrt(0.05 * G**2 + 0.01)),
    ("Ftrl", {}, -(G - (math.sqrt(0.35) - math.sqrt(0.1)) / LR * W) / (math.sqrt(0.35) / LR)),
    ("Muon", {"epsilon": 0.0}, W - 0.004 * LR - LR),  # a vector is left to Adam
]


def variable(value=(W,), name="w", **kwargs):
    return kerata.Variable(np.array(value, "float32"), name=name, **kwargs)


@pytest.mark.parametrize(("name", "config", "expected"), FIRST_STEPS)
def test_first_step(name, config, expected):
    eager, compiled = variable(), variable()
    getattr(optimizers, name)(LR, **config).apply([np.array([G], "float32")], [eager])
    optimizer = getattr(optimizers, name)(LR, **config)
    kerata.jit(lambda g: optimizer.apply([g], [compiled]))(np.array([G], "float32"))  # builds within, too
    assert float(eager[0]) == pytest.approx(expected, rel=2e-6)
    assert float(compiled[0]) == pytest.approx(expected, rel=2e-6)
    assert int(optimizer.variables[0]) == 1


def test_momentum_goes_on():
    w, optimizer = variable(), optimizers.SGD(0.1, momentum=0.5)
    for expected in (1 - 0.1, 1 - 0.1 - 0.15, 1 - 0.1 - 0.15 - 0.175):
        optimizer.apply([np.ones(1, "float32")], [w])
        assert float(w[0]) == pytest.approx(expected, rel=1e-6)


def test_muon_makes_the_step_orthogonal():
    rng = np.random.default_rng(0)
    w, g = variable(np.zeros((6, 4))), rng.normal(size=(6, 4)).astype("float32")
    optimizers.Muon(1.0, weight_decay=None, rms_rate=None).apply([g], [w])
    u, _, vt = np.linalg.svd(g, full_matrices=False)
    step = -w.numpy()
    assert np.all(np.abs(np.linalg.svd(step, compute_uv=False) - 1) < 0.35)  # Newton and Schulz stop near 1
    np.testing.assert_allclose(u.T @ step @ vt.T * (1 - np.eye(4)), 0, atol=1e-4)


def test_accumulation_is_one_step_by_the_mean():
    whole, parts = variable(), variable()
    gradients = [np.array([g], "float32") for g in (1.0, 2.0, 6.0)]
    optimizer = optimizers.Adam(0.1, gradient_accumulation_steps=3, weight_decay=0.1)
    step = kerata.jit(lambda g: optimizer.apply([g], [parts]))
    for i, g in enumerate(gradients):
        assert float(parts[0]) == W and int(optimizer.iterations) == 0, i
        step(g)
    optimizers.Adam(0.1, weight_decay=0.1).apply([np.array([3.0], "float32")], [whole])
    assert int(optimizer.iterations) == 1
    np.testing.assert_allclose(parts.numpy(), whole.numpy(), rtol=1e-6)


def test_averages_of_weights():
    w, optimizer = variable(), optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
    for _ in range(3):  # w is 0, -1, -2; the average starts at the first of them
        optimizer.apply([np.ones(1, "float32")], [w])
    assert float(w[0]) == -2
    optimizer.finalize_variable_values([w])
    assert float(w[0]) == pytest.approx(0.75 * (0.75 * 0 + 0.25 * -1) + 0.25 * -2)


def test_learns_inside_a_compiled_step():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3)).astype("float32")
    y = x @ np.array([1.0, -2.0, 3.0], "float32")
    for name in ("SGD", "Adam", "RMSprop", "Nadam"):
        w, optimizer = variable(np.zeros(3)), getattr(optimizers, name)(0.05)

        @kerata.jit
        def step(x, y):
            loss, gradients = kerata.value_and_grad(lambda: ((x @ w.value - y) ** 2).mean(), [w])()  # noqa: B023
            optimizer.apply(gradients, [w])  # noqa: B023
            return loss

        losses = [float(step(x, y)) for _ in range(100)]
        assert losses[-1] < 0.1 * losses[0], name


def test_sixteen_bits_compute_in_thirty_two():
    # In bfloat16 itself 0.999 is 1, so that Adam's corrections would divide by zero.
    narrow, wide = kerata.Variable(np.ones(4), dtype="bfloat16"), kerata.Variable(np.ones(4), dtype="float32")
    optimizer, reference = optimizers.Adam(0.1), optimizers.Adam(0.1)
    for g in (0.5, -0.25, 1.0):
        optimizer.apply([np.full(4, g, "float32")], [narrow])
        reference.apply([np.full(4, g, "float32")], [wide])
    assert optimizer.variables[2].dtype == narrow.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(narrow, "float32"), wide.numpy(), rtol=1e-2)


# Cost ---------------------------------------------------------------------------------------------------------------

ARRAY_OPERATIONS = [
    (lambda: optimizers.SGD(), 2),  # times lr, minus
    (lambda: optimizers.SGD(momentum=0.9), 4),
    (lambda: optimizers.SGD(weight_decay=0.1), 5),
    (lambda: optimizers.Adam(), 12),
    (lambda: optimizers.Adam(clipvalue=1.0), 13),
]


@pytest.mark.parametrize(("make", "expected"), ARRAY_OPERATIONS)
def test_nothing_is_computed_in_vain(make, expected):
    w, optimizer = variable(np.ones((3, 2))), make()
    optimizer.build([w])
    state = [w, *optimizer.variables]

    def step(values, g):
        with StateScope(zip(state, values)) as scope:
            optimizer.apply([g], [w])
        return scope.written()[1]

    program = jax.make_jaxpr(step)([v.value for v in state], np.ones((3, 2), "float32"))
    operations = [e.primitive.name for e in program.eqns if e.outvars[0].aval.shape == (3, 2)]
    assert len(operations) == expected, operations


# Variables ----------------------------------------------------------------------------------------------------------


def test_paths_lie_side_by_side():
    with kerata.core.scopes.name_scope("dense"):
        kernel, bias = variable(np.ones((2, 2)), "kernel"), variable(np.ones(2), "bias")
    optimizer = optimizers.Adam(name="adam")
    optimizer.build([kernel, bias])
    optimizer.build([kernel, bias])
    assert [v.path for v in optimizer.variables] == [
        "adam/iteration", "adam/learning_rate", "adam/dense_kernel_momentum", "adam/dense_kernel_velocity",
        "adam/dense_bias_momentum", "adam/dense_bias_velocity",
    ]  # fmt: skip


def test_frozen_after_build():
    a, b = variable(name="a"), variable(name="b")
    optimizer = optimizers.SGD(0.1)
    optimizer.build([a, b])
    optimizer.apply([np.ones(1, "float32")], [b])
    assert float(a[0]) == 1 and float(b[0]) == pytest.approx(0.9)


def test_weights_without_gradient_stay():
    a, b = variable(name="a"), variable(name="b")
    optimizer = optimizers.SGD(0.1, weight_decay=0.1, name="missing")
    with pytest.warns(UserWarning, match="does not depend on a;"):
        optimizer.apply([None, np.ones(1, "float32")], [a, b])
    assert float(a[0]) == 1 and float(b[0]) < 0.9
    optimizer.apply([], [])
    assert int(optimizer.iterations) == 1


def test_stateless_apply_assigns_nothing():
    w, optimizer = variable(), optimizers.SGD(0.1, momentum=0.9)
    optimizer.build([w])
    (new_w,), (iteration, rate, velocity) = optimizer.stateless_apply([3, 0.2, [1.0]], [np.ones(1)], [[2.0]])
    assert float(new_w[0]) == pytest.approx(2 + 0.9 - 0.2)
    assert (int(iteration), float(rate), float(velocity[0])) == (4, pytest.approx(0.2), pytest.approx(0.7))
    assert float(w[0]) == 1 and int(optimizer.iterations) == 0


def test_state_is_saved_and_loaded():
    w, optimizer = variable(), optimizers.Adam(0.1)
    optimizer.apply([np.ones(1, "float32")], [w])
    store = {}
    optimizer.save_own_variables(store)
    assert list(store) == ["0", "1", "2", "3"] and store["0"].dtype == np.int32
    other = optimizers.Adam(0.5)
    with pytest.warns(UserWarning, match="has 2 arrays and the file 4. It is not built yet"):
        other.load_own_variables(store)
    with pytest.raises(errors.NotBuilt):
        other.set_weights(list(store.values()))
    other.build([variable()])
    other.load_own_variables(store)
    assert int(other.iterations) == 1 and float(other.learning_rate) == pytest.approx(0.1)
    other.set_weights([5, 0.3, [1.0], [2.0]])
    assert int(other.iterations) == 5 and float(other.variables[3][0]) == 2


# Learning rates -----------------------------------------------------------------------------------------------------


def test_learning_rate_is_read_and_set():
    w, optimizer = variable(), optimizers.SGD(1)
    step = kerata.jit(lambda: optimizer.apply([np.ones(1, "float32")], [w]))
    step()
    optimizer.learning_rate = 0.25  # the compiled program reads it anew
    step()
    assert float(w[0]) == 1 - 1 - 0.25
    assert float(optimizer.learning_rate) == 0.25 and optimizer.get_config()["learning_rate"] == 0.25
    optimizer.learning_rate = schedules.ExponentialDecay(0.1, 1, 0.5)
    assert float(optimizer.learning_rate) == pytest.approx(0.1 * 0.5**2)
    assert [v.name for v in optimizer.variables] == ["iteration"]
    with pytest.raises(TypeError, match="a schedule decides"):
        optimizer.learning_rate = 0.1


def test_learning_rate_from_a_function():
    w, rates = variable(), iter([0.5, 0.25])
    optimizer = optimizers.SGD(lambda: next(rates))
    for expected in (0.5, 0.25):
        optimizer.apply([np.ones(1, "float32")], [w])
        assert float(w[0]) == expected


class Warmup(schedules.LearningRateSchedule):
    def __init__(self, peak, steps):
        self.peak, self.steps = peak, steps

    def __call__(self, step):
        return self.peak * kerata.ops.minimum(1.0, (step + 1) / self.steps)


def test_schedule_of_ones_own():
    w, optimizer = variable(), optimizers.SGD(Warmup(0.4, steps=4))
    step = kerata.jit(lambda: optimizer.apply([np.ones(1, "float32")], [w]))
    for expected in (0.9, 0.7, 0.4, 0.0, -0.4):
        step()
        assert float(w[0]) == pytest.approx(expected, abs=1e-6)
    config = optimizers.serialize(optimizer)
    again = optimizers.deserialize(config, custom_objects={"Warmup": Warmup})
    assert again.get_config() == optimizer.get_config() and float(again.learning_rate) == pytest.approx(0.1)


OLD_SPELLINGS = [
    ({"lr": 0.5}, [0.5, 0.5, 0.5], "learning_rate"),
    ({"lr": 0.5, "decay": 1.0}, [0.5, 0.5 / 2, 0.5 / 3], "InverseTimeDecay"),
    ({"lr": 0.5, "decay": 0.0}, [0.5, 0.5, 0.5], "learning_rate"),
]


@pytest.mark.filterwarnings("ignore:.*is now called")  # where both are old, the advice on `decay` is asked for
@pytest.mark.parametrize(("config", "rates", "advice"), OLD_SPELLINGS)
def test_old_spellings(config, rates, advice, monkeypatch):
    monkeypatch.setattr(errors.warn_once, "__defaults__", (set(),))
    with pytest.warns(UserWarning, match=advice):
        optimizer = optimizers.SGD(**config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizers.SGD(**config)
    w = variable()
    for rate in rates:
        before = float(w[0])
        optimizer.apply([np.ones(1, "float32")], [w])
        assert before - float(w[0]) == pytest.approx(rate, rel=1e-5)
    assert set(optimizer.get_config()) == set(optimizers.SGD().get_config())
    assert float(optimizers.SGD.from_config(optimizer.get_config()).learning_rate) == pytest.approx(rates[0])


# Optimizers of one's own --------------------------------------------------------------------------------------------


class ByRule(optimizers.Optimizer):
    def __init__(self, learning_rate=0.01, momentum=0.9, **options):
        super().__init__(learning_rate, **options)
        self.momentum = momentum

    def slots(self):
        return [{"velocity": 0.0}]

    def rule(self, w, g, lr, t, v):
        v = self.momentum * v - lr * g
        return w + v, v


class ByStep(optimizers.Optimizer):
    def __init__(self, learning_rate=0.01, momentum=0.9, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        super().build(variables)
        self.velocities = [self.add_variable_from_reference(v, name="velocity") for v in variables]
        self.calls = kerata.Variable(0, trainable=False)

    def update_step(self, gradient, variable, learning_rate):
        velocity = self.velocities[self._get_variable_index(variable)]
        self.assign(velocity, self.momentum * velocity - learning_rate * gradient)
        self.assign_add(variable, velocity)
        self.calls.assign_add(1)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


@pytest.mark.parametrize("cls", [ByRule, ByStep])
def test_optimizer_of_ones_own(cls):
    ours, reference = cls(0.1, momentum=0.5, clipvalue=0.4), optimizers.SGD(0.1, momentum=0.5, clipvalue=0.4)
    a, b = [variable(), variable((2.0, 3.0))], [variable(), variable((2.0, 3.0))]
    step = kerata.jit(lambda *gradients: ours.apply(gradients, a))
    for g in (1.0, -0.2, 0.3):
        gradients = [np.array([g], "float32"), np.array([g, 2 * g], "float32")]
        step(*gradients)
        reference.apply(gradients, b)
    for one, other in zip(a, b):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6)
    assert len(ours.variables) == (4 if cls is ByRule else 5)
    again = cls.from_config(ours.get_config())
    assert (again.momentum, again.clipvalue, float(again.learning_rate)) == (0.5, 0.4, pytest.approx(0.1))


def test_rule_is_needed():
    class Nothing(optimizers.Optimizer):
        pass

    with pytest.raises(NotImplementedError, match="needs a rule"):
        Nothing(0.1).apply([np.ones(1)], [variable()])


# Names and mistakes -------------------------------------------------------------------------------------------------

NAMES = [
    ("sgd", "SGD"), ("SGD", "SGD"), ("adam", "Adam"), ("Adam", "Adam"), ("adamw", "AdamW"), ("adam_w", "AdamW"),
    ("rmsprop", "RMSprop"), ("RMSProp", "RMSprop"), ("ftrl", "Ftrl"), ("muon", "Muon"), ("lamb", "Lamb"),
    ("schedulefreeadamw", "ScheduleFreeAdamW"),
    ({"class_name": "adam", "config": {"learning_rate": 0.5}}, "Adam"),
    ({"class_name": "Adam", "config": {"learning_rate": 0.5, "decay": 0.0, "is_legacy_optimizer": True}}, "Adam"),
    (optimizers.Lion, "Lion"),
]  # fmt: skip


@pytest.mark.parametrize(("identifier", "name"), NAMES)
def test_get(identifier, name):
    assert type(optimizers.get(identifier)).__name__ == name


def test_get_leaves_be():
    optimizer = optimizers.Adam()
    assert optimizers.get(optimizer) is optimizer and optimizers.get(None) is None


def built(*variables):
    optimizer = optimizers.SGD(name="s")
    optimizer.build(variables)
    return optimizer


MISTAKES = [
    (lambda: optimizers.get("adma"), ValueError, "did you mean.* 'adam'"),
    (lambda: optimizers.get(len), ValueError, "this is no optimizer"),
    (lambda: optimizers.get(3), TypeError, "this is no optimizer"),
    (lambda: optimizers.Adam("fast"), TypeError, "this is no learning rate"),
    (lambda: optimizers.Adam(None), TypeError, "this is no learning rate"),
    (lambda: optimizers.Adam(beta1=0.9), TypeError, "beta1"),
    (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=1.0), ValueError, "in one way only"),
    (lambda: optimizers.Adam(gradient_accumulation_steps=1), ValueError, "accumulate nothing"),
    (lambda: optimizers.Adam(use_ema=True, ema_momentum=2), ValueError, "0 to 1"),
    (lambda: optimizers.Adam(use_ema=True, ema_overwrite_frequency=0.5), ValueError, "an int >= 1"),
    (lambda: optimizers.SGD(momentum=2), ValueError, "0 to 1"),
    (lambda: optimizers.AdamW(weight_decay=None), ValueError, "AdamW decays"),
    (lambda: optimizers.Lion(beta_1=0), ValueError, "sign of the gradient"),
    (lambda: optimizers.Ftrl(beta=0.0, l1_regularization_strength=-1), ValueError, "l1_regularization_strength"),
    (lambda: optimizers.Ftrl(learning_rate_power=1), ValueError, "<= 0"),
    (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), clipnorm=1.0), ValueError, "inner optimizer"),
    (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), dynamic=False), ValueError, "loss_scale_factor"),
    (lambda: schedules.CosineDecay(0.1, 0), ValueError, "decay_steps"),
    (lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]), ValueError, "2 boundaries and 2 values"),
    (lambda: built(variable(name="a")).apply([np.ones(1)], [variable(name="b")]), ValueError, "got:      b\n"),
    (lambda: built(variable()).apply([np.ones(2)]), ValueError, "'w'.*shape of its Variable"),
    (lambda: built(variable()).apply([np.ones(1)] * 2), ValueError, "1 gradients"),
    (lambda: built(variable()).apply([None]), ValueError, "no Variable has a gradient"),
    (lambda: optimizers.SGD().apply([np.ones(1)]), ValueError, "without their Variables"),
    (lambda: optimizers.SGD().stateless_apply([], [], []), ValueError, "do not exist"),
    (lambda: built(variable()).stateless_apply([1], [1], [1]), ValueError, "one value for each"),
    (lambda: optimizers.MultiOptimizer(lambda v: optimizers.SGD()).learning_rate, AttributeError, "optimizers"),
]


@pytest.mark.parametrize(("mistake", "kind", "message"), MISTAKES)
def test_mistakes_are_explained(mistake, kind, message):
    with pytest.raises(kind, match=message):
        mistake()


# Loss scaling and several optimizers --------------------------------------------------------------------------------


def test_loss_scale_finds_its_height():
    w, optimizer = variable(), optimizers.LossScaleOptimizer(optimizers.SGD(0.1), 8.0, dynamic_growth_steps=2)
    step = kerata.jit(lambda g: optimizer.apply([g], [w]))
    facts = []
    for g in (8.0, 8.0, np.inf, np.nan, 4.0, 4.0):
        step(np.array([g], "float32"))
        facts.append((round(float(w[0]), 4), float(optimizer.dynamic_scale), int(optimizer.iterations)))
    assert facts == [(0.9, 8, 1), (0.8, 16, 2), (0.8, 8, 2), (0.8, 4, 2), (0.7, 4, 3), (0.6, 8, 4)]
    optimizer.learning_rate = 0.5
    assert float(optimizer.inner_optimizer.learning_rate) == 0.5


def test_several_optimizers_share_the_work():
    a, b = variable(name="a"), variable(name="b")
    table = optimizers.OptimizerMap(optimizers.SGD(0.1))
    table["b.*"] = optimizers.Lion(0.5)
    optimizer = optimizers.MultiOptimizer(table)
    kerata.jit(lambda g: optimizer.apply([g, g], [a, b]))(np.ones(1, "float32"))
    assert (float(a[0]), float(b[0])) == (pytest.approx(0.9), 0.5)
    assert len(optimizer.optimizers) == 2 and table["c"] is table.default_optimizer
    with pytest.raises(ValueError, match="already"):
        table["b.*"] = optimizers.SGD()
    with pytest.raises(ValueError, match="plain optimizer"):
        table["d"] = optimizers.LossScaleOptimizer(optimizers.SGD())
    table["b[0-9]"] = optimizers.SGD()
    with pytest.raises(ValueError, match="several patterns"):
        table["b1"]
