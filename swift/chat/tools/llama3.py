"""Llama 3.1 and later: the whole answer is a JSON object with `name` and `parameters`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.begins import in_json
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, call_of, dumps
from swift.types import ToolCall

_HOW = (
    'To call a function, answer with a JSON object of this form and nothing else: {"name": <name>, '
    '"parameters": {<argument>: <value>}}\nDo not use variables.'
)
_START = re.compile(r"^[ \t]*(?:<\|python_(?:tag|start)\|>)?[ \t]*(?=\{)", re.MULTILINE)


def calls(calls: Sequence[ToolCall]) -> str:
    """One object a line."""
    return "\n".join(dumps({"name": call.name, "parameters": call.arguments}) for call in calls)


def parse(text: str, tools: Tools) -> Parsed:
    """Objects, one after the other, from the beginning of a line to the end of the text."""
    del tools
    for start in _START.finditer(text):
        try:
            return Parsed(text[: start.start()].strip(), tuple(_read(Scanner(text, start.end()))))
        except ValueError:
            continue  # words that look like one
    raise ValueError("no call")


def _read(scan: Scanner) -> list[ToolCall]:
    found: list[ToolCall] = []
    while not scan.done:
        value = scan.blank().json()
        if not isinstance(value, dict) or not {"parameters", "arguments"} & value.keys():
            raise ValueError("not a call")
        found.append(call_of(value, arguments=("parameters", "arguments")))
        scan.blank().has(";", ",")
        scan.blank().has("<|python_end|>", "<|eom_id|>", "<|eom|>")
    return found


def results(results: Sequence[Result]) -> str:
    """The texts, one after the other."""
    return "\n".join(result.text for result in results)


LLAMA3 = ToolFormat(
    listing(("", ""), _HOW),
    calls,
    parse,
    results,
    opens=("<|python_", "{"),
    role="tool",
    anchored=True,
    begins=in_json(r"\s*(?:<\|python_(?:tag|start)\|>)?", arguments="parameters"),
)
