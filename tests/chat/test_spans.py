from __future__ import annotations

import pytest

from swift.chat import reasons
from swift.chat.continuation import continuation, realigned
from swift.chat.encode import trained_turns
from swift.chat.messages import prepare
from swift.chat.said import appears, count_stops, nth_stop, require_said, said_pieces
from swift.chat.spans import Turn, chains
from swift.config.chat import ChatConfig
from swift.errors import RowError
from swift.types import Message, ToolCall
from tests.chat.support import CHATML, CONVERSATIONS, chat, codec_for

NEXT_TURN_STOPS = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def test_continuation_of_a_prefix() -> None:
    assert continuation("ab", "abcd", None) == "cd"


def test_continuation_behind_white_space_that_the_turn_lacks() -> None:
    assert continuation("Bot: \n", "Bot: answer", None) == "answer"


def test_continuation_inside_opened_thinking_that_the_template_drops() -> None:
    assert continuation("Q<bot><think>\n", "Q<bot>A", "why") == "why\n</think>\n\nA"
    assert continuation("Q<bot><think>\n", "Q<bot>A", None) == "\n</think>\n\nA"


def test_continuation_of_anything_else_is_refused() -> None:
    assert continuation("Q: x\nBot:", "Q: y\nBot: A", None) is None


def test_a_turn_whose_history_it_rewrites_is_found_by_what_stands_before_it() -> None:
    prompt = "[think][call][result:sunny]<bot>"
    assert realigned(prompt, "[call][result:sunny]<bot>Sun.<bot>x", "<bot>", "sunny") == "Sun.<bot>x"
    assert realigned(prompt, "[call][result:rain]<bot>Sun.", "<bot>", "sunny") is None
    assert realigned("abc", "xbc", "", "c") is None


def test_a_turn_that_the_next_one_ends() -> None:
    codec = codec_for(NEXT_TURN_STOPS, ("<|end|>", "<|user|>"))
    sample = prepare(CONVERSATIONS["multi_turn"], codec, ChatConfig())
    turns = trained_turns(sample, codec, ChatConfig())
    assert [turn.span for turn in turns] == [
        "Hello! How can I help?<|user|>",
        "1, 2, 3<|user|>",
        "You are welcome.<|user|>",
    ]
    assert len(chains(turns)) == 1


def test_stops_are_counted_past_those_that_were_said() -> None:
    assert count_stops("a</s>b</s>", ["</s>"]) == 2
    assert nth_stop("a</s>b</s>", ["</s>", "<e>"], 0) == 5
    assert nth_stop("a</s>b<e>", ["</s>", "<e>"], 1) == 9
    assert nth_stop("a</s>", ["</s>"], 1) is None


def test_what_was_said() -> None:
    message = Message("assistant", " text ", "why", (ToolCall("f", {"k": ["v", 1]}),))
    assert said_pieces(message) == ["why", "text", "f", "k", "v"]
    require_said('why text f {"k": ["v"]}', message, 0)
    for span, reason in (
        ("why f k v", reasons.ANSWER_LOST),
        ("text f k v", reasons.REASONING_LOST),
        ("why text f k", reasons.TOOL_CALL_LOST),
    ):
        with pytest.raises(RowError) as caught:
            require_said(span, message, 0)
        assert caught.value.reason == reason


def test_texts_written_inside_json_count_as_shown() -> None:
    assert appears('say "hi"\n', '{"x": "say \\"hi\\"\\n"}')
    assert appears("é", '"\\u00e9"')
    assert not appears("absent", "text")


def test_chains_branch_where_history_is_rewritten() -> None:
    one, two = Turn(1, "A", "x", 1.0), Turn(3, "Axb", "y", 1.0)
    other = Turn(5, "A-b", "z", 1.0)
    assert chains([one, two, other]) == [[one, two], [other]]


def test_a_refusal_is_in_the_templates_own_words() -> None:
    codec = codec_for("{% if messages | length > 3 %}{{ raise_exception('too many turns') }}{% endif %}" + CHATML)
    sample = chat(*[("user", "a"), ("assistant", "b")] * 3)
    with pytest.raises(RowError, match="too many turns") as caught:
        trained_turns(prepare(sample, codec, ChatConfig()), codec, ChatConfig())
    assert caught.value.reason == reasons.TEMPLATE_REFUSED
