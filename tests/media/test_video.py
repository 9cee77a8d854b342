from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media import Video, film, load_video
from swift.media.sampling import chosen, source_rate
from swift.types import Media
from tests.media.support import STEP, animated, encoded, numbers, picture, tone
from tests.media.support import film as make_film

CONFIG = MediaConfig()
EVERY = {"fps": 100, "max_frames": 1000}


def load(source: str | bytes | tuple[str | bytes, ...], config: MediaConfig = CONFIG, **options: float) -> Video:
    return load_video(Media("video", source, options=options), config)


@pytest.mark.parametrize(
    ("format", "codec"),
    [
        ("mp4", "libx264"),
        ("mov", "mpeg4"),
        ("avi", "mjpeg"),
        ("avi", "mpeg4"),
        ("matroska", "libx264"),
        ("webm", "libvpx-vp9"),
        ("webm", "libvpx"),
        ("mpegts", "libx264"),
        ("flv", "flv"),
    ],
)
def test_every_frame_of_every_container(format: str, codec: str) -> None:
    found = load(make_film(31, format=format, codec=codec), **EVERY)
    assert found.source_frames == 31
    assert found.indices.tolist() == list(range(31))
    # Colors are coded with loss, most of all by MPEG-4 and its like.
    assert np.abs(np.asarray(numbers(found.frames)) - np.arange(31)).max() <= 1
    assert found.source_fps == pytest.approx(25, abs=0.3)
    assert found.times == pytest.approx(np.arange(31) / 25, abs=0.002)
    assert found.duration == pytest.approx(31 / 25, abs=0.02)


def test_shapes_and_types() -> None:
    found = load(make_film(50))
    assert found.frames.shape == (4, 48, 64, 3)
    assert (found.frames.dtype, found.times.dtype, found.indices.dtype) == (np.uint8, np.float64, np.int64)


@pytest.mark.parametrize("options", [{}, {"g": "60", "bf": "3"}, {"g": "10", "bf": "2", "x264-params": "open-gop=1"}])
@pytest.mark.parametrize("count", [1, 2, 5, 9, 60])
def test_a_few_of_the_frames_are_the_right_ones(count: int, options: dict[str, str]) -> None:
    data = make_film(60, options=options)
    found = load(data, min_frames=count, max_frames=count)
    expected = np.rint(np.linspace(0, 59, count)).astype(int).tolist()
    assert found.indices.tolist() == expected
    assert numbers(found.frames) == expected
    assert found.times == pytest.approx(np.asarray(expected) / 25)


def test_far_frames_are_jumped_to(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_film(60, options={"g": "10"})
    decoded: list[int] = []
    forward = film._forward

    def watched(*given: object) -> object:
        decoded.append(int(given[4]) - int(given[3]) + 1)  # type: ignore[call-overload]
        return forward(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(film, "_forward", watched)
    assert numbers(load(data, min_frames=3, max_frames=3).frames) == [0, 30, 59]
    assert sum(decoded) <= 1 + 1 + 10


def test_as_many_frames_a_second_as_are_wanted() -> None:
    data = make_film(50)
    assert len(load(data, fps=5).frames) == 10
    assert len(load(data, fps=0.1).frames) == CONFIG.min_frames
    assert len(load(data, fps=25).frames) == 50
    assert len(load(data, fps=25, max_frames=7).frames) == 7
    assert len(load(data, MediaConfig(fps=10, max_frames=12)).frames) == 12
    assert len(load(make_film(2)).frames) == 2
    assert len(load(make_film(1)).frames) == 1


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [(0.4, 0.8, 10, 19), (0.41, 0.79, 10, 19), (0, 0.2, 0, 4), (1.8, 99, 45, 49), (1.99, 2.0, 49, 49)],
)
def test_a_clip(start: float, end: float, first: int, last: int) -> None:
    found = load(make_film(50), start=start, end=end, **EVERY)
    assert numbers(found.frames) == found.indices.tolist() == list(range(first, last + 1))
    assert found.source_frames == 50


def test_frames_are_brought_to_size_as_they_are_decoded() -> None:
    assert load(make_film(10), max_pixels=32 * 24).frames.shape[1:] == (24, 32, 3)
    assert load(make_film(10), min_pixels=128 * 96).frames.shape[1:] == (96, 128, 3)
    assert load(make_film(10), MediaConfig(max_pixels=1)).frames.shape[1:] == (1, 1, 3)


def test_uneven_times() -> None:
    times = [0, 1, 2, 3, 50, 51, 52, 100]
    found = load(make_film(8, times=times), **EVERY)
    assert found.times == pytest.approx(np.asarray(times) / 25)
    assert found.source_frames == 8
    assert numbers(load(make_film(8, times=times), start=2.0, end=3.0).frames) == [4, 5, 6]


def test_a_film_that_begins_late_begins_at_zero() -> None:
    found = load(make_film(20, times=list(range(500, 520)), format="matroska"), **EVERY)
    assert found.times == pytest.approx(np.arange(20) / 25, abs=0.002)


@pytest.mark.parametrize(("rotation", "corner"), [(90, (-1, 0)), (-90, (0, -1)), (180, (-1, -1))])
def test_a_turned_camera(rotation: int, corner: tuple[int, int]) -> None:
    """The red corner is at the upper left before it is turned counter-clockwise."""
    found = load(make_film(4, rotation=rotation), max_pixels=10_000)
    assert found.frames.shape[1:3] == ((48, 64) if rotation == 180 else (64, 48))
    red = [frame[corner][0] - int(frame[corner][2]) > 120 for frame in found.frames]
    assert all(red)


def _with_false_count(data: bytes, count: int) -> bytes:
    """An AVI whose header claims another number of frames."""
    at = data.index(b"avih") + 8 + 16
    stream = data.index(b"strh") + 8 + 32
    claim = count.to_bytes(4, "little")
    changed = data[:at] + claim + data[at + 4 :]
    return changed[:stream] + claim + changed[stream + 4 :]


@pytest.mark.parametrize("claimed", [3, 20, 5000])
def test_a_container_that_lies_about_its_frames(claimed: int) -> None:
    data = _with_false_count(make_film(20, format="avi", codec="mjpeg"), claimed)
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.video[0].frames == claimed
    found = load(data, **EVERY)
    assert found.source_frames == 20
    assert len(found.frames) == 20


@pytest.mark.parametrize("missing", [1, 10])
def test_an_index_that_lies(monkeypatch: pytest.MonkeyPatch, missing: int) -> None:
    """Frames that are promised and not decoded, or the other way round: what is decoded counts."""
    index = film._index
    for change in (-missing, missing):

        def lying(file: object, media: Media, change: int = change) -> film._Index:
            true = index(file, media)  # type: ignore[arg-type]
            assert true is not None
            step = true.shown[1] - true.shown[0]
            more = true.shown[-1] + step * np.arange(1, change + 1)
            shown = np.concatenate([true.shown, more]) if change > 0 else true.shown[:change]
            return film._Index(shown, true.keys[true.keys < len(shown)])

        monkeypatch.setattr(film, "_index", lying)
        found = load(make_film(30), **EVERY)
        assert found.source_frames == 30
        assert numbers(found.frames) == list(range(30))


def test_frames_are_counted_where_there_is_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "_index", lambda *_: None)
    found = load(make_film(50), min_frames=5, max_frames=5)
    assert numbers(found.frames) == [0, 12, 24, 37, 49]
    assert found.source_frames == 50
    assert found.times == pytest.approx(np.asarray([0, 12, 24, 37, 49]) / 25)


def test_a_folder_of_frames_is_sorted_as_people_count(tmp_path: Path) -> None:
    for number in range(12):
        gray = np.full((8, 10, 3), number * STEP, np.uint8)
        name = f"Frame{number}.PNG" if number % 2 else f"frame{number:03}.png"
        (tmp_path / name).write_bytes(encoded(picture(10, 8).point(lambda _, g=gray: int(g[0, 0, 0]))))
    (tmp_path / "notes.txt").write_text("no frame")
    (tmp_path / ".hidden.png").write_text("no frame")
    found = load_video(Media("video", tmp_path.name, str(tmp_path.parent)), CONFIG)
    assert numbers(found.frames) == list(range(12))
    assert found.source_fps == CONFIG.fps
    assert found.times == pytest.approx(np.arange(12) / 2)


def test_a_list_of_frames_is_taken_whole(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(picture()))
    frames = ("a.png", encoded(picture()), (tmp_path / "a.png").as_uri())
    found = load_video(Media("video", frames, str(tmp_path), {"fps": 4, "max_pixels": 300}), CONFIG)
    assert found.frames.shape == (3, 15, 20, 3)
    assert found.times.tolist() == [0, 0.25, 0.5]
    assert (found.source_fps, found.source_frames, found.duration) == (4, 3, 0.75)


def test_of_a_long_list_only_what_is_needed_is_loaded() -> None:
    frames = tuple(encoded(picture(8, 6)) if number % 2 == 0 else b"broken" for number in range(7))
    assert len(load(frames, min_frames=1, max_frames=4).frames) == 4


def test_frames_of_different_sizes_are_refused() -> None:
    with pytest.raises(RowError, match=r"media_unreadable: .*40 x 30"):
        load((encoded(picture(8, 6)), encoded(picture())))


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_animated_pictures(format: str) -> None:
    found = load(animated(10, format, milliseconds=200), **EVERY)
    assert found.frames.shape == (10, 24, 32, 3)
    assert found.frames[:, 0, 0, 0].tolist() == pytest.approx([number * 20 for number in range(10)], abs=2)
    assert found.times == pytest.approx(np.arange(10) / 5)
    assert found.source_fps == pytest.approx(5)
    assert load(animated(10, format), min_frames=3, max_frames=3).indices.tolist() == [0, 4, 9]


def test_a_film_with_sound_and_without() -> None:
    assert load(make_film(25, sound=tone(1.0)), **EVERY).source_frames == 25


@given(
    count=st.integers(1, 500),
    rate=st.floats(0.5, 120),
    fps=st.floats(0.1, 60),
    least=st.integers(1, 20),
    most=st.integers(1, 100),
    start=st.floats(0, 100),
    length=st.floats(0.01, 100),
)
@settings(max_examples=300)
def test_chosen_frames(count: int, rate: float, fps: float, least: int, most: int, start: float, length: float) -> None:
    times = np.arange(count) / rate
    options = {"fps": fps, "min_frames": min(least, most), "max_frames": most, "start": start, "end": start + length}
    if start >= count / rate:
        with pytest.raises(RowError, match="media_empty"):
            chosen(times, rate, Media("video", b"", options=options), CONFIG)
        return
    picked = chosen(times, rate, Media("video", b"", options=options), CONFIG)
    steps = np.diff(picked)
    assert 1 <= len(picked) <= most
    assert 0 <= picked[0] <= picked[-1] < count
    assert (steps >= 1).all()
    assert len(steps) == 0 or steps.max() - steps.min() <= 1
    assert times[picked[-1]] <= start + length
    assert times[picked[0]] <= start + 1 / rate + 1e-6


def test_source_rate() -> None:
    even = np.arange(100) / 29.97
    assert source_rate(even, 0) == pytest.approx(29.97)
    assert source_rate(np.round(even, 3), 29.97) == 29.97
    assert source_rate(even, 60) == pytest.approx(29.97)
    assert source_rate(np.zeros(1), 0) == 1.0
    assert source_rate(np.zeros(5), 24) == 24


@pytest.mark.parametrize(("name", "count", "rate"), [("1.mp4", 243, 25), ("3.mp4", 146, 23.976), ("4.mp4", 150, 30)])
def test_real_videos(real_data: Path, name: str, count: int, rate: float) -> None:
    path = real_data / "mllm_demo_data" / name
    found = load_video(Media("video", str(path), str(path.parent), {"max_pixels": 10_000, **EVERY}), CONFIG)
    with av.open(str(path)) as container:
        expected = [
            frame.reformat(width=found.frames.shape[2], height=found.frames.shape[1], format="rgb24").to_ndarray()
            for frame in container.decode(video=0)
        ]
    assert found.source_frames == count == len(expected)
    assert found.source_fps == pytest.approx(rate, abs=0.01)
    assert np.abs(found.frames.astype(int) - np.stack(expected)).mean() < 3
    few = load_video(Media("video", str(path), str(path.parent), {"max_pixels": 10_000, "max_frames": 5}), CONFIG)
    assert np.array_equal(few.frames, found.frames[few.indices])
