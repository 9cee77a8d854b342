"""GLM-4: the function's name in one line, its arguments as JSON in the next."""

from __future__ import annotations

import re
from collections.abc import Sequence

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import function_of
from swift.chat.tools.scan import Scanner, dumps
from swift.types import ToolCall

_NAME = re.compile(r"^(?P<name>[\w.:/-]+)\n(?=\{)", re.MULTILINE)


def offer(tools: Tools) -> str:
    """A heading for each function, as GLM-4 has them."""
    how = "调用函数时，先写函数名，换行后用 Json 写参数。"
    functions = [function_of(tool) for tool in tools]
    listed = [f"\n\n## {function['name']}\n\n{dumps(function)}\n{how}" for function in functions]
    return "# 可用工具" + "".join(listed)


def calls(calls: Sequence[ToolCall]) -> str:
    """Two lines a call."""
    return "\n".join(f"{call.name}\n{dumps(call.arguments)}" for call in calls)


def parse(text: str, tools: Tools) -> Parsed:
    """Pairs of lines from some line to the end of the text."""
    del tools
    for start in _NAME.finditer(text):
        try:
            return Parsed(text[: start.start()].strip(), tuple(_read(Scanner(text, start.start()))))
        except ValueError:
            continue  # words that look like one
    raise ValueError("no call")


def _read(scan: Scanner) -> list[ToolCall]:
    found: list[ToolCall] = []
    while not scan.done:
        name = _NAME.match(scan.text, scan.blank().at)
        if name is None:
            raise ValueError("not a call")
        scan.at = name.end()
        found.append(ToolCall(name[1], scan.json()))
    return found


def results(results: Sequence[Result]) -> str:
    """The texts, one after the other."""
    return "\n".join(result.text for result in results)


def lead(text: str) -> int:
    """The function's name stands before the mark."""
    at = len(text)
    while at and (text[at - 1].isalnum() or text[at - 1] in "_.:/-"):
        at -= 1
    return at


GLM4 = ToolFormat(offer, calls, parse, results, opens=("\n{",), role="tool", lead=lead, anchored=True, begins=_NAME)
