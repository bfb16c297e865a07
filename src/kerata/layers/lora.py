"""LoRA: a layer keeps its main weight W as it is and learns a change of low rank beside it, W + (α / r) A B.

Source: Hu et al. (2022), LoRA: low-rank adaptation of large language models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerata import errors, ops
from kerata.core.variable import Variable
from kerata.layers.base import Layer

__all__ = ["Adaptable", "MainWeight"]


class MainWeight:
    """The attribute of a layer's main weight: the Variable that was set, or what has become of it.

    The Variable itself is kept under the name with an underscore before it.
    """

    def __set_name__(self, owner: type[Adaptable], name: str) -> None:
        self.name, owner._main_weight = f"_{name}", name

    def __get__(self, layer: Any, owner: Any = None) -> Any:
        if layer is None:
            return self
        if not layer._is_quantized and self.name not in vars(layer):
            raise AttributeError(
                f"{layer._where()} has no `{self.name[1:]}` before it is built: call it on data, or build(input_shape)."
            )
        return layer._whole_weight()

    def __set__(self, layer: Any, value: Any) -> None:
        vars(layer)[self.name] = value


class Adaptable(Layer):
    """A layer whose main weight LoRA can adapt. A class names it: `kernel = MainWeight()`.

    Its `build` ends with `self._start_lora()`; its `call` adds `self._lora_term(product, inputs)`, or uses the main
    weight by its public name, which has the change in it. Files have the sum, as if there were no LoRA.
    """

    _main_weight: str
    lora_enabled = False
    lora_rank: int | None = None
    lora_alpha: float | None = None

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
    ) -> None:
        """Freeze the main weight, and train A (…, rank) and B (rank, …) instead, whose product is added to it.

        Args:
            rank: the size of the axis between A and B.
            lora_alpha: α, the product is multiplied by α / rank; by default α is the rank.
            a_initializer, b_initializer: one of them is zeros, that nothing changes at first.

        Raises:
            NotBuilt: before the layer has weights.
            InvalidArgument: when LoRA is enabled already, or the weight has a constraint.
        """
        where = f"{self._where()}.enable_lora"
        if not self.built:
            raise errors.NotBuilt("the layer has no weights yet.", where=where, hint="call it on data first")
        if self.lora_enabled:
            raise errors.InvalidArgument("LoRA is enabled already.", where=where, got=f"lora_rank={self.lora_rank}")
        if self.quantization_mode in ("gptq", "awq"):
            raise errors.Unsupported("LoRA does not adapt calibrated weights.", where=where, got=self.quantization_mode)
        self.lora_rank, self.lora_alpha = rank, lora_alpha
        self._start_lora(a_initializer, b_initializer)

    def _start_lora(self, a_initializer: Any = "he_uniform", b_initializer: Any = "zeros") -> None:
        """Make A and B where a rank is given."""
        name, where = self._main_weight, self._where()
        if not self.lora_rank:
            return
        if getattr(self, f"{name}_constraint", None) is not None:
            raise errors.InvalidArgument(
                "a weight with a constraint cannot be adapted.", where=where, got=f"{name}_constraint",
                hint="the constraint would hold for the frozen part alone; leave it out",
            )  # fmt: skip
        *leading, last = self._main_shape()
        regularizer = getattr(self, f"{name}_regularizer", None)
        for part, shape, initializer in (
            ("a", (*leading, self.lora_rank), a_initializer), ("b", (self.lora_rank, last), b_initializer),
        ):  # fmt: skip
            # In float32 whatever the weight has: the small changes of fine-tuning would be lost otherwise.
            weight = self.add_weight(
                shape, initializer, dtype="float32", regularizer=regularizer, name=f"lora_{name}_{part}"
            )
            setattr(self, f"lora_{name}_{part}", weight)
        self.lora_alpha = self.lora_rank if self.lora_alpha is None else self.lora_alpha
        self.lora_enabled = True
        self._stored().trainable = False

    def _stored(self, name: str | None = None) -> Any:
        """Return the Variable of the main weight, or of another one, as it was made; None where there is none."""
        name = name or self._main_weight
        return vars(self).get(f"_{name}", vars(self).get(name))

    def _main_shape(self) -> tuple[int, ...]:
        """Return the shape of the main weight as floats."""
        return self._stored().shape

    def _factors(self) -> tuple[Variable, Variable]:
        return tuple(getattr(self, f"lora_{self._main_weight}_{part}") for part in "ab")  # type: ignore[return-value]

    def _lora_delta(self) -> Any:
        """Return what is to be added to the main weight."""
        a, b = self._factors()
        return (self.lora_alpha or 0) / (self.lora_rank or 1) * ops.matmul(a, b)

    def _lora_term(self, product: Callable[[Any, Any], Any], inputs: Any) -> Any:
        """Return what is to be added to product(inputs, W), without making the sum of the weights."""
        a, b = self._factors()
        return (self.lora_alpha or 0) / (self.lora_rank or 1) * ops.matmul(product(inputs, a), b)

    def _whole_weight(self) -> Any:
        """Return what the main weight's public name stands for."""
        weight = self._stored()
        return ops.cast(weight + self._lora_delta(), self.compute_dtype) if self.lora_enabled else weight

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained; with LoRA the main weight never is."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        Layer.trainable.fset(self, value)  # type: ignore[attr-defined]
        if self.lora_enabled:
            self._stored().trainable = False

    # Files ------------------------------------------------------------------------------------------------------

    def _file_weights(self) -> list[Variable]:
        factors = self._factors() if self.lora_enabled else ()
        return [v for v in super()._file_weights() if not any(v is factor for factor in factors)]

    def _merged(self) -> dict[Variable, Any]:
        """Return, for each Variable that LoRA changes, its value in a file."""
        return {self._stored(): ops.cast(self._stored() + self._lora_delta(), self._stored().dtype)}

    def save_own_variables(self, store: Any) -> None:
        """Put this layer's weights into `store`, with what LoRA has learned merged into the main weight."""
        super().save_own_variables(store)
        if self.lora_enabled:
            merged = self._merged()
            for i, variable in enumerate(self._file_weights()):
                if variable in merged:
                    store[str(i)] = np.asarray(ops.convert_to_numpy(merged[variable]))

    def load_own_variables(self, store: Any) -> None:
        """Set this layer's weights from what `save_own_variables` stored; LoRA starts anew on top of them."""
        super().load_own_variables(store)
        if self.lora_enabled:
            b = self._factors()[1]
            b.assign(ops.zeros(b.shape))

    def get_config(self) -> dict[str, Any]:
        if not self.lora_rank:
            return super().get_config()
        alpha = self.lora_rank if self.lora_alpha is None else self.lora_alpha
        return {**super().get_config(), "lora_rank": self.lora_rank, "lora_alpha": alpha}
