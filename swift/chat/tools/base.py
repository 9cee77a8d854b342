"""What a tool format is, and the table of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from swift.registry import Registry
from swift.types import ToolCall

Tools = Sequence[Mapping[str, Any]]
"""Function schemas in OpenAI form."""

DEFAULT = "hermes"
"""The format of a model that is not known to have one of its own."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a function gave back: its name, where it is known, and a text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an assistant's text says: words, and functions that it calls."""

    content: str
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """One way to write.

    Attributes:
        offer: The schemas as text for the system message.
        calls: Calls as the assistant writes them.
        parse: The inverse. May raise ValueError where the text has no call, or none that can be understood; `read`
            is what others call.
        results: Results, all that follow one turn, as text.
        opens: Marks with which a call begins. A text without any of them has no call, and of a text that still grows,
            what stands before the first one, and before its lead, will not change.
        role: Who gives results: a turn of the user, or one of the tool where the template shows such turns.
        between: What stands between the assistant's words and its calls.
        lead: From a text before a mark, or before what may become one, to where that belongs to the call and no
            longer to the words; None where the mark itself comes first.
        anchored: A mark counts only at the beginning of a line.
        begins: A call up to its arguments, where those are verbatim JSON (`tools.begins`); None where they are not.
    """

    offer: Callable[[Tools], str]
    calls: Callable[[Sequence[ToolCall]], str]
    parse: Callable[[str, Tools], Parsed]
    results: Callable[[Sequence[Result]], str]
    opens: tuple[str, ...]
    role: Literal["user", "tool"] = "user"
    between: str = "\n"
    lead: Callable[[str], int] | None = None
    anchored: bool = False
    begins: re.Pattern[str] | None = None

    def write(self, content: str, calls: Sequence[ToolCall]) -> str:
        """Words and calls as one text.

        Raises:
            ValueError: They cannot be written so that `read` gives them back.
        """
        if not calls:
            return content
        text = f"{content}{self.between}{self.calls(calls)}" if content.strip() else self.calls(calls)
        found = self.read(text)
        if found.content.strip() != content.strip() or _said(found.calls) != _said(calls):
            raise ValueError(f"a call of {calls[0].name!r} cannot be told from other text again")
        return text

    def read(self, text: str, tools: Tools = ()) -> Parsed:
        """Words and calls of an assistant's text; of a text that cannot be understood, all of it as words.

        It never fails, and may be called again and again on a text that grows: calls appear when they are whole.

        Args:
            text: What was generated, or as much as there is of it.
            tools: What was offered; tells a string from a number where the format itself does not.
        """
        if not any(mark in text for mark in self.opens):
            return Parsed(text)
        try:
            found = self.parse(text, tools)
            orjson.dumps([call.arguments for call in found.calls])  # such as half of a surrogate pair
        except (ValueError, TypeError, RecursionError):
            return Parsed(text)
        return found if found.calls else Parsed(text)


def _said(calls: Sequence[ToolCall]) -> list[tuple[str, bytes]]:
    # As JSON: 1, 1.0 and true are equal in Python, and not the same to a function.
    return [(call.name, orjson.dumps(call.arguments, option=orjson.OPT_SORT_KEYS)) for call in calls]


tool_formats: Registry[ToolFormat] = Registry(
    "tool format",
    {
        "chatglm4": "swift.chat.tools.glm4:GLM4",
        "command_r": "swift.chat.tools.command_r:COMMAND_R",
        "command_r7b": "swift.chat.tools.command_r:COMMAND_R7B",
        "deepseek_v3": "swift.chat.tools.deepseek:V3",
        "deepseek_v3_1": "swift.chat.tools.deepseek:V3_1",
        "deepseek_v4": "swift.chat.tools.deepseek_v4:DEEPSEEK_V4",
        "gemma4": "swift.chat.tools.gemma4:GEMMA4",
        "glm4": "swift.chat.tools.glm4:GLM4",
        "glm4_5": "swift.chat.tools.glm4_5:GLM4_5",
        "glm4_7": "swift.chat.tools.glm4_5:GLM4_7",
        "glm5_1": "swift.chat.tools.glm4_5:GLM4_7",
        "granite": "swift.chat.tools.granite:GRANITE",
        "harmony": "swift.chat.tools.harmony:HARMONY",
        "hermes": "swift.chat.tools.hermes:HERMES",
        "hunyuan_hermes": "swift.chat.tools.hermes:HUNYUAN",
        "hy_v3": "swift.chat.tools.glm4_5:HY_V3",
        "hy_v3_preview": "swift.chat.tools.glm4_5:HY_V3",
        "kimi_k2": "swift.chat.tools.kimi_k2:KIMI_K2",
        "kimi_k25": "swift.chat.tools.kimi_k2:KIMI_K2",
        "lfm2": "swift.chat.tools.lfm2:LFM2",
        "llama3": "swift.chat.tools.llama3:LLAMA3",
        "llama4": "swift.chat.tools.llama3:LLAMA3",
        "minicpm5": "swift.chat.tools.minicpm5:MINICPM5",
        "minimax_m1": "swift.chat.tools.minimax:M1",
        "minimax_m2": "swift.chat.tools.minimax:M2",
        "mistral": "swift.chat.tools.mistral:MISTRAL",
        "mistral_args": "swift.chat.tools.mistral:MISTRAL_ARGS",
        "muse_glimmer": "swift.chat.tools.muse_glimmer:MUSE_GLIMMER",
        "phi4": "swift.chat.tools.granite:PHI4",
        "qwen3_5": "swift.chat.tools.qwen3_coder:QWEN3_CODER",
        "qwen3_coder": "swift.chat.tools.qwen3_coder:QWEN3_CODER",
        "qwen_en": "swift.chat.tools.qwen:QWEN_EN",
        "qwen_zh": "swift.chat.tools.qwen:QWEN_ZH",
        "react_en": "swift.chat.tools.react:REACT_EN",
        "react_zh": "swift.chat.tools.react:REACT_ZH",
        "seed_oss": "swift.chat.tools.qwen3_coder:SEED_OSS",
        "toolbench": "swift.chat.tools.toolbench:TOOLBENCH",
        "youtu": "swift.chat.tools.hermes:YOUTU",
    },
)
"""Every format, by the names that families and users know."""
