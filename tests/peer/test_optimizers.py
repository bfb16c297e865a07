"""Every optimizer and schedule takes the very steps of Keras's, compiled too; see also test_drawn_optimizers.py."""

import inspect
import operator
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest

import kerata
from kerata import optimizers

STEPS = 12
SHAPES = {"kernel": (4, 3), "bias": (3,), "deep": (2, 3, 2)}

# What surrounds the rule: each of these is tried with Adam, and a few with others.
AROUND = [
    {"weight_decay": 0.1},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.7},
    {"use_ema": True, "ema_momentum": 0.9},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3},
    {"loss_scale_factor": 8.0},
    {"gradient_accumulation_steps": 3},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2, "clipnorm": 0.5},
    {"gradient_accumulation_steps": 4, "weight_decay": 0.1, "loss_scale_factor": 2.0},
]

CASES = [
    *[("SGD", c) for c in ({}, {"momentum": 0.9}, {"momentum": 0.8, "nesterov": True, "learning_rate": 0.3})],
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1, "global_clipnorm": 1.0}),
    *[("RMSprop", c) for c in ({}, {"rho": 0.5, "momentum": 0.7}, {"centered": True})],
    ("RMSprop", {"centered": True, "momentum": 0.3, "epsilon": 1e-3}),
    *[("Adam", c) for c in ({}, {"amsgrad": True}, {"beta_1": 0.5, "beta_2": 0.7, "epsilon": 1e-3})],
    *[("Adam", {"learning_rate": 0.05, **c}) for c in AROUND],
    *[("AdamW", c) for c in ({}, {"weight_decay": 0.2, "learning_rate": 0.1}, {"amsgrad": True})],
    *[("Adagrad", c) for c in ({}, {"initial_accumulator_value": 0.5, "learning_rate": 0.3})],
    *[("Adadelta", c) for c in ({}, {"rho": 0.7, "learning_rate": 1.0})],
    *[("Adamax", c) for c in ({}, {"beta_1": 0.5, "beta_2": 0.7, "clipvalue": 0.2})],
    *[("Nadam", c) for c in ({}, {"beta_1": 0.5, "learning_rate": 0.1}, {"gradient_accumulation_steps": 2})],
    *[("Ftrl", c) for c in ({}, {"l1_regularization_strength": 0.1, "l2_regularization_strength": 0.2, "beta": 0.1})],
    ("Ftrl", {"learning_rate": 0.1, "learning_rate_power": -0.3, "l2_shrinkage_regularization_strength": 0.1}),
    *[("Lion", c) for c in ({}, {"beta_1": 0.5, "beta_2": 0.6, "weight_decay": 0.1})],
    *[("Adafactor", c) for c in ({}, {"relative_step": False, "learning_rate": 0.05}, {"clip_threshold": 0.5})],
    *[("Lamb", c) for c in ({}, {"learning_rate": 0.1, "weight_decay": 0.1})],
    *[("Muon", c) for c in ({}, {"nesterov": False, "rms_rate": None}, {"exclude_layers": ["ker"]})],
    ("Muon", {"weight_decay": None, "adam_weight_decay": 0.2, "adam_lr_ratio": 2, "learning_rate": 0.1}),
    *[("ScheduleFreeAdamW", c) for c in ({}, {"warmup_steps": 5, "learning_rate": 0.1, "weight_decay": 0.1})],
]
# Of each rule its last case, and of what surrounds the rule what compiles to a choice.
COMPILED = [*{name: (name, c) for name, c in CASES}.values(), ("Adam", AROUND[5]), ("Adam", AROUND[8])]


def title(case):
    name, config = case
    return name + "".join(f"-{key}={value}" for key, value in config.items())


def draw(seed=0):
    """Return the first weights, and gradients for each step."""
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(size=shape).astype("float32") for name, shape in SHAPES.items()}
    gradients = [[rng.normal(size=shape).astype("float32") for shape in SHAPES.values()] for _ in range(STEPS)]
    return weights, gradients


def pair(name, config):
    """Return Keras's optimizer and ours, each built with Variables of the same values."""
    weights, _ = draw()
    made = []
    for module, variable in ((keras.optimizers, keras.Variable), (optimizers, kerata.Variable)):
        optimizer = getattr(module, name)(**config, name="o")
        variables = [variable(value, name=key) for key, value in weights.items()]
        optimizer.build(variables)
        made.append((optimizer, variables))
    return made


def assert_same(theirs, ours, rtol=1e-6, atol=1e-6):
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(np.asarray(b), np.asarray(a), rtol, atol, err_msg=b.path)


@pytest.mark.parametrize("case", COMPILED, ids=title)
def test_steps(case):
    (theirs, their_weights), (ours, our_weights) = pair(*case)
    _, (compiled, compiled_weights) = pair(*case)
    step = kerata.jit(lambda *gradients: compiled.apply(gradients, compiled_weights))
    # Keras compiles its choice anew at every accumulated step, so that there are fewer of them.
    steps = 8 if "gradient_accumulation_steps" in case[1] else STEPS
    for gradients in draw()[1][:steps]:
        theirs.apply(gradients, their_weights)
        ours.apply(gradients, our_weights)
        step(*gradients)
        assert_same(their_weights, our_weights, rtol=0, atol=1e-7)  # the same operations in the same order
        assert_same(their_weights, compiled_weights)
    assert_same(theirs.variables, ours.variables, rtol=0, atol=1e-7)
    assert_same(theirs.variables, compiled.variables)
    for optimizer, weights in ((theirs, their_weights), (ours, our_weights)):
        optimizer.finalize_variable_values(weights)
    assert_same(their_weights, our_weights, rtol=0, atol=1e-7)


@pytest.mark.parametrize("case", CASES, ids=title)
def test_variables_and_configs(case):
    (theirs, _), (ours, _) = pair(*case)
    # Adafactor's placeholders and Nadam's product have no such paths in Keras; files go by order alone.
    named = [(a.path, b.path) for a, b in zip(theirs.variables, ours.variables, strict=True) if a.path.startswith("o/")]
    assert [b for _, b in named] == [a for a, _ in named]
    assert [(b.shape, b.dtype) for b in ours.variables] == [(a.shape, a.dtype) for a in theirs.variables]
    assert ours.get_config() == theirs.get_config()
    assert optimizers.serialize(ours) == keras.optimizers.serialize(theirs)
    again = optimizers.deserialize(keras.optimizers.serialize(theirs))
    assert type(again) is type(ours) and again.get_config() == theirs.get_config()
    again = keras.saving.deserialize_keras_object(optimizers.serialize(ours))
    assert type(again) is type(theirs) and again.get_config() == theirs.get_config()


@pytest.mark.parametrize("case", [("Nadam", {}), ("Adafactor", {}), ("Adam", {"use_ema": True})], ids=title)
def test_state_goes_over_and_comes_back(case):
    (theirs, their_weights), (ours, our_weights) = pair(*case)
    gradients = draw()[1]
    theirs.apply(gradients[0], their_weights)
    store = {}
    theirs.save_own_variables(store)
    ours.load_own_variables(store)
    for a, b in zip(their_weights, our_weights):
        b.assign(a.numpy())
    theirs.apply(gradients[1], their_weights)
    ours.apply(gradients[1], our_weights)
    assert_same([*their_weights, *theirs.variables], [*our_weights, *ours.variables])
    store = {}
    ours.save_own_variables(store)
    theirs.load_own_variables(store)
    assert_same(theirs.variables, ours.variables)


@pytest.mark.filterwarnings("ignore:Gradients do not exist", "ignore:.*does not depend on")
def test_some_gradients_and_frozen_variables():
    (theirs, their_weights), (ours, our_weights) = pair("Adam", {"weight_decay": 0.1, "global_clipnorm": 0.5})
    for gradients in draw()[1]:
        for optimizer, weights in ((theirs, their_weights), (ours, our_weights)):
            optimizer.apply([gradients[2], gradients[0]], [weights[2], weights[0]])
            optimizer.apply_gradients([(None, weights[0]), (gradients[1], weights[1])])
    assert_same([*their_weights, *theirs.variables], [*our_weights, *ours.variables])


def test_excluded_from_weight_decay():
    (theirs, their_weights), (ours, our_weights) = pair("AdamW", {"weight_decay": 0.5})
    theirs.exclude_from_weight_decay(var_list=their_weights[:1], var_names=["bi"])
    ours.exclude_from_weight_decay(var_list=our_weights[:1], var_names=["bi"])
    for gradients in draw()[1][:3]:
        theirs.apply(gradients, their_weights)
        ours.apply(gradients, our_weights)
    assert_same(their_weights, our_weights)


def test_constraints():
    (theirs, their_weights), (ours, our_weights) = pair("SGD", {"learning_rate": 0.5})
    their_weights[0].constraint = keras.constraints.NonNeg()
    our_weights[0].constraint = lambda w: w * (w >= 0)
    for gradients in draw()[1][:3]:
        theirs.apply(gradients, their_weights)
        ours.apply(gradients, our_weights)
    assert_same(their_weights, our_weights)


def test_gradients_in_place_of_values():
    (_, their_weights), (_, our_weights) = pair("SGD", {})
    for module, weights in ((keras, their_weights), (kerata, our_weights)):
        weights[1].overwrite_with_gradient = True
        optimizer = module.optimizers.Adam(gradient_accumulation_steps=2, loss_scale_factor=4.0)
        for gradients in draw()[1][:5]:
            optimizer.apply(gradients, weights)
    assert_same(their_weights, our_weights)


# Loss scaling and several optimizers --------------------------------------------------------------------------------


@pytest.mark.parametrize("growth", [2, 100])
def test_loss_scale(growth):
    weights, gradients = draw()
    made = []
    for module, variable in ((keras.optimizers, keras.Variable), (optimizers, kerata.Variable)):
        inner = module.Adam(0.05, name="inner")
        optimizer = module.LossScaleOptimizer(inner, initial_scale=64.0, dynamic_growth_steps=growth, name="o")
        variables = [variable(value, name=key) for key, value in weights.items()]
        optimizer.build(variables)
        made.append((optimizer, variables))
    (theirs, their_weights), (ours, our_weights) = made
    assert ours.get_config() == theirs.get_config()
    assert [v.path for v in ours.variables] == [v.path for v in theirs.variables]
    step = kerata.jit(lambda *gradients: ours.apply(gradients, our_weights))
    for i, values in enumerate(gradients[:12]):
        values = [g * 64.0 for g in values]
        if i in (3, 4, 9):
            values[1] = values[1] * np.inf if i == 3 else values[1] * np.nan
        # Keras steps over bad gradients in its stateless form.
        state = theirs.stateless_apply([v.value for v in theirs.variables], values, [v.value for v in their_weights])
        for v, value in zip([*their_weights, *theirs.variables], [*state[0], *state[1]]):
            v.assign(value)
        step(*values)
        assert_same([*their_weights, *theirs.variables], [*our_weights, *ours.variables])
        assert float(ours.scale_loss(3.0)) == float(theirs.scale_loss(3.0))
        assert int(ours.iterations) == int(theirs.iterations)


def test_several_optimizers():
    weights, gradients = draw()
    made = []
    for module, variable in ((keras.optimizers, keras.Variable), (optimizers, kerata.Variable)):
        table = module.OptimizerMap(module.Adam(0.05, name="a"), {"b.*": module.SGD(0.1, name="b")})
        optimizer = module.MultiOptimizer(table, loss_scale_factor=2.0, name="o")
        variables = [variable(value, name=key) for key, value in weights.items()]
        optimizer.build(variables)
        for values in gradients:
            optimizer.apply(values, variables)
        made.append((optimizer, variables))
    (theirs, their_weights), (ours, our_weights) = made
    assert [v.path for v in ours.variables] == [v.path for v in theirs.variables]
    assert_same([*their_weights, *theirs.variables], [*our_weights, *ours.variables])
    assert optimizers.serialize(ours) == keras.optimizers.serialize(theirs)
    again = optimizers.deserialize(keras.optimizers.serialize(theirs))
    assert optimizers.serialize(again) == optimizers.serialize(ours)


# Schedules ----------------------------------------------------------------------------------------------------------

SCHEDULES = [
    ("ExponentialDecay", (0.1, 10, 0.5), {}),
    ("ExponentialDecay", (0.1, 7, 0.9), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 10, 20], [0.5, 0.1, 0.7, 0.2]), {}),
    ("PiecewiseConstantDecay", ([3], [0.5, 0.1]), {"name": "p"}),
    ("PolynomialDecay", (0.1, 12), {}),
    ("PolynomialDecay", (0.1, 12, 0.01), {"power": 2.0}),
    ("PolynomialDecay", (0.1, 6, 0.01), {"power": 0.5, "cycle": True}),
    ("InverseTimeDecay", (0.1, 3, 0.7), {}),
    ("InverseTimeDecay", (0.1, 3, 0.7), {"staircase": True}),
    ("CosineDecay", (0.1, 15), {}),
    ("CosineDecay", (0.1, 15, 0.2), {}),
    ("CosineDecay", (0.0, 10), {"warmup_target": 0.3, "warmup_steps": 5, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 6), {}),
    ("CosineDecayRestarts", (0.1, 6), {"t_mul": 1.0, "m_mul": 0.7, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 5), {"t_mul": 1.5, "m_mul": 0.9}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), SCHEDULES)
def test_schedules(name, args, kwargs):
    theirs = getattr(keras.optimizers.schedules, name)(*args, **kwargs)
    ours = getattr(optimizers.schedules, name)(*args, **kwargs)
    compiled = kerata.jit(ours)
    for step in range(0, 40, 3):
        np.testing.assert_allclose(ours(step), theirs(step), rtol=1e-6, atol=1e-8, err_msg=str(step))
        np.testing.assert_allclose(compiled(np.int32(step)), theirs(step), rtol=1e-5, atol=1e-7, err_msg=str(step))
    assert ours.get_config() == theirs.get_config()
    assert optimizers.schedules.serialize(ours) == keras.optimizers.schedules.serialize(theirs)
    again = optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(theirs))
    assert type(again) is type(ours) and again.get_config() == theirs.get_config()


@pytest.mark.parametrize("accumulate", [None, 3])
def test_schedule_in_an_optimizer(accumulate):
    weights, gradients = draw()
    made = []
    for module, variable in ((keras.optimizers, keras.Variable), (optimizers, kerata.Variable)):
        schedule = module.schedules.CosineDecay(0.1, 10, warmup_target=0.2, warmup_steps=2)
        optimizer = module.AdamW(schedule, gradient_accumulation_steps=accumulate, name="o")
        variables = [variable(value, name=key) for key, value in weights.items()]
        for values in gradients[:8]:
            optimizer.apply(values, variables)
        made.append((optimizer, variables))
    (theirs, their_weights), (ours, our_weights) = made
    assert_same([*their_weights, *theirs.variables], [*our_weights, *ours.variables])
    assert optimizers.serialize(ours) == keras.optimizers.serialize(theirs)
    np.testing.assert_allclose(ours.learning_rate, theirs.learning_rate, rtol=1e-6)


# Signatures ---------------------------------------------------------------------------------------------------------

CLASSES = sorted({name for name, _ in CASES} | {"LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"})
SCHEDULE_CLASSES = sorted({f"schedules.{name}" for name, _, _ in SCHEDULES})


@pytest.mark.parametrize("name", CLASSES + SCHEDULE_CLASSES)
def test_signatures(name):
    theirs, ours = (operator.attrgetter(name)(module) for module in (keras.optimizers, optimizers))
    parameters = [
        [(p.name, p.default) for p in inspect.signature(cls.__init__).parameters.values()] for cls in (theirs, ours)
    ]
    assert parameters[1] == parameters[0]
    assert {m for m in dir(theirs) if not m.startswith("_")} - KERAS_ONLY <= set(dir(ours))


KERAS_ONLY = {"assign_variables", "default_optimizer"}  # the second is an attribute of ours, set by the constructor
