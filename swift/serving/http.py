"""Between the web framework and the endpoints: bodies in, answers and event streams out, clients that leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import orjson
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from swift.serving.errors import ApiError, bad, body_of, is_anthropic
from swift.serving.guard import Visit, no_key
from swift.serving.service import Service

T = TypeVar("T")

PING_SECONDS = 15.0
"""A stream without events for so long gets a comment, so that proxies do not take it for dead."""


class Gone(Exception):
    """The client has left; nobody reads an answer."""


class JsonRequest(Request):
    """A request whose JSON is read strictly: UTF-8, no NaN, no half characters, bounded nesting."""

    async def json(self) -> Any:
        """The body.

        Raises:
            ApiError: 400, where it is not JSON or nested too deeply.
        """
        try:
            value = orjson.loads(await self.body())
        except orjson.JSONDecodeError as error:
            raise bad(f"the body is not JSON: {error.msg}") from None
        most = service_of(self).limits.nesting
        if depth_exceeds(value, most):
            raise bad(f"the body is nested more than {most} deep")
        return value


class JsonRoute(APIRoute):
    """A route whose requests are read by `JsonRequest`, and whose pattern is noted for the logs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function that FastAPI calls."""
        inner = super().get_route_handler()
        pattern = self.path

        async def handler(request: Request) -> Response:
            visit_of(request).route = pattern
            try:
                return await inner(JsonRequest(request.scope, request.receive))
            except Gone:
                visit_of(request).gone = True
                return Response(status_code=499)

        return handler


class AdminRoute(JsonRoute):
    """A route for administrators; nothing of a request of others is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The function that FastAPI calls."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            visit = visit_of(request)
            if not visit.admin:
                visit.route = self.path
                given = "authorization" in request.headers or "x-api-key" in request.headers
                if visit.named:
                    raise ApiError(403, "this key may not do that", code="admin_key_needed")
                raise no_key(wrong=given)
            return await inner(request)

        return handler


def service_of(request: Request) -> Service:
    """The server's state."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def visit_of(request: Request) -> Visit:
    """What is known of a request."""
    visit = request.state.visit
    assert isinstance(visit, Visit)
    return visit


def depth_exceeds(value: Any, most: int) -> bool:
    """Whether lists and objects are nested more than `most` deep."""
    level = [value]
    for _ in range(most + 1):
        level = [
            item
            for outer in level
            for item in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def answer(value: Any) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(value), media_type="application/json")


def event(value: Any, name: str | None = None) -> bytes:
    """One server-sent event."""
    head = b"" if name is None else f"event: {name}\n".encode()
    return head + b"data: " + orjson.dumps(value) + b"\n\n"


DONE = b"data: [DONE]\n\n"
"""The last event of OpenAI's streams."""


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """Do something, and stop doing it when the client leaves.

    Raises:
        Gone: It has left.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Gone
    finally:
        for pending in (task, watch):
            pending.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def streamed(request: Request, events: AsyncGenerator[bytes, None]) -> Response:
    """A stream of events. What goes wrong before the first one is an ordinary error answer.

    Args:
        request: What is answered.
        events: Encoded events.

    Raises:
        ApiError: The first event could not be made.
        Gone: The client left before it.
    """
    try:
        first = await unless_gone(request.receive, anext(events))
    except BaseException:
        await events.aclose()
        raise
    return EventStream(first, events, visit_of(request))


class EventStream(Response):
    """Sends events as they come. An error in the middle is the last event; a client that leaves ends it.

    Args:
        first: The first event.
        events: The others.
        visit: Where it is noted that the client left.
    """

    media_type = "text/event-stream"

    def __init__(self, first: bytes, events: AsyncGenerator[bytes, None], visit: Visit) -> None:
        super().__init__(media_type=self.media_type, headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._first = first
        self._events = events
        self._visit = visit
        self._idle = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all."""
        try:
            await unless_gone(receive, self._send(scope, send))
        except Gone:
            self._visit.gone = True
        finally:
            await self._events.aclose()

    async def _send(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        pings = asyncio.create_task(self._ping(send))
        try:
            async for piece in self._events:
                self._idle = False
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except ApiError as error:
            await self._fail(scope, send, error)
        except Exception:
            # A mistake of ours: its traceback goes to the log, and the client hears that there was one.
            await self._fail(scope, send, ApiError(500, "the server has made a mistake"))
            raise
        finally:
            pings.cancel()
            await asyncio.gather(pings, return_exceptions=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _fail(self, scope: Scope, send: Send, error: ApiError) -> None:
        anthropic = is_anthropic(scope["path"])
        last = event(body_of(error, anthropic=anthropic), "error" if anthropic else None)
        await send({"type": "http.response.body", "body": last, "more_body": True})

    async def _ping(self, send: Send) -> None:
        while True:
            self._idle = True
            await asyncio.sleep(PING_SECONDS)
            if self._idle:
                await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})


def json_text(value: Any) -> str:
    """A value as JSON text, as OpenAI's API has the arguments of calls."""
    return json.dumps(value, ensure_ascii=False)
