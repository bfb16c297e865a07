"""Transforms of images with the interface of `torchvision.transforms`. What is random is drawn by PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from kerata.compat.torchvision import functional
from kerata.compat.torchvision import functional as F
from kerata.compat.torchvision.functional import InterpolationMode
from kerata.compat.torchvision.images import size as size_of

__all__ = [
    "CenterCrop", "Compose", "ConvertImageDtype", "Grayscale", "InterpolationMode", "Lambda", "Normalize",
    "PILToTensor", "Pad", "RandomApply", "RandomChoice", "RandomCrop", "RandomErasing", "RandomGrayscale",
    "RandomHorizontalFlip", "RandomOrder", "RandomResizedCrop", "RandomRotation", "RandomVerticalFlip", "Resize",
    "ToPILImage", "ToTensor", "functional",
]  # fmt: skip

__path__: list[str] = []  # `import torchvision.transforms.functional` finds the module that is imported above


class Compose:
    """Applies `transforms` one after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "\n".join([f"{type(self).__name__}(", *(f"    {t}" for t in self.transforms), ")"])


class Lambda:
    """Applies a function."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


class ToTensor:
    """Makes a float tensor (C, H, W) of an image; bytes are scaled to 0 … 1."""

    def __call__(self, pic: Any) -> torch.Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor(ToTensor):
    """Makes a tensor (C, H, W) of an image, of the same values."""

    def __call__(self, pic: Any) -> torch.Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return "PILToTensor()"


class ToPILImage:
    """Makes an image of a tensor (C, H, W) or an array (H, W, C)."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)


class _Transform(torch.nn.Module):
    """A transform that can stand in a `torch.nn.Sequential`; it is shown with its arguments."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self._shown = arguments
        for name, value in arguments.items():
            setattr(self, name, value)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...  # the arguments

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self._shown.items())


class ConvertImageDtype(_Transform):
    """Converts a tensor to another dtype and scales its values."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__(dtype=dtype)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return F.convert_image_dtype(image, self.dtype)


class Normalize(_Transform):
    """Computes (x - mean) / std, by channel."""

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        super().__init__(mean=mean, std=std, inplace=inplace)

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        return F.normalize(tensor, self.mean, self.std, self.inplace)


class Resize(_Transform):
    """Resizes to (height, width), or so that the shorter side has `size` cells."""

    def __init__(
        self, size: Any, interpolation: Any = InterpolationMode.BILINEAR, max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__(size=size, interpolation=interpolation, max_size=max_size, antialias=antialias)

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)


class CenterCrop(_Transform):
    """Cuts out the middle."""

    def __init__(self, size: Any) -> None:
        super().__init__(size=size)

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)


class Pad(_Transform):
    """Puts cells around."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__(padding=padding, fill=fill, padding_mode=padding_mode)

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)


class Grayscale(_Transform):
    """Makes colours grey."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__(num_output_channels=num_output_channels)

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)


# At random --------------------------------------------------------------------------------------------------------


def _chance(p: float) -> bool:
    return bool(torch.rand(1) < p)


def _whole(low: int, high: int) -> int:
    return int(torch.randint(low, high, (1,)))


class RandomHorizontalFlip(_Transform):
    """Exchanges left and right, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p=p)

    def forward(self, img: Any) -> Any:
        return F.hflip(img) if _chance(self.p) else img


class RandomVerticalFlip(_Transform):
    """Turns upside down, with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p=p)

    def forward(self, img: Any) -> Any:
        return F.vflip(img) if _chance(self.p) else img


class RandomGrayscale(_Transform):
    """Makes colours grey, with probability `p`, and keeps the number of channels."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p=p)

    def forward(self, img: Any) -> Any:
        channels = F.pil_to_tensor(img).shape[-3]
        return F.rgb_to_grayscale(img, channels) if _chance(self.p) else img


class RandomCrop(_Transform):
    """Cuts out a rectangle, after `padding` was put around."""

    def __init__(
        self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:  # fmt: skip
        size = (size, size) if isinstance(size, int) else (size[0], size[-1])
        super().__init__(
            size=size, padding=padding, pad_if_needed=pad_if_needed, fill=fill, padding_mode=padding_mode
        )

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        (h, w), (height, width) = size_of(img), self.size
        if self.pad_if_needed and (w < width or h < height):
            img = F.pad(img, (max(width - w, 0), max(height - h, 0)), self.fill, self.padding_mode)
            h, w = size_of(img)
        if (h, w) == (height, width):
            return img
        top, left = _whole(0, h - height + 1), _whole(0, w - width + 1)
        return F.crop(img, top, left, height, width)


class RandomResizedCrop(_Transform):
    """Cuts out a rectangle of random area and shape, and resizes it to `size`."""

    def __init__(
        self, size: Any, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True,
    ) -> None:  # fmt: skip
        super().__init__(size=size, scale=scale, ratio=ratio, interpolation=interpolation, antialias=antialias)

    def forward(self, img: Any) -> Any:
        return F.resized_crop(img, *self._rectangle(*size_of(img)), self.size, self.interpolation, self.antialias)

    def _rectangle(self, h: int, w: int) -> tuple[int, int, int, int]:
        low, high = map(math.log, self.ratio)
        for _ in range(10):
            area = h * w * torch.empty(1).uniform_(*self.scale).item()
            ratio = math.exp(torch.empty(1).uniform_(low, high).item())
            width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < width <= w and 0 < height <= h:
                return _whole(0, h - height + 1), _whole(0, w - width + 1), height, width
        width = min(w, round(h * self.ratio[1]))
        height = min(h, round(w / self.ratio[0]))
        return (h - height) // 2, (w - width) // 2, height, width


class RandomRotation(_Transform):
    """Turns by an angle from -degrees to degrees, or between the two given."""

    def __init__(self, degrees: Any, interpolation: Any = InterpolationMode.NEAREST, fill: Any = 0) -> None:
        degrees = (-degrees, degrees) if isinstance(degrees, (int, float)) else tuple(degrees)
        super().__init__(degrees=degrees, interpolation=interpolation, fill=fill)

    def forward(self, img: Any) -> Any:
        angle = torch.empty(1).uniform_(*map(float, self.degrees)).item()
        return F.rotate(img, angle, self.interpolation, self.fill)


class RandomErasing(_Transform):
    """Sets a rectangle of a tensor (…, C, H, W) to `value`, with probability `p`."""

    def __init__(
        self, p: float = 0.5, scale: tuple[float, float] = (0.02, 0.33), ratio: tuple[float, float] = (0.3, 3.3),
        value: float = 0, inplace: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(p=p, scale=scale, ratio=ratio, value=value, inplace=inplace)
        self._cut = RandomResizedCrop(1, scale, ratio)

    def forward(self, img: torch.Tensor) -> torch.Tensor:
        if not _chance(self.p):
            return img
        top, left, height, width = self._cut._rectangle(*size_of(img))
        img = img if self.inplace else img.clone()
        img[..., top : top + height, left : left + width] = self.value
        return img


class RandomApply(torch.nn.Module):
    """Applies all of `transforms`, with probability `p`."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        super().__init__()
        self.transforms, self.p = transforms, p

    def forward(self, img: Any) -> Any:
        return Compose(self.transforms)(img) if _chance(self.p) else img


class RandomChoice(Compose):
    """Applies one of `transforms`."""

    def __call__(self, img: Any) -> Any:
        return self.transforms[_whole(0, len(self.transforms))](img)


class RandomOrder(Compose):
    """Applies all of `transforms`, in a random order."""

    def __call__(self, img: Any) -> Any:
        return Compose([self.transforms[int(i)] for i in torch.randperm(len(self.transforms))])(img)
