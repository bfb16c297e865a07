"""`EinsumDense`: a dense layer over axes that an einsum equation names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from kerata import errors, initializers, ops
from kerata.layers.arguments import Named
from kerata.layers.input_spec import InputSpec
from kerata.layers.lora import MainWeight
from kerata.layers.quantization import Form, Quantizable

__all__ = ["EinsumDense"]


class EinsumDense(Quantizable):
    """A dense layer whose sums an equation describes: y = activation(einsum(equation, x, kernel) + bias).

    Args:
        equation: "x,kernel->y" with a letter for each axis; x and y may both start or both end with "...".
        output_shape: the shape of y without the batch and the axes of "..."; None for the sizes of x.
        activation: a function of the output, by name or itself; None for none.
        bias_axes: the letters of y along which the bias varies; None for no bias.
        lora_rank, lora_alpha: see `enable_lora`.
        quantization_config: how the weights are kept, beside a quantized `dtype`; see `Model.quantize`.

    Raises:
        InvalidArgument: for an equation that cannot be.
        ShapeMismatch: when an axis of x and y have one letter and two sizes.

    Example:
        >>> layer = kerata.layers.EinsumDense("btd,dhk->bthk", (None, 8, 16), bias_axes="hk")
        >>> layer(numpy.ones((2, 5, 32))).shape
        (2, 5, 8, 16)
    """

    kernel: Any = MainWeight()

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Named = None,
        bias_axes: str | None = None,
        kernel_initializer: Named = "glorot_uniform",
        bias_initializer: Named = "zeros",
        kernel_regularizer: Named = None,
        bias_regularizer: Named = None,
        kernel_constraint: Named = None,
        bias_constraint: Named = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self._letters = _split(equation, bias_axes)

    def build(self, input_shape: Any) -> None:
        x, kernel, y = self._letters
        sizes, elided_after = self._sizes(tuple(input_shape))
        self.input_spec = InputSpec(ndim=len(input_shape))
        shape = tuple(sizes[letter] for letter in kernel)
        self._build_main(shape, self._fanned_initializer(kernel, y))
        self.bias = None
        if self.bias_axes:
            varying = y[min(y.index(letter) for letter in self.bias_axes) :]
            shape = [sizes[letter] if letter in self.bias_axes else 1 for letter in varying]
            self.bias = self._named_weight("bias", (*shape, *(1,) * elided_after))
        self._start_lora()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        y = self._product(lambda x, kernel: ops.einsum(self.equation, x, kernel), inputs, training)
        return self.activation(y if self.bias is None else y + self.bias)

    # Quantized: scales are kept in the layout of the outputs, and 4 bits as a matrix (summed over, not summed over).

    def _forms(self) -> list[Form]:
        x, kernel, y = self._all_letters()
        shape = self._main_shape()
        summed = tuple(i for i, letter in enumerate(kernel) if letter not in y)
        rows = math.prod(shape[i] for i in summed)
        return [
            Form(
                "kernel", shape, axis=summed, matrix=(rows, math.prod(shape) // rows),
                kept=lambda scale: _relettered(scale, kernel, y), spread=lambda scale: _relettered(scale, y, kernel),
            )
        ]  # fmt: skip

    def _check_mode(self, mode: str) -> None:
        super()._check_mode(mode)
        x, kernel, y = self._all_letters()
        summed = [letter for letter in kernel if letter not in y]
        if mode in ("gptq", "awq") and not kernel[: len(summed)] == summed == x[len(x) - len(summed) :]:
            raise errors.Unsupported(
                "the kernel is no matrix to calibrate.", where=self._where(), got=self.equation,
                expected="letters that are summed over at the end of the input and the start of the kernel",
            )  # fmt: skip

    def _build_calibrated(self, mode: str, config: Any) -> None:
        super()._build_calibrated(mode, config)
        self.gptq_unpacked_column_size = self._rows_and_columns()[1] if mode == "gptq" else None

    @property
    def _summed_axes(self) -> tuple[int, ...]:
        x, _, y = self._all_letters()
        return tuple(i for i, letter in enumerate(x) if letter not in y)

    def _input_scale(self, scale: Any) -> Any:
        x, _, y = self._all_letters()
        return _relettered(scale, x, y)

    def _all_letters(self) -> tuple[list[str], list[str], list[str]]:
        """Return the letters of input, kernel and output, with a name for each axis of "..."."""
        x, kernel, y = map(list, self._letters)
        elided = [f"...{i}" for i in range(self.input_spec.ndim - len(x))]
        if self.equation.startswith("..."):
            return elided + x, kernel, elided + y
        return x + elided, kernel, y + elided

    def _sizes(self, input_shape: tuple[int | None, ...]) -> tuple[dict[str, Any], int]:
        """Return the size of each letter, and how many axes of the input a closing "..." stands for."""
        x, kernel, y = self._letters
        starts, ends = self.equation.startswith("..."), "...," in self.equation.replace(" ", "")
        elided = len(input_shape) - len(x)
        if elided < 0 or (elided and not (starts or ends)):
            raise errors.ShapeMismatch(
                "the input has another number of axes than the equation.", where=self._where(),
                expected=self.equation, got=f"shape {input_shape}",
            )  # fmt: skip
        sizes = dict(zip(x, input_shape[elided:] if starts else input_shape))
        # The batch has a letter in the equation, or it is among the axes of "...".
        given = self.output_shape if starts and elided else (input_shape[0], *self.output_shape)
        if len(given) != len(y):
            raise errors.ShapeMismatch(
                "`output_shape` and the equation name different numbers of axes.", where=self._where(),
                expected=f"a size for each of {y!r}, without the batch", got=f"output_shape={self.output_shape}",
            )  # fmt: skip
        for letter, size in zip(y, given):
            if letter in sizes and None not in (size, sizes[letter]) and size != sizes[letter]:
                raise errors.ShapeMismatch(
                    f"the axis {letter!r} has one size in the input and another in `output_shape`.",
                    where=self._where(), expected=sizes[letter], got=size,
                )  # fmt: skip
            sizes[letter] = size if sizes.get(letter) is None else sizes[letter]
        for letter in kernel:
            if sizes[letter] is None:
                raise errors.ShapeMismatch(
                    "the weights depend on a size that is not known yet.", where=self._where(),
                    expected=f"a known size of {letter!r} in {self.equation!r}", got=f"input of shape {input_shape}",
                )  # fmt: skip
        return sizes, elided if ends else 0

    def _fanned_initializer(self, kernel: str, y: str) -> Any:
        """Return the kernel's initializer, told which axes of the kernel lead in and which out."""
        initializer = self.kernel_initializer
        if not isinstance(initializer, initializers.VarianceScaling) or initializer.input_axes is not None:
            return initializer
        axes = {"input_axes": [i for i, letter in enumerate(kernel) if letter not in y]}
        axes["output_axes"] = [i for i, letter in enumerate(kernel) if letter in y]
        return type(initializer).from_config({**initializer.get_config(), "seed": initializer.seed, **axes})

    def get_config(self) -> dict[str, Any]:
        size = self.gptq_unpacked_column_size
        said = {"gptq_unpacked_column_size": size} if size else {}
        return {"activity_regularizer": None, **super().get_config(), **said}


def _relettered(x: Any, source: Sequence[str], target: Sequence[str]) -> Any:
    """Return `x`, whose axes have the letters `source`, with axes `target`; those that only one has are of size 1."""
    x = ops.squeeze(x, tuple(i for i, letter in enumerate(source) if letter not in target))
    common = [letter for letter in source if letter in target]
    x = ops.transpose(x, [common.index(letter) for letter in target if letter in common])
    return ops.expand_dims(x, tuple(i for i, letter in enumerate(target) if letter not in common))


_EQUATION = re.compile(r"(\.{3})?([a-zA-Z]+)(\.{3})?,([a-zA-Z]+)->(\.{3})?([a-zA-Z]+)(\.{3})?")


def _split(equation: str, bias_axes: str | None) -> tuple[str, str, str]:
    """Return the letters of input, kernel and output."""
    match = _EQUATION.fullmatch(equation.replace(" ", ""))
    if match is None or match[1] != match[5] or match[3] != match[7] or (match[1] and match[3]):
        raise errors.InvalidArgument(
            "the equation cannot be read.", where="EinsumDense",
            expected='"ab,bc->ac", "...b,bc->...c" or "ab...,bc->ac..."', got=repr(equation),
        )  # fmt: skip
    x, kernel, y = match[2], match[4], match[6]
    for letters, known, what in (
        (kernel, x + y, "an axis of the kernel is neither in the input nor in the output"),
        (y, x + kernel, "an axis of the output is neither in the input nor in the kernel"),
        (bias_axes or "", y, "an axis of the bias is not in the output"),
    ):
        if unknown := [letter for letter in letters if letter not in known]:
            raise errors.InvalidArgument(f"{what}.", where="EinsumDense", got=f"{unknown} in {equation!r}")
    return x, kernel, y
