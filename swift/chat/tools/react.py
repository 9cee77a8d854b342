"""ReAct (arXiv 2210.03629): thought, action and its input as lines of text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import function_of, names_of
from swift.chat.tools.scan import Scanner, dumps
from swift.types import ToolCall

_ACTION = re.compile(r"^Action:[ \t]*(?P<name>\S.*?)[ \t]*\n+Action Input:[ \t]*", re.MULTILINE)
_HOW_EN = """\
Answer in this form:

Thought: what you think should be done next
Action: the tool that you use, one of [{names}]
Action Input: its arguments as a JSON object

You are then told "Observation:" with what the tool gave back, and go on in the same form. When you know enough:

Thought: why you can answer now
Final Answer: the answer to the question"""
_HOW_ZH = """\
按以下格式回答：

Thought: 思考下一步该做什么
Action: 要使用的工具，必须是[{names}]之一
Action Input: JSON 格式的工具参数

之后会收到"Observation:"，即工具返回的结果，再按同样的格式继续。信息足够时：

Thought: 说明为什么可以回答了
Final Answer: 问题的最终答案"""


def offer(tools: Tools, *, head: str, how: str) -> str:
    """A line for each tool, and the form of answers."""
    lines = []
    for tool in tools:
        function = function_of(tool)
        told = f" {function['description']}" if function.get("description") else ""
        lines.append(f"{function['name']}:{told} Parameters: {dumps(function.get('parameters') or {})}")
    return f"{head}\n\n" + "\n".join(lines) + "\n\n" + how.format(names=", ".join(names_of(tools)))


def calls(calls: Sequence[ToolCall]) -> str:
    """Two lines a call."""
    return "\n".join(f"Action: {call.name}\nAction Input: {dumps(call.arguments)}" for call in calls)


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse. What follows the calls must be an observation, which is not the assistant's to write."""
    del tools
    first = _ACTION.search(text)
    if first is None:
        raise ValueError("no call")
    found = []
    scan = Scanner(text, first.start())
    while not scan.done and not scan.text.startswith("Observation:", scan.blank().at):
        action = _ACTION.match(text, scan.at)
        if action is None:
            raise ValueError("not a call")
        scan.at = action.end()
        found.append(ToolCall(action[1], scan.json()))
    return Parsed(text[: first.start()].strip(), tuple(found))


def results(results: Sequence[Result]) -> str:
    """A line a result."""
    return "\n".join(f"Observation: {result.text}" for result in results)


BEGINS = re.compile(r"\s*" + _ACTION.pattern + r"(?=\{)", re.MULTILINE)
"""A call up to its arguments."""

REACT_EN = ToolFormat(
    partial(offer, head="You can use these tools:", how=_HOW_EN),
    calls,
    parse,
    results,
    opens=("Action:",),
    anchored=True,
    begins=BEGINS,
)
REACT_ZH = ToolFormat(
    partial(offer, head="你可以使用以下工具：", how=_HOW_ZH),
    calls,
    parse,
    results,
    opens=("Action:",),
    anchored=True,
    begins=BEGINS,
)
