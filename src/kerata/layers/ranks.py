"""`Ranked`: what the 1D, 2D and 3D members of a family share. One class has the formula, its members have a rank."""

from __future__ import annotations

from typing import Any

from kerata import ops
from kerata.layers.arguments import with_defaults
from kerata.layers.base import Layer
from kerata.layers.input_spec import InputSpec

__all__ = ["Ranked"]


class Ranked(Layer):
    """A layer over `rank` spatial axes; its input has a batch axis and a channel axis besides.

    A member names its rank, and the defaults in which its constructor differs from the family's:
    `class Conv2D(Conv, rank=2, strides=(1, 1))`.
    """

    rank: int
    data_format = "channels_last"

    def __init_subclass__(cls, rank: int | None = None, **defaults: Any) -> None:
        if rank is not None:
            cls.rank, cls.input_spec = rank, InputSpec(ndim=rank + 2)
        if defaults:
            cls.__init__ = with_defaults(cls.__init__, **defaults)  # type: ignore[method-assign]
        super().__init_subclass__()

    @property
    def channel_axis(self) -> int:
        """The axis of the channels."""
        return -1 if self.data_format == "channels_last" else 1

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        """The axes between or after batch and channels."""
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))

    def _for_all_axes(self, batch: Any, spatial: Any, channel: Any) -> tuple[Any, ...]:
        """Return a tuple with one entry for each axis of the input, in the order of `data_format`."""
        if self.data_format == "channels_last":
            return (batch, *spatial, channel)
        return (batch, channel, *spatial)

    def _along_channels(self, vector: Any) -> Any:
        """Return `vector` (C,) in the shape in which it meets the input."""
        return ops.reshape(vector, self._for_all_axes(1, (1,) * self.rank, vector.shape[0]))
