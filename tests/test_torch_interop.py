"""kerata and PyTorch hold the same tensors: layers as modules, modules as layers, tensors as data."""

import base64
import copy
import gc
import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import kerata  # noqa: E402
from kerata import engine as engines  # noqa: E402
from kerata import errors, layers, ops  # noqa: E402
from kerata.utils import as_torch_module  # noqa: E402

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(32, 4)).astype("float32")
Y = X @ RANDOM.normal(size=(4, 1)).astype("float32")
TX, TY = torch.from_numpy(X), torch.from_numpy(Y)


@pytest.fixture(autouse=True)
def on_torch():
    with engines.using("torch"):
        yield


def small_model():
    return kerata.Sequential([
        kerata.Input((4,)), layers.Dense(5, activation="tanh", name="first"),
        layers.BatchNormalization(momentum=0.5, name="norm"), layers.Dense(1, name="last"),
    ])  # fmt: skip


def small_net():
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.BatchNorm1d(5), nn.Linear(5, 1))


def twin(model, make):
    other = make()
    other.set_weights(model.get_weights())
    return other


def fit(model, steps, rate=0.1, **options):
    """Train by whole batches and plain gradient descent, of which both sides have the same idea."""
    model.compile(kerata.optimizers.SGD(rate), "mse", **options)
    model.fit(X, Y, batch_size=len(X), epochs=steps, verbose=0)


def loop(module, steps, rate=0.1):
    """Do the same in PyTorch."""
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=rate)
    module.train()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(module(TX), TY).backward()
        optimizer.step()


def assert_same(found, expected, tolerance=1e-5):
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance)


# Variables as parameters --------------------------------------------------------------------------------------------


def torch_loop(model, steps, rate=0.1):
    """Train a model as it is, in PyTorch."""
    optimizer = torch.optim.SGD([v.value for v in model.trainable_variables], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(TX, training=True), TY).backward()
        optimizer.step()


def test_variables_are_parameters_from_the_start():
    model = small_model()
    kinds = [(type(v.value) is nn.Parameter, v.value.requires_grad) for v in model.weights]
    assert kinds == [(v.trainable, v.trainable) for v in model.weights] and not all(v.trainable for v in model.weights)
    parameters = [v.value for v in model.trainable_variables]
    assert all(v.value is p and v.value.is_leaf for v, p in zip(model.trainable_variables, parameters))
    for variable in (kerata.Variable(1), kerata.Variable(1.0, trainable=False), kerata.Variable(True)):
        assert type(variable.value) is torch.Tensor and not variable.value.requires_grad
    given = torch.ones(2, requires_grad=True)
    variable = kerata.Variable(given * 2)
    assert variable.value.is_leaf and variable.value.data_ptr() != given.data_ptr()
    assert np.asarray(variable).tolist() == variable.numpy().tolist() == [2, 2] and int(variable[0]) == 2


def test_a_loop_of_pytorch_and_fit_train_a_model_in_turn():
    model = small_model()
    other = twin(model, small_model)
    parameters = [v.value for v in model.trainable_variables]
    torch_loop(model, 2)
    fit(model, 2)
    torch_loop(model, 2)
    model.compile(kerata.optimizers.SGD(0.1), "mse", jit_compile=False)
    model.train_on_batch(X, Y)
    fit(other, 7)
    assert_same(model.get_weights(), other.get_weights())
    assert all(v.value is p for v, p in zip(model.trainable_variables, parameters))
    loop(module := as_torch_module(model), 1)  # the view has these very parameters
    assert [id(p) for p in module.parameters()] == [id(p) for p in parameters]
    fit(other, 1)
    assert_same(model.get_weights(), other.get_weights())
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    torch_loop(model, 1)
    assert not torch.equal(state["first.kernel"], parameters[0])
    module.load_state_dict(state)
    assert_same(model.get_weights(), other.get_weights())


def test_what_is_assigned_has_no_history():
    w = kerata.Variable([1.0, 2.0])
    counter = kerata.Variable(0.0, trainable=False)
    parameter, before = w.value, w.value.detach()
    for variable, value in ((w, w.value * 2), (counter, counter + ops.sum(w))):
        assert value.requires_grad
        variable.assign(value)
        assert variable.value.grad_fn is None
    assert w.value is parameter and parameter.requires_grad and parameter.tolist() == [2, 4] and counter.numpy() == 3
    assert before.tolist() == [1, 2]  # what was read before stays as it was
    loss = (w * w).sum()
    kerata.optimizers.SGD(1.0).apply([torch.ones(2)], [w])
    assert w.value is parameter and parameter.tolist() == [1, 3] and parameter.is_leaf
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()  # its slopes would be those at other weights


def test_freezing_is_requires_grad():
    layer = layers.Dense(2, trainable=False)
    layer.build((None, 3))
    kernel, bias = layer.kernel.value, layer.bias.value
    assert type(kernel) is nn.Parameter and not kernel.requires_grad and not layer(torch.ones(1, 3)).requires_grad
    layer.trainable = True
    assert kernel.requires_grad and layer.kernel.value is kernel
    bias.requires_grad_(False)
    assert layer.trainable_weights == [layer.kernel]
    copied = copy.deepcopy(layer)
    assert [v.value.requires_grad for v in copied.weights] == [True, False]
    assert copied.kernel.value is not kernel and copied.kernel.value.data_ptr() != kernel.data_ptr()
    copied.trainable = True
    assert copied.bias.value.requires_grad and not bias.requires_grad


@pytest.mark.parametrize("home", ["torch", "jax"])
def test_a_value_on_several_engines(home):
    with engines.using(home):
        w = kerata.Variable([1.0, 2.0])
    parameter = w.value
    with engines.using("jax"):
        assert engines.arrays.is_array(w.value) and kerata.grad(lambda: ops.sum(w**2), w)().tolist() == [2, 4]
        w.assign(w.value + 1)
    assert w.value is parameter and parameter.tolist() == [2, 3]
    with torch.no_grad():
        parameter.mul_(2)
    with engines.using("jax"):
        assert w.value.tolist() == [4, 6]


class Inside(layers.Layer):
    """Layers that kerata computes by transforms of its own."""

    def build(self, shape):
        with kerata.RematScope("full"):
            self.again = layers.Dense(4)
        self.compiled, self.counted = layers.Dense(4), self.add_weight((), "zeros", trainable=False)
        self.by_program = kerata.jit(lambda x: self.compiled(x))
        for layer in (self.again, self.compiled):
            layer.build(shape)

    def call(self, x):
        y = ops.fori_loop(0, 2, lambda i, y: self.again(y), self.by_program(self.again(x)))
        self.counted.assign_add(ops.mean(y))
        return y


def test_gradients_flow_through_what_kerata_transforms():
    layer = Inside()
    layer(X)
    parameters = [v.value for v in layer.trainable_weights]
    layer(TX).square().sum().backward()
    expected = kerata.grad(lambda: ops.sum(layer(X) ** 2), layer)()
    assert_same([p.grad for p in parameters], expected)
    assert not any(g.requires_grad for g in expected) and not layer.counted.value.requires_grad


def test_kerata_keeps_no_history_of_its_own():
    model, other = small_model(), layers.Dense(4)
    other.build((None, 4))
    weights = [v.value for v in other.weights]
    seen = []

    def loss_fn():
        seen.append(other(X).requires_grad)  # nobody asks for this layer's gradients
        return ops.mean(model(X) ** 2)

    results = kerata.value_and_grad(loss_fn, model)()
    assert seen == [False] and all(w.grad is None for w in weights)
    assert not any(x.requires_grad for x in kerata.tree.flatten(results))
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(1)])
    model.compile(kerata.optimizers.SGD(0.1, momentum=0.9), "mse")

    def tensors():
        gc.collect()
        return sum(issubclass(type(x), torch.Tensor) for x in gc.get_objects())

    for _ in range(12):  # a recording of the step is made meanwhile, and keeps its constants
        model.train_on_batch(X, Y)
    before = tensors()
    for _ in range(200):
        model.train_on_batch(X, Y)
    assert tensors() <= before
    held = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    assert all(v.value.grad_fn is None and v.value.grad is None for v in held)
    assert not ops.convert_to_tensor(model.predict_on_batch(X)).requires_grad


def test_a_step_as_keras_users_write_it_for_pytorch():
    class Model(kerata.Sequential):
        def train_step(self, data):
            x, y = data
            for p in (parameters := [v.value for v in self.trainable_weights]):
                p.grad = None
            loss = self.compute_loss(x, y, self(x, training=True))
            loss.backward()
            with torch.no_grad():
                self.optimizer.apply([p.grad for p in parameters], self.trainable_weights)
            return {"loss": loss}

    model = Model(small_model().layers)
    other = twin(model, small_model)
    fit(model, 2)
    fit(other, 2)
    assert_same(model.get_weights(), other.get_weights())


# A model as a module ----------------------------------------------------------------------------------------------


def test_a_loop_of_pytorch_and_fit_train_the_same_weights():
    model = small_model()
    other, first = twin(model, small_model), model.get_weights()
    module = as_torch_module(model)
    identities = [id(p) for p in module.parameters()]
    loop(module, 3)
    fit(model, 3)
    loop(module, 2)
    fit(other, 8)
    assert_same(model.get_weights(), other.get_weights())
    assert_same([p.detach() for p in module.parameters()], [v.numpy() for v in other.trainable_weights])
    assert_same(list(module.buffers()), [v.numpy() for v in other.non_trainable_weights])
    assert all(np.abs(a - b).max() > 1e-3 for a, b in zip(model.get_weights(), first))
    assert [id(p) for p in module.parameters()] == identities  # a PyTorch optimizer goes on with them
    module.eval()
    assert_same(module(TX).detach(), model.predict(X, verbose=0))


def test_a_compiled_fit_trains_the_parameters():
    model = small_model()
    module, other = as_torch_module(model), twin(model, small_model)
    fit(model, 3, jit_compile=True)
    loop(as_torch_module(other), 3)
    assert_same([p.detach() for p in module.parameters()], [v.numpy() for v in other.trainable_weights])


def test_another_engine_computes_with_the_same_weights():
    model = small_model()
    module, other = as_torch_module(model), twin(model, small_model)
    loop(module, 2)
    with engines.using("jax"):
        fit(model, 2)
        seen = model.predict(X, verbose=0)
        loop(module, 1)  # what PyTorch changes meanwhile is seen as well
        assert np.abs(model.predict(X, verbose=0) - seen).max() > 1e-4
    fit(other, 5)
    assert_same(model.get_weights(), other.get_weights(), 1e-4)


def test_memory_is_shared():
    layer = layers.Dense(2)
    layer.build((None, 3))
    module = as_torch_module(layer)
    kernel = module.kernel
    assert layer.kernel.value.data_ptr() == kernel.data_ptr() and kernel is next(module.parameters())
    with torch.no_grad():
        kernel.fill_(2.0)
    assert layer.kernel.numpy().tolist() == [[2.0, 2.0]] * 3
    given = torch.ones(3, 2)
    layer.kernel.assign(given)
    assert kernel.detach().tolist() == [[1.0, 1.0]] * 3
    kernel.data.zero_()
    assert given.sum() == 6  # the tensor that was assigned is still its owner's
    assert layer.kernel.value is kernel


def test_names_kinds_and_freezing():
    class Net(kerata.Model):
        def __init__(self):
            super().__init__()
            self.inner = layers.Dense(3)
            self.blocks = [layers.Dense(1, name="a"), layers.BatchNormalization(name="b")]

        def call(self, x):
            x = self.inner(x)
            for block in self.blocks:
                x = block(x)
            return x

    model = Net()
    model(X)
    module = as_torch_module(model)
    assert isinstance(module, nn.Module) and as_torch_module(model) is module
    assert [n for n, _ in module.named_parameters()] == [
        "inner.kernel", "inner.bias", "a.kernel", "a.bias", "b.gamma", "b.beta",
    ]  # fmt: skip
    assert [n for n, _ in module.named_buffers()] == ["b.moving_mean", "b.moving_variance"]
    model.inner.trainable = False
    assert [p.requires_grad for p in module.parameters()] == [False, False, True, True, True, True]
    module.a.requires_grad_(False)
    assert [v.name for v in model.trainable_weights] == ["gamma", "beta"]
    before = model.get_weights()
    fit(model, 1)
    loop(module, 1)
    moved = [bool(np.abs(a - b).max() > 0) for a, b in zip(model.get_weights(), before)]
    assert moved == [False] * 4 + [True] * 4
    model.inner.trainable = True
    assert module.inner.kernel.requires_grad


def test_train_and_eval_are_the_training_flag():
    module = as_torch_module(kerata.Sequential([kerata.Input((4,)), layers.Dropout(0.5), layers.Dense(1)]))
    assert not torch.equal(module.train()(TX), module(TX))
    assert torch.equal(module.eval()(TX), module(TX))
    assert not torch.equal(module(TX, training=True), module(TX))


def test_state_dict():
    model, other = small_model(), small_model()
    state = as_torch_module(model).state_dict()
    module = as_torch_module(other)
    for options in ({}, {"assign": True}):  # the second puts other parameters into the module
        other.set_weights([np.zeros_like(w) for w in other.get_weights()])
        module.load_state_dict({name: tensor.clone() for name, tensor in state.items()}, **options)
        assert_same(other.get_weights(), model.get_weights(), 0)
    loop(module, 1)
    assert np.abs(other.get_weights()[0] - model.get_weights()[0]).max() > 0


def test_a_deep_copy_is_a_layer_of_its_own():
    model = small_model()
    module = as_torch_module(model)
    twin_module, before = copy.deepcopy(module), model.get_weights()
    loop(twin_module, 1)
    assert_same(model.get_weights(), before, 0)
    copied = copy.deepcopy(model)
    loop(module, 1)
    assert_same(copied.get_weights(), before, 0)
    loop(as_torch_module(copied), 1)
    assert_same(copied.get_weights(), model.get_weights())


def test_it_is_a_part_of_other_modules():
    inner = layers.Dense(3, kernel_regularizer=kerata.regularizers.L2(0.5))
    inner.build((None, 4))
    net = nn.Sequential(as_torch_module(inner), nn.Linear(3, 1))
    x = TX.clone().requires_grad_()
    (net(x).sum() + sum(net[0].losses)).backward()
    weights, outer = inner.kernel.value.detach(), net[1].weight.detach()
    assert_same(x.grad, (outer @ weights.T).expand(32, 4))
    assert_same(net[0].kernel.grad, TX.sum(0)[:, None] * outer + weights)  # the gradient of 0.5 w² is w


def test_shared_weights_are_one_parameter():
    shared = layers.Dense(4)

    class Twice(layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense, self.same = shared, shared

        def build(self, shape):
            self.dense.build(shape)
            self.again = self.dense.kernel

        def call(self, x):
            return self.same(self.dense(x)) @ self.again

    layer = Twice()
    layer.build((None, 4))
    module = as_torch_module(layer)
    assert len(list(module.parameters())) == 2
    module(TX).sum().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_a_module_keeps_the_dtype_of_its_layer():
    module = as_torch_module(small_model())
    assert module.to("cpu", torch.float32) is module
    for change in (module.half, module.double, lambda: module.to(torch.bfloat16)):
        with pytest.raises(errors.Unsupported, match="dtype"):
            change()
    assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_what_cannot_be_a_module():
    with pytest.raises(errors.NotBuilt, match="no weights yet"):
        as_torch_module(layers.Dense(1))
    with pytest.raises(errors.InvalidType, match="no layer"):
        as_torch_module(nn.Linear(1, 1))
    with engines.using("jax"), pytest.raises(errors.Unsupported, match="torch engine"):
        as_torch_module(small_model())


# A module as a layer ----------------------------------------------------------------------------------------------


def wrapped(net):
    return kerata.Sequential([kerata.Input((4,)), layers.TorchModuleWrapper(net, name="net")])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_trains_the_module_as_a_loop_of_pytorch_does(jit_compile):
    net = small_net()
    expected = copy.deepcopy(net)
    model = wrapped(net)
    assert model.output_shape == (None, 1)
    fit(model, 4, jit_compile=jit_compile)
    loop(net, 2)
    fit(model, 2, jit_compile=jit_compile)
    loop(expected, 8)
    assert_same(list(net.state_dict().values()), list(expected.state_dict().values()))
    assert expected[2].num_batches_tracked == 8
    assert_same(model.predict(X, verbose=0), expected.eval()(TX).detach())


def test_a_step_of_ones_own():
    net = small_net()
    expected, model = copy.deepcopy(net), wrapped(net)

    def loss_fn():
        return ops.mean((model(X, training=True) - TY) ** 2)

    loss, gradients = kerata.value_and_grad(loss_fn, model)()
    nn.functional.mse_loss(expected(TX), TY).backward()
    assert_same(gradients, [p.grad for p in expected.parameters()])
    kerata.optimizers.SGD(0.1).apply(gradients, model.trainable_variables)
    assert_same([p.detach() for p in net.parameters()], [p.detach() - 0.1 * p.grad for p in expected.parameters()])


def test_weights_of_a_wrapped_module():
    net = small_net()
    net[0].weight.requires_grad_(False)
    layer = layers.TorchModuleWrapper(net, name="net")
    assert [(v.path, v.trainable) for v in layer.weights] == [
        ("net/0.weight", False), ("net/0.bias", True), ("net/2.weight", True), ("net/2.bias", True),
        ("net/3.weight", True), ("net/3.bias", True), ("net/2.running_mean", False), ("net/2.running_var", False),
        ("net/2.num_batches_tracked", False),
    ]  # fmt: skip
    assert [id(p) for p in layer.parameters()] == [id(p) for p in net.parameters()]
    layer.trainable = False
    assert not any(p.requires_grad for p in net.parameters())
    module = as_torch_module(layer)
    assert list(module.state_dict()) == [f"module.{name}" for name in net.state_dict()]
    assert module.module is net


def test_modes():
    net = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4))
    layer = layers.TorchModuleWrapper(net)
    mean = net[1].running_mean
    assert torch.equal(layer(TX, training=False), layer(TX, training=False))
    assert net.training and not net[1].running_mean.any()
    assert not torch.equal(layer(TX, training=True), layer(TX, training=True))
    assert net[1].running_mean.any() and net[1].num_batches_tracked == 2
    net.eval()
    assert torch.equal(layer(TX), layer(TX)) and net[1].num_batches_tracked == 2 and not net.training
    assert net[1].running_mean is mean  # the very same buffer


def test_shapes_and_arguments():
    def pair(a, b, scale=1.0):
        return {"sum": (a + b) * scale, "first": a}

    class Pair(nn.Module):
        forward = staticmethod(pair)

    a, b = kerata.Input((3, 2)), kerata.Input((3, 2))
    out = layers.TorchModuleWrapper(Pair())(a, b, scale=2.0)
    assert {k: v.shape for k, v in out.items()} == {"sum": (None, 3, 2), "first": (None, 3, 2)}
    out = kerata.Model([a, b], out)([np.ones((2, 3, 2)), np.ones((2, 3, 2))])
    assert out["sum"].tolist() == np.full((2, 3, 2), 4.0).tolist()
    conv = layers.TorchModuleWrapper(nn.Conv2d(3, 8, 3, stride=2))
    assert conv.compute_output_shape((None, 3, 9, 9)) == (None, 8, 4, 4)
    given = layers.TorchModuleWrapper(nn.Linear(3, 2), output_shape=(None, 2))
    assert given(kerata.Input((3,))).shape == (None, 2) and given.compute_output_shape((None, 3)) == (None, 2)


def test_mixed_precision():
    layer = layers.TorchModuleWrapper(nn.Linear(4, 2), dtype="mixed_bfloat16")
    assert layer(X).dtype == torch.bfloat16 and layer.weights[0].numpy().dtype == np.float32


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 1)
        self.register_buffer("scale", torch.tensor(3.0))

    def forward(self, x):
        return self.linear(x) * self.scale


@pytest.mark.parametrize("ending", [".weights.h5", ".safetensors"])
def test_weight_files(tmp_path, ending):
    net, other = small_net(), small_net()
    loop(net, 2)
    wrapped(net).save_weights(tmp_path / f"w{ending}")
    wrapped(other).load_weights(tmp_path / f"w{ending}")
    assert_same(list(other.state_dict().values()), list(net.state_dict().values()), 0)
    with pytest.raises(errors.ShapeMismatch, match="does not fit"):
        wrapped(nn.Sequential(nn.Linear(4, 6))).load_weights(tmp_path / f"w{ending}")


def test_model_files(tmp_path):
    net = small_net()
    model = wrapped(net)
    fit(model, 2)
    model.save(tmp_path / "m.keras")
    loaded = kerata.saving.load_model(tmp_path / "m.keras")
    assert_same(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert loaded.layers[-1].module is not net
    before = loaded.get_weights()
    fit(loaded, 1)
    assert np.abs(loaded.get_weights()[0] - before[0]).max() > 0

    own = wrapped(Custom())
    own.save(tmp_path / "own.keras")
    with pytest.raises(errors.Unsupported, match="Custom"):
        kerata.saving.load_model(tmp_path / "own.keras")
    loaded = kerata.saving.load_model(tmp_path / "own.keras", custom_objects={"Custom": Custom})
    assert_same(loaded.predict(X, verbose=0), own.predict(X, verbose=0))
    config = own.layers[-1].get_config()
    with pytest.raises(errors.Unsupported, match="safe_mode=False"):
        layers.TorchModuleWrapper.from_config(config)
    assert isinstance(layers.TorchModuleWrapper.from_config(config, safe_mode=False).module, Custom)


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB"],)


def test_a_pickle_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    file = io.BytesIO()
    torch.save(Bomb(), file)
    texts = {
        "a zip file of PyTorch": (file.getvalue(), errors.Unsupported),
        "a bare pickle": (pickle.dumps(Bomb(), 2), errors.KerataError),
        "no module": (saved({"a": torch.ones(2)}), errors.CorruptFile),
        "cut": (file.getvalue()[:200], errors.CorruptFile),
    }
    for name, (raw, error) in texts.items():
        with pytest.raises(error):
            layers.TorchModuleWrapper.from_config({"module": base64.b64encode(raw).decode(), "name": name})
    with pytest.raises(errors.CorruptFile):
        layers.TorchModuleWrapper.from_config({"module": "no base64!"})
    assert not (tmp_path / "exploded").exists()


def saved(item):
    file = io.BytesIO()
    torch.save(item, file)
    return file.getvalue()


def test_what_cannot_be_wrapped():
    with pytest.raises(errors.InvalidType, match=r"torch\.nn\.Module"):
        layers.TorchModuleWrapper(len)
    with pytest.raises(errors.NotBuilt, match="lazy"):
        layers.TorchModuleWrapper(nn.LazyLinear(3))
    layer = layers.TorchModuleWrapper(nn.Linear(4, 1))
    with engines.using("jax"):
        with pytest.raises(errors.Unsupported, match="torch engine"):
            layers.TorchModuleWrapper(nn.Linear(4, 1))
        with pytest.raises(errors.Unsupported, match="torch engine"):
            layer(X)


def test_a_copy_of_a_wrapped_module_is_whole():
    layer = layers.TorchModuleWrapper(nn.Linear(4, 1))
    copied = copy.deepcopy(layer)
    with torch.no_grad():
        copied.module.weight.fill_(7.0)
    assert copied.weights[0].numpy().tolist() == [[7.0] * 4] and layer.weights[0].numpy().max() < 7


# Tensors as data --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_tensors_and_loaders_as_data(name):
    pairs = torch.utils.data.TensorDataset(TX, TY)
    with engines.using(name):
        model = kerata.Sequential([kerata.Input((4,)), layers.Dense(1)])
        expected = twin(model, lambda: kerata.Sequential([kerata.Input((4,)), layers.Dense(1)]))
        model.compile(kerata.optimizers.SGD(0.1), "mse")
        model.fit(TX, TY, batch_size=32, verbose=0)
        loader = torch.utils.data.DataLoader(pairs, batch_size=32)
        history = model.fit(loader, epochs=2, validation_data=loader, verbose=0).history
        fit(expected, 3)
        assert_same(model.get_weights(), expected.get_weights())
        assert len(history["val_loss"]) == 2
        predictions = model.predict(X, verbose=0)
        assert_same(model.predict(TX, verbose=0), predictions)
        assert_same(model.predict(torch.utils.data.DataLoader(TX, batch_size=10), verbose=0), predictions)
        assert_same(model.predict(TX.bfloat16(), verbose=0), predictions, 0.1)
        assert_same(ops.convert_to_numpy(model(TX.clone().requires_grad_())), predictions)


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_dlpack(name):
    with engines.using(name):
        variable = kerata.Variable(np.arange(6, dtype="float32").reshape(2, 3))
        for array in (variable, ops.stop_gradient(variable.value), ops.stop_gradient(ops.add(variable, 0))):
            assert torch.from_dlpack(array).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert ops.add(torch.ones(2), 1).tolist() == [2, 2]


# The engine by its Keras name -------------------------------------------------------------------------------------


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )
    return done.stdout.strip(), done.stderr


def test_keras_backend_chooses_the_engine():
    code = "import kerata; print(kerata.config.backend(), type(kerata.ops.ones(1)).__module__)"
    environment = {"KERAS_BACKEND": "torch", "KERATA_ENGINE": ""}
    assert python(code, **environment) == ("torch torch", "")
    _, error = python("import sys; sys.modules['torch'] = None\n" + code, **environment)
    assert "pip install torch" in error.splitlines()[-1]


# torchvision ------------------------------------------------------------------------------------------------------


@pytest.fixture
def torchvision():
    try:
        import torchvision  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("the real torchvision is installed")
    kerata.compat.install()
    try:
        import torchvision
        import torchvision.transforms.functional

        yield torchvision
    finally:
        kerata.compat.uninstall()
        assert "torchvision" not in sys.modules


def test_data_sets(torchvision, monkeypatch):
    t = torchvision.transforms
    transform = t.Compose([t.ToTensor(), t.Normalize((0.5,), (0.5,))])
    train = torchvision.datasets.MNIST("data", train=True, download=True, transform=transform)
    test = torchvision.datasets.MNIST("data", train=False, target_transform=lambda label: label + 100)
    image, label = train[0]
    assert (len(train), len(test), label, test[0][1], train.class_to_idx["5 - five"]) == (60000, 10000, 5, 107, 5)
    assert image.shape == (1, 28, 28) and image.dtype == torch.float32
    assert (image.min().item(), image.max().item()) == (-1.0, 1.0)
    assert (train.data.dtype, train.targets.dtype, train.data.shape) == (torch.uint8, torch.int64, (60000, 28, 28))
    images, labels = next(iter(torch.utils.data.DataLoader(train, batch_size=4)))
    assert images.shape == (4, 1, 28, 28) and labels.tolist() == [5, 0, 4, 1]

    colours = np.arange(2 * 3 * 32 * 32, dtype=np.uint8).reshape(2, 32, 32, 3), np.array([[3], [9]], "uint8")
    for name, module in (("CIFAR10", "cifar10"), ("CIFAR100", "cifar100")):
        monkeypatch.setattr(f"kerata.datasets.{module}.load_data", lambda: (colours, colours))
        found = getattr(torchvision.datasets, name)(transform=t.ToTensor())
        assert found[1][0].shape == (3, 32, 32) and found[1][1] == 9 and found.targets == [3, 9]
        assert found.data.shape == (2, 32, 32, 3)


IMAGE = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
PLANES = torch.from_numpy(IMAGE.transpose(2, 0, 1).copy())

TRANSFORMS = [  # name, arguments, the array that it makes of IMAGE, or its shape
    ("Resize", (3,), (3, 4, 3)),
    ("Resize", ((5, 7),), (5, 7, 3)),
    ("Resize", (12, "nearest"), IMAGE.repeat(2, 0).repeat(2, 1)),
    ("CenterCrop", (4,), IMAGE[1:5, 2:6]),
    ("CenterCrop", ((6, 10),), np.pad(IMAGE, ((0, 0), (1, 1), (0, 0)))),
    ("Pad", ((1, 2, 3, 4), 9), np.pad(IMAGE, ((2, 4), (1, 3), (0, 0)), constant_values=9)),
    ("Pad", (2, 0, "reflect"), np.pad(IMAGE, ((2, 2), (2, 2), (0, 0)), mode="reflect")),
    ("RandomHorizontalFlip", (1.0,), IMAGE[:, ::-1]),
    ("RandomHorizontalFlip", (0.0,), IMAGE),
    ("RandomVerticalFlip", (1.0,), IMAGE[::-1]),
    ("RandomCrop", ((6, 8),), IMAGE),
    ("RandomCrop", (4, 2), (4, 4, 3)),
    ("RandomCrop", (9, None, True), (9, 9, 3)),
    ("RandomResizedCrop", (5,), (5, 5, 3)),
    ("RandomRotation", ((180, 180),), IMAGE[::-1, ::-1]),
    ("Grayscale", (), (IMAGE @ [0.2989, 0.587, 0.114]).astype(np.uint8)[..., None]),
    ("Grayscale", (3,), (6, 8, 3)),
    ("Lambda", (lambda image: image + 0,), IMAGE),
]


IDS = [f"{row[0]}{row[1]}".partition(" at 0x")[0] for row in TRANSFORMS]


@pytest.mark.parametrize("name, arguments, expected", TRANSFORMS, ids=IDS)
def test_transforms(torchvision, name, arguments, expected):
    transform = getattr(torchvision.transforms, name)(*arguments)
    torch.manual_seed(3)
    of_array = transform(IMAGE)
    torch.manual_seed(3)
    of_planes = transform(PLANES)
    assert of_array.dtype == np.uint8 and of_planes.dtype == torch.uint8
    np.testing.assert_array_equal(of_array, of_planes.permute(1, 2, 0))
    if isinstance(expected, tuple):
        assert of_array.shape == expected
    else:
        np.testing.assert_array_equal(of_array, expected)


def test_images_of_pillow(torchvision, monkeypatch):
    image = pytest.importorskip("PIL.Image").fromarray(IMAGE)
    for name, arguments, _ in TRANSFORMS[:-1]:
        transform = getattr(torchvision.transforms, name)(*arguments)
        torch.manual_seed(3)
        expected = transform(IMAGE)
        torch.manual_seed(3)
        found = transform(image)
        assert type(found) is type(image) and found.size == expected.shape[1::-1]
        np.testing.assert_array_equal(np.asarray(found).reshape(expected.shape), expected)
    digits = torchvision.datasets.MNIST(train=False)
    assert digits[0][0].size == (28, 28) and digits[0][0].mode == "L"
    monkeypatch.setattr("kerata.compat.torchvision.images.Image", None)
    assert isinstance(digits[0][0], np.ndarray) and digits[0][0].shape == (28, 28)


def test_more_transforms(torchvision):
    t, f = torchvision.transforms, torchvision.transforms.functional
    assert f is t.functional
    np.testing.assert_allclose(t.ToTensor()(IMAGE), PLANES / 255)
    assert t.ToTensor()(IMAGE[..., 0]).shape == (1, 6, 8) and torch.equal(t.PILToTensor()(IMAGE), PLANES)
    np.testing.assert_array_equal(t.ToPILImage()(t.ToTensor()(IMAGE)), IMAGE)
    half = t.ConvertImageDtype(torch.float32)(PLANES)
    assert torch.equal(t.ConvertImageDtype(torch.uint8)(half), PLANES)
    normal = t.Normalize((1.0, 2.0, 3.0), (2.0, 4.0, 8.0))(half)
    np.testing.assert_allclose(normal[1], (half[1] - 2) / 4, rtol=1e-6)
    with pytest.raises(errors.InvalidType, match="ToTensor"):
        t.Normalize((0.5,), (0.5,))(PLANES)
    with pytest.raises(errors.InvalidArgument, match="deviation"):
        t.Normalize((0.5,), (0.0,))(half)
    erased = t.RandomErasing(1.0, value=-1.0)(half)
    assert (erased == -1).any() and not (half == -1).any()
    np.testing.assert_array_equal(f.rotate(IMAGE[:, :6], 90), np.rot90(IMAGE[:, :6]))  # against the clock
    assert repr(t.Compose([t.ToTensor()])) == "Compose(\n    ToTensor()\n)"


def test_what_torchvision_has_and_kerata_not(torchvision):
    with pytest.raises(AttributeError, match="pip install torchvision"):
        torchvision.models  # noqa: B018
    with pytest.raises(ImportError, match="pip install torchvision"):
        import torchvision.models  # noqa: F401
    assert "kerata" in torchvision.__version__
    assert set(dir(torchvision)) >= {"datasets", "transforms"}


def test_an_installed_torchvision_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("mine = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    kerata.compat.install()
    try:
        import torchvision

        assert torchvision.mine
        with pytest.raises(ModuleNotFoundError, match="No module named"):
            import torchvision.datasets  # noqa: F401
    finally:
        kerata.compat.uninstall()
        sys.modules.pop("torchvision", None)


# Tensors and seeds on the other side ------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["jax", "numpy", "torch"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "int8", "bool"])
def test_tensors_of_pytorch_are_taken_by_every_engine(engine, dtype):
    tensor = torch.tensor([0.0, 1.5, -2.0]).to(getattr(torch, dtype)).requires_grad_("float" in dtype)
    with engines.using(engine):
        got = ops.convert_to_tensor(tensor)
        assert engines.arrays.is_array(got)
        assert kerata.core.dtypes.dtype_of(got) == dtype
        np.testing.assert_array_equal(ops.convert_to_numpy(ops.cast(got, "float32")), tensor.detach().float())


@pytest.mark.parametrize("engine", ["jax", "torch"])
def test_a_seed_is_also_that_of_pytorch(engine):
    """Modules of PyTorch draw from its own generator; it is seeded wherever PyTorch is imported."""
    with engines.using(engine):
        drawn = []
        for _ in range(2):
            kerata.utils.set_random_seed(7)
            drawn.append(nn.Dropout(0.5)(torch.ones(64)).tolist())
        assert drawn[0] == drawn[1] != nn.Dropout(0.5)(torch.ones(64)).tolist()


def test_dropout_in_a_wrapped_module_is_reproducible():
    layer = layers.TorchModuleWrapper(nn.Dropout(0.5))

    def draw():
        kerata.utils.set_random_seed(3)
        return ops.convert_to_numpy(layer(np.ones((4, 16), "float32"), training=True))

    np.testing.assert_array_equal(draw(), draw())


def test_a_seed_imports_no_pytorch():
    code = "import sys, kerata; kerata.utils.set_random_seed(1); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "KERATA_ENGINE": "jax"}).returncode == 0
