"""kerata.utils.count_flops: operations and bytes counted by hand, and the same numbers from shapes alone."""

import numpy as np
import pytest

import kerata
from kerata import errors, layers, ops
from kerata.utils import count_flops

CONV1, CONV2 = 2 * 26 * 26 * 9 * 32, 2 * 11 * 11 * 9 * 32 * 64  # output cells, window, channels
DENSE = 2 * 1600 * 128 + 2 * 128 * 10


@pytest.fixture(scope="module")
def cnn():
    return kerata.Sequential([
        kerata.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Dropout(0.25),
        layers.Conv2D(64, 3), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(128), layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def test_a_convolutional_network(cnn):
    cnn(np.zeros((4, 28, 28, 1), "float32"))  # what was compiled by another way before must not be counted
    assert count_flops(cnn, 4).operations == 4 * (CONV1 + CONV2 + DENSE)
    # The images need no gradient.
    assert count_flops(cnn, 4, training=True).operations == 4 * (2 * CONV1 + 3 * CONV2 + 3 * DENSE)


def test_bytes(cnn):
    weights, batch = 4 * 225_034, 4 * 8 * (784 + 10)
    state = sum(4 * int(np.prod(v.shape)) for v in cnn.non_trainable_variables)
    cnn.optimizer = None
    assert count_flops(cnn, 8).bytes == batch + weights + state
    assert count_flops(cnn, 8, training=True).bytes == batch + 2 * weights + state
    cnn.compile("adam")
    two_slots = count_flops(cnn, 8, training=True).bytes - (batch + 2 * weights + state)
    assert 0 <= two_slots - 4 * weights < 100  # and the optimizer's numbers


def inputs(*shape):
    return kerata.Input(shape)


def shared():
    x, layer = kerata.Input((6,)), layers.Dense(6)
    return kerata.Model(x, layer(layer(x)))


def frozen():
    model = kerata.Sequential([inputs(5), layers.Dense(3), layers.Dense(2)])
    model.layers[0].trainable = False
    return model


def chosen():
    x = inputs(4)

    def call(x):
        return ops.cond(ops.sum(x) > 0, lambda: ops.matmul(x, ops.ones((4, 9))), lambda: ops.repeat(x[:, :1], 9, 1))

    return kerata.Model(x, layers.Dense(2)(layers.Lambda(call, output_shape=(9,))(x)))


def cut():
    x = inputs(4)
    return kerata.Model(x, layers.Dense(2)(ops.stop_gradient(layers.Dense(3)(x))))


def rematerialized():
    with kerata.RematScope("full"):
        layer = layers.Dense(3)
    return kerata.Sequential([inputs(4), layer, layers.Dense(5)])


ROWS = {  # operations of two samples: forward, and with gradients
    "a layer that is used twice": (shared, 2 * 2 * 36 * 2, 2 * 2 * 36 * 5),
    "a frozen first layer": (frozen, 2 * 2 * (15 + 6), 2 * 2 * (15 + 6 + 6)),
    "the dearest branch": (chosen, 2 * 2 * (36 + 18), 2 * 2 * (36 + 2 * 18)),
    "a gradient that is cut, counted on this side": (cut, 2 * 2 * (12 + 6), 2 * 2 * (2 * 12 + 2 * 6)),
    "what is computed again": (rematerialized, 2 * 2 * (12 + 15), 2 * 2 * (2 * 12 + 3 * 15)),
    "LSTM": (  # seven steps; the first state is known, the later ones are not
        lambda: kerata.Sequential([inputs(7, 5), layers.LSTM(3)]),
        2 * 2 * 7 * (5 * 12 + 3 * 12), 2 * 2 * 7 * (2 * 5 * 12 + 3 * 3 * 12),
    ),
    "depthwise, transposed, 1x1, grouped": (
        lambda: kerata.Sequential([
            inputs(8, 8, 6), layers.DepthwiseConv2D(3, padding="same"), layers.Conv2DTranspose(4, 2, strides=2),
            layers.Conv2D(5, 1), layers.Conv2D(10, 3, strides=3, groups=5),
        ]),
        (f := 2 * 2 * (64 * 9 * 6 + 64 * 4 * 6 * 4 + 256 * 4 * 5 + 25 * 9 * 10)), 3 * f - 2 * 2 * 64 * 9 * 6,
    ),
    "attention": (  # four projections, and two products of every pair of positions in each of two heads
        lambda: kerata.Model(x := inputs(6, 8), layers.MultiHeadAttention(2, 4)(x, x)),
        2 * 2 * (4 * 6 * 8 * 8 + 2 * 6 * 6 * 8), 2 * 2 * ((3 * 2 + 3) * 6 * 8 * 8 + 3 * 2 * 6 * 6 * 8),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "forward", "trained"), ROWS.values(), ids=ROWS)
def test_counts(make, forward, trained):
    model = make()
    counted = [count_flops(model, 2, training=training).operations for training in (False, True)]
    assert counted == [forward, trained]


def test_a_model_made_on_the_torch_engine():
    pytest.importorskip("torch")
    with kerata.config.using_engine("torch"):
        model = kerata.Sequential([inputs(4), layers.Dense(3)])
        assert count_flops(model, 2, training=True).operations == 2 * 2 * 2 * 12
        assert kerata.config.engine() == "torch"


def test_inputs_are_asked_for():
    layer = layers.Dense(3)
    layer(np.ones((2, 4), "float32"))
    with pytest.raises(errors.NotBuilt, match="inputs"):
        count_flops(layer)
    assert count_flops(layer, inputs=np.ones((5, 4), "float32")).operations == 2 * 5 * 12
    with pytest.raises(errors.InvalidArgument, match="unknown"):
        count_flops(kerata.Sequential([inputs(None, 4), layers.Dense(3)]))
    assert count_flops(layer, 2, inputs=kerata.KerasTensor((None, 7, 4))).operations == 2 * 2 * 7 * 12
