"""An answer that is read as it grows: however it is cut, the parts join to the same message."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.chat.growing import GrowingAnswer, Part
from swift.chat.parse import AnswerReader, reader_of
from swift.chat.template import Dialect
from swift.chat.tools.base import tool_formats
from swift.types import Message, ToolCall
from tests.chat.support import CHATML, codec_for
from tests.chat.test_dialect import DROPS_THINKING, THINKS
from tests.chat.test_parse import CHANNELS

TOOLS = ({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}},)
PLAIN = Dialect()
TAGS = Dialect(reasoning="field", think_open="<think>\n", think_close="\n</think>\n\n")
MARKS = Dialect(
    reasoning="field",
    think_open="<|channel|>analysis<|message|>",
    think_close="<|end|><|start|>assistant<|channel|>final<|message|>",
    answer_open="<|channel|>final<|message|>",
)
BETWEEN = Dialect(reasoning="field", think_open="", think_close="<|done|>")
DIALECTS = {"plain": PLAIN, "tags": TAGS, "marks": MARKS, "between": BETWEEN}
CALL = ToolCall("look", {"word": "blue sky"})


def grown(reader: AnswerReader, pieces: Sequence[str], *, tools: bool = True, opened: bool = False) -> Message:
    """What an answer becomes that comes in pieces; its parts must join to it."""
    answer = GrowingAnswer(reader, TOOLS if tools else (), opened=opened)
    parts: list[Part] = []
    for piece in pieces:
        parts += answer.add(piece)
    parts += answer.finish()
    message = answer.message
    assert "".join(part for part in parts if isinstance(part, str)) == message.content
    assert tuple(part for part in parts if isinstance(part, ToolCall)) == message.tool_calls
    assert answer.calls == len(message.tool_calls)
    return message


def cut(text: str, places: Sequence[int]) -> list[str]:
    """A text in pieces."""
    ends = sorted({min(place, len(text)) for place in places} | {len(text)})
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def fragments(name: str) -> st.SearchStrategy[str]:
    """Texts out of what a format and thinking are made of, whole and broken."""
    form = tool_formats.get(name)
    call = form.calls([CALL])
    pieces = [*form.opens, call, call[: len(call) // 2], call[len(call) // 3 :], f"\n{call}\n", *"{}<>[]|\n ", "words "]
    pieces += ["<think>", "</think>", "\n\n", MARKS.think_open, MARKS.think_close, MARKS.answer_open, "<|done|>", "é中"]
    return st.lists(st.sampled_from(pieces), max_size=8).map("".join)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", sorted({id(tool_formats.get(n)): n for n in tool_formats}.values()))
def test_cutting_changes_nothing(name: str, dialect: str) -> None:
    reader = AnswerReader(DIALECTS[dialect], name)

    @given(fragments(name), st.lists(st.integers(0, 300), max_size=12), st.booleans(), st.booleans())
    def check(text: str, places: list[int], tools: bool, opened: bool) -> None:
        whole = grown(reader, [text], tools=tools, opened=opened)
        assert grown(reader, cut(text, places), tools=tools, opened=opened) == whole
        assert grown(reader, list(text), tools=tools, opened=opened) == whole

    check()


@pytest.mark.parametrize("words", ["", "I look it up.", "Two\nlines."])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", tool_formats.names())
def test_written_calls_are_found(name: str, count: int, words: str) -> None:
    form = tool_formats.get(name)
    calls = [ToolCall("look", {"word": f"sky {number}"}) for number in range(count)]
    text = form.write(words, calls)
    reader = AnswerReader(PLAIN, name)
    message = grown(reader, list(text))
    assert message.content == reader.read(text, TOOLS).content
    assert [(call.name, call.arguments) for call in message.tool_calls] == [(c.name, c.arguments) for c in calls]


def test_words_come_at_once_and_beginnings_of_calls_do_not() -> None:
    answer = GrowingAnswer(AnswerReader(PLAIN, "hermes"), TOOLS)
    assert answer.add("Let me see <tool") == ["Let me see"]
    assert answer.add("box> there") == [" <toolbox> there"]
    assert answer.add('\n<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>') == []
    assert answer.add("\n<tool_call>") == [ToolCall("look", {})]
    assert answer.finish() == ["\n<tool_call>"]


def test_thinking_comes_as_it_is_made() -> None:
    answer = GrowingAnswer(AnswerReader(TAGS), opened=True)
    assert [part.text for part in answer.add("I won")] == ["I won"]  # type: ignore[union-attr]
    assert [part.text for part in answer.add("der\n</thi")] == ["der"]  # type: ignore[union-attr]
    assert answer.add("nk>\n\nYes") == ["Yes"]
    assert answer.message == Message("assistant", "Yes", reasoning="I wonder")


def test_thinking_without_end_is_thinking() -> None:
    assert grown(AnswerReader(TAGS), ["I wonder"], opened=True) == Message("assistant", "", reasoning="I wonder")


def test_a_broken_call_does_not_take_others_with_it() -> None:
    text = CALL_TEXT + "\n<tool_call>\n{"
    assert grown(AnswerReader(PLAIN, "hermes"), [text]).tool_calls == (CALL,)


CALL_TEXT = tool_formats.get("hermes").calls([CALL])


def test_without_tools_nothing_is_a_call() -> None:
    assert grown(AnswerReader(PLAIN, "hermes"), [CALL_TEXT], tools=False) == Message("assistant", CALL_TEXT)


@pytest.mark.parametrize(
    ("template", "text", "opened"),
    [
        (CHATML, "<think>a</think>b", False),
        (THINKS, "<think>\na\n</think>\nb", False),
        (THINKS, "b", False),
        (THINKS, "<think>\n\n</think>\n\nb", False),
        (DROPS_THINKING, "a\n</think>\n\nb", True),
        (CHANNELS, "<|chan|>analysis<|message|>a<|end|><|start|>assistant<|chan|>final<|message|>b", False),
        (CHANNELS, "<|chan|>final<|message|>b", False),
    ],
)
def test_it_reads_as_the_whole_reader_does(template: str, text: str, opened: bool) -> None:
    reader = reader_of(codec_for(template, ("<|im_end|>", "<|return|>")))
    assert grown(reader, list(text), opened=opened) == reader.read(text)


def test_readers_travel_between_processes() -> None:
    reader = AnswerReader(MARKS, "harmony")
    assert pickle.loads(pickle.dumps(reader)) == reader


def test_many_marks_cost_no_time() -> None:
    text = "\n{" * 20_000
    assert grown(AnswerReader(PLAIN, "llama3"), cut(text, range(0, len(text), 97))).content == text.strip()
