"""Conversations with tools, as text and as tokens."""

from __future__ import annotations

import pytest

from swift.chat import reasons
from swift.chat.encode import encode, prompt_text
from swift.chat.messages import prepare
from swift.chat.predicates import prove_rows
from swift.chat.tools.base import tool_formats
from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.data.columns import to_sample
from swift.errors import RowError
from swift.types import Message, Origin, Row, ToolCall
from tests.chat.support import CHATML, CONVERSATIONS, TOOLS, chat, codec_for
from tests.chat.test_encode import trained

OPTIONS = ChatConfig()
NO_TOOL_ROLE = (
    "{% for m in messages if m.role in ('system', 'user', 'assistant') %}{{ '<|im_start|>' + m.role + '\n' "
    "+ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "São Paulo"}}\n</tool_call>'


def test_what_is_trained_is_the_call_and_the_answers() -> None:
    codec = codec_for(CHATML)
    (tokens,) = encode(CONVERSATIONS["tools_text"], codec, OPTIONS).sequences
    assert trained(tokens, codec) == [f"Let me look.\n{CALL}<|im_end|>", "Sunny ☀️<|im_end|>"]
    text = codec.decode(tokens.ids.tolist())
    assert "<tools>\n" in text
    assert "<|im_start|>user\n<tool_response>\nsunny\n</tool_response><|im_end|>" in text


def test_inference_is_given_what_training_saw() -> None:
    codec = codec_for(CHATML)
    sample = CONVERSATIONS["tools"]
    (tokens,) = encode(sample, codec, OPTIONS).sequences
    text = codec.decode(tokens.ids.tolist())
    for count in (1, 3, 5):
        asked = chat(*sample.messages[:count], tools=TOOLS)
        assert text.startswith(prompt_text(asked, codec, OPTIONS))


@pytest.mark.parametrize("name", tool_formats.names())
@pytest.mark.parametrize("template", [CHATML, NO_TOOL_ROLE])
def test_every_format_passes_the_proofs_on_rows(name: str, template: str) -> None:
    codec = codec_for(template, tool_format=name)
    options = ChatConfig(tool_format=name)
    samples = [CONVERSATIONS[kind] for kind in ("tools", "tools_text")]
    broken = [verdict for verdict in prove_rows(samples, codec, options) if not verdict.ok]
    assert broken == []


def test_preparing_twice_changes_nothing() -> None:
    for name in ("hermes", "llama3", "toolbench"):
        codec = codec_for(CHATML, tool_format=name)
        once = prepare(CONVERSATIONS["tools"], codec, OPTIONS)
        assert prepare(once, codec, OPTIONS) == once
        assert once.tools == ()


def test_tools_follow_the_system_message_that_the_user_names() -> None:
    codec = codec_for(CHATML)
    prepared = prepare(CONVERSATIONS["tools"], codec, ChatConfig(system="Be brief."))
    assert prepared.messages[0].content.startswith("Be brief.\n\n# Tools\n")


def test_results_that_follow_each_other_are_one_turn() -> None:
    calls = (ToolCall("f", {}), ToolCall("g", {}))
    sample = chat(
        ("user", "go"),
        Message("assistant", "", tool_calls=calls),
        ("tool", "one"),
        ("tool", "two"),
        ("assistant", "ok"),
    )
    prepared = prepare(sample, codec_for(CHATML), OPTIONS)
    assert [message.role for message in prepared.messages] == ["user", "assistant", "user", "assistant"]
    told = prepared.messages[2].content
    assert told == "<tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response>"


def test_results_have_the_name_of_their_call() -> None:
    sample = chat(
        ("user", "go"),
        Message("assistant", "", tool_calls=(ToolCall("f", {}, id="1"), ToolCall("g", {}, id="2"))),
        Message("tool", "two", tool_call_id="2"),
        Message("tool", "one", tool_call_id="1"),
        ("assistant", "ok"),
    )
    told = prepare(sample, codec_for(CHATML, tool_format="kimi_k2"), OPTIONS).messages[2].content
    assert told == "## Return of functions.g:0\ntwo\n## Return of functions.f:1\none"


def test_a_call_that_the_format_cannot_write_fails_its_row() -> None:
    codec = codec_for(CHATML, tool_format="qwen3_coder")
    with pytest.raises(RowError) as caught:
        encode(chat(("user", "a"), Message("assistant", "", tool_calls=(ToolCall("f", [1]),))), codec, OPTIONS)
    assert caught.value.reason == reasons.TOOL_CALL_LOST
    assert "format qwen3_coder" in caught.value.detail


def test_without_tools_and_calls_nothing_is_touched() -> None:
    sample = chat(("user", "a"), ("assistant", "b"), ("tool", "raw"), ("assistant", "c"))
    assert prepare(sample, codec_for(CHATML), OPTIONS).messages == sample.messages


def test_rows_as_sharegpt_has_them() -> None:
    values = {
        "conversations": [
            {"from": "human", "value": "Weather?"},
            {"from": "function_call", "value": '{"name": "get_weather", "arguments": {"city": "São Paulo"}}'},
            {"from": "observation", "value": '{"sky": "clear"}'},
            {"from": "gpt", "value": "Clear."},
        ],
        "tools": '[{"name": "get_weather", "parameters": {"type": "object", "properties": {}}}]',
    }
    codec = codec_for(CHATML)
    sample = to_sample(Row(values, Origin("t", 1)), DataConfig(), "sft")
    (tokens,) = encode(sample, codec, OPTIONS).sequences
    assert trained(tokens, codec) == [f"{CALL}<|im_end|>", "Clear.<|im_end|>"]
    assert '{"sky": "clear"}' in codec.decode(tokens.ids.tolist())


def test_what_functions_gave_back_does_not_begin_an_exchange() -> None:
    earlier = (("user", "word " * 40), ("assistant", "yes"))
    sample = chat(*earlier, *CONVERSATIONS["tools"].messages[:4], tools=TOOLS)
    whole = len(encode(sample, codec_for(CHATML), OPTIONS).sequences[0])
    options = {"max_length": whole - 10, "truncation": "left"}
    codec = codec_for(CHATML, **options)
    row = encode(sample, codec, ChatConfig(**options))
    (tokens,) = row.sequences
    assert row.outcome == "truncated"
    assert trained(tokens, codec) == [f"{CALL}<|im_end|>", "It is 21 degrees.<|im_end|>"]
    assert "Weather in São Paulo?" in codec.decode(tokens.ids.tolist())
    assert "word word" not in codec.decode(tokens.ids.tolist())
