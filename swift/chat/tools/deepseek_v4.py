"""DeepSeek V3.2 and V4: DSML, tags with attributes; an attribute says whether a value is a string."""

from __future__ import annotations

from collections.abc import Sequence

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, dumps, in_marks, loads, named
from swift.types import ToolCall

_D = "｜DSML｜"
_OPEN, _CLOSE = f"<{_D}tool_calls>", f"</{_D}tool_calls>"
_INVOKE, _INVOKED = f'<{_D}invoke name="', f"</{_D}invoke>"
_PARAMETER, _END = f'<{_D}parameter name="', f"</{_D}parameter>"
_CALL = f'{_INVOKE}<name>">\n{_PARAMETER}<argument>" string="true|false"><value>{_END}\n{_INVOKED}'
_HOW = (
    f"To call functions, write:\n{_OPEN}\n{_CALL}\n{_CLOSE}\n"
    'String values are written as they are, with string="true"; all others as JSON.'
)


def calls(calls: Sequence[ToolCall]) -> str:
    """All calls in one pair of tags."""
    return f"{_OPEN}\n" + "".join(_call(call) for call in calls) + _CLOSE


def _call(call: ToolCall) -> str:
    pairs = "".join(f'{_PARAMETER}{key}" {_value(value)}{_END}\n' for key, value in named(call).items())
    return f'{_INVOKE}{call.name}">\n{pairs}{_INVOKED}\n'


def _value(value: object) -> str:
    if isinstance(value, str) and _END not in value:
        return f'string="true">{value}'
    return 'string="false">' + dumps(value).replace(_END, "\\u003c" + _END[1:])


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse."""
    del tools
    return in_marks(text.replace(f"{_D}function_calls>", f"{_D}tool_calls>"), _OPEN, _read)


def _read(scan: Scanner) -> list[ToolCall]:
    found = []
    while not scan.blank().has(_CLOSE):
        scan.take(_INVOKE)
        name = scan.until('">')
        if not name.strip():
            raise ValueError("a call without a name")
        arguments = {}
        while not scan.blank().has(_INVOKED):
            scan.take(_PARAMETER)
            key = scan.until('" string="')
            string = scan.until('">')
            value = scan.until(_END)
            arguments[key] = value if string == "true" else loads(value)
        found.append(ToolCall(name, arguments))
    return found


def results(results: Sequence[Result]) -> str:
    """Each result in tags of its own."""
    return "\n".join(f"<tool_result>{result.text}</tool_result>" for result in results)


DEEPSEEK_V4 = ToolFormat(
    listing(("", ""), _HOW),
    calls,
    parse,
    results,
    opens=(_OPEN, f"<{_D}function_calls>"),
    between="\n\n",
)
