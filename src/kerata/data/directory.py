"""Data sets of the files in a folder: images, texts and sounds, with the names of subfolders as classes."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerata import config, errors
from kerata.core.rng import make_seed
from kerata.data import pictures
from kerata.data.dataset import AUTOTUNE, Dataset

__all__ = ["audio_dataset_from_directory", "image_dataset_from_directory", "text_dataset_from_directory"]

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


@errors.user_facing
def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Return the image files below a folder (bmp, gif, jpeg, png) as a `Dataset` of batches `(images, labels)`.

    Images are float32 (B, *image_size, C) from 0 to 255, with C = 1, 3 or 4 for `color_mode` "grayscale", "rgb" or
    "rgba"; (B, C, *image_size) with `data_format="channels_first"`. Reading them needs Pillow.

    Args:
        directory: a folder with one subfolder for each class, or, with `labels` None or a list, any folder.
        labels: "inferred" from the subfolders, None, or one number for each file in alphabetic order of the paths.
        label_mode: "int" for int32 (B,), "binary" for float32 (B, 1), "categorical" for one-hot float32 (B, classes),
            None for images alone.
        class_names: the subfolders to take, in the order of their numbers; by default all, in alphabetic order.
        batch_size: None for single images.
        shuffle: a new order for each reading; otherwise alphabetic.
        seed: draws the orders, and what is kept for validation (as in Keras: the same seed, the same files).
        validation_split: the fraction of the files to keep for validation.
        subset: "training", "validation", or "both" for a list of two data sets.
        interpolation: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic".
        follow_links: go into folders that are links.
        crop_to_aspect_ratio: cut the image to the new proportions rather than squeeze it.
        pad_to_aspect_ratio: put zeros around the image rather than squeeze it.
        format: "tf" or "grain"; the same data set for both.
        verbose: tell how many files were found.

    Returns:
        A `Dataset` with the attributes `class_names` and `file_paths` (in the order before any shuffling anew).

    Example:
        >>> train, validation = kerata.utils.image_dataset_from_directory(
        ...     "photos", image_size=(64, 64), validation_split=0.2, subset="both", seed=1
        ... )  # doctest: +SKIP
    """
    where = "image_dataset_from_directory"
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2:
        raise errors.InvalidArgument("an image has a height and a width.", where=f"{where}: image_size", got=image_size)
    interpolation = interpolation.lower()
    for name, value, known in (
        ("color_mode", color_mode, pictures.COLOR_MODES),
        ("interpolation", interpolation, pictures.INTERPOLATIONS),
        ("format", format, ("tf", "grain")),
    ):
        if value not in known:
            raise errors.UnknownName(name, value, known, where=where)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise errors.InvalidArgument("an image is cropped or padded, not both.", where=where)
    first = config.standardize_data_format(data_format) == "channels_first"
    pictures.pillow(where)

    def load(path: str) -> np.ndarray:
        image = pictures.read(path, color_mode)
        image = pictures.resized(image, size, interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio)
        return image.transpose(2, 0, 1) if first else image

    request = _Request(directory, labels, label_mode, class_names, shuffle, seed, validation_split, subset)
    return request.data_sets(where, IMAGES, load, lambda files: _batched(files, batch_size), follow_links, verbose)


@errors.user_facing
def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Return the `.txt` files below a folder as a `Dataset` of batches `(texts, labels)`.

    Texts are an array (B,) of Python strings, read as UTF-8; `TextVectorization` makes numbers of them. Arguments that
    are not named here are as in `image_dataset_from_directory`.

    Args:
        max_length: characters to keep of a text.

    Example:
        >>> train = kerata.utils.text_dataset_from_directory("reviews/train", batch_size=64)  # doctest: +SKIP
        >>> vectorize = kerata.layers.TextVectorization(max_tokens=10_000)
        >>> vectorize.adapt(train.map(lambda text, label: text))  # doctest: +SKIP
    """
    where = "text_dataset_from_directory"
    if format not in ("tf", "grain"):
        raise errors.UnknownName("format", format, ("tf", "grain"), where=where)

    def load(path: str) -> str:
        return Path(path).read_bytes().decode("utf-8", "surrogateescape")[:max_length]

    request = _Request(directory, labels, label_mode, class_names, shuffle, seed, validation_split, subset)
    return request.data_sets(where, (".txt",), load, lambda files: _batched(files, batch_size), follow_links, verbose)


@errors.user_facing
def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Return the `.wav` files below a folder as a `Dataset` of batches `(sounds, labels)`.

    Sounds are float32 (B, samples, channels) from -1 to 1, each filled up with zeros to the longest of its batch.
    Arguments that are not named here are as in `image_dataset_from_directory`.

    Args:
        sampling_rate: bring all sounds to so many samples a second; by default each keeps its own.
        output_sequence_length: cut or fill up each sound to so many samples.
        ragged: do not fill up: a batch is an array (B,) of arrays.
    """
    where = "audio_dataset_from_directory"
    if ragged and output_sequence_length is not None:
        raise errors.InvalidArgument(
            "sounds are ragged or of one length, not both.", where=f"{where}: ragged, output_sequence_length"
        )
    if sampling_rate is not None and (not isinstance(sampling_rate, int) or sampling_rate < 1):
        raise errors.InvalidArgument(
            "a sampling rate is a positive int.", where=f"{where}: sampling_rate", got=sampling_rate
        )

    def load(path: str) -> np.ndarray:
        sound, rate = read_wave(path)
        if sampling_rate not in (None, rate):
            from scipy import signal

            common = np.gcd(sampling_rate, rate)
            sound = signal.resample_poly(sound, sampling_rate // common, rate // common).astype(np.float32)
        if output_sequence_length is None:
            return sound
        missing = max(output_sequence_length - len(sound), 0)
        return np.pad(sound[:output_sequence_length], ((0, missing), (0, 0)))

    def batches(files: Dataset) -> Dataset:
        if batch_size is None:
            return files
        if ragged:
            return files._grouped(batch_size, False, _ragged)
        return files.padded_batch(batch_size)

    request = _Request(directory, labels, label_mode, class_names, shuffle, seed, validation_split, subset)
    return request.data_sets(where, (".wav",), load, batches, follow_links, verbose)


def read_wave(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Return a WAV file of whole numbers (8 to 32 bits) as float32 (samples, channels) from -1 to 1, and its rate."""
    try:
        with wave.open(os.fspath(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = np.frombuffer(file.readframes(file.getnframes()), np.uint8)
    except (wave.Error, EOFError) as error:
        raise errors.CorruptFile(
            "this file cannot be read as a sound.", where=str(path), got=str(error),
            expected="a WAV file of whole numbers (PCM)",
        ) from None  # fmt: skip
    data = data[: len(data) // (width * channels) * width * channels].reshape(-1, width)
    if width == 1:
        samples = data.astype(np.float32)[:, 0] / 128 - 1
    else:  # little-endian, put at the upper end of 32 bits
        words = np.zeros((len(data), 4), np.uint8)
        words[:, 4 - width :] = data
        samples = (words.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    return samples.reshape(-1, channels), rate


def _batched(files: Dataset, batch_size: int | None) -> Dataset:
    return files if batch_size is None else files.batch(batch_size)


def _ragged(group: list[Any]) -> Any:
    sounds = [element[0] if isinstance(element, tuple) else element for element in group]
    rows = np.empty(len(sounds), dtype=object)
    rows[:] = sounds
    return (rows, np.stack([element[1] for element in group])) if isinstance(group[0], tuple) else rows


# Which files ---------------------------------------------------------------------------------------------------


class _Request(NamedTuple):
    """What the three functions are asked for alike."""

    directory: Any
    labels: Any
    label_mode: str | None
    class_names: Any
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: str | None

    def data_sets(
        self, where: str, endings: tuple[str, ...], load: Callable[[str], Any], batches: Callable[[Dataset], Dataset],
        follow_links: bool, verbose: bool,
    ) -> Any:  # fmt: skip
        """Return the data set of the files, or a list of two for `subset="both"`."""
        self._check(where)
        named = self.labels is not None and self.label_mode is not None
        paths, numbers, names = self._files(where, endings, follow_links, named)
        if self.label_mode == "binary" and named and len(names or ()) != 2:
            raise errors.InvalidArgument(
                "binary labels are for two classes.", where=f"{where}: label_mode", got=f"classes {names}"
            )
        if verbose:
            print(f"Found {len(paths)} files" + (f" in {len(names)} classes." if names is not None else "."))
        seed = make_seed() if self.seed is None else self.seed
        order = np.arange(len(paths))
        if self.shuffle:
            np.random.RandomState(seed).shuffle(order)  # Keras's draw, so that a seed splits the files as there
        targets = None if numbers is None else _encoded(numbers, self.label_mode, len(names or ()))

        def data_set(chosen: np.ndarray, shuffle: bool, what: str) -> Dataset:
            if not len(chosen):
                raise errors.InvalidArgument(
                    f"there are no files{what}.", where=f"{where}: {self.directory}", expected=f"files {endings}"
                )
            index = Dataset(chosen)
            index = index.shuffle(len(chosen), seed) if shuffle else index

            def element(i: int) -> Any:
                return load(paths[i]) if targets is None else (load(paths[i]), targets[i])

            result = batches(index.map(element, num_parallel_calls=AUTOTUNE))
            result.class_names = names
            result.file_paths = [paths[i] for i in chosen]
            return result

        kept = int((self.validation_split or 0) * len(paths))
        training, validation = order[: len(order) - kept], order[len(order) - kept :]
        if verbose and self.subset:
            print(f"{len(training)} of them are for training, {len(validation)} for validation.")
        if self.subset == "both":
            return [
                data_set(training, self.shuffle, " for training"), data_set(validation, False, " for validation")
            ]  # fmt: skip
        chosen = {None: order, "training": training, "validation": validation}[self.subset]
        return data_set(chosen, self.shuffle, f" for {self.subset}" if self.subset else "")

    def _check(self, where: str) -> None:
        labels, split, subset = self.labels, self.validation_split, self.subset
        if isinstance(labels, str) and labels != "inferred" or not isinstance(labels, (str, list, tuple, type(None))):
            raise errors.InvalidArgument(
                "these are no labels.", where=f"{where}: labels", expected='"inferred", None or a list of ints',
                got=repr(labels)[:80],
            )  # fmt: skip
        if self.class_names is not None and labels != "inferred":
            raise errors.InvalidArgument(
                "names of classes choose among subfolders.", where=f"{where}: class_names", expected='labels="inferred"'
            )
        if self.label_mode not in ("int", "binary", "categorical", None):
            raise errors.UnknownName("label_mode", self.label_mode, ("int", "binary", "categorical"), where=where)
        if subset not in (None, "training", "validation", "both"):
            raise errors.UnknownName("subset", subset, ("training", "validation", "both"), where=where)
        if split and not 0 < split < 1:
            raise errors.InvalidArgument(
                "a split is a fraction.", where=f"{where}: validation_split", expected="between 0 and 1", got=split
            )
        if bool(split) != bool(subset):
            raise errors.InvalidArgument(
                "a split and a subset belong together.", where=where, expected="both validation_split and subset",
                got=f"validation_split={split}, subset={subset!r}",
            )  # fmt: skip
        if split and self.shuffle and self.seed is None:
            raise errors.InvalidArgument(
                "training and validation files would overlap.", where=f"{where}: seed", got="None",
                hint="give a seed, the same for both, or shuffle=False",
            )  # fmt: skip

    def _files(
        self, where: str, endings: tuple[str, ...], follow_links: bool, named: bool
    ) -> tuple[list[str], np.ndarray | None, list[str] | None]:
        """Return the paths in alphabetic order within their class, their numbers and the names of the classes."""
        root = os.fspath(self.directory)
        if not os.path.isdir(root):
            raise errors.InvalidArgument("there is no such folder.", where=f"{where}: directory", got=root)
        if not (named and self.labels == "inferred"):
            paths = _below(root, endings, follow_links)
            if not named:
                return paths, None, None
            if len(self.labels) != len(paths):
                raise errors.InvalidArgument(
                    "each file has one label.", where=f"{where}: labels", expected=f"{len(paths)}, the files in {root}",
                    got=len(self.labels),
                )  # fmt: skip
            return paths, np.asarray(self.labels), [str(label) for label in sorted(set(self.labels))]
        folders = sorted(n for n in os.listdir(root) if os.path.isdir(os.path.join(root, n)) and not n.startswith("."))
        names = folders if self.class_names is None else list(self.class_names)
        if not set(names) <= set(folders):
            raise errors.InvalidArgument(
                "a class has no subfolder.", where=f"{where}: class_names", expected=folders, got=names
            )
        by_class = [_below(os.path.join(root, name), endings, follow_links) for name in names]
        numbers = np.repeat(np.arange(len(names)), [len(paths) for paths in by_class])
        return [path for paths in by_class for path in paths], numbers, names


def _below(folder: str, endings: tuple[str, ...], follow_links: bool) -> list[str]:
    walk = sorted(os.walk(folder, followlinks=follow_links), key=lambda entry: entry[0])
    return [os.path.join(at, name) for at, _, names in walk for name in sorted(names) if name.lower().endswith(endings)]


def _encoded(numbers: np.ndarray, label_mode: str | None, classes: int) -> np.ndarray:
    if label_mode == "binary":
        return numbers.astype(np.float32)[:, None]
    if label_mode == "categorical":
        return np.eye(classes, dtype=np.float32)[numbers]
    return numbers.astype(np.int32)
