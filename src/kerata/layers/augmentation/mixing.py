"""Images mixed with others of their batch, and their labels likewise."""

from __future__ import annotations

from typing import Any

from kerata import errors, ops, random
from kerata.core import dtypes
from kerata.layers.augmentation.base import BaseImagePreprocessingLayer, Factor, as_float, back_to, factor_range
from kerata.layers.augmentation.erasing import random_rectangles

__all__ = ["CutMix", "MixUp"]


class _Mixing(BaseImagePreprocessingLayer):
    """A layer that mixes each image with the one at its place in "permutation_order"."""

    def _shuffled(self, batch: int, seed: Any) -> Any:
        return random.shuffle(ops.arange(batch, dtype="int32"), seed=self.generator if seed is None else seed)

    def _others(self, x: Any, transformation: dict[str, Any]) -> Any:
        return ops.take(x, ops.cast(transformation["permutation_order"], "int32"), axis=0)

    def _blended(self, x: Any, transformation: dict[str, Any]) -> Any:
        """Return weight x + (1 - weight) other."""
        x = as_float(x)
        weight = ops.reshape(transformation["mix_weight"], (-1, *(1,) * (x.ndim - 1)))
        return weight * x + (1 - weight) * self._others(x, transformation)

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return labels
        if labels.ndim == 1 and not dtypes.is_float(dtypes.dtype_of(labels)):
            raise errors.InvalidArgument(
                "numbers of classes cannot be mixed.", where=self._where(),
                expected="floats, such as one-hot labels (B, K)", hint="kerata.ops.one_hot(labels, num_classes)",
                got=f"{dtypes.dtype_of(labels)} of shape {tuple(labels.shape)}",
            )  # fmt: skip
        return self._blended(labels, transformation)


class MixUp(_Mixing):
    """In training w x + (1 - w) other, for images, labels and masks, with a w for each image; boxes of both stay.

    Args:
        alpha: w is drawn from the beta distribution (alpha, alpha): near 0 or 1 when alpha is small.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.
        seed: an int for the same draws each time the program runs.

    Labels are floats, such as one-hot ones (B, K); masks should be one-hot, too. Of boxes there are twice as many
    after training's call.

    Example:
        >>> data = {"images": numpy.ones((4, 8, 8, 3)), "labels": numpy.eye(4)}
        >>> kerata.layers.MixUp(0.4, seed=1)(data)["labels"].sum(axis=1).tolist()
        [1.0, 1.0, 1.0, 1.0]

    Source: Zhang et al. (2017), mixup: beyond empirical risk minimization.
    """

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.alpha = alpha
        self._draw_from(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return "mix_weight" (B,) and "permutation_order" (B,); None outside of training."""
        if not training:
            return None
        batch = self._batch_size(data)
        order = self._shuffled(batch, seed)
        seed = self.generator if seed is None else seed
        return {
            "mix_weight": random.beta((batch,), self.alpha, self.alpha, dtype="float32", seed=seed),
            "permutation_order": order,
        }

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        if not training or transformation is None:
            return ops.cast(images, self.compute_dtype)
        return back_to(self._blended(images, transformation), self.compute_dtype)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return segmentation_masks
        return self._blended(segmentation_masks, transformation)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return bounding_boxes
        given = {name: bounding_boxes[name] for name in ("boxes", "labels")}
        both = {name: ops.concatenate([x, self._others(x, transformation)], axis=1) for name, x in given.items()}
        return {**bounding_boxes, **both}


class CutMix(_Mixing):
    """In training a rectangle of each image comes from another one, and so does that share of its label.

    Args:
        factor: what alpha is drawn from for a batch; (lower, upper), or f for 0 to f, from 0 to 1. The share that
            stays is drawn for each image from the beta distribution (alpha, alpha).
        seed: an int for the same draws each time the program runs.
        data_format: "channels_last" (B, H, W, C) or "channels_first" (B, C, H, W); by default the configured one.

    Labels are floats, such as one-hot ones (B, K). A single image stays as it is.

    Raises:
        Unsupported: for bounding boxes, of which rectangles may hide a part.

    Example:
        >>> data = {"images": numpy.ones((4, 8, 8, 3)), "labels": numpy.eye(4)}
        >>> kerata.layers.CutMix(seed=1)(data)["labels"].sum(axis=1).tolist()
        [1.0, 1.0, 1.0, 1.0]

    Source: Yun et al. (2019), CutMix: regularization strategy to train strong classifiers.
    """

    def __init__(
        self, factor: Factor = 1.0, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, (0.0, 1.0))
        self._draw_from(seed)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return "permutation_order" (B,), where, "batch_masks" (B, H, W, 1), and the share that stays, "mix_weight".

        None outside of training, and for a single image.
        """
        shape = self._shape_of(data)
        if not training or len(shape) == 3:
            return None
        generator = self.generator if seed is None else seed
        alpha = self._draw((), self.factor, seed) + 1e-6
        side = ops.sqrt(1 - random.beta(shape[:1], alpha, alpha, dtype="float32", seed=generator))
        masks = random_rectangles(self, shape, side, side, seed)
        return {
            "permutation_order": self._shuffled(shape[0], seed),
            "batch_masks": masks,
            "mix_weight": 1 - ops.mean(ops.cast(masks, "float32"), axis=(1, 2, 3), keepdims=True),
        }

    def transform_images(self, images: Any, transformation: Any = None, training: bool = True) -> Any:
        return self._cut(ops.cast(images, self.compute_dtype), transformation, training)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self._cut(segmentation_masks, transformation, training)

    def _cut(self, x: Any, transformation: Any, training: bool) -> Any:
        if not training or transformation is None:
            return x
        return ops.where(transformation["batch_masks"], self._others(x, transformation), x)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        raise errors.Unsupported(
            "a rectangle may hide a part of a box.", where=self._where(),
            hint='leave "bounding_boxes" out of what it is given',
        )  # fmt: skip
