"""MiniMax: JSON lines in `<tool_calls>` (M1), or `<invoke>` and `<parameter>` tags (M2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, call_of, dumps, in_marks, kinds, named, read_value, written_value
from swift.types import ToolCall

_M1, _M1_END = "<tool_calls>", "</tool_calls>"
_M2 = "minimax:tool_call"


def calls_m1(calls: Sequence[ToolCall]) -> str:
    """One object a line."""
    lines = "\n".join(dumps({"name": call.name, "arguments": call.arguments}) for call in calls)
    return f"{_M1}\n{lines}\n{_M1_END}"


def parse_m1(text: str, tools: Tools) -> Parsed:
    """The inverse."""
    del tools
    return in_marks(text, _M1, _read_m1)


def _read_m1(scan: Scanner) -> list[ToolCall]:
    found = []
    while not scan.blank().has(_M1_END):
        found.append(call_of(scan.json()))
    return found


def invokes(calls: Sequence[ToolCall], *, outer: str, prefix: str = "") -> str:
    """All calls in one pair of tags.

    Args:
        calls: At least one.
        outer: That pair's name.
        prefix: Of the names of all tags in it.
    """
    close = f"</{prefix}parameter>"
    written = []
    for call in calls:
        pairs = "".join(
            f'<{prefix}parameter name="{key}">{written_value(value, close)}{close}\n'
            for key, value in named(call).items()
        )
        written.append(f'<{prefix}invoke name="{call.name}">\n{pairs}</{prefix}invoke>\n')
    return f"<{outer}>\n{''.join(written)}</{outer}>"


def parse_invokes(text: str, tools: Tools, *, outer: str, prefix: str = "") -> Parsed:
    """The inverse."""
    return in_marks(text, f"<{outer}>", partial(_read_invokes, tools=tools, close=f"</{outer}>", prefix=prefix))


def _read_invokes(scan: Scanner, *, tools: Tools, close: str, prefix: str) -> list[ToolCall]:
    found = []
    while not scan.blank().has(close):
        scan.take(f'<{prefix}invoke name="')
        name = scan.until('">')
        if not name.strip():
            raise ValueError("a call without a name")
        declared = kinds(tools, name)
        arguments = {}
        while not scan.blank().has(f"</{prefix}invoke>"):
            scan.take(f'<{prefix}parameter name="')
            key = scan.until('">')
            arguments[key] = read_value(scan.until(f"</{prefix}parameter>"), declared.get(key, ""))
        found.append(ToolCall(name, arguments))
    return found


def how(outer: str, prefix: str = "") -> str:
    """How a call is written, in words."""
    inner = f'<{prefix}parameter name="<argument>"><value></{prefix}parameter>'
    return (
        f'To call functions, write:\n<{outer}>\n<{prefix}invoke name="<name>">\n{inner}\n</{prefix}invoke>\n</{outer}>'
    )


def results(results: Sequence[Result]) -> str:
    """Each result in tags of its own."""
    return "\n".join(f"<response>{result.text}</response>" for result in results)


_HOW_M1 = f'To call functions, write:\n{_M1}\n{{"name": <name>, "arguments": <arguments>}}\n{_M1_END}'
_TOOLS = ("<tools>\n", "\n</tools>")
M1 = ToolFormat(listing(_TOOLS, _HOW_M1, bare=True), calls_m1, parse_m1, results, opens=(_M1,), role="tool")
M2 = ToolFormat(
    listing(_TOOLS, how(_M2)),
    partial(invokes, outer=_M2),
    partial(parse_invokes, outer=_M2),
    results,
    opens=(f"<{_M2}>",),
    role="tool",
)
