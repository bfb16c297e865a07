"""What XLA is told of the CPU that it compiles for, and what is a part of its own in a program."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerata
from kerata import ops
from kerata.engine.jax import arrays, counting, transforms
from kerata.engine.jax import processor as cpu
from kerata.engine.jax import random as draws

ZEN_4, ZEN_5 = ("vendor_id\t: AuthenticAMD", "cpu family\t: 25"), ("vendor_id\t: AuthenticAMD", "cpu family\t: 26")
INTEL = ("vendor_id\t: GenuineIntel", "cpu family\t: 6")
VECTORS = "flags\t\t: fpu avx2 avx512f avx512bw"


@pytest.fixture
def processor(monkeypatch):
    read = Path.read_text

    def named(*lines):
        told = "\n".join(lines) + "\n\nprocessor\t: 1\nvendor_id\t: Other"

        def read_text(path, *args, **kwargs):
            return told if path == Path("/proc/cpuinfo") else read(path, *args, **kwargs)

        monkeypatch.setattr(Path, "read_text", read_text)
        cpu._computes_on_512_bits.cache_clear()

    monkeypatch.delenv("XLA_FLAGS", raising=False)
    yield named
    monkeypatch.undo()
    cpu._computes_on_512_bits.cache_clear()


@pytest.mark.parametrize(
    ("lines", "wide"),
    [
        ((*ZEN_5, VECTORS), True),
        ((*ZEN_5, "flags\t\t: fpu avx2"), False),
        ((*ZEN_4, VECTORS), False),
        ((*INTEL, VECTORS), False),
        (("Processor\t: ARMv8",), False),
    ],
)
def test_long_vectors_where_they_are_as_fast(processor, lines, wide):
    processor(*lines)
    assert cpu.options() == ({"xla_cpu_prefer_vector_width": 512} if wide else {})


def test_what_the_user_chose_stands(processor, monkeypatch):
    processor(*ZEN_5, VECTORS)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_prefer_vector_width=256 --xla_cpu_experimental_ynn_fusion_type=")
    assert cpu.options(short=True) == {}


def _trained(rows, kernel):
    """The program of a step of gradient descent, as a loop compiles it."""

    def loss(kernel, x):
        return ((x @ kernel) ** 2).sum()

    specs = jax.ShapeDtypeStruct(kernel, "float32"), jax.ShapeDtypeStruct((rows, kernel[0]), "float32")
    step = transforms.compile(lambda w, x: w - jax.grad(loss)(w, x), donate=(0,), specs=specs)
    return step.lower(*specs).compile().as_text()


@pytest.mark.parametrize(
    ("rows", "kernel", "short"),
    [
        (32, (784, 128), True),
        (128, (256, 128), True),
        (32, (100, 64), False),  # one thread's work
        (128, (784, 128), False),  # a long one
        (32, (128, 512), False),  # many columns
    ],
)
def test_short_products_of_few_columns_are_left_to_eigen(monkeypatch, rows, kernel, short):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    assert ("ynn" not in _trained(rows, kernel)) is short


def test_a_product_in_a_form_of_its_own_is_short_too():
    rows, kernel = jnp.ones((4, 8, 784)), jnp.ones((784, 128))
    assert counting.has_short_products(jax.make_jaxpr(ops.matmul)(rows, kernel).jaxpr)
    assert not counting.has_short_products(jax.make_jaxpr(ops.matmul)(rows, jnp.ones((784, 512))).jaxpr)


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (jnp.matmul, [(8, 32, 64), (8, 64, 64)]),
        (lambda x, dy: jnp.einsum("ki,kj->ij", x, dy), [(784, 32), (784, 64)]),  # as of a convolution's gradient
        (lambda h, kernel: jax.lax.fori_loop(0, 9, lambda _, h: h @ kernel, h), [(64, 128), (128, 128)]),  # recurrent
    ],
)
def test_products_of_other_kinds_are_not_short(function, shapes):
    program = jax.make_jaxpr(function)(*(jnp.ones(shape) for shape in shapes)).jaxpr
    longest = max(operations for operations, _ in counting._widths(program))
    assert 2_000_000 <= longest < 16_000_000  # so it is not this that decides
    assert not counting.has_short_products(program)


@pytest.mark.parametrize(
    ("layer", "short"),
    [
        (lambda x, kernel: x * kernel.sum(), True),
        (ops.conv, False),
        (lambda x, kernel: jax.lax.conv(jnp.moveaxis(x, -1, 1), kernel.T, (1, 1), "VALID"), False),
    ],
)
def test_a_dense_layer_behind_a_convolution_has_no_short_product(layer, short):
    def loss(kernel, x, dense):
        return (layer(x, kernel).reshape(32, -1)[:, :784] @ dense).sum()

    shapes = (3, 3, 1, 1), (32, 30, 30, 1), (784, 128)
    program = jax.make_jaxpr(jax.value_and_grad(loss))(*(jnp.ones(shape) for shape in shapes)).jaxpr
    assert counting.has_short_products(program) is short


def test_where_no_file_tells(processor, monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    processor()
    monkeypatch.setattr(Path, "read_text", missing)
    assert cpu.options() == {}


def test_programs_take_the_option_and_parts_of_programs_none(processor):
    processor(*ZEN_5, VECTORS)
    part = transforms.compile(lambda x: x + 1)
    whole = transforms.compile(lambda x: part(x) * 2, donate=(0,))
    assert float(whole(jnp.float32(2))) == 6
    with pytest.raises(ValueError, match="compiler_options"):
        jax.jit(lambda x: whole(x))(jnp.float32(2))


@pytest.mark.parametrize("norm", [ops.layer_normalization, ops.rms_normalization])
def test_a_normalization_is_a_part_of_its_own_where_gradients_are_taken(norm):
    x = jnp.linspace(0, 3, 12).reshape(3, 4) ** 2
    slope = transforms.value_and_grad(lambda x: ops.sum(norm(x) ** 3))
    program = transforms.compile(lambda x: slope(x))
    assert "call @normalized" in program.lower(x).as_text()  # type: ignore[attr-defined]
    assert "normalized" not in str(jax.make_jaxpr(norm)(x))
    for together, alone in zip(program(x), slope(x)):
        assert jnp.allclose(together, alone, rtol=1e-5, atol=1e-6)


# Memory -------------------------------------------------------------------------------------------------------------


def test_memory_is_given_back_after_a_program_that_took_long_to_compile(monkeypatch):
    given_back = []
    monkeypatch.setattr(sys.modules["kerata.engine.jax"], "give_back_freed_memory", lambda: given_back.append(1))
    events = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, seconds, **_: events.append(event))
    jax.jit(lambda x: jnp.sin(x) * 1.25)(jnp.ones(3))
    (event,) = {event for event in events if event.endswith("/backend_compile_duration")}  # as JAX calls it
    assert given_back == []
    jax.monitoring.record_event_duration_secs(event, 2.0)
    jax.monitoring.record_event_duration_secs(event + "/other", 2.0)
    assert given_back == [1]


# Making arrays: a program for each shape would take milliseconds ------------------------------------------------------


@pytest.fixture
def compiled(caplog):
    """The names of the programs that were compiled."""
    with jax.log_compiles(), caplog.at_level("WARNING"):
        jax.clear_caches()
        yield lambda: [r.args[0] for r in caplog.records if r.msg.startswith("Compiling")]


def test_arrays_are_made_without_programs(compiled):
    arrays.as_array(np.ones((3, 1, 7), "float32"))
    arrays.as_array(np.float64(2))
    arrays.as_array(1.5, "bfloat16")
    kerata.initializers.Zeros()((2, 9), "float32")
    kerata.initializers.Constant(3)((2, 9), "int32")
    assert compiled() == []
    jnp.ones((3, 1, 7))
    assert compiled()  # as JAX does


def test_data_that_grew_find_their_programs(compiled):
    """Of 9 to 16 batches, for one: those who label rows as they go train anew on a few more each time."""
    model = kerata.Sequential([kerata.Input((3,)), kerata.layers.Dense(2)])
    model.compile("sgd", "mse")

    def use(rows):
        x, y = np.ones((rows, 3), "float32"), np.ones((rows, 2), "float32")
        model.fit(x, y, batch_size=4, verbose=0)
        model.evaluate(x, y, batch_size=4, verbose=0)
        return model.predict(x, batch_size=4, verbose=0)

    use(4 * 9 + 1)
    before = len(compiled())
    assert [len(use(4 * batches + 1)) for batches in range(10, 17)] == [4 * batches + 1 for batches in range(10, 17)]
    assert len(compiled()) == before
    use(4 * 17)
    assert len(compiled()) > before


def test_networks_of_many_shapes_share_the_programs_that_draw(compiled):
    key = np.array([3, 4], "uint32")
    drawn = [draws.uniform(key, shape, "float32", -1, 1) for shape in [(3,), (2, 5), (4, 3, 2), (64, 64)]]
    assert compiled().count("jit(_drawn)") == 1
    of_jax = jax.random.wrap_key_data(jnp.asarray(key), impl="threefry2x32")
    for x in drawn:
        np.testing.assert_array_equal(x, jax.random.uniform(of_jax, x.shape, "float32", -1, 1))


@pytest.mark.parametrize("shape", [(), (0, 2), (5, 7), (70, 60, 70), (2000, 1000)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_draws_are_those_of_jax(shape, dtype):
    key = np.array([3, 4], "uint32")
    of_jax = jax.random.wrap_key_data(jnp.asarray(key), impl="threefry2x32")
    for drawn, expected in (
        (draws.normal(key, shape, dtype), jax.random.normal(of_jax, shape, dtype)),
        (draws.truncated_normal(key, shape, dtype), jax.random.truncated_normal(of_jax, -2.0, 2.0, shape, dtype)),
    ):
        assert drawn.dtype == dtype
        np.testing.assert_array_equal(drawn, expected)
    at_once = jax.jit(lambda key: draws.normal(key, shape, dtype))(key)
    np.testing.assert_array_equal(at_once, draws.normal(key, shape, dtype))
