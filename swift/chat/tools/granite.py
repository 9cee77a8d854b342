"""Granite 3 and Phi-4-mini: a JSON list behind `<|tool_call|>`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.begins import in_json
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, calls_of, dumps, in_marks
from swift.types import ToolCall

_OPEN, _CLOSE = "<|tool_call|>", "<|/tool_call|>"
_LIST = '[{"name": <name>, "arguments": <arguments>}]'


def calls(calls: Sequence[ToolCall], *, end: str = "") -> str:
    """All calls in one list."""
    return _OPEN + dumps([{"name": call.name, "arguments": call.arguments} for call in calls]) + end


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse, with or without an end."""
    del tools
    return in_marks(text, _OPEN, _read)


def _read(scan: Scanner) -> list[ToolCall]:
    found = calls_of(scan.blank().json())
    scan.blank().has(_CLOSE)
    return found


def results(results: Sequence[Result]) -> str:
    """The texts, one after the other."""
    return "\n".join(result.text for result in results)


_BEGINS = in_json(re.escape(_OPEN) + r"\s*\[?")

GRANITE = ToolFormat(
    listing(("", ""), f"To call functions, write:\n{_OPEN}{_LIST}", bare=True),
    calls,
    parse,
    results,
    opens=(_OPEN,),
    role="tool",
    begins=_BEGINS,
)
PHI4 = ToolFormat(
    listing(("<|tool|>", "<|/tool|>"), f"To call functions, write:\n{_OPEN}{_LIST}{_CLOSE}", bare=True),
    partial(calls, end=_CLOSE),
    parse,
    results,
    opens=(_OPEN,),
    role="tool",
    begins=_BEGINS,
)
