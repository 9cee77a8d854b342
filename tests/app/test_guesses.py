"""Wrong passwords: how many, of how many addresses."""

from __future__ import annotations

from swift.app.guesses import AT_ONCE, MOST, PER_MINUTE, Guesses


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_some_at_once_and_then_so_many_a_minute() -> None:
    clock = Clock()
    guesses = Guesses(clock)
    for _ in range(AT_ONCE):
        assert guesses.wait("192.0.2.1") == 0
        guesses.wrong("192.0.2.1")
    wait = guesses.wait("192.0.2.1")
    assert wait == 60 / PER_MINUTE
    assert guesses.wait("192.0.2.2") == 0
    clock.now += wait - 0.5
    assert guesses.wait("192.0.2.1") == 1
    clock.now += 0.5
    assert guesses.wait("192.0.2.1") == 0
    guesses.wrong("192.0.2.1")
    assert guesses.wait("192.0.2.1") == wait
    clock.now += 3600
    for _ in range(AT_ONCE):
        assert guesses.wait("192.0.2.1") == 0
        guesses.wrong("192.0.2.1")
    assert guesses.wait("192.0.2.1") == wait


def test_a_network_is_one_address() -> None:
    guesses = Guesses(Clock())
    for number in range(AT_ONCE):
        guesses.wrong(f"2001:db8::{number:x}")
    assert guesses.wait("2001:db8::ffff") > 0
    assert guesses.wait("2001:db8:0:1::1") == 0
    for _ in range(AT_ONCE):
        guesses.wrong("::ffff:192.0.2.1")
    assert guesses.wait("192.0.2.1") > 0


def test_memory_is_bounded() -> None:
    guesses = Guesses(Clock())
    for number in range(MOST + 100):
        guesses.wrong(f"10.{number >> 16}.{(number >> 8) & 255}.{number & 255}")
    assert len(guesses) == MOST
