"""What `keras` and `tensorflow` names stand for: the one table, as data. Nothing is imported here.

`MODULES` are names of the very same module (`keras.layers` is `kerata.layers`). `VIEWS` are modules that
exist only here and collect single names from elsewhere. `FORMER` are paths of old Keras, whose names are found
in the module around them. `HINTS` say what to do instead of what is not offered.
"""

from __future__ import annotations

from kerata import __version__ as kerata_version

__all__ = [
    "FORMER", "HINTS", "KERAS_VERSION", "MODULES", "TENSORFLOW_VERSION", "TORCHVISION_VERSION", "VIEWS", "canonical",
    "hint_for",
]  # fmt: skip

# The interface spoken, and in the local part (PEP 440) by whom: `version.parse(keras.__version__) >= "3"`
# holds, as scripts expect, and whoever prints it sees kerata.
KERAS_VERSION = f"3.15.0+kerata.{kerata_version}"
TENSORFLOW_VERSION = f"2.20.0+kerata.{kerata_version}"
TORCHVISION_VERSION = f"0.20.0+kerata.{kerata_version}"


def _from(module: str, names: str) -> dict[str, str]:
    return {name: f"{module}:{name}" for name in names.split()}


# Modules that are the same ----------------------------------------------------------------------------------

MODULES = {
    f"keras.{path}": f"kerata.{path}"
    for paths in (
        """activations callbacks config constraints distillation distribution dtype_policies export initializers
        layers losses metrics models ops optimizers quantizers random regularizers saving tree utils
        visualization wrappers""",
        """applications applications.convnext applications.densenet applications.efficientnet
        applications.efficientnet_v2 applications.imagenet_utils applications.inception_resnet_v2
        applications.inception_v3 applications.mobilenet applications.mobilenet_v2 applications.mobilenet_v3
        applications.nasnet applications.resnet applications.resnet50 applications.resnet_v2
        applications.vgg16 applications.vgg19 applications.xception""",
        """datasets datasets.boston_housing datasets.california_housing datasets.cifar10 datasets.cifar100
        datasets.fashion_mnist datasets.imdb datasets.mnist datasets.reuters""",
        "ops.image ops.linalg ops.nn ops.numpy optimizers.legacy optimizers.schedules",
        "utils.bounding_boxes utils.legacy",
    )
    for path in paths.split()
}
MODULES |= {
    "torchvision.datasets": "kerata.compat.torchvision.datasets",
    "torchvision.transforms": "kerata.compat.torchvision.transforms",
    "torchvision.transforms.functional": "kerata.compat.torchvision.functional",
}


# Modules that collect names: module -> {name: "module:name"} ------------------------------------------------

VIEWS: dict[str, dict[str, str]] = {
    "keras": {
        "__version__": "kerata.compat.names:KERAS_VERSION",
        "version": "kerata.compat.backend:version",
        "Function": "kerata.core.function:Function",
        "Initializer": "kerata.initializers:Initializer",
        "Loss": "kerata.losses:Loss",
        "Metric": "kerata.metrics:Metric",
        "Optimizer": "kerata.optimizers:Optimizer",
        "Quantizer": "kerata.quantizers:Quantizer",
        "Regularizer": "kerata.regularizers:Regularizer",
        **_from("kerata.layers", "Input InputSpec Layer"),
        **_from("kerata.models", "Model Sequential"),
        **_from("kerata.dtype_policies", "DTypePolicy FloatDTypePolicy"),
        **_from(
            "kerata",
            "KerasTensor Operation RematScope StatelessScope SymbolicScope Variable device name_scope remat",
        ),
    },
    "keras.backend": {
        **_from(
            "kerata.config",
            "backend epsilon floatx image_data_format set_epsilon set_floatx set_image_data_format",
        ),
        **_from("kerata.core.symbolic", "is_keras_tensor"),
        "is_float_dtype": "kerata.core.dtypes:is_float",
        "is_int_dtype": "kerata.core.dtypes:is_int",
        "result_type": "kerata.core.dtypes:result_type",
        "standardize_dtype": "kerata.core.dtypes:standardize",
        **_from(
            "kerata.compat.backend",
            """argmax argmin batch_flatten clear_session concatenate constant dtype expand_dims flatten
            get_uid get_value int_shape l2_normalize set_value variable""",
        ),
        **_from(
            "kerata.ops",
            """abs all any arange binary_crossentropy cast categorical_crossentropy clip cos cumprod cumsum
            dot elu equal exp eye greater greater_equal hard_sigmoid less less_equal log logsumexp max
            maximum mean min minimum ndim not_equal one_hot ones ones_like prod relu reshape round shape
            sigmoid sign sin softmax softplus softsign sparse_categorical_crossentropy sqrt square squeeze
            stack std sum tanh tile transpose var zeros zeros_like""",
        ),
        "permute_dimensions": "kerata.ops:transpose",
        "pow": "kerata.ops:power",
        "random_normal": "kerata.random:normal",
        "random_uniform": "kerata.random:uniform",
        "stop_gradient": "kerata:stop_gradient",
    },
    "keras.mixed_precision": {
        "DTypePolicy": "kerata.dtype_policies:DTypePolicy",
        "Policy": "kerata.dtype_policies:DTypePolicy",
        "LossScaleOptimizer": "kerata.optimizers:LossScaleOptimizer",
        "dtype_policy": "kerata.config:dtype_policy",
        "global_policy": "kerata.config:dtype_policy",
        "set_dtype_policy": "kerata.config:set_dtype_policy",
        "set_global_policy": "kerata.config:set_dtype_policy",
    },
    "keras.preprocessing": _from(
        "kerata.utils",
        "image_dataset_from_directory text_dataset_from_directory timeseries_dataset_from_array",
    ),
    "keras.preprocessing.image": {
        **_from("kerata.utils", "array_to_img img_to_array load_img save_img"),
        "smart_resize": "kerata.utils.images:smart_resize",
    },
    "keras.preprocessing.sequence": _from("kerata.utils", "pad_sequences"),
    "keras.preprocessing.text": {},
    "keras.legacy": {},
    "keras.legacy.saving": _from("kerata.utils.legacy", "deserialize_keras_object serialize_keras_object"),
    "tensorflow": {
        "__version__": "kerata.compat.names:TENSORFLOW_VERSION",
        "Tensor": "kerata:KerasTensor",
        **_from("kerata", "Variable"),
        **_from(
            "kerata.compat.tensorflow",
            """argmax argmin bfloat16 bool cast clip_by_value complex64 concat constant convert_to_tensor
            executing_eagerly expand_dims float16 float32 float64 gather get_logger int16 int32 int64 int8
            matmul one_hot range reduce_all reduce_any reduce_max reduce_mean reduce_min reduce_prod
            reduce_sum reshape squeeze string tile transpose uint8""",
        ),
        **_from(
            "kerata.ops",
            """abs add cos divide equal exp eye floor greater greater_equal less less_equal linspace
            logical_and logical_not logical_or maximum minimum multiply not_equal ones ones_like round shape
            sigmoid sign sin split sqrt square stack subtract tanh where zeros zeros_like""",
        ),
        "device": "kerata.compat.tensorflow:device",
        "pow": "kerata.ops:power",
        "stop_gradient": "kerata:stop_gradient",
    },
    "tensorflow.config": _from(
        "kerata.compat.tensorflow", "get_visible_devices list_logical_devices list_physical_devices"
    ),
    "tensorflow.config.experimental": _from(
        "kerata.compat.tensorflow", "list_logical_devices list_physical_devices set_memory_growth"
    ),
    "tensorflow.data": _from("kerata.data", "AUTOTUNE Dataset"),
    "tensorflow.data.experimental": _from("kerata.data", "AUTOTUNE"),
    "tensorflow.math": {
        **_from(
            "kerata.compat.tensorflow",
            "argmax argmin reduce_all reduce_any reduce_max reduce_mean reduce_min reduce_prod reduce_sum",
        ),
        **_from(
            "kerata.ops",
            """abs add ceil cos divide equal exp floor greater less log log1p maximum minimum multiply round
            rsqrt sigmoid sign sin sqrt square subtract tanh""",
        ),
        "pow": "kerata.ops:power",
    },
    "tensorflow.nn": _from("kerata.ops", "elu gelu leaky_relu log_softmax relu sigmoid silu softmax softplus tanh"),
    "tensorflow.random": {
        "set_seed": "kerata.compat.tensorflow:set_seed",
        **_from("kerata.random", "normal shuffle uniform"),
    },
    "torchvision": {"__version__": "kerata.compat.names:TORCHVISION_VERSION"},
    "tensorflow.test": _from("kerata.compat.tensorflow", "gpu_device_name is_built_with_cuda is_gpu_available"),
}


# Paths of old Keras: module -> former submodules, whose names are now in the module itself ------------------

FORMER = {
    "keras.layers": [
        "advanced_activations", "convolutional", "core", "embeddings", "experimental",
        "experimental.preprocessing", "local", "merge", "noise", "normalization", "pooling", "preprocessing",
        "recurrent", "wrappers",
    ],
    "keras.utils": ["data_utils", "generic_utils", "np_utils", "vis_utils"],
}  # fmt: skip


# What is not offered, and what to do ------------------------------------------------------------------------

_PUBLIC_PATH = "this is inside Keras; use the public path, such as `from keras.layers import Dense`"
_OLD_TENSORFLOW = "sessions and placeholders were TensorFlow 1; build a keras model and call `fit`"

HINTS = {
    "torchvision": "kerata offers torchvision's MNIST, FashionMNIST, CIFAR10, CIFAR100 and common transforms; for the "
    "rest: pip install torchvision",
    "keras.src": _PUBLIC_PATH,
    "keras.api": _PUBLIC_PATH,
    "keras._tf_keras": _PUBLIC_PATH,
    "keras.engine": _PUBLIC_PATH,
    "keras.backend": "keras.ops has what computes, keras.config what is set",
    "keras.preprocessing.image.ImageDataGenerator": "keras.layers.RandomFlip, RandomRotation … "
    "augment, and keras.utils.image_dataset_from_directory reads folders of images",
    "keras.preprocessing.text": "keras.layers.TextVectorization splits and numbers words",
    "tensorflow.python": "this is inside TensorFlow; use the public path: `from tensorflow import keras`",
    "tensorflow.data": "tf.data.Dataset is kerata.data.Dataset, with from_tensor_slices and from_generator; `fit` "
    "also takes NumPy arrays, generators and keras.utils.PyDataset as they are",
    "tensorflow.GradientTape": "kerata.value_and_grad(function)(x) gives a value and its gradient; "
    "kerata.grad the gradient alone",
    "tensorflow.function": "kerata.jit compiles a function",
    "tensorflow.distribute": "keras.distribution spreads a model over devices",
    "tensorflow.io": "kerata.data reads files; open() and numpy.load read the rest",
    "tensorflow.image": "keras.ops.image has resize, crop and the like",
    "tensorflow.linalg": "keras.ops and keras.ops.linalg have these",
    "tensorflow.feature_column": "keras.layers.Normalization, CategoryEncoding and StringLookup do this",
    "tensorflow.estimator": "write it as a keras.Model",
    "tensorflow.saved_model": "model.save('model.keras') keeps a model, model.export(…) hands it on",
    "tensorflow.lite": "model.export(…) writes what other runtimes read",
    "tensorflow.contrib": _OLD_TENSORFLOW,
    "tensorflow.compat": _OLD_TENSORFLOW,
    "tensorflow.Session": _OLD_TENSORFLOW,
    "tensorflow.placeholder": _OLD_TENSORFLOW,
    "tensorflow.examples": "from keras.datasets import mnist",
}


def canonical(name: str) -> str:
    """Return `name` with `tensorflow.keras` written as `keras`, which it is."""
    head = "tensorflow.keras"
    return "keras" + name[len(head) :] if name == head or name.startswith(f"{head}.") else name


def hint_for(name: str) -> str | None:
    """Return the advice for `name` or for the nearest module around it that has one."""
    while name:
        if name in HINTS:
            return HINTS[name]
        name = name.rpartition(".")[0]
    return None
