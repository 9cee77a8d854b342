"""Hermes: a JSON object in `<tool_call>` tags. Nous Hermes, Qwen 2.5 and 3, Hunyuan, Youtu and many others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.begins import in_json
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, call_of, dumps, in_marks
from swift.types import ToolCall

_HOW = (
    "To call a function, write its name and arguments as a JSON object in <tool_call></tool_call> tags:\n"
    '<tool_call>\n{"name": <name>, "arguments": <arguments>}\n</tool_call>'
)
_OFFER = listing(("<tools>\n", "\n</tools>"), _HOW)


def calls(calls: Sequence[ToolCall], *, line: str = "\n", around: tuple[str, str] = ("", "")) -> str:
    """Each call in tags of its own.

    Args:
        calls: At least one.
        line: What stands between a tag and what is in it.
        around: What stands around all of them.
    """
    written = [dumps({"name": call.name, "arguments": call.arguments}) for call in calls]
    return around[0] + "\n".join(f"<tool_call>{line}{text}{line}</tool_call>" for text in written) + around[1]


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse; tags around all calls are skipped."""
    del tools
    found = in_marks(text, "<tool_call>", _read)
    content = found.content
    for tag in ("<tool_calls>", "</tool_calls>"):
        content = content.replace(tag, "") if found.calls and tag in content else content
    return Parsed(content.strip(), found.calls)


def _read(scan: Scanner) -> list[ToolCall]:
    call = call_of(scan.blank().json())
    scan.blank().take("</tool_call>")
    return [call]


def results(results: Sequence[Result], *, around: tuple[str, str] = ("", "")) -> str:
    """Each result in tags of its own."""
    written = "\n".join(f"<tool_response>\n{result.text}\n</tool_response>" for result in results)
    return around[0] + written + around[1]


_BEGINS = in_json(r"(?:<tool_calls>\s*)?<tool_call>")

HERMES = ToolFormat(_OFFER, calls, parse, results, opens=("<tool_call>",), begins=_BEGINS)
HUNYUAN = ToolFormat(
    _OFFER,
    partial(calls, around=("<tool_calls>\n", "\n</tool_calls>")),
    parse,
    partial(results, around=("<tool_responses>\n", "\n</tool_responses>")),
    opens=("<tool_calls>", "<tool_call>"),
    begins=_BEGINS,
)
YOUTU = ToolFormat(_OFFER, partial(calls, line=""), parse, results, opens=("<tool_call>",), begins=_BEGINS)
