"""Ops in files: the class that Keras has for each op, and what of a call stands in its config and what in its node.

Keras writes an op of a functional model as an object of a class ("Mean" of keras.src.ops.numpy): what the class's
constructor takes is the config, what its `call` takes comes with the node. For nearly all ops the tensors come with
the node and the rest is the config; the others stand in `op.CALLED_WITH`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from typing import Any

from kerata import config as settings
from kerata import errors
from kerata.core.op import OpCall, is_op
from kerata.core.registry import deserialize_keras_object

__all__ = ["described", "restored"]

# Classes whose names are not the op's name in camel case.
_ODD_NAMES = {
    "batch_normalization": "BatchNorm", "layer_normalization": "LayerNorm", "rms_normalization": "RMSNorm",
    **{name.lower(): name for name in (
        "AllClose", "CDist", "CTCLoss", "CTCDecode", "FFT", "FFT2", "IFFT2", "IRFFT", "ISTFT", "IsIn", "PSNR", "RFFT",
        "SSIM", "STFT", "SVD", "SearchSorted",
    )},
    "ctc_loss": "CTCLoss", "ctc_decode": "CTCDecode", "hsv_to_rgb": "HSVToRGB", "rgb_to_grayscale": "RGBToGrayscale",
    "rgb_to_hsv": "RGBToHSV",
}  # fmt: skip

# The module of each class; those not named here are in `numpy`.
_MODULES = {
    "core": "associative_scan cast cond fori_loop map saturate_cast scan scatter scatter_update slice slice_update "
    "stop_gradient switch unstack vectorized_map while_loop",
    "einops": "rearrange",
    "image": "affine_transform crop_images elastic_transform extract_patches gaussian_blur hsv_to_rgb map_coordinates "
    "pad_images perspective_transform resize rgb_to_grayscale rgb_to_hsv scale_and_translate sobel_edges ssim",
    "linalg": "cholesky cholesky_inverse det eig eigh inv jvp lstsq lu_factor matrix_rank norm pinv qr solve "
    "solve_triangular svd",
    "math": "cdist erf erfc erfinv extract_sequences fft fft2 ifft2 in_top_k irfft istft logdet logsumexp rfft rsqrt "
    "segment_max segment_min segment_prod segment_sum stft top_k view_as_complex view_as_real",
    "nn": "adaptive_average_pool adaptive_max_pool average_pool batch_normalization binary_crossentropy "
    "categorical_crossentropy celu conv conv_transpose ctc_decode ctc_loss depth_to_space depthwise_conv "
    "dot_product_attention elu fold gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh layer_normalization "
    "leaky_relu log_sigmoid log_softmax max_pool moments multi_hot normalize one_hot polar psnr relu relu6 "
    "rms_normalization selu separable_conv sigmoid silu soft_shrink softmax softplus softsign space_to_depth "
    "sparse_categorical_crossentropy sparse_plus sparse_sigmoid sparsemax squareplus tanh_shrink threshold unfold",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}


def described(call: OpCall) -> dict[str, Any]:
    """Return an op of a graph as data, in Keras's layout; its calls are written by the model."""
    name = call.op.__name__
    title = _ODD_NAMES.get(name) or "".join(part.capitalize() for part in name.split("_"))
    config = call.get_config()
    if "data_format" in config:  # Keras looks into its settings in its functions, not in its classes
        config["data_format"] = settings.standardize_data_format(config["data_format"])
    module = f"keras.src.ops.{_MODULE_OF.get(name, 'numpy')}"
    return {"module": module, "class_name": title, "config": config, "registered_name": title}


def restored(data: dict[str, Any]) -> OpCall | None:
    """Return the op that `data` describes; None when they describe something else.

    Raises:
        UnknownName: for an op, or an argument of one, that kerata does not have.
    """
    module = data.get("module")
    if not (isinstance(module, str) and module.startswith(("keras.src.ops.", "keras.ops", "kerata.ops"))):
        return None
    title, config = data.get("class_name"), data.get("config")
    op = _ops().get(_key(str(title)))
    if op is None:
        raise errors.UnknownName("op", title, [o.__name__ for o in _ops().values()], where="deserialize")
    if not isinstance(config, dict):
        raise errors.CorruptFile("a config is a dictionary.", where=f"config of {title}", got=type(config).__name__)
    arguments = {k: deserialize_keras_object(v) for k, v in config.items() if k != "name"}
    accepted = inspect.signature(op).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for key in arguments:
        if key not in accepted and not takes_any:
            raise errors.UnknownName(f"argument of ops.{op.__name__}", key, accepted, where="deserialize")
    return OpCall(op, arguments, config.get("name"))


def _key(name: str) -> str:
    return name.replace("_", "").lower()


@functools.cache
def _ops() -> dict[str, Any]:
    """Return every op under each of its names, and under Keras's name for its class."""
    module = importlib.import_module("kerata.ops")
    found = {}
    for place in (module, module.image, module.linalg, module.nn):
        found |= {_key(n): item for n, item in vars(place).items() if inspect.isfunction(item) and is_op(item)}
    titles = {_key(title): found[_key(name)] for name, title in _ODD_NAMES.items() if _key(name) in found}
    return {**found, **titles}
