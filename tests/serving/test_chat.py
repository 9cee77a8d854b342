"""Chat completions, through the official client."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import openai
import pytest

from swift.chat.tools.base import tool_formats
from swift.serving.chat import wire
from swift.types import ToolCall
from tests.serving.support import Running, chat

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": "look", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}},
    }
]
CALL = tool_formats.get("hermes").calls([ToolCall("look", {"word": "sky"})])


@pytest.fixture(scope="module")
def client(server: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def ask(client: openai.OpenAI, text: str, **options: Any) -> Any:
    return client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": text}], **options)


def test_a_question_is_answered(client: openai.OpenAI) -> None:
    done = ask(client, "Hello there")
    choice = done.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Hello there", "stop")
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens > 10


def test_answers_have_the_documented_form(server: Running) -> None:
    with server.client() as http:
        for text, options in (("a", {}), (CALL, {"tools": TOOLS}), ("b", {"logprobs": True, "top_logprobs": 2})):
            response = http.post("/v1/chat/completions", json=chat(text, **options))
            wire.ChatCompletion.model_validate(response.json())
            assert len(response.headers["x-request-id"]) == 32


def test_a_stream_joins_to_the_answer(client: openai.OpenAI) -> None:
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(ask(client, "One é two 中文 three", **options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "One é two 中文 three"
    assert len(chunks) > 5
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens > 5
    for chunk in chunks:
        wire.ChatChunk.model_validate(chunk.model_dump(exclude_unset=True))


def test_a_call_is_told_apart_from_words(client: openai.OpenAI) -> None:
    done = ask(client, f"I look.\n{CALL}", tools=TOOLS)
    message = done.choices[0].message
    assert (message.content, done.choices[0].finish_reason) == ("I look.", "tool_calls")
    assert message.tool_calls[0].function.name == "look"
    assert message.tool_calls[0].function.arguments == '{"word": "sky"}'


def test_calls_come_one_by_one_in_a_stream(client: openai.OpenAI) -> None:
    chunks = list(ask(client, f"I look.\n{CALL}\n{CALL}", tools=TOOLS, stream=True))
    words = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    pieces = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    begun = [call for call in pieces if call.id]
    assert words == "I look."
    assert [(call.index, call.function.name) for call in begun] == [(0, "look"), (1, "look")]
    assert [(call.type, call.function.arguments) for call in begun] == [("function", "")] * 2
    assert len({call.id for call in begun}) == 2
    for place in (0, 1):
        more = [call.function for call in pieces if call.index == place][1:]
        assert len(more) > 2
        assert {function.name for function in more} == {None}
        assert "".join(function.arguments for function in more) == '{"word": "sky"}'
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    for chunk in chunks:
        wire.ChatChunk.model_validate(chunk.model_dump(exclude_unset=True))


def test_the_clients_own_reading_of_a_stream_is_the_answer(client: openai.OpenAI) -> None:
    said = f"I look.\n{CALL}\n{CALL}"
    with client.chat.completions.stream(
        model="tiny", messages=[{"role": "user", "content": said}], tools=TOOLS
    ) as stream:
        kinds = Counter(event.type for event in stream)
        final = stream.get_final_completion().choices[0]
    whole = ask(client, said, tools=TOOLS).choices[0]
    assert kinds["tool_calls.function.arguments.delta"] > 4
    assert kinds["tool_calls.function.arguments.done"] == 2
    assert (final.message.content, final.finish_reason) == (whole.message.content, whole.finish_reason)
    assert [(call.function.name, json.loads(call.function.arguments)) for call in final.message.tool_calls] == [
        (call.function.name, json.loads(call.function.arguments)) for call in whole.message.tool_calls
    ]


def test_what_turns_out_to_be_no_call_is_told_as_words_too(client: openai.OpenAI) -> None:
    said = "I look.\n" + CALL[: CALL.index("</tool_call>") - 4]
    whole = ask(client, said, tools=TOOLS).choices[0]
    chunks = list(ask(client, said, tools=TOOLS, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.message.content
    assert "tool_call" in whole.message.content
    assert chunks[-1].choices[0].finish_reason == whole.finish_reason == "stop"


@pytest.mark.parametrize("options", [{}, {"tools": TOOLS, "tool_choice": "none"}])
def test_without_tools_a_call_is_text(client: openai.OpenAI, options: dict[str, Any]) -> None:
    assert ask(client, CALL, **options).choices[0].message.content == CALL


def test_thinking_is_told_apart(thinker: Running) -> None:
    client = openai.OpenAI(base_url=f"{thinker.url}/v1", api_key="none")
    done = ask(client, "hm hm</think>Yes.")
    assert (done.choices[0].message.reasoning_content, done.choices[0].message.content) == ("hm hm", "Yes.")
    chunks = list(ask(client, "hm hm</think>Yes.", stream=True))
    assert "".join(getattr(chunk.choices[0].delta, "reasoning_content", None) or "" for chunk in chunks) == "hm hm"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Yes."
    off = ask(client, "No.", extra_body={"chat_template_kwargs": {"enable_thinking": False}})
    assert off.choices[0].message.content == "No."


def test_several_answers(client: openai.OpenAI) -> None:
    done = ask(client, "[sampling]", n=3, seed=5)
    assert [choice.index for choice in done.choices] == [0, 1, 2]
    assert all(f"seed={5 + choice.index}" in choice.message.content for choice in done.choices)
    streamed: dict[int, str] = {}
    for chunk in ask(client, "same for all", n=3, stream=True):
        choice = chunk.choices[0]
        streamed[choice.index] = streamed.get(choice.index, "") + (choice.delta.content or "")
    assert streamed == dict.fromkeys(range(3), "same for all")


def test_every_option_reaches_the_engine(client: openai.OpenAI) -> None:
    options = {"top_k": 7, "min_p": 0.25, "repetition_penalty": 1.5, "min_tokens": 3, "ignore_eos": True}
    text = (
        ask(
            client,
            "[sampling]",
            temperature=0.5,
            top_p=0.75,
            seed=11,
            presence_penalty=0.5,
            frequency_penalty=-0.5,
            logit_bias={"5": -100},
            max_completion_tokens=900,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "integer"}}},
            extra_body={**options, "stop_token_ids": [9]},
        )
        .choices[0]
        .message.content
    )
    for said in (
        "max_new_tokens=900",
        "temperature=0.5",
        "top_p=0.75",
        "top_k=7",
        "min_p=0.25",
        "repetition_penalty=1.5",
        "seed=11",
        "min_new_tokens=3",
        "ignore_eos=True",
        "presence_penalty=0.5",
        "frequency_penalty=-0.5",
        "logit_bias=((5, -100.0),)",
        "stop_ids=(9,)",
        """guide=Guide(kind='json', text='{"type":"integer"}')""",
    ):
        assert said in text


def test_what_is_not_said_is_as_openai_has_it(client: openai.OpenAI) -> None:
    text = ask(client, "[sampling]").choices[0].message.content
    assert "temperature=1.0" in text
    assert "seed=None" in text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "look"}}])
def test_a_required_call_is_a_grammar(client: openai.OpenAI, choice: Any) -> None:
    text = ask(client, "[sampling]", tools=TOOLS, tool_choice=choice).choices[0].message.content
    assert "kind='grammar'" in text
    assert "%json" in text


def test_log_probabilities(client: openai.OpenAI) -> None:
    done = ask(client, "ab cd", logprobs=True, top_logprobs=2)
    tokens = done.choices[0].logprobs.content
    assert "".join(token.token for token in tokens) == "ab cd"
    assert bytes(b for token in tokens for b in token.bytes) == b"ab cd"
    assert all(len(token.top_logprobs) == 2 for token in tokens)
    chunks = ask(client, "ab cd", logprobs=True, top_logprobs=2, stream=True)
    streamed = [token for chunk in chunks if chunk.choices[0].logprobs for token in chunk.choices[0].logprobs.content]
    assert [token.token for token in streamed] == [token.token for token in tokens]


def test_the_length_limit_and_stop_texts(client: openai.OpenAI) -> None:
    assert ask(client, "a b c d e f g", max_tokens=3).choices[0].finish_reason == "length"
    stopped = ask(client, "before END after", stop="END").choices[0]
    assert (stopped.message.content, stopped.finish_reason) == ("before", "stop")


def test_adapters_are_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "pirate"]
    assert client.models.retrieve("pirate").id == "pirate"
    by_name = client.chat.completions.create(model="pirate", messages=[{"role": "user", "content": "[adapter]"}])
    assert by_name.choices[0].message.content == "pirate"
    assert ask(client, "[adapter]").choices[0].message.content == "base"


def test_the_whole_conversation_is_rendered(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="tiny",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "One, "}, {"type": "text", "text": "two."}]},
            {"role": "assistant", "content": "Three."},
            {"role": "user", "content": "[prompt]"},
        ],
    )
    assert done.choices[0].message.content == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOne, two.<|im_end|>\n"
        "<|im_start|>assistant\nThree.<|im_end|>\n<|im_start|>user\n[prompt]<|im_end|>\n<|im_start|>assistant"
    )


def test_errors_are_the_clients_own(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as long:
        ask(client, "[refuse]")
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "x"}])
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.InternalServerError) as broken:
        ask(client, "[break]")
    assert broken.value.status_code == 503
    assert "secret" not in str(broken.value)
    with pytest.raises(openai.BadRequestError, match="temprature"):
        ask(client, "x", extra_body={"temprature": 0})
