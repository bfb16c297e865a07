"""Sound as images of time and frequency: `STFTSpectrogram`, whose kernels may be trained, and `MelSpectrogram`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kerata import config as settings
from kerata import errors, initializers, ops
from kerata.core import dtypes
from kerata.layers.arguments import check_window, one_of, positive
from kerata.layers.base import Layer
from kerata.layers.input_spec import InputSpec
from kerata.layers.scaling import _DataLayer

__all__ = ["MelSpectrogram", "STFTSpectrogram"]


class MelSpectrogram(_DataLayer):
    """Turns sound (T,) or (B, T) into how strong each band of the mel scale is, (bands, pieces) or (B, bands, pieces).

    |STFT|^mag_exp of overlapping pieces, summed up under triangles that stand evenly on the mel scale, and with
    `power_to_db` as 10 log10(S / ref_power), of which nothing lies more than `top_db` below the largest.

    Args:
        fft_length: the values of a Fourier transform; half as many mirrored ones come before and after the sound.
        sequence_stride: the way from one piece to the next.
        sequence_length: the values under the window; by default `fft_length`, and no more.
        window: "hann", "hamming", an array (sequence_length,), or None.
        sampling_rate: the values of a second.
        num_mel_bins: how many bands.
        min_freq, max_freq: where bands begin and end, in hertz; by default up to half the sampling rate.
        power_to_db: whether the result is in decibels.
        top_db: how many decibels there may be between the largest and the smallest value of a batch.
        mag_exp: 1 for magnitudes, 2 for powers.
        min_power: what S and `ref_power` are at least.
        ref_power: what is 0 decibels.

    Example:
        >>> layer = kerata.layers.MelSpectrogram(num_mel_bins=80, sampling_rate=8000, sequence_stride=128)
        >>> layer(numpy.ones((2, 16000))).shape
        (2, 80, 126)

    Source: Stevens, Volkmann and Newman (1937), A scale for the measurement of the psychological magnitude pitch; in
    the form mel = 1127 ln(1 + hertz / 700) of the Hidden Markov Model Toolkit.
    """

    built = True

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        for name in ("fft_length", "sequence_stride", "num_mel_bins"):
            positive(self, name, getattr(self, name))
        self.sequence_length = sequence_length or fft_length
        self.max_freq = max_freq or int(sampling_rate / 2)
        if self.sequence_length > fft_length:
            raise errors.InvalidArgument(
                "a piece is no longer than its Fourier transform.", where="MelSpectrogram",
                expected=f"sequence_length <= fft_length = {fft_length}", got=f"sequence_length={sequence_length}",
            )  # fmt: skip

    @property
    def input_dtype(self) -> str:
        """The dtype in which sound is transformed: there is no Fourier transform in half precision."""
        return "float64" if self.compute_dtype == "float64" else "float32"

    def call(self, inputs: Any) -> Any:
        if inputs.ndim not in (1, 2):
            raise errors.ShapeMismatch(
                "this is no sound.", where=self._where(), expected="(samples,) or (batch, samples)",
                got=f"shape {tuple(inputs.shape)}",
            )  # fmt: skip
        real, imaginary = ops.stft(
            ops.cast(inputs, self.input_dtype), self.sequence_length, self.sequence_stride, self.fft_length, self.window
        )
        powers = (ops.square(real) + ops.square(imaginary)) ** (self.mag_exp / 2)
        bands = ops.matmul(powers, self.linear_to_mel_weight_matrix(
            self.num_mel_bins, powers.shape[-1], self.sampling_rate, self.min_freq, self.max_freq, self.input_dtype
        ))  # fmt: skip
        if self.power_to_db:
            bands = self._decibels(bands)
        return ops.cast(ops.swapaxes(bands, -1, -2), self.compute_dtype)

    def _decibels(self, bands: Any) -> Any:
        found = 10 * ops.log10(ops.maximum(bands, self.min_power))
        found = found - 10 * math.log10(max(abs(self.ref_power), self.min_power))
        return ops.maximum(found, ops.max(found) - self.top_db)

    def linear_to_mel_weight_matrix(
        self,
        num_mel_bins: int = 20,
        num_spectrogram_bins: int = 129,
        sampling_rate: float = 8000,
        lower_edge_hertz: float = 125.0,
        upper_edge_hertz: float = 3800.0,
        dtype: Any = "float32",
    ) -> Any:
        """Return (num_spectrogram_bins, num_mel_bins): in each column a triangle of height 1 over some frequencies.

        The triangles stand evenly on the mel scale, each up to the middles of its neighbours; frequency 0 belongs to
        none.
        """
        edges = np.linspace(_mel(lower_edge_hertz), _mel(upper_edge_hertz), num_mel_bins + 2)
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        at = _mel(np.linspace(0, sampling_rate / 2, num_spectrogram_bins))[:, None]
        triangles = np.maximum(0, np.minimum((at - low) / (middle - low), (high - at) / (high - middle)))
        triangles[0] = 0
        return ops.convert_to_tensor(triangles, dtype)


def _mel(hertz: Any) -> Any:
    return 1127 * np.log1p(np.asarray(hertz, "float64") / 700)


class STFTSpectrogram(Layer):
    """Turns sound (B, T, C) into its short-time Fourier transform, as a convolution whose kernels may be trained.

    Args:
        mode: what of the transform z = a + bi is shown: "real" a, "imag" b, "stft" both one after the other, "angle",
            "psd" the power |z|^2 of both sides of the spectrum, "magnitude" |z|, "log" ln |z|.
        frame_length: the values under the window.
        frame_step: the way from one window to the next, up to `frame_length`; by default half of that.
        fft_length: the values of a Fourier transform, `frame_length` or more; by default the next power of two. There
            are F = fft_length // 2 + 1 frequencies.
        window: the name of a window of `scipy.signal.get_window`, an array (frame_length,), or None.
        periodic: whether the window suits a periodic signal.
        scaling: "density" for a window whose squares sum up to 1, "spectrum" for one whose values do, or None.
        padding: "valid" for none, "same" for as many windows as there are steps.
        expand_dims: whether the result is an image (B, windows, F, C) instead of a sequence (B, windows, C F).
        data_format: "channels_last" (B, T, C), or "channels_first" (B, C, T) for (B, C F, windows), and for
            (B, C, windows, F) with `expand_dims`; by default the configured one.

    Raises:
        InvalidType: when the sound is of integers.

    Example:
        >>> layer = kerata.layers.STFTSpectrogram(frame_length=256, fft_length=512, trainable=False)
        >>> layer(numpy.ones((3, 16000, 1), "float32")).shape
        (3, 124, 257)
    """

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._keep(locals())
        self.mode = one_of(self, "mode", mode, ("log", "magnitude", "psd", "real", "imag", "angle", "stft"))
        self.scaling = None if scaling is None else one_of(self, "scaling", scaling, ("density", "spectrum"))
        self.padding = one_of(self, "padding", padding, ("valid", "same"))
        positive(self, "frame_length", frame_length)
        self._step = max(frame_length // 2, 1) if frame_step is None else positive(self, "frame_step", frame_step)
        self._fft_length = 2 ** math.ceil(math.log2(frame_length)) if fft_length is None else fft_length
        if self._step > frame_length or self._fft_length < frame_length:
            raise errors.InvalidArgument(
                "the lengths do not fit together.", where="STFTSpectrogram",
                expected="frame_step <= frame_length <= fft_length",
                got=f"frame_step={frame_step}, frame_length={frame_length}, fft_length={fft_length}",
            )  # fmt: skip
        if self._fft_length & (self._fft_length - 1):
            errors.warn_once(f"STFTSpectrogram: fft_length={fft_length} is no power of two, as is usual.")
        if isinstance(window, str):
            from scipy import signal

            signal.get_window(window, 1)  # which says what is wrong with a name
        self.input_spec = InputSpec(ndim=3)

    def build(self, input_shape: Any) -> None:
        shape = (self.frame_length, 1, self._fft_length // 2 + 1)
        for side in ("real", "imag"):
            if self.mode != {"real": "imag", "imag": "real"}[side]:
                waves = initializers.STFT(side, self.window, self.scaling, self.periodic)
                setattr(self, f"{side}_kernel", self.add_weight(shape=shape, initializer=waves, name=f"{side}_kernel"))

    def call(self, inputs: Any) -> Any:
        if not dtypes.is_float(dtypes.dtype_of(inputs)):
            raise errors.InvalidType(
                "sound is of floats here.", where=self._where(), got=dtypes.dtype_of(inputs), hint="x / 32768"
            )
        last = self.data_format == "channels_last"
        check_window(self, inputs, (1 if last else 2,), (self.frame_length,), self.padding)
        sound = ops.swapaxes(inputs, 1, 2) if last else inputs
        return self._arranged(self._shown(sound))

    def _shown(self, sound: Any) -> Any:
        """Return what `mode` asks for, (B, C, windows, F), of sound (B, C, T)."""
        if self.mode in ("real", "imag"):
            return self._transformed(sound, getattr(self, f"{self.mode}_kernel"))
        real, imaginary = (self._transformed(sound, kernel) for kernel in (self.real_kernel, self.imag_kernel))
        if self.mode == "stft":
            return ops.concatenate([real, imaginary], axis=-1)
        if self.mode == "angle":
            return ops.arctan2(imaginary, real)
        power = ops.square(real) + ops.square(imaginary)
        if self.mode == "psd":  # all but the first and the last frequency stand for their mirror images, too
            return power + ops.pad(power[..., 1:-1], ((0, 0), (0, 0), (0, 0), (1, 1)))
        magnitude = ops.sqrt(ops.maximum(power, settings.epsilon()))
        return magnitude if self.mode == "magnitude" else ops.log(ops.maximum(magnitude, settings.epsilon()))

    def _transformed(self, sound: Any, kernel: Any) -> Any:
        batch, channels, time = sound.shape
        each = ops.reshape(sound, (batch * channels, time, 1))
        found = ops.conv(
            each, ops.cast(kernel, dtypes.dtype_of(each)), strides=self._step, padding=self.padding,
            data_format="channels_last",
        )  # fmt: skip
        return ops.reshape(found, (batch, channels, *found.shape[1:]))

    def _arranged(self, x: Any) -> Any:
        """Return (B, C, windows, F) as `expand_dims` and `data_format` want it."""
        batch, channels, windows, frequencies = x.shape
        if self.data_format == "channels_last":
            if self.expand_dims:
                return ops.transpose(x, (0, 2, 3, 1))
            return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, windows, channels * frequencies))
        if self.expand_dims:
            return x
        return ops.reshape(ops.swapaxes(x, 2, 3), (batch, channels * frequencies, windows))
