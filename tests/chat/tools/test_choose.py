"""Which format is meant: by name, by what the template is proved to write, or by family."""

from __future__ import annotations

import pytest

from swift.chat.codec import make_codec
from swift.chat.parse import parse_answer
from swift.chat.tools.choose import template_format
from swift.config.chat import ChatConfig
from swift.errors import UnknownNameError
from swift.types import Known, ToolCall
from tests.chat.support import CHATML, TOOLS, codec_for, tokenizer_for

CALLS = CHATML.replace(
    "message.content +",
    "message.content }}{% for c in message.tool_calls or [] %}{{ '<tool_call>\n' + c.function | tojson + "
    "'\n</tool_call>' }}{% endfor %}{{",
)
NATIVE = "{{ tools | tojson if tools else '' }}" + CALLS


def test_a_template_without_tools_gets_a_format_and_says_so() -> None:
    codec = codec_for(CHATML)
    assert codec.writes_tools == "hermes"
    assert any("hermes: the template has no place for them" in note for note in codec.notes)


def test_the_family_decides_before_the_default() -> None:
    tokenizer = tokenizer_for(CHATML, ("<|im_end|>",))
    assert make_codec(tokenizer, ChatConfig(), known=Known(tools="glm4_5")).writes_tools == "glm4_5"
    assert make_codec(tokenizer, ChatConfig(), known=Known(tools="kimi_k3")).writes_tools == "hermes"


def test_a_template_that_writes_tools_is_left_to_it() -> None:
    codec = codec_for(NATIVE)
    assert codec.writes_tools == ""
    assert codec.notes == ()
    assert template_format(codec.template) == "hermes"


def test_a_template_that_only_writes_calls_gets_tools_in_the_same_format() -> None:
    assert codec_for(CALLS.replace("tool_call>", "tool_calls>")).writes_tools == "minimax_m1"


def test_a_named_format_wins_over_the_template() -> None:
    codec = codec_for(NATIVE, tool_format="react_en")
    assert codec.writes_tools == "react_en"
    assert codec.notes == ("tools, where rows have any, are written as text in the format react_en",)


def test_the_template_alone() -> None:
    assert codec_for(CHATML, tool_format="template").writes_tools == ""


def test_an_unknown_format_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown tool format 'hermez'") as caught:
        codec_for(CHATML, tool_format="hermez")
    assert "hermes" in caught.value.hint


def test_formats_decide_which_tokens_a_row_becomes() -> None:
    prints = {codec_for(CHATML, tool_format=name).fingerprint for name in ("auto", "hermes", "glm4", "template")}
    assert len(prints) == 4


def test_answers_are_read_in_the_format_that_the_template_writes() -> None:
    message = parse_answer(
        'I look.\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>', codec_for(NATIVE)
    )
    assert message.content == "I look."
    assert message.tool_calls == (ToolCall("f", {"a": 1}),)


def test_answers_are_read_in_the_named_format() -> None:
    codec = codec_for(CHATML, tool_format="qwen3_coder")
    text = "<tool_call>\n<function=get_weather>\n<parameter=city>\n5\n</parameter>\n</function>\n</tool_call>"
    assert parse_answer(text, codec, TOOLS).tool_calls == (ToolCall("get_weather", {"city": "5"}),)
    assert parse_answer(text, codec).tool_calls == (ToolCall("get_weather", {"city": 5}),)
    assert parse_answer(text[:-5], codec).content == text[:-5]
