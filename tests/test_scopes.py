"""The scopes of `kerata.core.public_scopes`: state from outside, layers computed again for gradients, names."""

import numpy as np
import pytest

import kerata
from kerata import errors, layers, ops

X = np.array([[1.0, -2.0, 3.0]], "float32")


# StatelessScope -------------------------------------------------------------------------------------------------


def test_state_stays_in_the_scope():
    given, other = kerata.Variable([1.0, 2.0]), kerata.Variable(3.0)
    with kerata.StatelessScope([(given, [5, 6])]) as scope:
        assert given.numpy().tolist() == [5, 6]
        assert float(other) == 3
        assert scope.get_current_value(other) is None  # neither given nor assigned
        other.assign_add(1.0)
        scope.add_update((given, ops.convert_to_tensor([7.0, 8.0])))
        assert given.numpy().tolist() == [7, 8]
    assert float(scope.get_current_value(other)) == 4
    assert np.asarray(scope.get_current_value(given)).tolist() == [7, 8]
    assert (given.numpy().tolist(), float(other)) == ([1, 2], 3)


def test_values_become_the_variables_dtype():
    count = kerata.Variable(1, dtype="int32")
    with kerata.StatelessScope([(count, kerata.Variable(2.0))]) as scope:
        assert kerata.backend.standardize_dtype(scope.get_current_value(count).dtype) == "int32"


@pytest.mark.parametrize("pair", [("w", 1.0), (kerata.Variable([1.0]), [1.0, 2.0])], ids=["key", "shape"])
def test_what_is_no_state_is_refused(pair):
    with pytest.raises(ValueError):
        kerata.StatelessScope([pair])


class AddsLoss(layers.Layer):
    """Doubles, and adds the sum of squares as a loss."""

    def call(self, inputs):
        self.add_loss(ops.sum(inputs**2))
        return inputs * 2


@pytest.mark.parametrize("collect", [True, False])
def test_losses_are_collected(collect):
    layer = AddsLoss()
    with kerata.StatelessScope(collect_losses=collect) as scope:
        layer(X)
    assert [float(loss) for loss in scope.losses] == [14.0] * collect


def test_gradients_within_a_scope():
    weight = kerata.Variable(1.0)
    with kerata.StatelessScope([(weight, 5.0)]):
        assert float(kerata.grad(lambda: weight**2, weight)()) == 10.0


# RematScope -----------------------------------------------------------------------------------------------------


class Counted(layers.Layer):
    """A dense layer that counts how often its Python code runs."""

    def __init__(self, units=4, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(units, kernel_initializer="ones")
        self.activation = activation

    def call(self, inputs):
        self.add_loss(ops.sum(inputs) * 0.5)
        y = self.dense(inputs)
        return y if self.activation is None else self.activation(y)


REMATERIALIZED = [  # the scope's arguments, whether the layer is computed again
    (("full",), True),
    ((None,), False),
    (("larger_than", 3), True),
    (("larger_than", 4), False),
    (("list_of_layers", 0, ["chosen"]), True),
    (("list_of_layers", 0, ["another"]), False),
    (("activations",), True),
]


@pytest.mark.parametrize("arguments, again", REMATERIALIZED, ids=lambda value: str(value))
def test_rematerialized(arguments, again):
    """Which layers are computed again shows in the program; gradients and losses are the same."""
    import jax

    def made():
        return Counted(activation=ops.sin, name="chosen")

    plain = made()
    with kerata.RematScope(*arguments):
        layer = made()
        layer.dense._remat = None  # only the outer layer is looked at
    plain(X), layer(X)

    def loss_of(layer):
        return lambda x: ops.sum(layer(x)) + layer.losses[0]

    gradients = [np.asarray(kerata.grad(loss_of(one))(X)) for one in (plain, layer)]
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-6)
    programs = [str(jax.make_jaxpr(loss_of(one))(X)) for one in (plain, layer)]
    assert "remat" not in programs[0]
    assert ("remat" in programs[1]) is again


@pytest.mark.parametrize("mode", ["full", "larger_than", "activations"])
def test_rematerialized_on_another_engine(mode):
    pytest.importorskip("torch")
    expected = [4 * np.cos(X.sum()) + 0.5] * 3
    with kerata.engine.using("torch"):
        with kerata.RematScope(mode, 1):
            layer = Counted(activation=ops.sin)
        layer(X)
        gradient = kerata.grad(lambda x: ops.sum(layer(x)) + layer.losses[0])(X)
        np.testing.assert_allclose(ops.convert_to_numpy(gradient)[0], expected, rtol=1e-5)


def test_rematerialized_layers_train():
    """Weights made while a scope stands learn as others do, and what `call` assigns is kept."""
    histories = []
    for mode in (None, "full"):
        kerata.utils.set_random_seed(1)
        with kerata.RematScope(mode):
            inner = [layers.Dense(4, "tanh"), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)]
            model = kerata.Sequential([kerata.Input((3,)), *inner])
        model.compile("sgd", "mse")
        x = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
        history = model.fit(x, x.sum(1), epochs=2, batch_size=4, shuffle=False, verbose=0).history["loss"]
        histories.append([*history, *inner[1].moving_mean.numpy()])
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-5)


def test_unknown_mode():
    with pytest.raises(errors.InvalidArgument, match="larger_than"):
        kerata.RematScope("half")


def test_the_scope_ends():
    with kerata.RematScope("full"):
        with kerata.RematScope(None):
            assert layers.Dense(1)._remat.mode is None
        assert layers.Dense(1)._remat.mode == "full"
    assert layers.Dense(1)._remat is None


# Names ----------------------------------------------------------------------------------------------------------

NAMES = [  # arguments of a scope inside `name_scope("outer", caller=1)`, the path of a Variable in it
    ({"name": "inner"}, "outer/inner/v"),
    ({"name": "outer", "caller": 1}, "outer/v"),
    ({"name": "outer", "caller": 2}, "outer/outer/v"),
    ({"name": "outer", "caller": 1, "deduplicate": False}, "outer/outer/v"),
    ({"name": "inner", "override_parent": "a/b"}, "a/b/inner/v"),
    ({"name": "inner", "override_parent": ""}, "inner/v"),
]


@pytest.mark.parametrize("arguments, path", NAMES, ids=[path for _, path in NAMES])
def test_name_scopes(arguments, path):
    with kerata.name_scope("outer", caller=1):
        with kerata.name_scope(**arguments):
            assert kerata.Variable(0.0, name="v").path == path
        assert kerata.Variable(0.0, name="v").path == "outer/v"


def test_symbolic_scope():
    from kerata.core.scopes import around

    with kerata.SymbolicScope():
        assert around.symbolic
    assert not around.symbolic
