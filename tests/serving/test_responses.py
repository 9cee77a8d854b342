"""OpenAI's responses, through the official client."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from swift.chat.tools.base import tool_formats
from swift.serving.responses import wire
from swift.types import ToolCall
from tests.serving.support import Running

TOOLS: list[Any] = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]
CALL = tool_formats.get("hermes").calls([ToolCall("look", {"word": "sky"})])


@pytest.fixture(scope="module")
def client(server: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def ask(client: openai.OpenAI, given: Any, **options: Any) -> Any:
    return client.responses.create(model="tiny", input=given, **options)


def test_a_question_is_answered(client: openai.OpenAI) -> None:
    done = ask(client, "Hello there", instructions="Be brief.")
    assert (done.output_text, done.status) == ("Hello there", "completed")
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens


def test_answers_have_the_documented_form(server: Running) -> None:
    body = {"model": "tiny", "input": f"a\n{CALL}", "tools": TOOLS}
    wire.ResponseAnswer.model_validate(httpx.post(f"{server.url}/v1/responses", json=body).json())


def test_a_stream_joins_to_the_answer(client: openai.OpenAI) -> None:
    said = f"I look.\n{CALL}"
    events = list(ask(client, said, tools=TOOLS, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    words = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert (words, "".join(pieces)) == ("I look.", '{"word": "sky"}')
    assert len(pieces) > 2
    (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert (done.name, done.arguments) == ("look", '{"word": "sky"}')
    final = events[-1].response
    assert events[-1].type == "response.completed"
    assert [item.type for item in final.output] == ["message", "function_call"]
    assert final.output_text == ask(client, said, tools=TOOLS).output_text == "I look."
    with client.responses.stream(model="tiny", input=said, tools=TOOLS) as stream:
        read = stream.get_final_response()
    assert [(item.type, getattr(item, "arguments", None)) for item in read.output] == [
        ("message", None),
        ("function_call", '{"word": "sky"}'),
    ]


def test_what_turns_out_to_be_no_call_is_told_as_words_too(client: openai.OpenAI) -> None:
    said = CALL[: CALL.index("</tool_call>") - 4]
    events = list(ask(client, said, tools=TOOLS, stream=True))
    words = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert words == ask(client, said, tools=TOOLS).output_text
    assert "response.function_call_arguments.done" not in {event.type for event in events}
    assert [(item.type, item.status) for item in events[-1].response.output] == [
        ("function_call", "incomplete"),
        ("message", "completed"),
    ]


def test_thinking(thinker: Running) -> None:
    client = openai.OpenAI(base_url=f"{thinker.url}/v1", api_key="none")
    done = ask(client, "hm hm</think>Yes.")
    assert [item.type for item in done.output] == ["reasoning", "message"]
    assert done.output[0].content[0].text == "hm hm"
    events = list(ask(client, "hm hm</think>Yes.", stream=True))
    assert "".join(event.delta for event in events if event.type == "response.reasoning_text.delta") == "hm hm"


def test_items_are_turns(client: openai.OpenAI) -> None:
    done = ask(
        client,
        [
            {"role": "user", "content": "look"},
            {"type": "function_call", "call_id": "a", "name": "look", "arguments": '{"word": "x"}'},
            {"type": "function_call_output", "call_id": "a", "output": "blue"},
            {"role": "user", "content": [{"type": "input_text", "text": "[prompt]"}]},
        ],
        tools=TOOLS,
    )
    assert done.output_text.index('"look"') < done.output_text.index("blue") < done.output_text.index("[prompt]")


def test_a_format_is_a_guide(client: openai.OpenAI) -> None:
    form: Any = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "integer"}}}
    assert "Guide(kind='json'" in ask(client, "[sampling]", text=form).output_text


def test_the_length_limit(client: openai.OpenAI) -> None:
    done = ask(client, "a b c d e f", max_output_tokens=2)
    assert (done.status, done.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_what_would_have_to_be_kept_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        ask(client, "x", previous_response_id="resp_1")
