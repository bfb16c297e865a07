"""Which dtype comes out: for every op, of every dtype and of pairs of them, that which comes out of real Keras.

The arguments are the rows of the table of ops. Keras is asked twice: what it computes, by tracing it, and what it says
of symbolic tensors. Where it refuses to compute, kerata may do either. Where it contradicts itself, `DIVIDED` says
which answer holds here, and why; `DIFFERENT` says where neither does. Both tables must be exact.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import keras
import ml_dtypes
import numpy as np
import pytest
import rows  # noqa: F401  (fills the table)
from cases import CASES, Case, whole, x

from kerata import ops, tree
from kerata.core.symbolic import KerasTensor

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "uint32", "float16", "bfloat16", "float32")
FEW = ("uint8", "bfloat16")  # for an op's further rows

# The rows ---------------------------------------------------------------------------------------------------------


def row(name, *args, static=False, **kwargs):
    return Case(name, args, kwargs, None, (), False, lambda result: result, static, 0.0)


ALIASES = {
    "abs": "absolute", "amax": "max", "amin": "min", "bitwise_not": "bitwise_invert", "conj": "conjugate",
    "hard_swish": "hard_silu", "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift",
    "swish": "silu", "true_divide": "divide",
}  # fmt: skip
FURTHER = [
    *(row(name, x(2), x(2), num=3) for name in ("logspace", "geomspace")),
    *(row("clip", x(2, 3), low, high) for low, high in ((0, 1), (-1.0, 1), (x(3), x(3)))),
    row("array", x(2)), row("convert_to_tensor", x(2)), row("arange", np.array(5.0), static=True),
    row("full_like", x(2), 0.5), row("where", x(2), x(2), 0), row("where", x(2), 0.5, x(2)),
    row("einsum", "ij,jk,kl->il", x(2, 2), x(2, 2), x(2, 2)), row("sum", x(2, 3), axis=1, keepdims=True),
    row("cumsum", whole(4), dtype="int8"), row("prod", whole(4), dtype="int16"),
    row("map", lambda x: x + x, x(3)), row("scan", lambda carry, x: (carry, x), whole(2), x(3)),
    row("associative_scan", lambda a, b: a + b, x(3)), row("vectorized_map", lambda x: x + x, x(3)),
    row("fori_loop", 0, 3, lambda i, x: x + x, x(2)), row("while_loop", lambda x: x[0] > 9, lambda x: (x,), (x(2),)),
    row("switch", 0, [lambda x: x + x, lambda x: x], x(2)),
    row("jvp", lambda x: x * x, (x(2),), (x(2),)),
]  # fmt: skip
LOOPS = {"associative_scan", "fori_loop", "jvp", "map", "scan", "switch", "vectorized_map", "while_loop"}
"""They take no symbolic tensors."""
OF_NO_DTYPE = {
    "cond", "convert_to_numpy", "custom_gradient", "dtype", "is_tensor", "ndim", "shape", "vectorize",
    # Their dtype is said, or follows from numbers: see `MADE`.
    "bartlett", "blackman", "empty", "eye", "hamming", "hanning", "identity", "kaiser", "ones", "tri", "zeros",
}  # fmt: skip

BY_NAME: dict[str, list[Case]] = {}
for case in (*CASES, *FURTHER):
    BY_NAME.setdefault(case.name, []).append(case)
for alias, name in ALIASES.items():
    BY_NAME[alias] = [dataclasses.replace(case, name=alias) for case in BY_NAME[name][:1]]
BY_NAME = {name: found for name, found in BY_NAME.items() if hasattr(ops, name) and hasattr(keras.ops, name)}


def test_every_op_has_a_row():
    public = {name for name in dir(keras.ops) if callable(getattr(keras.ops, name)) and not name.startswith("_")}
    assert public - set(BY_NAME) == OF_NO_DTYPE


# What Keras contradicts itself about -----------------------------------------------------------------------------

COMPUTED, SAID, EITHER = "what Keras computes", "what Keras says of symbolic tensors", "the one or the other"
FLOATS = "of whole numbers come floats; Keras says that the dtype of the input stays"
BOOLS = "bools are counted, as integers or floats; Keras says that they stay bools"
WEAK = "a Python number takes the dtype of the tensor that it meets"
DIVIDED = {
    **dict.fromkeys((
        "adaptive_average_pool", "average_pool", "binary_crossentropy", "categorical_crossentropy", "celu", "cholesky",
        "cholesky_inverse", "det", "eigh", "elu", "erfinv", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu",
        "hard_swish", "histogram", "inv", "leaky_relu", "log_sigmoid", "log_softmax", "logdet", "lstsq", "moments",
        "pinv", "qr", "rfft", "select", "selu", "slogdet", "soft_shrink", "softmax", "softplus", "softsign", "solve",
        "solve_triangular", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "svd", "tanh_shrink",
        "threshold", "view_as_real",
    ), (COMPUTED, FLOATS)),
    **dict.fromkeys((
        "bitwise_left_shift", "bitwise_right_shift", "floor_divide", "hard_tanh", "hypot", "left_shift", "power",
        "right_shift", "unravel_index",
    ), (COMPUTED, BOOLS)),
    **dict.fromkeys(("arctan2", "gcd", "kron", "lcm", "nextafter"), (COMPUTED, WEAK)),
    **dict.fromkeys(("logaddexp", "logaddexp2"), (SAID, WEAK)),
    **dict.fromkeys(("linspace", "logsumexp", "normalize", "psnr", "reciprocal"),
                    (COMPUTED, "16 bits stay 16 bits; Keras says float32")),
    **dict.fromkeys(("eig", "polar"), (COMPUTED, "complex numbers come out")),
    "batch_normalization": (EITHER, "floats come, those of the input; Keras computes with the means' dtype"),
    "clip": (COMPUTED, "integers held between floats become floats"),
    "conv": (EITHER, "the dtypes meet; Keras computes in the kernel's, and says the input's"),
    "lu_factor": (COMPUTED, "rows are numbered by int32"),
    "meshgrid": (COMPUTED, "each grid has the dtype of its own line"),
    "multi_hot": (COMPUTED, "the default float dtype is the default"),
    "relu": (SAID, "bools stay, as all else does"),
    "relu6": (SAID, "whole numbers stay, as in relu"),
    "sparse_categorical_crossentropy": (EITHER, "the default float dtype of whole numbers; 16 bits stay 16 bits"),
    "where": (COMPUTED, "a tensor of places for each axis"),
}  # fmt: skip
DIFFERENT = {
    "arctan2": WEAK,
    "batch_normalization": "whole numbers become the default float dtype before they meet 16 bits",
    "conv": DIVIDED["conv"][1],
    "psnr": "the same dtype whichever image comes first",
}

# The comparison ---------------------------------------------------------------------------------------------------


def named(dtype):
    return str(getattr(dtype, "name", dtype))


def single(a):
    return a.astype({"f": "float32", "i": "int32", "c": "complex64"}.get(a.dtype.kind, a.dtype))


def assignments(case, first):
    """Yield a word and the row's tensors: all of one dtype; of an op's first row the first of another; or a number."""
    arrays = case.arrays
    places = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"] or range(len(arrays))

    def of(leading, other):
        made = list(map(single, arrays))
        for i in places:
            what = leading if i == places[0] else other
            made[i] = arrays[i].astype(getattr(ml_dtypes, what, what)) if isinstance(what, str) else what
        return f"{leading} {other}", made

    yield from (of(dtype, dtype) for dtype in (DTYPES if first else FEW))
    if first and len(places) > 1:
        yield from (of(*pair) for pair in itertools.permutations(DTYPES, 2))
    if first and len(places) == 2:
        yield from (of(*pair) for pair in itertools.product((2, 0.5), DTYPES))
        yield from (of(*pair) for pair in itertools.product(DTYPES, (2, 0.5)))
        yield from (of(*pair) for pair in itertools.product((2, 0.5), repeat=2))


def dtypes_of(result):
    return [named(leaf.dtype) for leaf in tree.flatten(result) if hasattr(leaf, "dtype")]


def filled(case, tensors, arrays):
    """The row's arguments: its numbers, and the others from `arrays`."""
    rest = iter(arrays)
    return case.filled([t if isinstance(t, (int, float)) else next(rest) for t in tensors])


def outcome(library, case, args, kwargs):
    """The dtypes of what comes out, or None where it is refused or is no array."""
    try:
        return dtypes_of(getattr(library, case.name)(*args, **kwargs)) or None
    except Exception:
        return None


def computed(library, case, every):
    """The outcomes of a computation for each of `every` tensors; all are traced at once, for nobody wants values."""
    form = jnp.asarray if case.static else lambda t: jax.ShapeDtypeStruct(t.shape, t.dtype)
    given = [[form(t) for t in tensors if not isinstance(t, (int, float))] for tensors in every]
    found = []

    def trace(given):
        found.extend(outcome(library, case, *filled(case, *pair)) for pair in zip(every, given))

    trace(given) if case.static else jax.eval_shape(trace, given)
    return found


def said(library, kind, case, tensors):
    """The outcome for symbolic tensors."""
    return outcome(library, case, *filled(case, tensors, (
        kind(t.shape, named(t.dtype)) for t in tensors if not isinstance(t, (int, float))
    )))  # fmt: skip


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.filterwarnings("ignore")
def test_dtype(name):
    divided, different, inconsistent = [], [], []
    choice, _ = DIVIDED.get(name, (COMPUTED, ""))
    for case, first in zip(BY_NAME[name], itertools.chain([True], itertools.repeat(False))):
        words, every = zip(*assignments(case, first))
        theirs, own = computed(keras.ops, case, every), computed(ops, case, every)
        for word, tensors, wanted, ours in zip(words, every, theirs, own):
            if wanted is None:
                continue
            symbolic = said(keras.ops, keras.KerasTensor, case, tensors)
            if len(set(word.split())) == 1 and symbolic and not case.static and name not in LOOPS:
                inconsistent += [word] * (said(ops, KerasTensor, case, tensors) != ours)
            if symbolic not in (None, wanted):
                divided.append(word)
                wanted = {COMPUTED: wanted, SAID: symbolic, EITHER: ours if ours == symbolic else wanted}[choice]
            if ours != wanted:
                different.append((word, wanted, ours))
    assert not inconsistent
    assert bool(divided) == (name in DIVIDED), divided
    assert bool(different) == (name in DIFFERENT), different


# Made of numbers --------------------------------------------------------------------------------------------------

MADE = [
    *((name, 3) for name in ("arange", "bartlett", "blackman", "eye", "hamming", "hanning", "identity", "tri")),
    *((name, (2,)) for name in ("empty", "ones", "zeros")),
    *((name, (2,), dtype) for name in ("empty", "ones", "zeros") for dtype in ("bool", "int8", "bfloat16")),
    *((name, 3, None, 0, "int8") for name in ("eye", "tri")),
    ("kaiser", 3, 2), ("identity", 2, "uint8"), ("arange", 3.0), ("arange", 1, 5, 2), ("arange", 0, 2.5),
    ("arange", 0, 2, 0.5), ("arange", 0, 3, 1, "float16"), ("arange", 0, 3, 1, "uint8"),
    *(("full", (2,), value) for value in (7, 7.0, True)), ("full", (2,), 7, "int16"),
    *((name, *bounds) for name in ("linspace", "logspace", "geomspace") for bounds in ((1, 2), (1.0, 2), (1, 2.0))),
    *(
        (name, value)
        for name in ("array", "convert_to_tensor", "abs", "negative", "exp", "sum", "mean", "sign")
        for value in (2, 0.5, [1, 2], [1, 0.5], [[1.0], [2.0]], np.int64(3), np.float64(3), np.array([1, 2], "uint16"))
    ),
    *((name, value) for name in ("array", "convert_to_tensor") for value in (True, [True, False])),
    *((name, [1, 2], [0.5, 1.0]) for name in ("add", "divide", "maximum", "power", "equal", "matmul")),
    *((name, True, 2) for name in ("add", "multiply", "divide", "logical_and", "minimum")),
    ("one_hot", [1, 2], 3), ("one_hot", [1, 2], 3, -1, "int8"), ("multi_hot", [1, 2], 3),
    *(("where", np.array([True, False]), 1, other) for other in (0.5, 2)), ("stack", [[1, 2], [0.5, 1.0]]),
]  # fmt: skip


@pytest.mark.parametrize("name, arguments", [pytest.param(name, rest, id=f"{name}-{rest}") for name, *rest in MADE])
def test_dtype_of_what_is_made(name, arguments):
    got, wanted = (getattr(library, name)(*arguments).dtype for library in (ops, keras.ops))
    assert named(got) == named(wanted)
