"""`keras` and `tensorflow` as names of kerata: the same modules, the same objects, and nothing of the real ones."""

import importlib
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest

import kerata
from kerata import compat, errors
from kerata.compat import names


@pytest.fixture(autouse=True)
def aliases():
    """Each test begins with the alias in place and leaves none behind."""
    compat.install()
    yield
    compat.uninstall()


def value_of(expression):
    """Evaluate `a.b: x` as `import a.b; x`, as a program would."""
    statement, _, wanted = expression.partition(": ")
    scope = {}
    exec(statement, scope)
    return eval(wanted, scope)


# The same thing under two names --------------------------------------------------------------------------------


SAME = [  # how a program writes it, what it is
    ("import keras: keras.layers", "kerata.layers"),
    ("import keras.layers: keras.layers", "kerata.layers"),
    ("from keras import layers: layers", "kerata.layers"),
    ("import keras.layers as L: L", "kerata.layers"),
    ("from keras.layers import Dense: Dense", "kerata.layers.Dense"),
    ("from keras.models import Sequential: Sequential", "kerata.models.Sequential"),
    ("from keras import Sequential, Model: Model", "kerata.models.Model"),
    ("import keras: keras.Input", "kerata.layers.Input"),
    ("from keras.utils import to_categorical: to_categorical", "kerata.utils.to_categorical"),
    ("import keras: keras.utils.to_categorical", "kerata.utils.to_categorical"),
    ("import keras: keras.config", "kerata.config"),
    ("import keras: keras.losses.MeanSquaredError", "kerata.losses.MeanSquaredError"),
    ("import keras.datasets.mnist: keras.datasets.mnist", "kerata.datasets.mnist"),
    ("from keras.datasets import mnist: mnist.load_data", "kerata.datasets.mnist.load_data"),
    ("import keras.optimizers.schedules as s: s", "kerata.optimizers.schedules"),
    ("import tensorflow as tf: tf.keras.layers", "kerata.layers"),
    ("from tensorflow import keras: keras.layers.Dense", "kerata.layers.Dense"),
    ("import tensorflow.keras as keras: keras.models", "kerata.models"),
    ("import tensorflow.keras.layers as L: L", "kerata.layers"),
    ("from tensorflow.keras.layers import Dense, Flatten: Flatten", "kerata.layers.Flatten"),
    ("from tensorflow.keras.datasets import mnist: mnist", "kerata.datasets.mnist"),
    ("import tensorflow as tf: tf.keras.backend.epsilon", "kerata.config.epsilon"),
    ("from keras import backend as K: K.floatx", "kerata.config.floatx"),
    ("from keras.mixed_precision import set_global_policy as s: s", "kerata.config.set_dtype_policy"),
    # Paths of old Keras.
    ("from keras.utils import np_utils: np_utils.to_categorical", "kerata.utils.to_categorical"),
    ("from keras.utils.np_utils import to_categorical: to_categorical", "kerata.utils.to_categorical"),
    ("from keras.layers.core import Dense, Flatten, Dropout: Flatten", "kerata.layers.Flatten"),
    ("from keras.layers.convolutional import Conv2D: Conv2D", "kerata.layers.Conv2D"),
    ("from tensorflow.keras.layers.pooling import MaxPooling2D as P: P", "kerata.layers.MaxPooling2D"),
    ("import keras.ops.numpy as knp: knp.sum", "kerata.ops.sum"),
    ("import tensorflow as tf: tf.data.Dataset", "kerata.data.Dataset"),
    ("from tensorflow.data.experimental import AUTOTUNE as a: a", "kerata.data.AUTOTUNE"),
    ("from keras.utils import Sequence: Sequence", "kerata.utils.PyDataset"),
    ("from keras.preprocessing.image import load_img as f: f", "kerata.utils.load_img"),
    ("from keras.preprocessing import text_dataset_from_directory as f: f", "kerata.utils.text_dataset_from_directory"),
]


@pytest.mark.parametrize("written, meant", SAME, ids=[written for written, _ in SAME])
def test_same_object(written, meant):
    module, _, name = meant.rpartition(".")
    assert value_of(written) is getattr(importlib.import_module(module), name)


def test_tf_keras_is_keras():
    import keras
    import tensorflow

    assert tensorflow.keras is keras
    assert sys.modules["tensorflow.keras"] is keras
    assert isinstance(keras, types.ModuleType)


def test_versions_say_which_interface_and_whose():
    import keras
    import tensorflow as tf

    for version, start in ((keras.__version__, "3.15.0+"), (keras.version(), "3.15.0+"), (tf.__version__, "2.")):
        assert version.startswith(start)
        assert version.endswith(f"+kerata.{kerata.__version__}")


def test_old_paths_do_not_hide_kerata_files():
    """`kerata.layers.core` is a file; the old path `keras.layers.core` is all of `keras.layers`."""
    import keras.layers.core  # noqa: F401

    import kerata.layers.core as file

    assert file.__name__ == "kerata.layers.core"
    assert sys.modules["keras.layers.core"] is kerata.layers


# What kerata does not have so far; whoever adds it takes it off this list.
ABSENT_MODULES = """
    keras.applications keras.distillation keras.distribution keras.quantizers
    keras.utils.bounding_boxes keras.visualization keras.wrappers
""".split()  # noqa: SIM905
ABSENT_NAMES = """
    keras.Quantizer
""".split()  # noqa: SIM905


@pytest.mark.parametrize("module", names.MODULES)
def test_every_module_is_there(module):
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        assert isinstance(error, errors.Unsupported)
        assert any(f"{module}.".startswith(f"{absent}.") for absent in ABSENT_MODULES)
    else:
        assert found is importlib.import_module(names.MODULES[module])


@pytest.mark.parametrize("view", names.VIEWS)
def test_every_name_is_there(view):
    module = importlib.import_module(view)
    absent = [f"{view}.{name}" for name in names.VIEWS[view] if not hasattr(module, name)]
    assert set(absent) <= set(ABSENT_NAMES)


# What is not offered -------------------------------------------------------------------------------------------


MISSING = [  # statement, kind of error, words of the message
    ("import keras.src", ImportError, ["`keras.src`", "from keras.layers import Dense"]),
    ("from keras.src.layers import Dense", ImportError, ["keras.src", "public path"]),
    ("from tensorflow.python.keras.layers import Dense", ImportError, ["tensorflow.python", "public path"]),
    ("import keras.layerz", ImportError, ["keras.layerz", "'layers'"]),
    ("from keras import layerz", ImportError, ["keras.layerz", "'layers'"]),
    ("import keras; keras.Sequentail", AttributeError, ["keras.Sequentail", "'Sequential'"]),
    ("import tensorflow.keras.layer", ImportError, ["tensorflow.keras.layer", "'layers'"]),
    ("import tensorflow as tf; tf.data.TFRecordDataset", errors.Unsupported, ["tensorflow.data", "kerata.data"]),
    ("import tensorflow as tf; tf.image", errors.Unsupported, ["tensorflow.image", "keras.ops.image"]),
    ("import tensorflow as tf; tf.image", AttributeError, ["keras.ops.image"]),
    ("from tensorflow.data import TFRecordDataset", ImportError, ["kerata.data"]),
    ("import tensorflow as tf; tf.GradientTape()", AttributeError, ["kerata.value_and_grad"]),
    ("import tensorflow.compat.v1 as tf", ImportError, ["TensorFlow 1"]),
    ("import tensorflow as tf; tf.reduce_men", AttributeError, ["'reduce_mean'"]),
    ("from keras.preprocessing.image import ImageDataGenerator", ImportError, ["RandomFlip"]),
    ("from keras.preprocessing.text import Tokenizer", ImportError, ["TextVectorization"]),
    ("from keras import backend as K; K.learning_phase()", AttributeError, ["keras.ops"]),
]  # fmt: skip


@pytest.mark.parametrize("statement, kind, words", MISSING, ids=[statement for statement, _, _ in MISSING])
def test_missing_is_told(statement, kind, words):
    with pytest.raises(kind) as caught:
        exec(statement, {})
    assert isinstance(caught.value, errors.KerataError)
    for word in words:
        assert word in str(caught.value)


def test_programs_can_ask():
    import tensorflow as tf

    assert not hasattr(tf, "image")
    assert getattr(tf, "io", None) is None
    with pytest.raises(ImportError):
        import tensorflow.io  # noqa: F401


# Coming and going ----------------------------------------------------------------------------------------------


def test_install_and_uninstall():
    assert compat.installed()
    compat.install()  # twice is once
    import keras.layers
    import tensorflow  # noqa: F401

    compat.uninstall()
    assert not compat.installed()
    left = [m for name, m in sys.modules.items() if name.partition(".")[0] in ("keras", "tensorflow")]
    assert not [m for m in left if m.__name__.startswith("kerata")]
    # What is left is real Keras, where another test has loaded it.
    assert all(m.__spec__ is not None and m.__spec__.origin and m.__spec__.has_location for m in left)
    assert not hasattr(kerata.utils, "np_utils")
    assert "kerata.utils.np_utils" not in sys.modules
    compat.uninstall()
    assert keras.layers is kerata.layers  # names bound before go on


def test_a_loaded_keras_is_set_aside_and_put_back():
    compat.uninstall()
    real, part = types.ModuleType("keras"), types.ModuleType("keras.layers")
    before = {name: sys.modules.get(name) for name in ("keras", "keras.layers")}
    sys.modules.update({"keras": real, "keras.layers": part})
    try:
        compat.install()
        import keras.layers

        assert keras is not real
        assert keras.layers is kerata.layers
        compat.uninstall()
        assert sys.modules["keras"] is real
        assert sys.modules["keras.layers"] is part
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def test_installed_packages_are_not_reached(tmp_path):
    for package in ("keras", "tensorflow"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('the installed one was loaded')")
        (tmp_path / package / "own.py").write_text("")
    program = """
        import sys
        sys.path.insert(0, sys.argv[1])
        from kerata import compat
        compat.install()
        import keras, tensorflow, keras.utils, tensorflow.keras.utils
        try:
            import keras.own
        except ImportError:
            print("fine")
        compat.uninstall()
        import keras
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "the installed one was loaded\n", 1)


def test_install_loads_no_engine():
    program = """
        import sys
        from kerata import compat
        compat.install()
        import keras, tensorflow as tf, tensorflow.keras
        tf.__version__, keras.__version__
        print([m for m in ("jax", "torch", "numpy") if m in sys.modules])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# The few functions of TensorFlow -------------------------------------------------------------------------------


X = [[1.0, 2.0], [3.0, 5.0]]

TENSORFLOW = [  # expression, value, dtype
    ("tf.constant([1, 2])", [1, 2], "int32"),
    ("tf.constant(3.0, shape=(2, 2))", [[3, 3], [3, 3]], "float32"),
    ("tf.constant([1, 2, 3, 4], shape=(2, 2), dtype=tf.float32)", [[1, 2], [3, 4]], "float32"),
    ("tf.cast([1.7, -1.7], tf.int32)", [1, -1], "int32"),
    ("tf.reduce_mean(input_tensor=X)", 2.75, "float32"),
    ("tf.reduce_mean(X, axis=0)", [2, 3.5], "float32"),
    ("tf.reduce_sum(X, 1, keepdims=True)", [[3], [8]], "float32"),
    ("tf.reduce_max(X, axis=-1)", [2, 5], "float32"),
    ("tf.matmul(X, X)", [[7, 12], [18, 31]], "float32"),
    ("tf.matmul(X, X, transpose_b=True)", [[5, 13], [13, 34]], "float32"),
    ("tf.argmax(X)", [1, 1], None),
    ("tf.math.argmax(X, axis=1)", [1, 1], None),
    ("tf.one_hot([0, 2], 3)", [[1, 0, 0], [0, 0, 1]], "float32"),
    ("tf.concat([X, X], axis=1)", [[1, 2, 1, 2], [3, 5, 3, 5]], "float32"),
    ("tf.reshape(X, [-1])", [1, 2, 3, 5], "float32"),
    ("tf.transpose(a=X, perm=[1, 0])", [[1, 3], [2, 5]], "float32"),
    ("tf.expand_dims(X, axis=0)", [[[1, 2], [3, 5]]], "float32"),
    ("tf.squeeze([[1.0], [2.0]])", [1, 2], "float32"),
    ("tf.gather(X, [1, 0])", [[3, 5], [1, 2]], "float32"),
    ("tf.range(3)", [0, 1, 2], "int32"),
    ("tf.range(1, 8, delta=3)", [1, 4, 7], "int32"),
    ("tf.tile([1, 2], [2])", [1, 2, 1, 2], "int32"),
    ("tf.clip_by_value(X, 2, 3)", [[2, 2], [3, 3]], "float32"),
    ("tf.math.log(tf.exp(X))", X, "float32"),
    ("tf.nn.relu([-1.0, 1.0])", [0, 1], "float32"),
    ("tf.nn.softmax([[0.0, 0.0]])", [[0.5, 0.5]], "float32"),
    ("tf.zeros((2,)) + tf.ones([2])", [1, 1], "float32"),
    ("tf.square(3.0)", 9, "float32"),
    ("tf.Variable(X)", X, "float32"),
    ("K.mean(K.square(K.constant(X)), axis=-1)", [2.5, 17], "float32"),
    ("K.argmax(X)", [1, 1], None),
    ("K.concatenate([X, X])", [[1, 2, 1, 2], [3, 5, 3, 5]], "float32"),
    ("K.expand_dims([1.0, 2.0])", [[1], [2]], "float32"),
    ("K.batch_flatten(np.ones((2, 3, 4), 'float32'))", np.ones((2, 12)), "float32"),
    ("K.flatten(X)", [1, 2, 3, 5], "float32"),
    ("K.l2_normalize([[3.0, 4.0]], axis=1)", [[0.6, 0.8]], "float32"),
    ("K.pow(K.variable([2.0]), 3.0)", [8], "float32"),
    ("K.get_value(K.variable(X))", X, "float32"),
]  # fmt: skip


@pytest.mark.parametrize("expression, value, dtype", TENSORFLOW, ids=[e for e, _, _ in TENSORFLOW])
def test_functions(expression, value, dtype):
    import tensorflow as tf
    from keras import backend as K

    result = eval(expression, {"tf": tf, "K": K, "X": np.array(X, "float32"), "np": np})
    np.testing.assert_allclose(np.asarray(result), value, rtol=1e-6)
    assert np.shape(result) == np.shape(value)
    if dtype is not None:
        assert K.dtype(result) == dtype


def test_seed():
    import random

    import tensorflow as tf

    np.random.seed(3)
    random.seed(3)
    expected = np.random.rand(), random.random()
    np.random.seed(3)
    random.seed(3)
    tf.random.set_seed(1)
    first = np.asarray(tf.random.normal([4]))
    assert (np.random.rand(), random.random()) == expected  # the other generators went on
    tf.random.set_seed(1)
    np.testing.assert_array_equal(np.asarray(tf.random.normal([4])), first)
    tf.random.set_seed(2)
    assert not np.array_equal(np.asarray(tf.random.normal([4])), first)


def test_devices():
    import tensorflow as tf

    (cpu, *_) = tf.config.list_physical_devices("CPU")
    assert (cpu.name, cpu.device_type) == ("/physical_device:CPU:0", "CPU")
    gpus = tf.config.list_physical_devices("GPU")
    assert tf.test.is_gpu_available() == bool(gpus)
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    assert len(tf.config.list_physical_devices()) >= 1 + len(gpus)
    with tf.device("/CPU:0"):
        assert float(tf.reduce_sum(tf.ones((2, 2)))) == 4
    with pytest.raises(errors.InvalidArgument, match="no such device"), tf.device("/GPU:99"):
        pass


def test_backend_session():
    from keras import backend as K

    K.clear_session()
    assert [K.get_uid("a"), K.get_uid("a"), K.get_uid("b")] == [1, 2, 1]
    K.clear_session()
    assert K.get_uid("a") == 1
    weight = K.variable([1.0])
    K.set_value(weight, [2.0])
    assert K.get_value(weight).tolist() == [2.0]
    assert K.int_shape(weight) == (1,)
    assert K.is_keras_tensor(weight) is False
    assert K.backend() == kerata.config.engine()
