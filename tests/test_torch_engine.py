"""What the PyTorch engine has of its own: kernels, compiled programs, recomputation, draws in programs."""

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import kerata  # noqa: E402
from kerata import engine as engines  # noqa: E402
from kerata import errors, layers, ops, optimizers, tree  # noqa: E402
from kerata.core import scopes  # noqa: E402
from kerata.core.op import OPS  # noqa: E402
from kerata.engine.torch import compiling  # noqa: E402
from kerata.engine.torch import fast_ways as WAYS  # noqa: E402
from kerata.optimizers import joining  # noqa: E402

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def engine():
    with engines.using("torch") as engine:
        yield engine


@pytest.fixture
def traced_only(monkeypatch):
    """Run traced graphs as they are: Inductor takes seconds."""
    monkeypatch.setattr(compiling, "lowered", lambda graph: graph)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


# Kernels against the formulas -------------------------------------------------------------------------------------

QKV = normal(2, 3, 4, 8), normal(2, 5, 2, 8), normal(2, 5, 2, 8)
SOME = RNG.random((2, 4, 3, 5)) > 0.5
SOME[0, 0, 1] = False  # a row with nothing to attend to
LABELS = np.array([[0, 4, 2], [-1, 5, 3]], "int32")  # two of them out of range
ROWS = [
    ("divide_no_nan", (normal(3, 2), np.array([2, 0], "float32")), {}),
    ("relu", (normal(3, 4),), {}),
    ("relu", (np.array([-1, 0, 2], "int32"),), {}),
    ("sigmoid", (normal(3, 4) * 20,), {}),
    ("log_sigmoid", (normal(3, 4) * 20,), {}),
    ("silu", (normal(3, 4),), {}),
    ("gelu", (normal(3, 4),), {"approximate": True}),
    ("gelu", (normal(3, 4),), {"approximate": False}),
    *(("softmax", (normal(2, 3, 4),), {"axis": axis}) for axis in (-1, 0, (1, 2), None)),
    *(("log_softmax", (normal(2, 3, 4),), {"axis": axis}) for axis in (1, (0, 2))),
    *(
        ("layer_normalization", (normal(2, 3, 4), normal(*shape), normal(*shape)), {"axis": axis})
        for axis, shape in ((-1, (4,)), (1, (3,)), ((1, 2), (3, 4)), ((0, 2), (2, 4)))
    ),
    ("layer_normalization", (normal(2, 3, 4),), {"epsilon": 0.1}),
    ("normalize_batch", (normal(4, 3, 2, 5), normal(5), normal(5)), {}),
    ("normalize_batch", (normal(4, 3, 2, 5), normal(3)), {"axis": 1, "epsilon": 0.1}),
    ("normalize_batch", (normal(4, 3) * 1e-4 + 1,), {}),
    ("normalize_batch", (normal(1, 3), normal(3), normal(3)), {}),
    ("sparse_categorical_crossentropy", (LABELS, normal(2, 3, 5)), {"from_logits": True}),
    ("sparse_categorical_crossentropy", (LABELS, RNG.random((2, 3, 5)).astype("float32")), {}),
    ("sparse_categorical_crossentropy", (LABELS % 3, normal(2, 3, 3)), {"from_logits": True, "axis": 1}),
    ("dot_product_attention", QKV, {}),
    ("dot_product_attention", QKV, {"is_causal": True, "scale": 0.3}),
    ("dot_product_attention", QKV, {"mask": SOME}),
    ("dot_product_attention", QKV, {"mask": SOME, "is_causal": True, "bias": normal(1, 4, 3, 5)}),
    ("dot_product_attention", QKV, {"attn_logits_soft_cap": 2.0}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), ROWS)
def test_a_kernel_gives_what_the_formula_gives(name, args, kwargs):
    op = OPS[name]
    args = [torch.tensor(a) for a in args]
    kwargs = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
    outcomes = []
    for function in (op, op.body):
        inputs = [a.clone().requires_grad_(a.is_floating_point()) for a in args]
        y, *others = results if isinstance(results := function(*inputs, **kwargs), tuple) else [results]
        assert not any(other.requires_grad for other in others)
        floats = [x for x in inputs if x.is_floating_point()]
        weight = torch.arange(y.numel(), dtype=torch.float32).reshape(y.shape).sin()
        slopes = torch.autograd.grad((y * weight).sum(), floats) if floats else ()
        outcomes.append([y.detach(), *others, *slopes])
    for got, expected in zip(*outcomes, strict=True):
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_fast_way_has_the_signature_of_its_op():
    for name, way in WAYS.items():
        if name in OPS:
            assert list(inspect.signature(way).parameters) == list(inspect.signature(OPS[name].body).parameters)
    others = {f"{optimizers.Adam.rule.__module__}.Adam.rule", f"{joining.__name__}.jointly", *CELLS}
    assert {name for name in WAYS if name not in OPS} == others
    assert {name for name, _, _ in ROWS} == set(WAYS) & set(OPS)


CELLS = [f"{cell.__module__}.{cell.__name__}" for cell in (layers.LSTMCell, layers.GRUCell)]
LOOPS = [
    ("LSTM", {"return_sequences": True, "return_state": True}, True),
    ("LSTM", {"go_backwards": True, "return_sequences": True, "use_bias": False}, True),
    ("LSTM", {"bias_initializer": "normal", "unit_forget_bias": False}, True),
    ("LSTM", {"stateful": True, "dropout": 0.5}, True),  # nothing is dropped but in training
    ("GRU", {"return_sequences": True, "return_state": True, "bias_initializer": "normal"}, True),
    ("GRU", {"go_backwards": True, "use_bias": False}, True),
    ("GRU", {"reset_after": False}, False),
    ("LSTM", {"activation": "relu"}, False),
    ("LSTM", {"recurrent_activation": "hard_sigmoid"}, False),
    ("GRU", {"dtype": "bfloat16"}, False),
    ("GRU", {"use_cudnn": False}, False),
    ("LSTM", {"unroll": True}, False),
]


@pytest.mark.parametrize(("name", "settings", "kernel"), LOOPS)
def test_a_recurrent_kernel_gives_what_the_loop_gives(name, settings, kernel, monkeypatch):
    layer, x = getattr(layers, name)(4, **settings), normal(2, 5, 3)
    layer(x)
    called = []
    for function in ("lstm", "gru"):
        original = getattr(torch, function)
        monkeypatch.setattr(torch, function, lambda *a, f=original: called.append(1) or f(*a))

    def outcome():
        layer.reset_state()
        loss = lambda: sum(ops.sum(ops.sin(y + i)) for i, y in enumerate(tree.flatten(layer(x))))  # noqa: E731
        value, slopes = kerata.value_and_grad(loss, layer.trainable_variables)()
        return [*tree.flatten(layer(x)), value, *slopes]  # the second call of a stateful layer goes on

    by_kernel = outcome()
    assert bool(called) == kernel
    for cell in CELLS:
        monkeypatch.delitem(WAYS, cell)
    for got, expected in zip(by_kernel, outcome(), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got.detach().float(), expected.detach().float(), rtol=1e-4, atol=1e-5)


def test_masks_and_dropout_go_through_the_loop(monkeypatch):
    monkeypatch.setattr(torch, "lstm", lambda *args: pytest.fail("the kernel knows neither"))
    x = normal(2, 5, 3)
    layers.LSTM(4)(x, mask=np.arange(5) < np.array([[2], [5]]))
    layers.LSTM(4, dropout=0.5)(x, training=True)
    layers.LSTM(4, recurrent_dropout=0.5)(x, training=True)


def test_a_half_precision_mask_keeps_everything_finite():
    q, k, v = (torch.tensor(a).half() for a in QKV)
    y = ops.dot_product_attention(q, k, v, mask=torch.tensor(SOME))
    assert y.dtype == torch.float16 and y.isfinite().all()


def test_the_gradient_of_a_gradient_goes_through_attention():
    q, k, v = (torch.tensor(a) for a in QKV)

    def slope(x):
        return ops.sum(kerata.grad(lambda x: ops.sum(ops.dot_product_attention(x, k, v) ** 2))(x) ** 2)

    got, direction, step = kerata.grad(slope)(q), torch.tensor(normal(*q.shape)), 1e-2
    expected = (slope(q + step * direction) - slope(q - step * direction)) / (2 * step)
    np.testing.assert_allclose(torch.sum(got * direction), expected, rtol=2e-2)


@pytest.mark.parametrize("options", [{}, {"amsgrad": True}, {"weight_decay": 0.1}, {"beta_1": 0.5, "epsilon": 1e-2}])
def test_adam_by_its_kernel_is_adam_by_its_rule(options, monkeypatch):
    start, gradients = normal(5, 3), [normal(5, 3) for _ in range(4)]

    def course():
        w, b, optimizer = kerata.Variable(start), kerata.Variable(start[0]), optimizers.Adam(0.1, **options)
        held = w.value.detach()
        for g in gradients:
            optimizer.apply([g, g[1]], [w, b])
        np.testing.assert_array_equal(held, start)  # nobody's tensor is written to
        return [v.numpy() for v in (w, b, *optimizer.variables)]

    by_kernel = course()
    monkeypatch.delitem(WAYS, "kerata.optimizers.adam.Adam.rule")
    for got, expected in zip(by_kernel, course(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


OPTIMIZERS = [name for name in optimizers.__all__ if isinstance(value := getattr(optimizers, name), type)
              and issubclass(value, optimizers.Optimizer)
              and name not in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")]  # fmt: skip
SETTINGS = [
    {"clipnorm": 0.5, "weight_decay": 0.1, "use_ema": True, "ema_overwrite_frequency": 3},
    {"global_clipnorm": 0.5, "use_ema": True},
    {"clipvalue": 0.3, "weight_decay": 0.1},
]
STARTS = [RNG.normal(size=shape).astype("float32") for shape in ((4, 3), (3,), (), (0, 2), (2, 3, 2), (300, 300))]
SLOPES = [[np.asarray(RNG.normal(size=w.shape), "float32") for w in STARTS] for _ in range(5)]


def course(make, dtype="float32"):
    """Return every number after five steps of one optimizer on Variables of several shapes."""
    weights = [kerata.Variable(w.astype("float32"), dtype=dtype, name=f"w{i}") for i, w in enumerate(STARTS)]
    optimizer = make()
    optimizer.exclude_from_weight_decay(var_names=["w1"])
    for slopes in SLOPES:
        optimizer.apply([ops.convert_to_tensor(g, dtype) for g in slopes], weights)
    return [v.numpy().astype("float32") for v in (*weights, *optimizer.variables)]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: next(iter(s)))
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_takes_the_steps_that_it_takes_on_jax(name, settings):
    if name == "AdamW":
        settings = {"weight_decay": 0.1, **settings}
    made = getattr(optimizers, name)
    if name == "SGD":
        settings = {"momentum": 0.9, "nesterov": True, **settings}
    if name == "RMSprop":
        settings = {"momentum": 0.9, "centered": True, **settings}
    got = course(lambda: made(0.05, **settings))
    with engines.using("jax"):
        expected = course(lambda: made(0.05, **settings))
    assert not np.array_equal(got[0], STARTS[0])
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["SGD", "Lion", "Adam"])
def test_small_variables_go_through_a_rule_as_one(name, dtype, monkeypatch):
    made, calls = getattr(optimizers, name), []
    if (name, dtype) == ("Adam", "float32"):
        monkeypatch.delitem(WAYS, "kerata.optimizers.adam.Adam.rule")
    monkeypatch.setattr(made, "rule", joining.elementwise(lambda *args, rule=made.rule: calls.append(1) or rule(*args)))
    jointly = course(lambda: made(0.05, weight_decay=0.1, use_ema=True), dtype)
    assert len(calls) == 2 * len(SLOPES)  # the small ones, and the large one
    monkeypatch.delitem(WAYS, f"{joining.__name__}.jointly")
    for got, expected in zip(jointly, course(lambda: made(0.05, weight_decay=0.1, use_ema=True), dtype), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


def test_a_rule_of_ones_own_sees_each_variable_by_itself():
    class Longest(optimizers.SGD):
        def rule(self, w, g, lr, t, *slots):
            return (w - lr * g / ops.max(ops.abs(g)),)

    w, b = kerata.Variable([1.0, 1.0]), kerata.Variable([1.0])
    Longest(0.5).apply([torch.tensor([8.0, 4.0]), torch.tensor([1.0])], [w, b])
    np.testing.assert_array_equal(w, [0.5, 0.75])
    np.testing.assert_array_equal(b, [0.5])


def test_pytorch_reads_a_variable_as_its_tensor():
    w, x = kerata.Variable([1.0, 2.0]), torch.tensor([3.0, 4.0])
    for y, expected in ((x + w, [4, 6]), (w + x, [4, 6]), (torch.stack([x, w])[1], [1, 2]), (torch.mul(w, x), [3, 8])):
        assert type(y) is torch.Tensor
        np.testing.assert_array_equal(y.detach(), expected)


def test_images_are_channels_last_in_memory_all_the_way():
    x = torch.tensor(normal(2, 9, 9, 3))
    y = ops.conv(x, torch.tensor(normal(3, 3, 3, 8)), padding="same")
    assert y.is_contiguous()  # as (B, H, W, C): nothing was turned round
    assert ops.max_pool(y, 2).is_contiguous()


# Places and order -------------------------------------------------------------------------------------------------


def test_the_first_of_equals_comes_first():
    x = np.array([[1, 3, 3, 2, 3], [5, 4, 3, 2, 1], [np.nan, 1, np.nan, 0, 2]], "float32")
    values, places = ops.top_k(x, 2)
    np.testing.assert_array_equal(places, [[1, 2], [0, 1], [0, 2]])
    np.testing.assert_array_equal(values, [[3, 3], [5, 4], [np.nan, np.nan]])


def test_values_add_up_where_places_repeat():
    x, add_at = torch.zeros(3, 2), engines.arrays.add_at
    np.testing.assert_array_equal(add_at(x, (np.array([0, 0, -1]),), torch.ones(3, 2)), [[2, 2], [0, 0], [1, 1]])
    np.testing.assert_array_equal(add_at(x, (np.array([0, 0]), np.array([1, 1])), 1.0), [[0, 2], [0, 0], [0, 0]])
    np.testing.assert_array_equal(add_at(x, (..., np.array([1, 1])), torch.ones(3, 2)), [[0, 2]] * 3)
    np.testing.assert_array_equal(x, np.zeros((3, 2)))


def test_what_is_not_there_is_nan():
    np.testing.assert_array_equal(ops.take(np.array([1.0, 2.0], "float32"), [1, -1, 2]), [2, 2, np.nan])


# Recomputation ----------------------------------------------------------------------------------------------------


def kept(function):
    """The result of `function` and how many elements autograd kept for the gradient."""
    sizes = []

    def keep(x):
        sizes.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        return function(), sum(sizes)


def test_remat_keeps_no_activations_and_computes_them_again():
    w, seeds, x = kerata.Variable(normal(16, 16)), kerata.random.SeedGenerator(3), torch.tensor(normal(64, 16))
    calls = []

    def block(x):
        calls.append(scopes.around.training)
        for _ in range(4):
            x = ops.tanh(ops.matmul(x, w))
        return kerata.random.dropout(x, 0.5, seed=seeds)

    def course(block):
        seeds.state.assign([3, 0])
        calls.clear()

        def loss():
            with scopes.call_context(True):
                return ops.sum(block(block(x)) ** 2)

        (value, gradients), size = kept(kerata.value_and_grad(loss, [w]))
        return value, gradients[0], seeds.state.numpy().tolist(), size, list(calls)

    value, slope, state, size, runs = course(block)
    again = course(kerata.remat(block))
    np.testing.assert_allclose(again[0], value, rtol=1e-6)
    np.testing.assert_allclose(again[1], slope, rtol=1e-5, atol=1e-6)
    assert again[2] == state == [3, 2]
    assert again[3] < size / 4
    assert (runs, again[4]) == ([True] * 2, [True] * 4)


def test_remat_of_a_layer_trains_as_without():
    def course(remat):
        kerata.utils.set_random_seed(5)
        dense = layers.Dense(4, activation="tanh")
        norm, drop = layers.BatchNormalization(), layers.Dropout(0.3, seed=1)
        x = normal(8, 4) * 0 + np.linspace(-1, 1, 32, dtype="float32").reshape(8, 4)

        def block(x):
            return drop(norm(dense(x), training=True), training=True)

        block(x)
        drop.seed_generator.state.assign([1, 0])
        wrapped = kerata.remat(block) if remat else block
        _, gradients = kerata.value_and_grad(lambda: ops.sum(wrapped(x) ** 2), dense)()
        return [np.asarray(g) for g in gradients] + [v.numpy() for v in norm.variables]

    for got, expected in zip(course(True), course(False), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


# Programs ---------------------------------------------------------------------------------------------------------


def small_model():
    kerata.utils.set_random_seed(1)
    return kerata.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5, seed=2),
            layers.Dense(3, activation="softmax"),
        ]
    )


IMAGES, CLASSES = normal(20, 6, 6, 1), np.arange(20) % 3


def fitted(**options):
    model = small_model()
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    history = model.fit(IMAGES, CLASSES, batch_size=10, epochs=3, shuffle=False, verbose=0).history
    return history, [v.numpy() for v in (*model.variables, *model.optimizer.variables)]


def test_compiled_by_inductor_a_model_learns_the_same():
    (history, weights), (compiled_history, compiled_weights) = fitted(), fitted(jit_compile=True)
    assert compiled_history["accuracy"] == history["accuracy"]
    np.testing.assert_allclose(compiled_history["loss"], history["loss"], rtol=1e-4)
    for got, expected in zip(compiled_weights, weights, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


def test_programs_go_through_torch_compile():
    """More of them than Dynamo compiles for one function; what they were first called with binds no later call."""
    from torch._dynamo import config, utils

    @kerata.jit
    def combined(a, b):
        c = a * 1
        c += 2 * b
        return a, c

    def expected(a, b):
        return np.asarray(a) + 2 * np.asarray(b)

    square, before = torch.tensor(normal(3, 3)), utils.counters["stats"]["unique_graphs"]
    with config.patch(recompile_limit=1):
        for a, b in ((square, square), (square, square + 1), (square.T, square + 1), (torch.ones(2), torch.ones(2))):
            got, sums = combined(a, b)
            assert got is a
            np.testing.assert_allclose(sums, expected(a, b))
        assert utils.counters["stats"]["unique_graphs"] == before + 3  # no new one for a pair of different tensors
        drawn = kerata.jit(lambda key: kerata.random.normal((2,), seed=key))(np.array([1, 2], "uint32"))
    np.testing.assert_allclose(drawn, kerata.random.normal((2,), seed=np.array([1, 2], "uint32")), rtol=1e-5)


def test_the_same_tensor_twice_is_two_inputs(traced_only):
    difference, x = kerata.jit(lambda a, b: a - 2 * b), torch.ones(2)
    for a, b in ((x, x), (x, 3 * x), (3 * x, x)):
        np.testing.assert_array_equal(difference(a, b), a - 2 * b)


def test_without_a_compiler_programs_run_as_they_are(monkeypatch):
    from torch._inductor import compile_fx
    from torch._inductor.exc import InvalidCxxCompiler

    def refuse(*args, **kwargs):
        raise InvalidCxxCompiler

    monkeypatch.setattr(compile_fx, "compile_fx", refuse)
    double = kerata.jit(lambda x: x * 2)
    with pytest.warns(UserWarning, match=r"C\+\+ compiler.*InvalidCxxCompiler"):
        assert float(double(3.0)) == 6
    assert float(double(4.0)) == 8


def test_a_program_is_traced_once_for_each_shape(traced_only):
    traces = []

    @kerata.jit
    def double(x):
        traces.append(x.shape)
        return ops.sum(x * 2)

    for size in (2, 2, 3, 2, 3):
        assert float(double(np.ones(size, "float32"))) == 2 * size
    assert traces.count((2,)) == traces.count((3,)) == 2  # once to see what it reads, once for the program


def test_a_program_reads_and_assigns_variables(traced_only):
    total = kerata.Variable(0.0)

    @kerata.jit
    def add(x):
        total.assign_add(ops.sum(x))
        return 2 * total.value

    assert [float(add(np.ones(3))) for _ in range(2)] == [6, 12]
    assert float(total) == 6


def test_draws_are_the_same_in_a_program(traced_only):
    def draws(key):
        return [
            kerata.random.normal((4,), seed=key), kerata.random.uniform((4,), 1, 2, seed=key),
            kerata.random.truncated_normal((4,), seed=key), kerata.random.randint((4,), 0, 9, seed=key),
            kerata.random.dropout(ops.ones((9,)), 0.5, seed=key), kerata.random.gamma((4,), 2.0, seed=key),
            kerata.random.beta((4,), 2.0, 3.0, seed=key), kerata.random.binomial((4,), 5.0, 0.5, seed=key),
            kerata.random.shuffle(ops.arange(9), seed=key),
            kerata.random.categorical(ops.zeros((2, 5)), 3, seed=key),
        ]  # fmt: skip

    key = np.array([7, 3], "uint32")
    for got, expected in zip(kerata.jit(draws)(key), draws(key), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)


def test_a_program_asked_for_a_gradient_from_outside_gives_it(traced_only):
    double = kerata.jit(lambda x: ops.sum(x**2))
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    double(x).backward()
    np.testing.assert_allclose(x.grad, [2, 4])
    np.testing.assert_allclose(kerata.jit(kerata.grad(double))(np.array([3.0], "float32")), [6])


def test_mapped_keys_draw_for_each(traced_only):
    keys = np.array([[1, 2], [3, 4]], "uint32")
    got = kerata.vmap(lambda key: kerata.random.uniform((3,), seed=key))(keys)
    np.testing.assert_array_equal(got, [kerata.random.uniform((3,), seed=key) for key in keys])


def test_a_number_of_steps_that_depends_on_values_is_not_compiled(traced_only):
    count = kerata.jit(lambda x: ops.while_loop(lambda i: i < x, lambda i: (i + 2,), (0,))[0])
    with pytest.warns(UserWarning, match="runs uncompiled"):
        assert int(count(5)) == 6
    assert int(count(9)) == 10


def test_a_choice_keeps_its_slope_finite(traced_only):
    """Both branches computed and one chosen would give 0 · inf."""

    @kerata.jit
    def slope(x):
        return kerata.grad(lambda x: ops.cond(x > 0, lambda: ops.sqrt(x), lambda: x * 0.0))(x)

    assert float(slope(0.0)) == 0
    assert float(slope(4.0)) == 0.25


# Eagerly ----------------------------------------------------------------------------------------------------------


class Branching(kerata.Model):
    """Looks at values, as Python may."""

    def __init__(self):
        super().__init__()
        self.left, self.right = layers.Dense(2), layers.Dense(2)
        self.grad_modes = []

    def call(self, x):
        self.grad_modes.append(torch.is_grad_enabled())
        if float(ops.sum(x)) > 0:
            return self.left(x) + 0 * self.right(x)
        return self.right(x) - 0 * self.left(x)


def test_call_may_branch_on_values():
    model, x = Branching(), normal(8, 3)
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(x, normal(8, 2), batch_size=4, epochs=9, shuffle=False, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    model.grad_modes.clear()
    model.predict(x, verbose=0)
    model.evaluate(x, normal(8, 2), verbose=0)
    assert model.grad_modes and not any(model.grad_modes)  # nothing is kept for gradients


def test_a_compiled_step_says_that_it_cannot_branch():
    model = Branching()
    model.compile("sgd", "mse", jit_compile=True)
    with pytest.raises(errors.StateError, match=r"value of a tensor[\s\S]*ops\.cond"):
        model.fit(normal(8, 3), normal(8, 2), verbose=0)


def test_loops_are_those_of_the_numpy_engine():
    def all_loops():
        xs = ops.arange(5, dtype="float32")
        return (
            ops.scan(lambda c, x: (c + x, c * x), ops.zeros(()), xs),
            ops.scan(lambda c, x: (c + x, c), ops.zeros(()), xs, reverse=True),
            engines.transforms.scan(lambda c, x: (c + x, c), ops.zeros((2,)), xs[:0], None, False),
            ops.associative_scan(lambda a, b: a + b, ops.reshape(xs, (1, 5)), axis=1, reverse=True),
            ops.fori_loop(0, 4, lambda i, c: c + i, 1),
            ops.while_loop(lambda i, s: i < 4, lambda i, s: (i + 1, s + i), (0, 10)),
        )

    results = []
    for name in ("torch", "numpy"):
        with engines.using(name):
            results.append([np.asarray(leaf) for leaf in tree.flatten(all_loops())])
    for here, there in zip(*results, strict=True):
        assert (here.shape, here.dtype) == (there.shape, there.dtype)
        np.testing.assert_allclose(here, there)
