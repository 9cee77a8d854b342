"""Libraries that only some media need."""

from __future__ import annotations

import sys

import pytest

from swift.config.media import MediaConfig
from swift.errors import MissingExtraError
from swift.media import load_audio, load_image, load_video
from swift.types import Media
from tests.media.support import animated, encoded, film, picture, sound, tone

CONFIG = MediaConfig()
HINT = "pip install 'swift-finetune[media]'"


def test_pictures_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("av", "soundfile", "soxr"):
        monkeypatch.setitem(sys.modules, name, None)
    assert load_image(Media("image", encoded(picture())), CONFIG).size == (40, 30)
    assert load_video(Media("video", animated(3, "GIF")), CONFIG).source_frames == 3
    assert load_video(Media("video", (encoded(picture()),)), CONFIG).source_frames == 1


def test_a_video_needs_av(monkeypatch: pytest.MonkeyPatch) -> None:
    data = film(3)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match="'av'") as caught:
        load_video(Media("video", data), CONFIG)
    assert caught.value.hint == HINT


@pytest.mark.parametrize("name", ["soundfile", "soxr"])
def test_a_sound_needs_two_more(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    data = sound(tone())
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=name) as caught:
        load_audio(Media("audio", data), CONFIG, 8000)
    assert caught.value.hint == HINT
