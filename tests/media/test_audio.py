from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media import audio, load_audio
from swift.types import Media
from tests.media.support import film, sound, tone

CONFIG = MediaConfig()


def load(data: bytes, rate: int = 16000, config: MediaConfig = CONFIG, **options: float) -> np.ndarray:
    return load_audio(Media("audio", data, options=options), config, rate)


@pytest.mark.parametrize(
    ("format", "subtype"),
    [("WAV", "FLOAT"), ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_U8"), ("WAVEX", "PCM_16"), ("FLAC", "PCM_16"),
     ("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16")],
)  # fmt: skip
def test_lossless_formats(format: str, subtype: str) -> None:
    found = load(sound(tone(), format=format, subtype=subtype))
    assert found.dtype == np.float32
    assert found == pytest.approx(tone(), abs=0.01 if subtype == "PCM_U8" else 1e-4)


@pytest.mark.parametrize("format", ["MP3", "OGG"])
def test_lossy_formats(format: str) -> None:
    found = load(sound(tone(), format=format))
    assert len(found) == pytest.approx(16000, abs=2400)  # MP3 has padding
    assert np.abs(np.fft.rfft(found[:8000])).argmax() == 220


def test_channels_are_averaged() -> None:
    left, right = tone(hertz=440), tone(hertz=880)
    assert load(sound(np.stack([left, right], 1), subtype="FLOAT")) == pytest.approx((left + right) / 2, abs=1e-6)
    six = np.stack([left * number / 10 for number in range(6)], 1)
    assert load(sound(six, subtype="FLOAT")) == pytest.approx(left * 0.25, abs=1e-6)


@pytest.mark.parametrize(("rate", "wanted"), [(44100, 16000), (8000, 16000), (48000, 24000), (16000, 44100)])
@pytest.mark.parametrize("seconds", [0.01, 1.0, 12.34])
def test_resampling_is_that_of_soxr(rate: int, wanted: int, seconds: float) -> None:
    samples = tone(seconds, rate)
    found = load(sound(samples, rate, subtype="FLOAT"), wanted)
    expected = soxr.resample(samples, rate, wanted)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


def test_a_clip() -> None:
    whole = tone(10.0)
    data = sound(whole, subtype="FLOAT")
    assert np.array_equal(load(data, start=2, end=9.5), whole[32_000:152_000])
    assert np.array_equal(load(data, start=9.5, end=99), whole[152_000:])
    assert len(load(data, config=MediaConfig(max_seconds=1), start=4, end=5)) == 16_000
    with pytest.raises(RowError, match=r"media_empty: .*from 10 s on"):
        load(data, start=10)


def test_the_sound_track_of_a_video() -> None:
    found = load(film(25, sound=tone(1.0)))
    assert len(found) == pytest.approx(16_000, abs=1100)
    assert np.abs(np.fft.rfft(found[2000:10_000])).argmax() == 220
    assert np.abs(found).max() == pytest.approx(0.5, abs=0.05)
    with pytest.raises(RowError, match=r"media_empty: .*it has no sound"):
        load(film(5))


def test_the_contents_count_and_not_the_name(tmp_path: Path) -> None:
    for name, format in (("a.mp3", "FLAC"), ("b.raw", "WAV"), ("c", "OGG")):
        (tmp_path / name).write_bytes(sound(tone(), format=format))
        assert len(load_audio(Media("audio", name, str(tmp_path)), CONFIG, 16000)) == 16_000


def test_too_long() -> None:
    config = MediaConfig(max_seconds=1.5)
    assert len(load(sound(tone(1.5)), config=config)) == 24_000
    for data in (sound(tone(1.6)), sound(tone(60.0), format="OGG")):
        with pytest.raises(RowError, match=r"media_too_large: .*longer than media.max_seconds, 1.5 s"):
            load(data, config=config)


def test_a_sound_without_limit_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "LARGEST_SAMPLES", 100_000)
    assert len(load(sound(tone(6.0)))) == 96_000
    with pytest.raises(RowError, match=r"media_too_large"):
        load(sound(tone(7.0)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(value: float) -> None:
    samples = tone()
    samples[15_000] = value
    with pytest.raises(RowError, match=r"media_unreadable: .*no finite numbers"):
        load(sound(samples, subtype="FLOAT"))


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_the_length_that_a_pipe_leaves_is_no_lie(length: int) -> None:
    data = sound(tone(), subtype="PCM_16")
    at = data.index(b"data") + 4
    assert len(load(data[:at] + length.to_bytes(4, "little") + data[at + 4 :])) == 16_000


@pytest.mark.parametrize(("name", "rate"), [("1.mp3", 48000), ("2.wav", 16000), ("3.flac", 16000)])
def test_real_sounds(real_data: Path, name: str, rate: int) -> None:
    path = real_data / "mllm_demo_data" / name
    found = load_audio(Media("audio", str(path), str(path.parent)), CONFIG, 16000)
    samples, own = soundfile.read(io.BytesIO(path.read_bytes()), dtype="float32", always_2d=True)
    assert own == rate
    assert found == pytest.approx(soxr.resample(samples.mean(axis=1), rate, 16000), abs=1e-4)
