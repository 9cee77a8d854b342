"""MiniCPM 5: `<function name="...">` with `<param name="...">` in it; values may stand in CDATA."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, in_marks, kinds, named, read_value, written_value
from swift.types import ToolCall

_OPEN, _CLOSE, _END = '<function name="', "</function>", "</param>"
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_HOW = f'To call a function, write:\n{_OPEN}<name>"><param name="<argument>"><value>{_END}{_CLOSE}'


def calls(calls: Sequence[ToolCall]) -> str:
    """One call a line."""
    return "\n".join(f'{_OPEN}{call.name}">{_pairs(call)}{_CLOSE}' for call in calls)


def _pairs(call: ToolCall) -> str:
    return "".join(f'<param name="{key}">{_value(value)}{_END}' for key, value in named(call).items())


def _value(value: object) -> str:
    if isinstance(value, str) and _CDATA_END not in value:
        if any(mark in value for mark in "<>&") or read_value(value, "") != value:
            return f"{_CDATA}{value}{_CDATA_END}"
        return value
    return written_value(value, _END, _CDATA)


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse."""
    return in_marks(text, _OPEN, partial(_read, tools=tools))


def _read(scan: Scanner, *, tools: Tools) -> list[ToolCall]:
    name = scan.until('">')
    if not name.strip():
        raise ValueError("a call without a name")
    declared = kinds(tools, name)
    arguments = {}
    while not scan.blank().has(_CLOSE):
        scan.take('<param name="')
        key = scan.until('">')
        if scan.has(_CDATA):
            arguments[key] = scan.until(_CDATA_END)
            scan.take(_END)
        else:
            arguments[key] = read_value(scan.until(_END), declared.get(key, ""))
    return [ToolCall(name, arguments)]


def results(results: Sequence[Result]) -> str:
    """Each result in tags of its own."""
    return "\n".join(f"<tool_response>\n{result.text}\n</tool_response>" for result in results)


MINICPM5 = ToolFormat(listing(("<tools>\n", "\n</tools>"), _HOW), calls, parse, results, opens=(_OPEN,))
