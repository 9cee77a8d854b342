"""The first Qwen models and Qwen-Agent: ✿FUNCTION✿ and ✿ARGS✿, and ✿RESULT✿ for what comes back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import function_of, names_of
from swift.chat.tools.scan import Scanner, dumps
from swift.types import ToolCall

_CALL = re.compile(r"✿FUNCTION✿:[ \t]*(?P<name>\S.*?)[ \t]*\n✿ARGS✿:[ \t]*")
_HOW_EN = """\
To use a tool, write these lines in your answer:

✿FUNCTION✿: the tool, one of [{names}]
✿ARGS✿: its input
✿RESULT✿: what the tool gave back
✿RETURN✿: your answer from it"""
_HOW_ZH = """\
使用工具时，在回复中写：

✿FUNCTION✿: 工具名称，必须是[{names}]之一
✿ARGS✿: 工具输入
✿RESULT✿: 工具结果
✿RETURN✿: 根据结果的回复"""


def offer(tools: Tools, *, head: str, how: str) -> str:
    """A heading for each tool, and the marks."""
    functions = [function_of(tool) for tool in tools]
    listed = [
        f"### {function['name']}\n\n{function.get('description', '')}\n{dumps(function.get('parameters') or {})}"
        for function in functions
    ]
    return f"# {head}\n\n" + "\n\n".join(listed) + "\n\n" + how.format(names=",".join(names_of(tools)))


def calls(calls: Sequence[ToolCall]) -> str:
    """Two lines a call."""
    return "\n".join(f"✿FUNCTION✿: {call.name}\n✿ARGS✿: {dumps(call.arguments)}" for call in calls)


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse. What follows the calls must be a result, which is not the assistant's to write."""
    del tools
    first = _CALL.search(text)
    if first is None:
        raise ValueError("no call")
    found = []
    scan = Scanner(text, first.start())
    while not scan.done and not scan.text.startswith("✿RESULT✿", scan.blank().at):
        call = _CALL.match(text, scan.at)
        if call is None:
            raise ValueError("not a call")
        scan.at = call.end()
        found.append(ToolCall(call[1], scan.json()))
    return Parsed(text[: first.start()].strip(), tuple(found))


def results(results: Sequence[Result]) -> str:
    """A line a result, then the mark behind which the answer goes."""
    return "\n".join(f"✿RESULT✿: {result.text}" for result in results) + "\n✿RETURN✿:"


_BEGINS = re.compile(_CALL.pattern + r"(?=\{)")

QWEN_EN = ToolFormat(
    partial(offer, head="Tools", how=_HOW_EN), calls, parse, results, opens=("✿FUNCTION✿",), begins=_BEGINS
)
QWEN_ZH = ToolFormat(
    partial(offer, head="工具", how=_HOW_ZH), calls, parse, results, opens=("✿FUNCTION✿",), begins=_BEGINS
)
