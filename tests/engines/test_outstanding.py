"""Requests under way at a server: each listener is told once, whatever happens in between."""

from __future__ import annotations

from swift.engines.base import Event
from swift.engines.link import Address, Link
from swift.engines.outstanding import Outstanding, Work
from swift.errors import EngineError


def test_what_is_closed_while_a_request_is_prepared_tells_it() -> None:
    link = Link(Address("http://127.0.0.1:1/v1"))
    outstanding = Outstanding(link, "server")
    told: list[Event] = []

    async def never(tell: object) -> Event:
        raise AssertionError("it is not sent")

    def prepare() -> Work:
        assert outstanding.close()
        link.close()
        return never

    outstanding.begin(prepare, told.append)
    assert [str(event) for event in told] == ["the engine was closed"]
    assert isinstance(told[0], EngineError)
    assert not outstanding.close(), "only once"
