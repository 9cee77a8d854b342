"""Mistral: `[TOOL_CALLS]` with a JSON list (until 2024), or with name, `[ARGS]` and JSON for each call (since)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.begins import behind, in_json
from swift.chat.tools.scan import Scanner, calls_of, dumps, in_marks
from swift.types import ToolCall

_OPEN, _ARGS = "[TOOL_CALLS]", "[ARGS]"


def offer(tools: Tools) -> str:
    """The tools as one list."""
    return f"[AVAILABLE_TOOLS]{dumps(list(tools))}[/AVAILABLE_TOOLS]"


def calls(calls: Sequence[ToolCall]) -> str:
    """All calls in one list."""
    return _OPEN + dumps([{"name": call.name, "arguments": call.arguments} for call in calls])


def calls_with_args(calls: Sequence[ToolCall]) -> str:
    """Each call behind a mark of its own."""
    return "".join(f"{_OPEN}{call.name}{_ARGS}{dumps(call.arguments)}" for call in calls)


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse of both."""
    del tools
    return in_marks(text, _OPEN, _read)


def _read(scan: Scanner) -> list[ToolCall]:
    start = scan.blank().at
    if scan.has("[", "{"):
        scan.at = start
        return calls_of(scan.json())
    name = scan.until(_ARGS).partition("[CALL_ID]")[0].strip()
    if not name:
        raise ValueError("a call without a name")
    return [ToolCall(name, scan.blank().json())]


def results(results: Sequence[Result]) -> str:
    """Each result between marks of its own."""
    return "".join(f"[TOOL_RESULTS]{result.text}[/TOOL_RESULTS]" for result in results)


MISTRAL = ToolFormat(
    offer, calls, parse, results, opens=(_OPEN,), between="", begins=in_json(re.escape(_OPEN) + r"\s*\[?")
)
MISTRAL_ARGS = ToolFormat(
    offer,
    calls_with_args,
    parse,
    results,
    opens=(_OPEN,),
    between="",
    begins=behind(re.escape(_OPEN) + r"\s*", r"\s*(?:\[CALL_ID\][^\[]*)?\[ARGS\]\s*"),
)
