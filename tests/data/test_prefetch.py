import threading
import time

import pytest

from swift.data.prefetch import prefetched


def test_all_items_come_in_order():
    assert list(prefetched(lambda: iter(range(20)))) == list(range(20))


def test_it_runs_ahead_but_not_further_than_asked():
    made = []

    def numbers():
        for number in range(100):
            made.append(number)
            yield number

    items = prefetched(numbers, depth=2)
    next(items)
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.02)
    assert len(made) == 4  # one taken, two waiting, one at the door
    items.close()


def test_an_exception_comes_after_the_items_before_it():
    def failing():
        yield 1
        raise ValueError("broken")

    items = prefetched(failing)
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_leaving_early_closes_the_iterator_and_ends_the_thread():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    for _ in prefetched(endless):
        break
    assert closed.wait(5)
    assert threading.active_count() == before


def test_an_exception_of_the_consumer_ends_the_thread_too():
    before = threading.active_count()
    items = prefetched(lambda: iter(range(1000)))
    with pytest.raises(RuntimeError, match="consumer"):
        items.throw(RuntimeError("consumer")) if next(items) == 0 else None
    assert threading.active_count() == before
