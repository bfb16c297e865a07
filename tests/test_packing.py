"""Small arrays joined, in optimizers and in compiled loops: nothing but speed may differ."""

import importlib

import jax
import numpy as np
import pytest

import kerata
from kerata import ops
from kerata.core.packing import Packing, joined, parted
from kerata.engine import xp
from kerata.optimizers.joining import elementwise, jointly

on_jax = pytest.mark.skipif(kerata.backend.backend() != "jax", reason="the other engines join nothing")
layers, optimizers = kerata.layers, kerata.optimizers


def test_arrays_come_apart_as_they_were_joined():
    arrays = [xp.arange(6.0).reshape(2, 3), xp.asarray(7.0), xp.zeros((0, 4)), xp.arange(2.0)]
    vector = joined(arrays)
    np.testing.assert_array_equal(vector, [0, 1, 2, 3, 4, 5, 7, 0, 1])
    for before, after in zip(arrays, parted(vector, [a.shape for a in arrays])):
        np.testing.assert_array_equal(before, after)
        assert before.shape == after.shape


def test_a_packing_gives_back_every_array_in_its_place():
    arrays = [xp.full((i, 2), float(i)) for i in range(1, 7)]
    packing = Packing([a.shape for a in arrays], [[4, 1], [0, 5, 2], [3]])
    others, vectors = packing.pack(arrays)
    assert [tuple(a.shape) for a in others] == [(4, 2)]  # a group of one is none
    assert [tuple(v.shape) for v in vectors] == [(14,), (20,)]
    for before, after in zip(arrays, packing.unpack((others, vectors))):
        np.testing.assert_array_equal(before, after)


class Clipped(optimizers.SGD):
    """Its rule is not marked, and not elementwise: each gradient by its own norm."""

    def rule(self, w, g, lr, t, *slots):
        return super().rule(w, g / (1 + ops.norm(g)), lr, t, *slots)


class Doubled(optimizers.SGD):
    """Its rule is marked, but not all that happens."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate)
        variable.assign(variable * 1.01)


def _several():
    inner = {".*kernel": optimizers.Adam(0.01), ".*": optimizers.SGD(0.05, momentum=0.5)}
    return optimizers.MultiOptimizer(lambda v: inner[".*kernel" if v.path.endswith("kernel") else ".*"])


def _decaying():
    optimizer = optimizers.AdamW(0.01, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


MAKERS = {
    "adam": lambda: optimizers.Adam(0.01, amsgrad=True),
    "decay": _decaying,
    "average": lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True, use_ema=True, ema_overwrite_frequency=3),
    "accumulated": lambda: optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "clipped": lambda: optimizers.Adagrad(0.05, clipnorm=0.1),
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.Adam(0.01)),
    "several": _several,
    "own rule": lambda: Clipped(0.05, momentum=0.5),
    "own step": lambda: Doubled(0.05, momentum=0.5),
    "by columns": lambda: optimizers.Adafactor(0.01),
}


def _network(policy="float32"):
    kerata.utils.set_random_seed(3)
    model = kerata.Sequential([kerata.Input((6,), dtype="float32")])
    for width in (5, 60, 60, 66, 66, 3):  # 66 by 66 are too many to be joined, and fewer than half of all
        model.add(layers.Dense(width, activation="tanh", dtype=policy))
    model.add(layers.BatchNormalization())
    model.layers[1].trainable = False
    return model


def _trained(optimizer, policy="float32"):
    model = _network(policy)
    model.compile(optimizer, "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 40, 6)).astype("float32"), rng.normal(size=(3, 40, 3)).astype("float32")
    for epoch in range(3):  # the second begins with what the first left
        model.layers[2].trainable = epoch < 2  # fewer Variables are written in the third
        model.fit(x[epoch], y[epoch], batch_size=8, shuffle=False, verbose=0)
    return [np.asarray(v, "float32") for v in (*model.variables, *model.optimizer.variables)]


@on_jax
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_training_with_small_arrays_joined_is_training(make, monkeypatch):
    together = _trained(make())
    monkeypatch.setattr(importlib.import_module("kerata.engine.jax.transforms"), "JOINED", -1)
    for joined_up, one_by_one in zip(together, _trained(make()), strict=True):
        np.testing.assert_allclose(joined_up, one_by_one, rtol=1e-5, atol=1e-6)


@on_jax
def test_weights_and_slots_of_two_dtypes_are_not_joined():
    weights = _trained(optimizers.Adam(0.01), "mixed_bfloat16"), _trained(optimizers.Adam(0.01))
    for low, full in zip(*weights, strict=True):
        assert low.shape == full.shape
        np.testing.assert_allclose(low, full, rtol=0.3, atol=0.05)


@on_jax
def test_own_rules_and_own_steps_are_not_joined():
    for name, groups in {"adam": 3, "average": 2, "several": 3, "own rule": 0, "own step": 0, "by columns": 0}.items():
        optimizer = MAKERS[name]()
        optimizer.build(_network().trainable_variables)
        assert len(optimizer.packs()) == groups, name


@on_jax
def test_a_joined_formula_is_one_operation():
    shapes = [(40, 10 * i) for i in range(1, 9)] + [(100, 100)]
    rows = [(xp.ones(shape), xp.full(shape, 2.0)) for shape in shapes]

    @elementwise
    def rule(w, g):
        return w - ops.sqrt(g), g * 2

    def program(rows):
        with kerata.StatelessScope():
            return jointly(rule, rows)

    assert str(jax.make_jaxpr(program)(rows)).count("sqrt") == 2  # the small ones', and the large one's
    few, large = rows[:2], rows[-1:]
    assert str(jax.make_jaxpr(program)([*few, *large])).count("sqrt") == 2
    assert str(jax.make_jaxpr(program)([*few * 10, *large * 2])).count("sqrt") == 22  # to join them would not pay
    for (w, g), (new_w, new_g) in zip(rows, program(rows)):
        assert w.shape == new_w.shape == new_g.shape
        np.testing.assert_allclose(new_w, w - np.sqrt(g), rtol=1e-6)
        np.testing.assert_array_equal(new_g, g * 2)
