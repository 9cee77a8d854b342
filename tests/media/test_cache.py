from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from swift.config.media import MediaConfig
from swift.errors import RowError
from swift.media import MediaCache
from swift.types import Media
from tests.media.support import encoded, film, picture, sound, tone

CONFIG = MediaConfig()


def one(number: int, side: int = 100) -> Media:
    return Media("image", encoded(picture(side, side).point(lambda value: (value + number) % 256)))


def test_what_is_kept_is_the_same_object() -> None:
    cache = MediaCache(10)
    video = Media("video", film(5))
    audio = Media("audio", sound(tone()))
    assert cache.image(one(0), CONFIG) is cache.image(one(0), CONFIG)
    assert cache.video(video, CONFIG) is cache.video(video, CONFIG)
    assert cache.audio(audio, CONFIG, 16000) is cache.audio(audio, CONFIG, 16000)
    assert len(cache) == 3


def test_limits_rates_and_kinds_are_told_apart() -> None:
    cache = MediaCache(10)
    audio = Media("audio", sound(tone()))
    assert len(cache.audio(audio, CONFIG, 16000)) == 2 * len(cache.audio(audio, CONFIG, 8000))
    assert cache.image(one(0), MediaConfig(max_pixels=100)).size == (10, 10)
    assert cache.image(Media("image", one(0).source, options={"max_pixels": 400}), CONFIG).size == (20, 20)
    assert cache.image(one(0), CONFIG).size == (100, 100)


def test_the_least_recently_used_goes_first() -> None:
    cache = MediaCache(0.1)  # two pictures of 41 kB
    first = cache.image(one(0), CONFIG)
    second = cache.image(one(1), CONFIG)
    assert cache.image(one(0), CONFIG) is first
    cache.image(one(2), CONFIG)
    assert len(cache) == 2
    assert cache.held_bytes <= 100_000
    assert cache.image(one(0), CONFIG) is first
    assert cache.image(one(1), CONFIG) is not second


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = MediaCache(0.1)
    kept = cache.image(one(0), CONFIG)
    assert cache.image(one(1, 400), CONFIG).size == (400, 400)
    assert cache.image(one(0), CONFIG) is kept


def test_nothing_is_kept_without_room() -> None:
    cache = MediaCache(0)
    assert cache.image(one(0), CONFIG) is not cache.image(one(0), CONFIG)
    assert len(cache) == 0


def test_a_file_that_changed_is_loaded_again(tmp_path: Path) -> None:
    cache, media = MediaCache(10), Media("image", "a.png", str(tmp_path))
    (tmp_path / "a.png").write_bytes(encoded(picture()))
    assert cache.image(media, CONFIG).size == (40, 30)
    (tmp_path / "a.png").write_bytes(encoded(picture(8, 8)))
    os.utime(tmp_path / "a.png", ns=(1, 1))
    assert cache.image(media, CONFIG).size == (8, 8)


def test_what_is_kept_does_not_open_a_stricter_root(tmp_path: Path) -> None:
    cache, media = MediaCache(10), Media("image", str(tmp_path / "a.png"))
    (tmp_path / "a.png").write_bytes(encoded(picture()))
    assert cache.image(media, MediaConfig(root="/")).size == (40, 30)
    with pytest.raises(RowError, match="media_outside_root"):
        cache.image(media, MediaConfig(root=str(tmp_path / "below")))


def test_errors_are_not_kept() -> None:
    cache = MediaCache(10)
    for _ in range(2):
        with pytest.raises(RowError, match="media_unreadable"):
            cache.image(Media("image", b"nothing"), CONFIG)
    assert len(cache) == 0


def test_many_threads() -> None:
    cache = MediaCache(0.2)
    wrong: list[int] = []

    def work(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(0, 12, 40):
            found = cache.image(one(int(number)), CONFIG)
            if found.getpixel((0, 0)) != (number, number, 90 + number):
                wrong.append(int(number))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.held_bytes <= 200_000
