"""Slots, waiting, rates and keys."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from swift.errors import ConfigError
from swift.serving.admission import Admission, Rates
from swift.serving.errors import ApiError
from swift.serving.keys import read_keys


def test_who_waits_is_served_in_order() -> None:
    async def run() -> list[str]:
        slots, order = Admission(2, 10), []
        loop = asyncio.get_running_loop()

        async def one(name: str, count: int) -> None:
            await slots.enter(count, deadline=loop.time() + 9)
            order.append(name)
            await asyncio.sleep(0.01)
            slots.leave(count)

        await asyncio.gather(*(one(name, count) for name, count in [("a", 1), ("b", 2), ("c", 1), ("d", 50), ("e", 1)]))
        assert (slots.running, slots.waiting) == (0, 0)
        return order

    assert asyncio.run(run()) == list("abcde")


def test_bounds_deadlines_and_leaving() -> None:
    async def run() -> None:
        slots = Admission(1, 1)
        loop = asyncio.get_running_loop()
        await slots.enter(1, deadline=loop.time() + 9)
        late = asyncio.create_task(slots.enter(1, deadline=loop.time() + 0.02))
        await asyncio.sleep(0)
        with pytest.raises(ApiError) as busy:
            await slots.enter(1, deadline=loop.time() + 9)
        assert busy.value.status == 429
        with pytest.raises(ApiError) as waited:
            await late
        assert (waited.value.status, slots.waiting) == (504, 0)
        gone = asyncio.create_task(slots.enter(1, deadline=loop.time() + 9))
        await asyncio.sleep(0)
        slots.leave(1)  # it is admitted and leaves in the same moment
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert (slots.running, slots.waiting) == (0, 0)
        slots.closed = True
        with pytest.raises(ApiError) as closed:
            await slots.enter(1, deadline=loop.time() + 9)
        assert closed.value.status == 503

    asyncio.run(run())


def test_a_rate_fills_up_within_a_minute() -> None:
    now = [0.0]
    rates = Rates(60, "requests", clock=lambda: now[0])
    for _ in range(60):
        rates.require("alice", 1)
    with pytest.raises(ApiError) as much:
        rates.require("alice", 1)
    assert dict(much.value.headers or {}) == {"Retry-After": "1"}
    rates.require("bob", 1)
    now[0] = 1.5
    rates.require("alice", 1)
    rates.take("alice", 100)  # what was used is known only afterwards
    now[0] = 60.0
    with pytest.raises(ApiError):
        rates.require("alice", 0)


def test_keys_come_from_words_and_files(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# ours\nalice=first-key-1 tokens=900 requests=7\n\n  bob = second=key \n")
    keys = read_keys([str(path), "carol=third-key-3"])
    assert [keys.name(key) for key in ("first-key-1", "second=key", "third-key-3", "first-key-", "\ud800")] == [
        "alice",
        "bob",
        "carol",
        None,
        None,
    ]
    assert (keys.requests, keys.tokens) == ({"alice": 7}, {"alice": 900})
    assert not read_keys([])


@pytest.mark.parametrize("word", ["x", "=abcdefghij", "a=short", "a b=abcdefghij", "a=with space", "a=né-né-né-né"])
def test_keys_that_are_none(word: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_keys([word])
    assert "abcdefghij" not in str(refused.value)


def test_a_name_has_one_key() -> None:
    with pytest.raises(ConfigError, match="two keys"):
        read_keys(["a=abcdefghij", "a=klmnopqrst"])
