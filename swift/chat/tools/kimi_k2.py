"""Kimi K2: sections between special tokens; a call is named `functions.NAME:NUMBER`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, dumps, in_marks
from swift.types import ToolCall

_OPEN, _CLOSE = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
_BEGIN, _SEP, _END = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
_PREFIX = "functions."


def calls(calls: Sequence[ToolCall]) -> str:
    """All calls in one section, numbered from 0."""
    written = [
        f"{_BEGIN}{_PREFIX}{call.name}:{number}{_SEP}{dumps(call.arguments)}{_END}" for number, call in enumerate(calls)
    ]
    return _OPEN + "".join(written) + _CLOSE


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse; the whole name is the call's id."""
    del tools
    return in_marks(text, _OPEN, _read)


def _read(scan: Scanner) -> list[ToolCall]:
    found = []
    while not scan.blank().has(_CLOSE):
        scan.take(_BEGIN)
        identity = scan.until(_SEP).strip()
        name, colon, number = identity.rpartition(":")
        name = (name if colon and number.isdigit() else identity).removeprefix(_PREFIX)
        if not name:
            raise ValueError("a call without a name")
        found.append(ToolCall(name, scan.blank().json(), id=identity))
        scan.blank().take(_END)
    return found


def results(results: Sequence[Result]) -> str:
    """Each result under a heading."""
    return "\n".join(f"## Return of {_PREFIX}{result.name}:{n}\n{result.text}" for n, result in enumerate(results))


KIMI_K2 = ToolFormat(
    listing(
        ("", ""),
        "To call functions, write:\n"
        f"{_OPEN}{_BEGIN}{_PREFIX}<name>:<number from 0>{_SEP}<arguments as JSON>{_END}{_CLOSE}",
    ),
    calls,
    parse,
    results,
    opens=(_OPEN,),
    role="tool",
    between="",
    begins=re.compile(
        rf"{re.escape(_OPEN)}\s*{re.escape(_BEGIN)}\s*(?P<id>(?:functions\.)?(?P<name>[^\s:<]+):\d+)\s*"
        rf"{re.escape(_SEP)}\s*(?=\{{)"
    ),
)
