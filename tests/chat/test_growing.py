"""An answer that is read as it grows: however it is cut, the parts join to the same message."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.chat.early import CallBegun, CallEnded, CallGrew
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
EARLY = [
    name
    for name in sorted({id(tool_formats.get(n)): n for n in tool_formats}.values())
    if tool_formats.get(name).begins
]
"""Formats whose calls can be told while they are written."""


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


def told_early(reader: AnswerReader, pieces: Sequence[str], opened: bool = False) -> tuple[Message, int]:
    """As `grown`, with calls told while they are written: they join to the same; and how many were begun."""
    answer = GrowingAnswer(reader, TOOLS, opened=opened, early=True)
    parts: list[Part] = []
    for piece in pieces:
        parts += answer.add(piece)
    parts += answer.finish()
    calls: list[ToolCall] = []
    open_call: list[str] | None = None
    begun: CallBegun | None = None
    count = 0
    for part in parts:
        if isinstance(part, CallBegun):
            assert open_call is None
            begun, open_call, count = part, [], count + 1
        elif isinstance(part, CallGrew):
            assert open_call is not None
            open_call.append(part.text)
        elif isinstance(part, CallEnded):
            assert open_call is not None
            assert begun is not None
            if part.call is not None:
                assert json.loads("".join(open_call)) == part.call.arguments
                assert (begun.name, begun.id) == (part.call.name, part.call.id)
                calls.append(part.call)
            open_call = None
        else:
            assert open_call is None  # nothing stands between the pieces of a call
            calls += [part] if isinstance(part, ToolCall) else []
    assert open_call is None
    assert tuple(calls) == answer.message.tool_calls
    assert "".join(part for part in parts if isinstance(part, str)) == answer.message.content
    return answer.message, count


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", EARLY)
def test_calls_that_are_told_early_are_those_that_are_told_whole(name: str, dialect: str) -> None:
    reader = AnswerReader(DIALECTS[dialect], name)

    @given(fragments(name), st.lists(st.integers(0, 300), max_size=12), st.booleans())
    def check(text: str, places: list[int], opened: bool) -> None:
        whole = grown(reader, [text], opened=opened)
        for pieces in ([text], cut(text, places), list(text)):
            assert told_early(reader, pieces, opened)[0] == whole

    check()


@pytest.mark.parametrize("name", EARLY)
def test_a_written_call_is_told_early(name: str) -> None:
    call = ToolCall("look", {"word": 'a "blue" {sky}\n\\', "deep": [{"a": {}}, 1.5, None]})
    text = tool_formats.get(name).write("Words.", [call])
    reader = AnswerReader(PLAIN, name)
    message, begun = told_early(reader, list(text))
    assert message == grown(reader, [text])
    assert [(found.name, found.arguments) for found in message.tool_calls] == [(call.name, call.arguments)]
    assert begun == 1


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "other", "arguments": {"a": 1}}</tool_call>',
        '<tool_call>{"name": "look", "parameters": {"a": 1}}</tool_call>',
        '<tool_call>{"name": "look", "arguments": "{}"}</tool_call>',
        '<tool_call>{"arguments": {}, "name": "look"}</tool_call>',
    ],
)
def test_what_is_not_certain_is_told_whole(text: str) -> None:
    """A function that is not offered, and arguments that are not verbatim, or that others may still replace."""
    message, begun = told_early(AnswerReader(PLAIN, "hermes"), list(text))
    assert (len(message.tool_calls), begun) == (1, 0)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('<tool_call>{"name": "look", "arguments": {"a": 1}, "arguments": {"a": 2}}</tool_call>', [("look", {"a": 2})]),
        ('<tool_call>{"name": "look", "arguments": {"a": 1}, "name": "b"}</tool_call>', [("b", {"a": 1})]),
        ('<tool_call>{"name": "look", "arguments": {"a": NaN}}</tool_call>', []),
        ('<tool_call>{"name": "look", "arguments": {"a": "\\ud800"}}</tool_call>', []),
        ('<tool_call>{"name": "look", "arguments": {"a": 1]}</tool_call>', []),
    ],
)
def test_a_call_that_ends_as_another_is_taken_back(text: str, calls: list[tuple[str, object]]) -> None:
    message, begun = told_early(AnswerReader(PLAIN, "hermes"), list(text))
    assert begun == 1
    assert [(call.name, call.arguments) for call in message.tool_calls] == calls
    assert message == grown(AnswerReader(PLAIN, "hermes"), [text])


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
