"""How many answers are worked on at once, how many may wait, and how often one client may ask."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping

from swift.serving.errors import ApiError

_MOST_CLIENTS = 10_000


class Admission:
    """Slots for answers. Whoever waits is served in order.

    Args:
        running: Slots.
        waiting: Answers that may wait for slots.

    Attributes:
        running: Slots in use.
        waiting: Answers that wait.
    """

    def __init__(self, running: int, waiting: int) -> None:
        self._most_running = running
        self._most_waiting = waiting
        self.running = 0
        self.waiting = 0
        self.closed = False
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, count: int, *, deadline: float) -> None:
        """Take slots, when there are any; `leave` gives them back.

        Args:
            count: How many; more than there are are taken as all.
            deadline: Of the event loop's clock; later is too late.

        Raises:
            ApiError: 429 where too many wait already, 503 where the server ends, 504 after the deadline.
        """
        if self.closed:
            raise _shutting_down()
        count = min(count, self._most_running)
        if not self._queue and self.running + count <= self._most_running:
            self.running += count
            return
        if self.waiting + count > self._most_waiting:
            raise ApiError(
                429,
                f"the server is busy: {self.running} answers are worked on and {self.waiting} wait",
                code="server_busy",
                headers={"Retry-After": str(1 + self.waiting // max(1, self._most_running))},
            )
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        entry = (count, turn)
        self._queue.append(entry)
        self.waiting += count
        timer = loop.call_at(deadline, _expire, turn)
        try:
            await turn
        except BaseException:
            if entry in self._queue:
                self._queue.remove(entry)
                self.waiting -= count
                self._admit()
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(count)  # admitted, and gone at the same time
            raise
        finally:
            timer.cancel()

    def leave(self, count: int) -> None:
        """Give back what `enter` took for the same count."""
        self.running -= min(count, self._most_running)
        self._admit()

    def end(self) -> None:
        """Turn everyone away who waits."""
        self.closed = True
        for _, turn in self._queue:
            if not turn.done():
                turn.set_exception(_shutting_down())

    def _admit(self) -> None:
        while self._queue and self.running + self._queue[0][0] <= self._most_running:
            count, turn = self._queue.popleft()
            self.waiting -= count
            if not turn.done():
                self.running += count
                turn.set_result(None)


def _shutting_down() -> ApiError:
    return ApiError(503, "the server is shutting down", code="shutting_down")


def _expire(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(ApiError(504, "the request waited longer than it may take", code="timeout"))


class Rates:
    """Tokens in buckets, one bucket a client, that fill up within a minute.

    Args:
        per_minute: How much a client may take in a minute; None for as much as it wants.
        what: In words, for the message.
        own: The same for clients of which something else holds, by name.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        per_minute: int | None,
        what: str,
        own: Mapping[str, int] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = per_minute
        self._own = own or {}
        self._what = what
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def require(self, client: str, amount: int) -> None:
        """Take `amount` now, or refuse.

        Args:
            client: Whose bucket.
            amount: 0 asks only whether the bucket is not empty.

        Raises:
            ApiError: 429, with how long to wait.
        """
        size = self._own.get(client, self._size)
        if size is None:
            return
        left = self._now(client, size)
        if left < max(amount, 1):
            wait = math.ceil((max(amount, 1) - left) * 60 / size)
            raise ApiError(
                429,
                f"more than {size} {self._what} a minute",
                code="rate_limit_exceeded",
                headers={"Retry-After": str(max(1, wait))},
            )
        self.take(client, amount)

    def take(self, client: str, amount: int) -> None:
        """Take `amount` however much is left: what was used is known only afterwards."""
        size = self._own.get(client, self._size)
        if size is None:
            return
        left = self._now(client, size)
        self._left[client] = (left - amount, self._clock())
        self._left.move_to_end(client)
        while len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)

    def _now(self, client: str, size: int) -> float:
        left, since = self._left.get(client, (float(size), self._clock()))
        return min(float(size), left + (self._clock() - since) * size / 60)
