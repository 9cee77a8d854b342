"""The same chat in the three dialects is the same conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.chat.parse import AnswerReader
from swift.chat.template import Dialect
from swift.config.media import MediaConfig
from swift.config.serve import ServedSampling, ServeLimits
from swift.serving import chats
from swift.serving.anthropic import convert as anthropic_convert
from swift.serving.anthropic import wire as anthropic_wire
from swift.serving.chat import convert as chat_convert
from swift.serving.chat import wire as chat_wire
from swift.serving.choosing import Rules
from swift.serving.errors import ApiError
from swift.serving.link.wire import Ready
from swift.serving.responses import convert as responses_convert
from swift.serving.responses import wire as responses_wire
from swift.types import Message, Placed, ToolCall

RULES = Rules(ServeLimits(), ServedSampling(), 1000)
READY = Ready("x", (), 1000, AnswerReader(Dialect(), "hermes"), template=True, thinks=False)
PIXEL = "data:image/png;base64,AAAA"

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
part = words | st.just(None)
values = st.dictionaries(st.text("ab", min_size=1, max_size=2), words | st.integers(0, 9) | st.booleans(), max_size=2)
User = list[str | None]
turn = st.tuples(st.just("user"), st.lists(part, min_size=1, max_size=3)) | st.tuples(
    st.just("assistant"), st.tuples(words, st.none() | words, st.lists(values, max_size=2))
)


def as_message(kind: str, content: Any, number: int) -> list[Message]:
    """What a turn should become; calls are answered at once."""
    if kind == "user":
        text, media = "", []
        for item in content:
            if item is None:
                media.append(len(text))
            else:
                text += item
        shown = tuple(Placed(at, PICTURE) for at in media)
        return [Message("user", text, media=shown)]
    text, thought, calls = content
    made = tuple(ToolCall("look", call, f"call-{number}-{place}") for place, call in enumerate(calls))
    results = [Message("tool", "seen", name="look", tool_call_id=call.id) for call in made]
    return [Message("assistant", text, reasoning=thought, tool_calls=made), *results]


def openai_form(kind: str, content: Any, number: int) -> list[dict[str, Any]]:
    if kind == "user":
        image = {"type": "image_url", "image_url": {"url": PIXEL}}
        return [{"role": "user", "content": [image if p is None else {"type": "text", "text": p} for p in content]}]
    text, thought, calls = content
    turn: dict[str, Any] = {"role": "assistant", "content": text, "reasoning_content": thought}
    if calls:
        turn["tool_calls"] = [
            {
                "id": f"call-{number}-{place}",
                "type": "function",
                "function": {"name": "look", "arguments": json.dumps(call)},
            }
            for place, call in enumerate(calls)
        ]
    results = [
        {"role": "tool", "tool_call_id": f"call-{number}-{place}", "content": "seen"} for place in range(len(calls))
    ]
    return [turn, *results]


def anthropic_form(kind: str, content: Any, number: int) -> list[dict[str, Any]]:
    if kind == "user":
        source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
        image = {"type": "image", "source": source}
        return [{"role": "user", "content": [image if p is None else {"type": "text", "text": p} for p in content]}]
    text, thought, calls = content
    blocks: list[dict[str, Any]] = [] if thought is None else [{"type": "thinking", "thinking": thought}]
    blocks.append({"type": "text", "text": text})
    blocks += [
        {"type": "tool_use", "id": f"call-{number}-{place}", "name": "look", "input": call}
        for place, call in enumerate(calls)
    ]
    results = [
        {"type": "tool_result", "tool_use_id": f"call-{number}-{place}", "content": "seen"}
        for place in range(len(calls))
    ]
    return [{"role": "assistant", "content": blocks}, *([{"role": "user", "content": results}] if results else [])]


def responses_form(kind: str, content: Any, number: int) -> list[dict[str, Any]]:
    if kind == "user":
        image = {"type": "input_image", "image_url": PIXEL}
        parts = [image if p is None else {"type": "input_text", "text": p} for p in content]
        return [{"role": "user", "content": parts}]
    text, thought, calls = content
    items: list[dict[str, Any]] = []
    if thought is not None:
        items.append({"type": "reasoning", "content": [{"type": "reasoning_text", "text": thought}]})
    items.append({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
    items += [
        {
            "type": "function_call",
            "call_id": f"call-{number}-{place}",
            "name": "look",
            "arguments": json.dumps(call),
        }
        for place, call in enumerate(calls)
    ]
    items += [
        {"type": "function_call_output", "call_id": f"call-{number}-{place}", "output": "seen"}
        for place in range(len(calls))
    ]
    return items


PICTURE = chats.medium("image", PIXEL, MediaConfig())


@given(st.lists(turn, max_size=4), st.none() | words)
def test_three_dialects_say_the_same(turns: list[tuple[str, Any]], system: str | None) -> None:
    # Turns of the assistant that follow each other are one turn in OpenAI's responses.
    alternating = [one for place, one in enumerate(turns) if place == 0 or "user" in (one[0], turns[place - 1][0])]
    asked = [*alternating, ("user", ["last"])]
    expected = [message for number, one in enumerate(asked) for message in as_message(*one, number)]
    if system is not None:
        expected.insert(0, Message("system", system))
    media = MediaConfig()
    said = [message for number, one in enumerate(asked) for message in openai_form(*one, number)]
    head = [] if system is None else [{"role": "system", "content": system}]
    openai_body = chat_wire.ChatRequest.model_validate({"model": "x", "messages": [*head, *said]})
    one = chat_convert.asked(openai_body, "base", RULES, media, READY).request.prompt
    assert list(one.messages) == expected  # type: ignore[union-attr]

    said = [message for number, one in enumerate(asked) for message in anthropic_form(*one, number)]
    body = {"model": "x", "max_tokens": 5, "messages": said, **({} if system is None else {"system": system})}
    anthropic_body = anthropic_wire.MessageRequest.model_validate(body)
    two = anthropic_convert.asked(anthropic_body, "base", RULES, media, READY).request.prompt
    assert list(two.messages) == expected  # type: ignore[union-attr]

    said = [message for number, one in enumerate(asked) for message in responses_form(*one, number)]
    responses_body = responses_wire.ResponseRequest.model_validate(
        {"model": "x", "input": said, "instructions": system}
    )
    three = responses_convert.asked(responses_body, "base", RULES, media, READY).request.prompt
    assert list(three.messages) == expected  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("url", "config", "told"),
    [
        ("https://example.org/x.png", MediaConfig(), "fetches nothing"),
        ("x.png", MediaConfig(), "reads no files"),
        ("file:///x.png", MediaConfig(hosts=("*",)), "reads no files"),
        ("https://example.org/x.png", MediaConfig(root="/tmp"), "fetches nothing"),
        ("blob:x", MediaConfig(root="/", hosts=("*",)), "neither a data: URI"),
    ],
)
def test_media_need_leave(url: str, config: MediaConfig, told: str) -> None:
    with pytest.raises(ApiError, match=told):
        chats.medium("image", url, config)
    assert chats.medium("image", PIXEL, config) == PICTURE
