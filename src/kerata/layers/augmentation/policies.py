"""Augmentation policies: which changes an image undergoes is drawn, too."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from kerata import ops, random, tree
from kerata.core.symbolic import KerasTensor
from kerata.layers.arguments import positive
from kerata.layers.augmentation.base import BaseImagePreprocessingLayer, Factor, as_float, back_to, factor_range
from kerata.layers.augmentation.color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    Solarization,
    per_image,
    steps_of,
)
from kerata.layers.augmentation.geometry import RandomRotation, RandomShear, RandomTranslation
from kerata.layers.augmentation.histogram import AutoContrast, Equalization
from kerata.layers.augmentation.sharpness import RandomSharpness

__all__ = ["AugMix", "RandAugment"]


class _Policy(BaseImagePreprocessingLayer):
    """A layer that draws, for each image, which of some layers changes it."""

    _names: tuple[str, ...]

    def _choose_from(self, names: Sequence[str], factor: Any, value_range: Any, interpolation: str) -> None:
        """Make the layers of these names, all as strong as `factor` says."""
        in_range = {"value_range": value_range}
        colors = {"factor": factor, **in_range}
        moving = {"interpolation": interpolation}
        bits = max(1, int(8 * factor[1]))
        known: dict[str, tuple[type, dict[str, Any]]] = {
            "random_shear": (RandomShear, {"x_factor": factor, "y_factor": factor, **moving}),
            "random_translation": (RandomTranslation, {"height_factor": factor, "width_factor": factor, **moving}),
            "random_rotation": (RandomRotation, {"factor": factor, **moving}),
            "random_brightness": (RandomBrightness, colors),
            "random_color_degeneration": (RandomColorDegeneration, colors),
            "random_contrast": (RandomContrast, colors),
            "random_sharpness": (RandomSharpness, colors),
            "random_posterization": (RandomPosterization, {"factor": bits, **in_range}),
            "solarization": (Solarization, {"addition_factor": factor, "threshold_factor": factor, **in_range}),
            "auto_contrast": (AutoContrast, in_range),
            "equalization": (Equalization, in_range),
        }
        self._layers = steps_of(self, [known[name] for name in names])
        self._names = tuple(names)

    def _draw_all(self, data: Any, times: int, seed: Any) -> dict[str, Any]:
        """Return what each layer draws for a batch of so many times the images of `data`."""
        shape = self._shape_of(data)
        batch = KerasTensor((times * self._batch_size(data), *shape[-3:]))  # all that they ask for is the shape
        layers = zip(self._names, self._layers)
        return {name: layer.get_random_transformation(batch, seed=seed) for name, layer in layers}

    def _changed(self, x: Any, kind: str, chosen: Any, transforms: dict[str, Any]) -> Any:
        """Return `x` after the layers chosen; `kind` names what it is, as in `transform_…`."""
        result = x
        for i, (name, layer) in enumerate(zip(self._names, self._layers)):
            changed = getattr(layer, f"transform_{kind}")(x, transforms[name])
            result = tree.map_structure(functools.partial(_where, chosen == i), changed, result)
        return result


def _where(chosen: Any, new: Any, old: Any) -> Any:
    return ops.where(ops.reshape(chosen, (-1, *(1,) * (old.ndim - 1))), new, old)


class RandAugment(_Policy):
    """In training each image undergoes `num_ops` changes, each drawn from eleven: where it lies, and its colors.

    The layers are `RandomShear`, `RandomTranslation`, `RandomRotation`, `RandomBrightness`, `RandomColorDegeneration`,
    `RandomContrast`, `RandomSharpness`, `RandomPosterization`, `Solarization`, `AutoContrast` and `Equalization`.

    Args:
        value_range: (low, high), what values images may have.
        num_ops: how many changes.
        factor: how strong they are, from 0 to 1: (lower, upper), or f for 0 to f, is given to each layer.
        interpolation: "bilinear" or "nearest".
        seed: an int for the same draws each time the program runs.
        data_format: "channels_last" (B, H, W, 3) or "channels_first" (B, 3, H, W); by default the configured one.

    Example:
        >>> kerata.layers.RandAugment(factor=0.3)(numpy.ones((2, 8, 8, 3), "uint8")).shape
        (2, 8, 8, 3)

    Source: Cubuk et al. (2019), RandAugment: practical automated data augmentation with a reduced search space.
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_ops: int = 2,
        factor: Factor = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range, self.interpolation = value_range, interpolation
        self.num_ops = positive(self, "num_ops", num_ops)
        self.factor = factor_range(self, "factor", factor, (0.0, 1.0))
        self._draw_from(seed)
        self._choose_from((*_MOVES, *_COLORS, *_TONES), self.factor, value_range, interpolation)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return which layers, "layer_idxes" (num_ops, B), and "transforms", what each draws."""
        if not training:
            return None
        seed = self.generator if seed is None else seed
        chosen = random.randint((self.num_ops, self._batch_size(data)), 0, len(self._names), seed=seed)
        return {"transforms": self._draw_all(data, 1, seed), "layer_idxes": chosen}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return ops.cast(images, self.compute_dtype)
        return back_to(self._after(as_float(images), "images", transformation), self.compute_dtype)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        return self._after(segmentation_masks, "segmentation_masks", transformation if training else None)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any, training: bool = True) -> Any:
        return self._after(bounding_boxes, "bounding_boxes", transformation if training else None)

    def _after(self, x: Any, kind: str, transformation: Any) -> Any:
        if transformation is not None:
            for i in range(self.num_ops):
                x = self._changed(x, kind, transformation["layer_idxes"][i], transformation["transforms"])
        return x


class AugMix(_Policy):
    """In training m x + (1 - m) sum over k of w_k chain_k(x): an image mixed with some that a chain of changes made.

    For each image the m are drawn from the beta distribution (alpha, alpha), the w from the Dirichlet distribution
    (alpha, …), and each change of a chain from the layers of `RandAugment`, or none. Masks are mixed as images are
    (one-hot masks, then); boxes stay where they are in the image itself.

    Args:
        value_range: (low, high), what values images may have.
        num_chains: how many chains.
        chain_depth: how many changes there are in a chain at most.
        factor: how strong they are, from 0 to 1: (lower, upper), or f for 0 to f, is given to each layer.
        alpha: near 0 one part of a mixture prevails, far above 1 all are alike.
        all_ops: whether brightness, color, contrast and sharpness may change, too.
        interpolation: "bilinear" or "nearest".
        seed: an int for the same draws each time the program runs.
        data_format: "channels_last" (B, H, W, 3) or "channels_first" (B, 3, H, W); by default the configured one.

    Example:
        >>> kerata.layers.AugMix(num_chains=2, chain_depth=1)(numpy.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)

    Source: Hendrycks et al. (2019), AugMix: a simple data processing method to improve robustness and uncertainty.
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Factor = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range, self.interpolation = value_range, interpolation
        self.num_chains = positive(self, "num_chains", num_chains)
        self.chain_depth = positive(self, "chain_depth", chain_depth)
        self.factor = factor_range(self, "factor", factor, (0.0, 1.0))
        self.alpha, self.all_ops = alpha, all_ops
        self._draw_from(seed)
        names = (*_MOVES, *_TONES, *(_COLORS if all_ops else ()))
        self._choose_from(names, self.factor, value_range, interpolation)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> dict[str, Any] | None:
        """Return the weights, "chain_mixing_weights" (B, K) and "weight_sample" (B,), and the "chain_transforms".

        These are for each depth "layer_idxes" (K B,), beyond the last layer for none, and "transforms", what each
        layer draws: the K chains are one batch.
        """
        if not training:
            return None
        seed = self.generator if seed is None else seed
        batch, chains = self._batch_size(data), self.num_chains
        gammas = random.gamma((batch, chains), self.alpha, dtype="float32", seed=seed)
        return {
            "chain_mixing_weights": gammas / ops.sum(gammas, axis=-1, keepdims=True),
            "weight_sample": random.beta((batch,), self.alpha, self.alpha, dtype="float32", seed=seed),
            "chain_transforms": [
                {
                    "layer_idxes": random.randint((chains * batch,), 0, len(self._names) + 1, seed=seed),
                    "transforms": self._draw_all(data, chains, seed),
                }
                for _ in range(self.chain_depth)
            ],
        }

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return ops.cast(images, self.compute_dtype)
        mixed = ops.clip(self._mixed(images, "images", transformation), *self.value_range)
        return back_to(mixed, self.compute_dtype)

    def transform_segmentation_masks(self, segmentation_masks: Any, transformation: Any, training: bool = True) -> Any:
        if not training or transformation is None:
            return segmentation_masks
        return self._mixed(segmentation_masks, "segmentation_masks", transformation)

    def _mixed(self, x: Any, kind: str, transformation: dict[str, Any]) -> Any:
        x = as_float(x)
        chains = ops.tile(x, (self.num_chains, 1, 1, 1))
        for step in transformation["chain_transforms"]:
            chains = self._changed(chains, kind, step["layer_idxes"], step["transforms"])
        chains = ops.reshape(chains, (self.num_chains, *x.shape))
        weights = ops.transpose(transformation["chain_mixing_weights"])[..., None, None, None]
        own = per_image(transformation["weight_sample"])
        return own * x + (1 - own) * ops.sum(weights * chains, axis=0)


_MOVES = ("random_shear", "random_translation", "random_rotation")
_COLORS = ("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness")
_TONES = ("random_posterization", "solarization", "auto_contrast", "equalization")
