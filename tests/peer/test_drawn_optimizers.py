"""Optimizers against Keras over drawn hyperparameters: all of keras.optimizers has its row or is named."""

import jax
import keras
import numpy as np
import pytest
from drawing import drawn, generator, public_names

import kerata
from kerata import optimizers

SHAPES = {"dense_kernel": (4, 3), "dense_bias": (3,), "embedding": (5, 2), "conv_kernel": (2, 3, 2)}
STEPS, DRAWS = 10, 3
MOMENT, SQUARES = (0.3, 0.99), (0.5, 0.9999)
EPSILON = [1e-7, 1e-5, 1e-3]
ADAM = {"beta_1": MOMENT, "beta_2": SQUARES, "epsilon": EPSILON}

# class -> the ranges of the rule's own arguments
RULES = {
    "SGD": {"momentum": MOMENT, "nesterov": [False, True]},
    "RMSprop": {"rho": SQUARES, "momentum": MOMENT, "epsilon": EPSILON, "centered": [False, True]},
    "Adam": {**ADAM, "amsgrad": [False, True]},
    "AdamW": {**ADAM, "amsgrad": [False, True]},
    "Adagrad": {"initial_accumulator_value": (0.0, 1.0), "epsilon": EPSILON},
    "Adadelta": {"rho": SQUARES, "epsilon": EPSILON},
    "Adamax": ADAM,
    "Nadam": ADAM,
    "Lamb": ADAM,
    "Lion": {"beta_1": MOMENT, "beta_2": SQUARES},
    "ScheduleFreeAdamW": {**ADAM, "warmup_steps": [0, 3, 20]},
    "Ftrl": {
        "learning_rate_power": (-0.9, -0.1), "initial_accumulator_value": (0.05, 1.0), "beta": (0.0, 0.5),
        "l1_regularization_strength": (0.0, 0.3), "l2_regularization_strength": (0.0, 0.3),
        "l2_shrinkage_regularization_strength": (0.0, 0.3),
    },
    "Adafactor": {
        "beta_2_decay": (-0.95, -0.5), "epsilon_1": [1e-30, 1e-12], "epsilon_2": [1e-3, 1e-2],
        "clip_threshold": (0.3, 2.0), "relative_step": [False, True],
    },
    "Muon": {
        "adam_beta_1": MOMENT, "adam_beta_2": SQUARES, "adam_weight_decay": [None, 0.1], "epsilon": EPSILON,
        "exclude_layers": [["dense"], ["kern", "x"]], "exclude_embeddings": [False], "adam_lr_ratio": (0.3, 2.0),
        "momentum": MOMENT, "ns_steps": [1, 3, 6], "nesterov": [False], "rms_rate": [None, 0.5],
    },
}  # fmt: skip

# What surrounds every rule. One of `clip`, at most, is taken over.
AROUND = {
    "learning_rate!": (0.001, 0.2), "weight_decay": (0.001, 0.3),
    "clip": [{"clipnorm": 0.5}, {"clipvalue": 0.2}, {"global_clipnorm": 0.8}, {}],
    "use_ema": [True, False], "ema_momentum": (0.1, 0.99), "ema_overwrite_frequency": [None, 1, 3],
    "loss_scale_factor": [None, 2.0, 1024.0],
}  # fmt: skip

SCHEDULES = {
    "ExponentialDecay": {
        "initial_learning_rate!": (0.01, 0.5), "decay_steps!": [1, 7, 100], "decay_rate!": (0.1, 1.1),
        "staircase": [True],
    },
    "InverseTimeDecay": {
        "initial_learning_rate!": (0.01, 0.5), "decay_steps!": [1, 7, 100], "decay_rate!": (0.1, 2.0),
        "staircase": [True],
    },
    "PiecewiseConstantDecay": {"boundaries!": [[2, 5], [1, 100]], "values!": [[0.1, 0.01, 0.3]]},
    "PolynomialDecay": {
        "initial_learning_rate!": (0.01, 0.5), "decay_steps!": [2, 7, 100], "end_learning_rate": (0.0, 0.6),
        "power": (0.3, 3.0), "cycle": [True],
    },
    "CosineDecay": {
        "initial_learning_rate!": (0.01, 0.5), "decay_steps!": [2, 7, 100], "alpha": (0.0, 1.0),
        "warmup_target": (0.1, 0.9), "warmup_steps": [0, 1, 5],
    },
    "CosineDecayRestarts": {
        "initial_learning_rate!": (0.01, 0.5), "first_decay_steps!": [2, 7, 100], "alpha": (0.0, 1.0),
        "t_mul": [1.0, 1.5, 3.0], "m_mul": (0.3, 1.2),
    },
}  # fmt: skip

# What has no rule; test_optimizers.py has the tests.
NO_RULE = {"Optimizer", "OptimizerMap", "MultiOptimizer", "LossScaleOptimizer", "get", "serialize", "deserialize"}


def test_nothing_is_forgotten():
    assert set(RULES) | NO_RULE == public_names(keras.optimizers)
    schedules = public_names(keras.optimizers.schedules)
    assert set(SCHEDULES) | {"LearningRateSchedule", "serialize", "deserialize"} == schedules


@pytest.mark.parametrize("name", sorted(public_names(keras.optimizers.legacy)))
def test_legacy_is_refused(name):
    for module in (keras, kerata):
        with pytest.raises(ImportError):
            getattr(module.optimizers.legacy, name)(0.1)


def arguments(rng, name):
    """Return the drawn arguments; with a schedule's name and arguments in the place of a rate now and then."""
    found = drawn(rng, {**RULES[name], **AROUND})
    found |= found.pop("clip", {})
    if rng.random() < 0.3:
        schedule = sorted(SCHEDULES)[rng.integers(len(SCHEDULES))]
        found["learning_rate"] = schedule, drawn(rng, SCHEDULES[schedule])
    return found


def made(module, name, given):
    rate = given.get("learning_rate")
    if isinstance(rate, tuple):
        given = {**given, "learning_rate": getattr(module.optimizers.schedules, rate[0])(**rate[1])}
    return getattr(module.optimizers, name)(**given, name="o")


def first_weights(rng, module):
    return [module.Variable(rng.normal(size=s).astype("float32"), name=n) for n, s in SHAPES.items()]


def gradients(rng):
    """Gradients of one step: of several sizes, with rows of zeros, as those of an embedding, and all zero sometimes."""
    found = []
    for shape in SHAPES.values():
        g = rng.normal(size=shape) * rng.choice([0.01, 1.0, 10.0])
        found.append((g * (rng.random((shape[0], *[1] * (len(shape) - 1))) < 0.7)).astype("float32"))
    return found


def assert_close(ours, theirs, note):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), 1e-5, 1e-5, err_msg=f"{note}: {b.path}")


def pair(name, given, words):
    """Return Keras's optimizer and ours, built with the same weights, some of which may be kept from decay."""
    kept = generator(*words).random() < 0.5
    found = []
    for module in (keras, kerata):
        weights, optimizer = first_weights(generator(*words), module), made(module, name, given)
        if kept:
            optimizer.exclude_from_weight_decay(var_list=weights[3:], var_names=["bia"])
        optimizer.build(weights)
        found.append((optimizer, weights))
    return found


@pytest.mark.parametrize("name", RULES)
@pytest.mark.filterwarnings("ignore:Gradients do not exist", "ignore:.*does not depend on")
def test_drawn(name):
    for draw in range(DRAWS):
        words = name, draw
        rng = generator(*words, "steps")
        given = arguments(rng, name)
        note = f"{name}({given}), draw {draw}"
        (theirs, their_weights), (ours, our_weights) = pair(name, given, words)
        assert ours.get_config() == theirs.get_config()
        again = type(ours).from_config(theirs.get_config()), type(theirs).from_config(ours.get_config())
        assert again[0].get_config() == again[1].get_config() == theirs.get_config()
        for step in range(STEPS):
            grads = gradients(rng)
            frozen = rng.integers(len(SHAPES)) if draw and rng.random() < 0.3 else None
            if frozen is not None:
                grads[frozen] = None
            for optimizer, weights in ((theirs, their_weights), (ours, our_weights)):
                optimizer.apply(grads, weights)
            assert_close(our_weights, their_weights, f"{note}, step {step}")
            if step == STEPS // 2:  # one made anew goes on from the other's file
                store = {}
                theirs.save_own_variables(store)
                _, (ours, our_weights) = pair(name, given, words)
                ours.load_own_variables(store)
                for mine, its in zip(our_weights, their_weights):
                    mine.assign(its.numpy())
        assert_close(ours.variables, theirs.variables, note)
        assert int(ours.iterations) == int(theirs.iterations) == STEPS
        np.testing.assert_allclose(ours.learning_rate, theirs.learning_rate, 1e-6)
        # The same once more, without assigning.
        grads, before = gradients(rng), [v.numpy() for v in ours.variables]
        new_weights, new_state = ours.stateless_apply(
            [v.value for v in ours.variables], grads, [v.value for v in our_weights]
        )
        assert all((v.numpy() == old).all() for v, old in zip(ours.variables, before))
        theirs.apply(grads, their_weights)
        assert_close([*new_weights, *new_state], [*their_weights, *theirs.variables], f"{note}, stateless")
        for optimizer, weights in ((theirs, their_weights), (ours, our_weights)):
            optimizer.finalize_variable_values(weights)


@pytest.mark.parametrize("name", ["SGD", "Adafactor", "Muon", "ScheduleFreeAdamW", "RMSprop"])
def test_drawn_with_accumulation(name):
    rng = generator(name, "accumulation")
    given = {**arguments(rng, name), "gradient_accumulation_steps": int(rng.integers(2, 5))}
    (theirs, their_weights), (ours, our_weights) = pair(name, given, (name,))
    its_step = jax.jit(theirs.stateless_apply)
    our_step = kerata.jit(lambda *grads: ours.apply(grads, our_weights))
    state = [v.value for v in theirs.variables], [v.value for v in their_weights]
    for _ in range(STEPS):
        grads = gradients(rng)
        state = its_step(state[0], grads, state[1])[::-1]
        our_step(*grads)
    for value, variable in zip([*state[1], *state[0]], [*our_weights, *ours.variables], strict=True):
        np.testing.assert_allclose(np.asarray(variable), value, 1e-5, 1e-5, err_msg=f"{given}: {variable.path}")
    assert int(ours.iterations) == STEPS // given["gradient_accumulation_steps"]


@pytest.mark.parametrize("name", RULES)
def test_16_bits(name):
    """Weights of 16 bits: each step is computed in float32 and rounded once; Keras rounds after every operation."""
    rng = generator(name, "16 bits")
    starts, grads = [rng.normal(size=s) for s in SHAPES.values()], gradients(rng)
    found = []
    for dtype in ("float32", "bfloat16"):
        weights = [
            kerata.Variable(kerata.ops.cast(kerata.ops.cast(x, "bfloat16"), dtype), dtype=dtype, name=n)
            for n, x in zip(SHAPES, starts)
        ]
        optimizer = getattr(optimizers, name)(0.05, name="o")
        optimizer.apply([kerata.ops.cast(kerata.ops.cast(g, "bfloat16"), dtype) for g in grads], weights)
        found.append([np.float32(w.numpy()) for w in weights])
    for exact, rounded in zip(*found):
        np.testing.assert_allclose(rounded, exact, rtol=2**-8, atol=1e-6)
    theirs = getattr(keras.optimizers, name)(0.05, name="o")
    theirs.build([keras.Variable(np.zeros(s), dtype="bfloat16", name=n) for n, s in SHAPES.items()])
    dtypes = [[str(v.dtype) for v in k.variables][: -1 if name == "Nadam" else None] for k in (optimizer, theirs)]
    assert dtypes[0] == dtypes[1]  # but for Nadam's product of shares, which 16 bits cannot hold


@pytest.mark.parametrize("name", SCHEDULES)
def test_drawn_schedules(name):
    for draw in range(6):
        given = drawn(generator(name, draw), SCHEDULES[name])
        ours, theirs = (getattr(k.optimizers.schedules, name)(**given) for k in (kerata, keras))
        for step in (0, 1, 2, 3, 6, 20, 99, 1234):
            np.testing.assert_allclose(ours(step), theirs(step), 1e-5, 1e-7, err_msg=f"{name}({given}) at {step}")
        assert ours.get_config() == theirs.get_config()
        assert type(ours).from_config(theirs.get_config()).get_config() == theirs.get_config()
        assert type(theirs).from_config(ours.get_config()).get_config() == theirs.get_config()


def test_by_name():
    for name in RULES:
        ours = optimizers.get(name.lower())
        theirs = getattr(keras.optimizers, name)()  # Keras's `get` does not know each of them
        assert ours.get_config() == theirs.get_config() | {"name": ours.name}
