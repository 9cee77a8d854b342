"""Run an iterator ahead of its consumer, in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


def prefetched(make: Callable[[], Iterable[T]], *, depth: int = 2) -> Generator[T]:
    """The same items, made in a background thread, at most `depth` of them ahead.

    An exception of the iterator is raised here, after the items before it. When this generator is closed, the
    thread ends and the iterator is closed in it.

    Args:
        make: Called in the thread; what it returns is used there only.
        depth: Items that may wait.
    """
    items: queue.Queue[_Item[T] | _End] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    thread = threading.Thread(target=_produce, args=(make, items, stop), name="swift-feed", daemon=True)
    thread.start()
    try:
        while True:
            item = items.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item.value
    finally:
        stop.set()
        with suppress(queue.Empty):  # room for a producer that waits to put
            while True:
                items.get_nowait()
        thread.join()


def _produce(make: Callable[[], Iterable[T]], items: queue.Queue[_Item[T] | _End], stop: threading.Event) -> None:
    error: BaseException | None = None
    try:
        iterator: Iterator[T] = iter(make())
        try:
            for value in iterator:
                if not _put(items, _Item(value), stop):
                    return
        finally:
            if isinstance(iterator, Generator):
                iterator.close()
    except BaseException as raised:  # handed to the consumer, whatever it is
        error = raised
    _put(items, _End(error), stop)


def _put(items: queue.Queue[_Item[T] | _End], item: _Item[T] | _End, stop: threading.Event) -> bool:
    """Wait until there is room; False where the consumer has gone."""
    while not stop.is_set():
        with suppress(queue.Full):
            items.put(item, timeout=0.1)
            return True
    return False
