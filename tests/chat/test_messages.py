from __future__ import annotations

from swift.chat.messages import prepare, split_thinking
from swift.config.chat import ChatConfig
from swift.types import Message
from tests.chat.support import CHATML, chat, codec_for
from tests.chat.test_dialect import NO_SYSTEM, THINKS


def test_a_system_message_goes_into_the_first_question_where_there_is_no_system_role() -> None:
    codec = codec_for(NO_SYSTEM)
    sample = prepare(chat(("system", "Rules."), ("user", "Hi"), ("assistant", "Hello")), codec, ChatConfig())
    assert [message.content for message in sample.messages] == ["Rules.\n\nHi", "Hello"]
    assert codec.notes


def test_developer_is_system_where_the_template_does_not_know_it() -> None:
    sample = prepare(chat(("developer", "Rules."), ("user", "Hi")), codec_for(CHATML), ChatConfig())
    assert sample.messages[0].role == "system"


def test_thinking_in_the_text_becomes_a_field_where_the_template_has_one() -> None:
    sample = chat(("user", "?"), ("assistant", "<think>\nwhy\n</think>\n\nBecause"))
    assert prepare(sample, codec_for(THINKS), ChatConfig()).messages[1] == Message("assistant", "Because", "why")
    assert prepare(sample, codec_for(CHATML), ChatConfig()).messages[1] == sample.messages[1]


def test_empty_thinking_is_no_thinking() -> None:
    sample = chat(("user", "?"), Message("assistant", "Yes", reasoning="\n"))
    assert prepare(sample, codec_for(THINKS), ChatConfig()).messages[1].reasoning is None


def test_preparing_twice_changes_nothing() -> None:
    codec = codec_for(THINKS)
    once = prepare(chat(("user", "?"), Message("assistant", "Yes", reasoning="so")), codec, ChatConfig(system="S"))
    assert prepare(once, codec, ChatConfig(system="S")) == once


def test_split_thinking() -> None:
    assert split_thinking("<think>\na\n</think>\n\nb") == ("a", "b")
    assert split_thinking("b </think>") is None
