"""Images, Fourier transforms, random draws."""

import numpy as np
from cases import case, whole, x


def _pair(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return z.real, z.imag


# Images and signals -----------------------------------------------------------------------------------------------

for interpolation in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
    case("resize", x(2, 4, 5, 3), (7, 3), interpolation=interpolation)
case("resize", x(2, 4, 4, 1), (8, 8), interpolation="nearest", ref=lambda x, *_, **__: x.repeat(2, 1).repeat(2, 2))
case(
    "resize", x(2, 4, 4, 1), (2, 2), antialias=False, ref=lambda x, *_, **__: x.reshape(-1, 2, 2, 2, 2, 1).mean((2, 4))
)
case("resize", x(2, 8, 8, 1), (4, 4), antialias=True)
case("resize", x(2, 3, 4, 6), (3, 3), crop_to_aspect_ratio=True, data_format="channels_first")
case("resize", x(4, 6, 1), (3, 3), pad_to_aspect_ratio=True, fill_value=2.0, batch=())
case("resize", whole(2, 4, 5, 3, high=255).astype("uint8"), (8, 10))
case("fft", (x(2, 8), x(2, 8)), ref=lambda z: _pair(np.fft.fft(z[0] + 1j * z[1])))
case("fft2", (x(2, 4, 4), x(2, 4, 4)), ref=lambda z: _pair(np.fft.fft2(z[0] + 1j * z[1])))
case("ifft2", (x(2, 4, 4), x(2, 4, 4)), ref=lambda z: _pair(np.fft.ifft2(z[0] + 1j * z[1])))
case("rfft", x(2, 8), ref=lambda x: _pair(np.fft.rfft(x)))
case("rfft", x(2, 8), fft_length=10, ref=lambda x, fft_length: _pair(np.fft.rfft(x, fft_length)))
case("irfft", (x(2, 5), x(2, 5)), ref=lambda z: np.fft.irfft(z[0] + 1j * z[1]))
case("extract_sequences", x(2, 9), 4, 2, ref=lambda x, *_: np.stack([x[:, i : i + 4] for i in (0, 2, 4)], 1))
case("stft", x(2, 32), 8, 4, 8)
case("stft", x(2, 32), 6, 4, 8, window=None, center=False)
case("istft", (x(2, 9, 5), x(2, 9, 5)), 8, 4, 8, tol=1e-4)

# Random -----------------------------------------------------------------------------------------------------------

# On different engines numbers differ; what is the same for all of them stands here.
case("categorical", np.array([[0.0, 200.0, 0.0]] * 2), 3, seed=1, ref=lambda x, n, seed: np.ones((len(x), n)))
case(
    "shuffle",
    np.arange(12.0).reshape(6, 2),
    seed=1,
    view=lambda x: x.sum(0),
    ref=lambda x, seed: x,
    grad=False,
    batch=(),
)
case("dropout", np.ones((2, 3)), 0.0, seed=1, ref=lambda x, rate, seed: x)
case("dropout", np.ones((2, 3)), 1.0, seed=1, ref=lambda x, rate, seed: 0 * x)
