"""Data sets of images with the interface of `torchvision.datasets`, from `kerata.datasets`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from kerata.compat.torchvision.images import as_image
from kerata.datasets import cifar10, cifar100, fashion_mnist, mnist

__all__ = ["CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "VisionDataset"]

Transform = Callable[[Any], Any]


class VisionDataset(torch.utils.data.Dataset):
    """Pairs of an image and its label.

    Args:
        root: where the files would lie; kerata keeps them in its own folder, so nothing is written here.
        train: the images for training, or those for the test.
        transform, target_transform: applied to each image and to each label.
        download: accepted; what is missing is downloaded in any case.
    """

    _source: Any  # the module that loads them
    classes: Sequence[str]
    data: Any
    targets: Any

    def __init__(
        self,
        root: Any = None,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        self.root, self.train, self.transform, self.target_transform = root, train, transform, target_transform
        training, test = self._source.load_data()
        images, labels = training if train else test
        if images.ndim == 4 and images.shape[1] == 3:  # the images' format is a setting of kerata
            images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self._keep(images, labels.reshape(-1))

    def _keep(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.data, self.targets = images, labels.tolist()

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class."""
        return {name: i for i, name in enumerate(self.classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, label = as_image(np.asarray(self.data[index])), int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        return image, label if self.target_transform is None else self.target_transform(label)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        lines = [f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}"]
        lines.append(f"    Split: {'Train' if self.train else 'Test'}")
        return "\n".join(lines + ([f"    Transform: {self.transform}"] if self.transform else []))


class MNIST(VisionDataset):
    """Handwritten digits: 60,000 and 10,000 grey images of 28 × 28, which come with kerata."""

    _source = mnist
    classes = ("0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven",
               "8 - eight", "9 - nine")  # fmt: skip

    def _keep(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.data, self.targets = torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))


class FashionMNIST(MNIST):
    """Clothes: 60,000 and 10,000 grey images of 28 × 28."""

    _source = fashion_mnist
    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
               "Ankle boot")  # fmt: skip


class CIFAR10(VisionDataset):
    """Ten kinds of things: 50,000 and 10,000 colour images of 32 × 32."""

    _source = cifar10
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class CIFAR100(VisionDataset):
    """A hundred kinds of things: 50,000 and 10,000 colour images of 32 × 32. Their names are not in kerata's data."""

    _source = cifar100
    classes = tuple(str(i) for i in range(100))
