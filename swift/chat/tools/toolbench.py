"""ToolBench (arXiv 2307.16789): ReAct lines, and a function `Finish` that ends the task."""

from __future__ import annotations

from collections.abc import Sequence

from swift.chat.tools.base import Result, ToolFormat, Tools
from swift.chat.tools.offer import function_of
from swift.chat.tools.react import BEGINS, calls, parse
from swift.chat.tools.scan import dumps

FINISH = "Finish"
"""The function that ends a task."""

_HOW = """\
Solve the task with the functions below. Each step is written so:

Thought: what the state is and what to do next
Action: the function's name
Action Input: its arguments as a JSON object

After a step you get the function's result and go on. End by calling "Finish" with "return_type" "give_answer" and the \
answer as "final_answer", or with "return_type" "give_up_and_restart" where it cannot be done.

Functions:
"""


def offer(tools: Tools) -> str:
    """How steps are written, then the functions as one list."""
    return _HOW + dumps([function_of(tool) for tool in tools])


def results(results: Sequence[Result]) -> str:
    """The texts, one after the other."""
    return "\n".join(result.text for result in results)


TOOLBENCH = ToolFormat(offer, calls, parse, results, opens=("Action:",), role="tool", anchored=True, begins=BEGINS)
