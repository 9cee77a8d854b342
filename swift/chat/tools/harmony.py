"""Harmony (GPT-OSS): a message to `functions.NAME` on the commentary channel."""

from __future__ import annotations

import re
from collections.abc import Sequence

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, dumps
from swift.types import ToolCall

_CALL = re.compile(
    r"(?:<\|end\|>)?(?:<\|start\|>assistant)?(?:<\|channel\|>commentary)?\s*to=functions\.(?P<name>[^\s<]+)\s*"
    r"(?:<\|channel\|>commentary)?\s*(?:<\|constrain\|>)?\s*(?:json)?\s*<\|message\|>"
)
_FORM = "<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}<|call|>"


def calls(calls: Sequence[ToolCall]) -> str:
    """A message a call."""
    return "".join(_FORM.format(name=call.name, arguments=dumps(call.arguments)) for call in calls)


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse, wherever in a message its recipient is named."""
    del tools
    first = _CALL.search(text)
    if first is None:
        raise ValueError("no call")
    found = []
    scan = Scanner(text, first.start())
    while not scan.done:
        call = _CALL.match(text, scan.at)
        if call is None:
            raise ValueError("not a call")
        scan.at = call.end()
        found.append(ToolCall(call[1], scan.json()))
        scan.blank().has("<|call|>")
    return Parsed(text[: first.start()].strip(), tuple(found))


def results(results: Sequence[Result]) -> str:
    """A message a result."""
    return "\n".join(f"functions.{result.name} to=assistant: {result.text}" for result in results)


def lead(text: str) -> int:
    """Tokens that end the message before stand before the recipient, and name the channel."""
    place = text.find("<|", text.rfind("<|call|>") + 1)
    return len(text.rstrip().removesuffix("<")) if place < 0 else place


HARMONY = ToolFormat(
    listing(("", ""), "To call a function, write:\n" + _FORM.format(name="<name>", arguments="<arguments as JSON>")),
    calls,
    parse,
    results,
    opens=("to=functions.",),
    role="tool",
    between="",
    lead=lead,
    begins=re.compile(_CALL.pattern + r"(?=\{)"),
)
