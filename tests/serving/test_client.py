"""Our own client against a real server."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

import swift
from swift.errors import ServerError
from swift.types import ToolCall
from tests.serving.support import Running, serving
from tests.serving.test_chat import CALL, TOOLS


def turns(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def test_it_asks_and_streams(server: Running) -> None:
    with swift.InferClient(server.url) as client:
        assert client.models() == ["tiny", "pirate"]
        answer = client.chat(turns(f"I look.\n{CALL}"), tools=TOOLS)
        assert (answer.content, answer.finish) == ("I look.", "tool_calls")
        assert [(call.name, call.arguments) for call in answer.tool_calls] == [("look", {"word": "sky"})]
        assert isinstance(answer.tool_calls[0], ToolCall)
        assert "".join(client.stream(turns("one two three"))) == "one two three"


def test_it_asks_without_blocking(server: Running) -> None:
    async def ask() -> tuple[list[str], str]:
        async with swift.AsyncInferClient(f"{server.url}/v1") as client:
            answers = await asyncio.gather(*(client.chat(turns(f"number {n}")) for n in range(20)))
            return [answer.content for answer in answers], "".join([p async for p in client.stream(turns("a b"))])

    answers, streamed = asyncio.run(ask())
    assert answers == [f"number {n}" for n in range(20)]
    assert streamed == "a b"


def test_errors_are_told(server: Running) -> None:
    with swift.InferClient(server.url, retries=0) as client:
        with pytest.raises(ServerError, match="the model takes 8") as refused:
            client.chat(turns("[refuse]"))
        assert refused.value.status == 400
        with pytest.raises(ServerError, match="at most 16"):
            list(client.stream(turns("x"), n=17))
    with swift.InferClient("http://127.0.0.1:9", retries=1) as nobody, pytest.raises(ServerError, match="reached"):
        nobody.models()


def test_it_tries_again_while_the_server_is_busy() -> None:
    with serving({"limits": {"max_running": 1, "max_waiting": 0}}) as running:
        with swift.InferClient(running.url) as first, swift.InferClient(running.url) as second:
            busy = threading.Thread(target=lambda: first.chat(turns("[pause 0.02]" + "word " * 15)))
            busy.start()
            time.sleep(0.3)
            assert second.chat(turns("and me")).content == "and me"
            busy.join()
        assert any(line["status"] == 429 for line in running.log())


def test_events_tell_all_that_a_stream_tells(server: Running, thinker: Running) -> None:
    with swift.InferClient(server.url) as client:
        events = list(client.events(turns(f"I look.\n{CALL}"), tools=TOOLS, stream_options={"include_usage": True}))
        assert "".join(event.content for event in events).strip() == "I look."
        calls = [call for event in events for call in event.calls]
        assert [call.name for call in calls if call.name] == ["look"]
        assert "".join(call.arguments for call in calls) == '{"word": "sky"}'
        assert [event.finish for event in events if event.finish] == ["tool_calls"]
        assert events[-1].usage is not None
    with swift.InferClient(thinker.url) as client:
        events = list(client.events(turns("I wonder.\n</think>\n\nSo.")))
        assert "".join(event.reasoning for event in events).strip() == "I wonder."


def test_what_is_no_such_server_is_told(server: Running) -> None:
    with (
        swift.InferClient(f"{server.url}/openapi.json", retries=0) as client,
        pytest.raises(ServerError, match="answers 404"),
    ):
        client.models()
