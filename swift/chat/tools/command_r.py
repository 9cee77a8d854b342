"""Command R (a JSON list in a code block behind `Action:`), and Command R7B and A (between special tokens)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.begins import in_json
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, calls_of, dumps, in_marks
from swift.types import ToolCall

_BLOCK, _BLOCK_END = "Action: ```json\n", "\n```"
_OPEN, _CLOSE = "<|START_ACTION|>", "<|END_ACTION|>"
_HOW, _ITEM = "To call tools, write:\n", '"tool_name": <name>, "parameters": <arguments>'
_KEYS = ("parameters", "arguments")


def calls(calls: Sequence[ToolCall]) -> str:
    """All calls in one code block."""
    items = ",\n".join(dumps({"tool_name": call.name, "parameters": call.arguments}) for call in calls)
    return f"{_BLOCK}[\n{items}\n]{_BLOCK_END}"


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse."""
    del tools
    return in_marks(text, _BLOCK, _read)


def _read(scan: Scanner) -> list[ToolCall]:
    found = calls_of(scan.blank().json(), "tool_name", _KEYS)
    scan.blank().take("```")
    return found


def numbered_calls(calls: Sequence[ToolCall]) -> str:
    """All calls between tokens, each with its number."""
    items = ",\n".join(
        dumps({"tool_call_id": str(number), "tool_name": call.name, "parameters": call.arguments})
        for number, call in enumerate(calls)
    )
    return f"{_OPEN}[\n{items}\n]{_CLOSE}"


def parse_numbered(text: str, tools: Tools) -> Parsed:
    """The inverse; the marks of thinking around the words are left out."""
    del tools
    return in_marks(text, _OPEN, _read_numbered)


def _read_numbered(scan: Scanner) -> list[ToolCall]:
    found = calls_of(scan.blank().json(), "tool_name", _KEYS)
    scan.blank().take(_CLOSE)
    return found


def results(results: Sequence[Result]) -> str:
    """Each result under its number."""
    return (
        "<results>\n" + "\n".join(f"Document: {n}\n{result.text}" for n, result in enumerate(results)) + "\n</results>"
    )


def numbered_results(results: Sequence[Result]) -> str:
    """All results as one list."""
    items = ",\n".join(
        dumps({"tool_call_id": str(number), "results": {"0": {"content": result.text}}})
        for number, result in enumerate(results)
    )
    return f"<|START_TOOL_RESULT|>[\n{items}\n]<|END_TOOL_RESULT|>"


COMMAND_R = ToolFormat(
    listing(("", ""), f"{_HOW}{_BLOCK}[\n{{{_ITEM}}}\n]{_BLOCK_END}"),
    calls,
    parse,
    results,
    opens=("Action:",),
    begins=in_json(re.escape(_BLOCK) + r"\s*\[?", name="tool_name", arguments="parameters"),
)
COMMAND_R7B = ToolFormat(
    listing(("", ""), f'{_HOW}{_OPEN}[\n{{"tool_call_id": "0", {_ITEM}}}\n]{_CLOSE}'),
    numbered_calls,
    parse_numbered,
    numbered_results,
    opens=(_OPEN,),
    between="",
    begins=in_json(
        re.escape(_OPEN) + r"\s*\[?",
        name="tool_name",
        arguments="parameters",
        ahead=r'(?:"tool_call_id"\s*:\s*"[^"\\]*"\s*,\s*)?',
    ),
)
