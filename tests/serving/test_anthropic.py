"""Anthropic's messages, through the official client."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import pytest

from swift.chat.tools.base import tool_formats
from swift.serving.anthropic import wire
from swift.types import ToolCall
from tests.serving.support import Running

TOOLS: list[Any] = [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}]
CALL = tool_formats.get("hermes").calls([ToolCall("look", {"word": "sky"})])


def client_of(running: Running) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=running.url, api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def client(server: Running) -> anthropic.Anthropic:
    return client_of(server)


def ask(client: anthropic.Anthropic, text: Any, **options: Any) -> Any:
    options.setdefault("max_tokens", 500)
    return client.messages.create(model="tiny", messages=[{"role": "user", "content": text}], **options)


def test_a_question_is_answered(client: anthropic.Anthropic) -> None:
    done = ask(client, "Hello there", system="Be brief.")
    assert [(block.type, block.text) for block in done.content] == [("text", "Hello there")]
    assert (done.stop_reason, done.stop_sequence) == ("end_turn", None)
    assert done.usage.input_tokens > done.usage.output_tokens > 3


def test_answers_have_the_documented_form(server: Running) -> None:
    body = {"model": "tiny", "max_tokens": 500, "messages": [{"role": "user", "content": f"a\n{CALL}"}], "tools": TOOLS}
    wire.MessageAnswer.model_validate(httpx.post(f"{server.url}/v1/messages", json=body).json())


def test_a_stream_joins_to_the_answer(client: anthropic.Anthropic) -> None:
    said = f"I look.\n{CALL}\n{CALL}\nDone."
    whole = ask(client, said, tools=TOOLS)
    with client.messages.stream(
        model="tiny", max_tokens=500, tools=TOOLS, messages=[{"role": "user", "content": said}]
    ) as stream:
        events = list(stream)
        kinds = [event.type for event in events]
        final = stream.get_final_message()
    shape = [(block.type, getattr(block, "text", None), getattr(block, "input", None)) for block in final.content]
    assert shape == [(b.type, getattr(b, "text", None), getattr(b, "input", None)) for b in whole.content]
    assert shape == [
        ("text", "I look.", None),
        ("tool_use", None, {"word": "sky"}),
        ("tool_use", None, {"word": "sky"}),
        ("text", "Done.", None),
    ]
    pieces = [event.partial_json for event in events if event.type == "input_json"]
    assert len(pieces) > 4
    assert "".join(pieces) == '{"word": "sky"}' * 2
    assert final.stop_reason == whole.stop_reason == "tool_use"
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


def test_what_turns_out_to_be_no_call_is_told_as_words_too(client: anthropic.Anthropic) -> None:
    said = "I look.\n" + CALL[: CALL.index("</tool_call>") - 4]
    whole = ask(client, said, tools=TOOLS)
    body: dict[str, Any] = {"model": "tiny", "max_tokens": 500, "tools": TOOLS}
    events = list(client.messages.create(messages=[{"role": "user", "content": said}], stream=True, **body))
    words = [event.delta.text for event in events if getattr(getattr(event, "delta", None), "type", "") == "text_delta"]
    (text,) = whole.content
    assert "".join(words) == text.text
    begun = [event.content_block.type for event in events if event.type == "content_block_start"]
    assert begun == ["text", "tool_use", "text"]
    assert sum(event.type == "content_block_stop" for event in events) == 3
    ends = [event.delta.stop_reason for event in events if event.type == "message_delta"]
    assert ends == [whole.stop_reason] == ["end_turn"]


def test_thinking(thinker: Running) -> None:
    client = client_of(thinker)
    done = ask(client, "hm hm</think>Yes.")
    assert [(block.type, getattr(block, "thinking", None)) for block in done.content] == [
        ("thinking", "hm hm"),
        ("text", None),
    ]
    with client.messages.stream(
        model="tiny", max_tokens=500, messages=[{"role": "user", "content": "hm hm</think>Yes."}]
    ) as stream:
        assert [block.type for block in stream.get_final_message().content] == ["thinking", "text"]
    off = ask(client, "No.", thinking={"type": "disabled"})
    assert [(block.type, block.text) for block in off.content] == [("text", "No.")]


def test_results_are_turns_of_their_own(client: anthropic.Anthropic) -> None:
    done = client.messages.create(
        model="tiny",
        max_tokens=900,
        tools=TOOLS,
        messages=[
            {"role": "user", "content": "look"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "look", "input": {"word": "x"}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "blue"}]},
                    {"type": "text", "text": "[prompt]"},
                ],
            },
        ],
    )
    text = done.content[0].text
    assert text.index('"look"') < text.index("blue") < text.index("[prompt]")


def test_tokens_are_counted_as_they_are_charged(client: anthropic.Anthropic) -> None:
    messages: list[Any] = [{"role": "user", "content": "How many?"}]
    counted = client.messages.count_tokens(model="tiny", messages=messages, tools=TOOLS, system="x")
    done = client.messages.create(model="tiny", messages=messages, tools=TOOLS, system="x", max_tokens=50)
    assert counted.input_tokens == done.usage.input_tokens


def test_why_an_answer_ended(client: anthropic.Anthropic) -> None:
    assert ask(client, "a b c d e f g", max_tokens=3).stop_reason == "max_tokens"
    stopped = ask(client, "before END after", stop_sequences=["nowhere", "END"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "look"}])
def test_a_required_call_is_a_grammar(client: anthropic.Anthropic, choice: Any) -> None:
    assert "kind='grammar'" in ask(client, "[sampling]", tools=TOOLS, tool_choice=choice).content[0].text


def test_errors_have_anthropics_form(client: anthropic.Anthropic, server: Running) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(model="x", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    assert unknown.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    with pytest.raises(anthropic.BadRequestError):
        ask(client, "[refuse]")
    for body in ({}, {"model": "tiny"}, [], {"model": "tiny", "max_tokens": 0, "messages": []}):
        response = httpx.post(f"{server.url}/v1/messages", json=body)
        assert response.status_code == 400
        wire.ErrorBody.model_validate(response.json())
