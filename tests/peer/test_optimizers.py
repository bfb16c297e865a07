"""Every optimizer and schedule takes the very steps of Keras's."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest

import kerata
from kerata import optimizers

STEPS = 12
SHAPES = {"kernel": (4, 3), "bias": (3,), "deep": (2, 3, 2)}
TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}

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
    *[("Adafactor", c) for c in ({}, {"relative_step": False, "learning_rate": 0.5}, {"clip_threshold": 0.5})],
    *[("Lamb", c) for c in ({}, {"learning_rate": 0.1, "weight_decay": 0.1})],
    *[("Muon", c) for c in ({}, {"nesterov": False, "rms_rate": None}, {"exclude_layers": ["ker"]})],
    ("Muon", {"weight_decay": None, "adam_weight_decay": 0.2, "adam_lr_ratio": 2, "learning_rate": 0.1}),
    *[("ScheduleFreeAdamW", c) for c in ({}, {"warmup_steps": 5, "learning_rate": 0.1, "weight_decay": 0.1})],
]


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


def assert_same(theirs, ours):
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(np.asarray(b), np.asarray(a), err_msg=b.path, **TOLERANCE)


@pytest.mark.parametrize("case", CASES, ids=title)
def test_steps(case):
    (theirs, their_weights), (ours, our_weights) = pair(*case)
    step = kerata.jit(lambda *gradients: ours.apply(gradients, our_weights))
    for i, gradients in enumerate(draw()[1]):
        theirs.apply(gradients, their_weights)
        if i == 0:
            ours.apply(gradients, our_weights)
        else:
            step(*gradients)
        assert_same(their_weights, our_weights)
    assert_same(theirs.variables, ours.variables)
    for optimizer, weights in ((theirs, their_weights), (ours, our_weights)):
        optimizer.finalize_variable_values(weights)
    assert_same(their_weights, our_weights)
