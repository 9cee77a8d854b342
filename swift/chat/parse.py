"""A model's answer as a message."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from swift.chat.codec import Codec
from swift.chat.messages import split_thinking
from swift.chat.template import Dialect
from swift.chat.tools.base import ToolFormat, Tools, tool_formats
from swift.chat.tools.choose import reading_format
from swift.types import Message

_THINK_END = "</think>"


@dataclass(frozen=True, slots=True)
class AnswerReader:
    """All that is needed to read a model's answers; small and picklable.

    Attributes:
        dialect: How the template writes thinking.
        format: Name of the format of calls; empty where it is not known.
    """

    dialect: Dialect
    format: str = ""

    @property
    def tool_format(self) -> ToolFormat | None:
        """The format of calls; None where it is not known."""
        return tool_formats.get(self.format) if self.format else None

    @property
    def tagged(self) -> bool:
        """Whether thinking stands in `<think>` tags; else it stands between marks of the template's own."""
        return not self.dialect.think_close or _THINK_END in self.dialect.think_close

    def read(self, text: str, tools: Tools = ()) -> Message:
        """Split thinking off where the template knows thinking, and take calls out of what is left.

        Args:
            text: What was generated, without the stop token; or, while it is being generated, as much as there is.
            tools: What was offered: its types tell a string from a number where the format does not.

        Returns:
            An assistant turn. A text without the end of thinking is all answer: whether thinking was on is not known
            here, and nothing of it may be lost. What looks like a call but cannot be read stays in the text.
        """
        message = self._without_thinking(text)
        form = self.tool_format
        if form is None:
            return message
        found = form.read(message.content, tools)
        if not found.calls:
            return message
        content, reasoning = found.content.strip(), message.reasoning
        opened = self.dialect.think_open.strip()
        if reasoning is None and opened and opened != "<think>" and content.startswith(opened):
            # Thinking that goes over into a call has no answer that would end it.
            content, reasoning = "", content[len(opened) :].strip()
        return replace(message, content=content, reasoning=reasoning, tool_calls=found.calls)

    def _without_thinking(self, text: str) -> Message:
        if self.dialect.reasoning == "inline":
            return Message("assistant", text.strip())
        if self.tagged:
            return _parse_tags(text, opened=self.dialect.opened)
        body = _without(text, self.dialect.think_open)
        thought, found, answer = body.partition(self.dialect.think_close.strip())
        if found:
            return Message("assistant", answer.strip(), reasoning=thought.strip())
        return Message("assistant", _without(text, self.dialect.answer_open).strip())


@lru_cache(maxsize=16)
def reader_of(codec: Codec) -> AnswerReader:
    """The reader of a model's answers.

    The format of calls is the one in which we write them, or the one that the template is proved to write, or that of
    the model's family.
    """
    return AnswerReader(codec.template.dialect, reading_format(codec.writes_tools, codec.template, codec.family_tools))


def parse_answer(text: str, codec: Codec, tools: Tools = ()) -> Message:
    """An answer of the model that `codec` belongs to, as a message; see `AnswerReader.read`."""
    return reader_of(codec).read(text, tools)


def _parse_tags(text: str, *, opened: bool) -> Message:
    parts = split_thinking(text)
    if parts is None and opened and _THINK_END in text:
        thought, _, answer = text.partition(_THINK_END)
        parts = thought.strip(), answer
    if parts is None:
        return Message("assistant", text.strip())
    return Message("assistant", parts[1].strip(), reasoning=parts[0] or None)


def _without(text: str, start: str) -> str:
    body, mark = text.lstrip(), start.strip()
    return body[len(mark) :] if mark and body.startswith(mark) else text
