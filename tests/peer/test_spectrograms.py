"""Layers that turn sound into images, beside Keras's."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from layer_pairs import Row, as_json, built, our_results, row, their_results

import kerata
from kerata import engine as engines

LAYERS = kerata.layers
SMALL = {"fft_length": 64, "sequence_stride": 16, "sampling_rate": 8000, "num_mel_bins": 12}
FRAMES = {"frame_length": 16, "frame_step": 6}
FILES = {"test_configs_are_exchanged": "Keras cannot read what its own config says: a window of numbers"}
SAMPLES = {"test_symbolic_shape": "Keras counts one piece too many when (T + 1) is a multiple of the stride"}

MEL = [
    row("MelSpectrogram", (2, 300), **SMALL),
    row("MelSpectrogram", (303,), **SMALL, window="hamming", sequence_length=40, differs=SAMPLES),
    row("MelSpectrogram", (2, 300), **SMALL, window=None, power_to_db=False, mag_exp=1.0),
    row("MelSpectrogram", (2, 300), **SMALL, window=np.linspace(0.1, 1, 64), differs=FILES),
    row("MelSpectrogram", (2, 300), **SMALL, min_freq=300.0, max_freq=2000, top_db=20.0, ref_power=0.01),
    row("MelSpectrogram", (3, 300), **SMALL, min_power=10.0, mag_exp=3.0),
]
STFT = [
    row("STFTSpectrogram", (2, 60, 1), **FRAMES),
    row("STFTSpectrogram", (2, 60, 3), frame_length=16, mode="magnitude", padding="same"),
    row("STFTSpectrogram", (2, 60, 2), **FRAMES, mode="psd", fft_length=32, scaling="spectrum"),
    row("STFTSpectrogram", (2, 60, 2), **FRAMES, mode="real", expand_dims=True, window="hamming", periodic=True),
    row("STFTSpectrogram", (2, 2, 60), **FRAMES, mode="imag", data_format="channels_first", scaling=None),
    row("STFTSpectrogram", (2, 60, 2), **FRAMES, mode="angle", tolerance=1e-3),
    row("STFTSpectrogram", (2, 60, 2), **FRAMES, mode="stft", window=None),
    row("STFTSpectrogram", (2, 2, 60), **FRAMES, mode="stft", data_format="channels_first", expand_dims=True),
    row("STFTSpectrogram", (2, 60, 1), frame_length=15, fft_length=24, padding="same", window="blackman"),
]
every_row = pytest.mark.parametrize("row", [*MEL, *STFT], ids=[f"{r.layer}{i}" for i, r in enumerate([*MEL, *STFT])])


def same(ours: Any, theirs: Any, tolerance: float) -> None:
    ours, theirs = np.asarray(ours, "float64"), np.asarray(theirs, "float64")
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * max(1, np.abs(theirs).max()))


def on_the_circle(row: Row, outputs: Any) -> Any:
    """Return angles as places on the circle, where half a turn to either side is the same."""
    outputs = np.asarray(outputs)
    return np.stack([np.cos(outputs), np.sin(outputs)]) if row.kwargs.get("mode") == "angle" else outputs


@every_row
def test_outputs_and_gradients(row: Row):
    ours, theirs = our_results(row), their_results(row)
    same(ours.outputs, theirs.outputs, 1e-4)
    assert len(ours.gradients) == len(theirs.gradients) == 1 + len(built(row)[1].weights)
    for ours_, theirs_ in zip(ours.gradients, map(np.asarray, theirs.gradients)):
        known = np.isfinite(theirs_)  # Keras's root has no gradient where a frequency has no power
        assert np.all(np.isfinite(np.asarray(ours_))) and known.mean() > 0.7
        same(np.asarray(ours_)[known], theirs_[known], 2e-3)


@every_row
def test_configs_are_exchanged(row: Row):
    ours, theirs = built(row)
    assert [w.path.split("/")[-1] for w in ours.weights] == [w.path.split("/")[-1] for w in theirs.weights]
    if row.differs.get("test_configs_are_exchanged"):
        again = LAYERS.MelSpectrogram.from_config(ours.get_config())
        same(again(row.inputs[0]), ours(row.inputs[0]), 1e-6)
        return
    by_us, by_them = as_json(LAYERS.serialize(ours)), as_json(keras.layers.serialize(theirs))
    assert by_us["config"] == by_them["config"]
    again, there = LAYERS.deserialize(by_them)(row.inputs[0]), keras.layers.deserialize(by_us)(row.inputs[0])
    same(on_the_circle(row, again), on_the_circle(row, there), 1e-3)


@every_row
def test_symbolic_shape(row: Row):
    shape = row.shapes[0]
    unknown = (None, *shape[1:]) if len(shape) > 1 else shape
    found = row.ours()(kerata.KerasTensor(unknown)).shape
    assert tuple(found)[-len(shape) :][1:] == tuple(np.shape(our_results(row).outputs))[-len(shape) :][1:]
    if "test_symbolic_shape" not in row.differs:
        assert tuple(found) == tuple(row.theirs().compute_output_shape(unknown))


@every_row
def test_on_torch(row: Row):
    expected = row.ours()(row.inputs[0])
    with engines.using("torch"):
        found = kerata.ops.convert_to_numpy(row.ours()(row.inputs[0]))
    same(on_the_circle(row, found), on_the_circle(row, expected), 1e-3)


def test_the_kernels_are_the_transform():
    """A frame of a pure wave has all its power at the wave's frequency, and its phase in the angle."""
    time = np.arange(64)
    wave = np.cos(2 * np.pi * 5 * time / 32 + 0.7)[None, :, None].astype("float32")
    arguments = {"frame_length": 32, "frame_step": 32, "window": None}
    power = np.asarray(LAYERS.STFTSpectrogram("psd", **arguments)(wave))
    assert power.shape == (1, 2, 17) and power.argmax(-1).tolist() == [[5, 5]]
    assert power[0, 0, 5] == pytest.approx(2 * 16.0**2, rel=1e-4)  # both sides of the spectrum
    assert np.delete(power[0, 0], 5).max() < 1e-3
    assert float(LAYERS.STFTSpectrogram("angle", **arguments)(wave)[0, 0, 5]) == pytest.approx(0.7, abs=1e-4)


def test_the_bands_of_the_mel_scale():
    ours, theirs = LAYERS.MelSpectrogram(), keras.layers.MelSpectrogram()
    for given in ({}, {"num_mel_bins": 7, "num_spectrogram_bins": 40, "sampling_rate": 16000}):
        same(ours.linear_to_mel_weight_matrix(**given), theirs.linear_to_mel_weight_matrix(**given), 2e-4)
    matrix = np.asarray(ours.linear_to_mel_weight_matrix(10, 4097, 8000, 0.0, 4000.0))
    assert matrix[0].max() == 0 and np.all(matrix.max(axis=0) > 0.98) and matrix.max() <= 1
    inner = matrix[200:-200].sum(axis=1)[(matrix[200:-200] > 0).sum(axis=1) == 2]
    np.testing.assert_allclose(inner, 1, atol=1e-5)  # two neighbours share what lies between them


def test_half_precision_and_compiled():
    sound = np.random.default_rng(0).normal(size=(2, 300)).astype("float32")
    layer = LAYERS.MelSpectrogram(**SMALL)
    exact = np.asarray(layer(sound))
    same(kerata.jit(lambda x: layer(x))(sound), exact, 1e-5)
    found = LAYERS.MelSpectrogram(**SMALL, dtype="mixed_bfloat16")(sound)
    assert found.dtype == "bfloat16"
    same(found.astype("float32"), exact, 5e-3)  # rounded at the end only
    assert LAYERS.MelSpectrogram(**SMALL)((sound * 9000).astype("int16")).dtype == "float32"
    found = LAYERS.STFTSpectrogram("real", 16, dtype="mixed_bfloat16")(sound[..., None])
    assert found.dtype == "bfloat16"
    same(found.astype("float32"), LAYERS.STFTSpectrogram("real", 16)(sound[..., None]), 3e-2)


def test_kernels_are_trained():
    frozen = LAYERS.STFTSpectrogram("magnitude", 16, trainable=False)
    model = kerata.Sequential([frozen, LAYERS.STFTSpectrogram("magnitude", 8), LAYERS.Flatten(), LAYERS.Dense(1)])
    model.compile("sgd", "mse")
    model.build((None, 128, 1))
    before = [np.asarray(w) for w in model.get_weights()]
    assert len(model.trainable_weights) == 4
    model.fit(np.random.default_rng(0).normal(size=(8, 128, 1)).astype("float32"), np.ones((8, 1)), verbose=0)
    moved = [float(np.abs(a - np.asarray(b)).max()) > 0 for a, b in zip(before, model.get_weights())]
    assert moved == [False, False, True, True, True, True]


SOUND = np.ones((2, 60, 1), "float32")
WRONG = [
    (lambda: LAYERS.STFTSpectrogram("phase"), "`mode` cannot be this"),
    (lambda: LAYERS.STFTSpectrogram(scaling="power"), "`scaling` cannot be this"),
    (lambda: LAYERS.STFTSpectrogram(padding="causal"), "`padding` cannot be this"),
    (lambda: LAYERS.STFTSpectrogram(frame_length=16, frame_step=17), "frame_step <= frame_length"),
    (lambda: LAYERS.STFTSpectrogram(frame_length=16, frame_step=0), "`frame_step` cannot be this"),
    (lambda: LAYERS.STFTSpectrogram(frame_length=16, fft_length=8), "frame_length <= fft_length"),
    (lambda: LAYERS.STFTSpectrogram(window="hahn"), "Invalid window name|Unknown window"),
    (lambda: LAYERS.STFTSpectrogram(frame_length=16)(SOUND.astype("int32")), "sound is of floats"),
    (lambda: LAYERS.STFTSpectrogram(frame_length=64)(SOUND), "the window is larger"),
    (lambda: LAYERS.STFTSpectrogram(frame_length=16)(SOUND[0]), "3"),
    (lambda: LAYERS.MelSpectrogram(fft_length=64, sequence_length=65), "no longer than its Fourier"),
    (lambda: LAYERS.MelSpectrogram(fft_length=64, window="hahn")(SOUND[..., 0]), "window named 'hahn'"),
    (lambda: LAYERS.MelSpectrogram()(SOUND), "this is no sound"),
]


@pytest.mark.parametrize(("make", "said"), WRONG, ids=[said for _, said in WRONG])
def test_errors(make: Any, said: str):
    with pytest.raises((ValueError, TypeError), match=said):
        make()
