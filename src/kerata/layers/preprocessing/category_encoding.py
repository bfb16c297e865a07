"""`CategoryEncoding`: whole numbers as one-hot vectors, multi-hot vectors or counts."""

from __future__ import annotations

from typing import Any

from kerata import errors, ops
from kerata.layers.arguments import positive
from kerata.layers.preprocessing.encoding import check_output_mode, encode_categories
from kerata.layers.scaling import _DataLayer

__all__ = ["CategoryEncoding"]


class CategoryEncoding(_DataLayer):
    """Encodes whole numbers from 0 to num_tokens - 1 as vectors; one out of range leaves only zeros.

    Args:
        num_tokens: how many categories there are.
        output_mode: "one_hot" for a vector for each number, (..., n) -> (..., n, num_tokens), where a last axis of
            size 1 is left out; "multi_hot" for one vector for each row, (..., n) -> (..., num_tokens), with a one at
            each number in it; "count" for how many times each is in it.
        sparse: must be False.

    The call takes `count_weights`, shaped like the input, with what each number counts in the mode "count".

    Example:
        >>> kerata.layers.CategoryEncoding(4, output_mode="count")(numpy.array([[0, 2, 2]])).tolist()
        [[1.0, 0.0, 2.0, 0.0]]
    """

    built = True

    def __init__(
        self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        if num_tokens is None:
            raise errors.InvalidArgument(
                "`num_tokens` is missing.", where="CategoryEncoding", expected="how many categories there are",
                hint="where that is not known, take IntegerLookup",
            )  # fmt: skip
        positive(self, "num_tokens", num_tokens)
        self.output_mode = "multi_hot" if output_mode == "binary" else output_mode
        check_output_mode("CategoryEncoding", self.output_mode, ("one_hot", "multi_hot", "count"), sparse)

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        if count_weights is not None and self.output_mode != "count":
            raise errors.InvalidArgument(
                "`count_weights` belongs to the mode 'count'.", where=self._where(),
                got=f"output_mode={self.output_mode!r}",
            )  # fmt: skip
        return encode_categories(
            ops.convert_to_tensor(inputs), self.output_mode, self.num_tokens, self.compute_dtype, count_weights
        )

    def get_config(self) -> dict[str, Any]:
        return {name: value for name, value in super().get_config().items() if name != "sparse"}
