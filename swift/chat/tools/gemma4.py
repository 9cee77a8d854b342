"""Gemma 4: something like JSON whose strings stand between tokens instead of quotes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import function_of
from swift.chat.tools.scan import Scanner, dumps, in_marks, loads, named
from swift.types import ToolCall

_OPEN, _CLOSE, _QUOTE = "<|tool_call>", "<tool_call|>", '<|"|>'
_KEY = re.compile(r"[\w.-]+")
_PLAIN = re.compile(r"[^,\[\]{}<>\s]+")  # a number, true, false or null
_HOW = f"To call a function, write: {_OPEN}call:name{{argument:{_QUOTE}text{_QUOTE},number:1}}{_CLOSE}"


def offer(tools: Tools) -> str:
    """A declaration for each function, and how calls are written."""
    declared = [f"<|tool>declaration:{_declared(function_of(tool))}<tool|>" for tool in tools]
    return "".join(declared) + "\n" + _HOW


def _declared(function: Any) -> str:
    rest = {key: value for key, value in function.items() if key != "name"}
    return f"{function['name']}{written(rest)}"


def written(value: Any) -> str:
    """A value in Gemma's notation."""
    if isinstance(value, str):
        return f"{_QUOTE}{value}{_QUOTE}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_key(key)}:{written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(written, value)) + "]"
    return dumps(value)


def _key(key: str) -> str:
    return key if _KEY.fullmatch(key) else f"{_QUOTE}{key}{_QUOTE}"


def calls(calls: Sequence[ToolCall]) -> str:
    """Each call between tokens of its own."""
    return "".join(f"{_OPEN}call:{call.name}{written(dict(named(call)))}{_CLOSE}" for call in calls)


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse."""
    del tools
    return in_marks(text, _OPEN, _read)


def _read(scan: Scanner) -> list[ToolCall]:
    scan.blank().take("call:")
    name = scan.until("{")
    if not name.strip():
        raise ValueError("a call without a name")
    scan.at -= 1
    arguments = _value(scan)
    scan.blank().take(_CLOSE)
    return [ToolCall(name, arguments)]


def _value(scan: Scanner) -> Any:
    if scan.blank().has(_QUOTE):
        return scan.until(_QUOTE)
    if scan.has("{"):
        found: dict[str, Any] = {}
        while not scan.blank().has("}"):
            key = scan.until(_QUOTE) if scan.has(_QUOTE) else _match(scan, _KEY)
            scan.blank().take(":")
            found[key] = _value(scan)
            _next(scan, "}")
        return found
    if scan.has("["):
        items = []
        while not scan.blank().has("]"):
            items.append(_value(scan))
            _next(scan, "]")
        return items
    return loads(_match(scan, _PLAIN))


def _next(scan: Scanner, close: str) -> None:
    if not scan.blank().has(",") and not scan.text.startswith(close, scan.at):
        raise ValueError(f"no {close} at {scan.at}")


def _match(scan: Scanner, pattern: re.Pattern[str]) -> str:
    found = pattern.match(scan.text, scan.at)
    if found is None:
        raise ValueError(f"nothing to be read at {scan.at}")
    scan.at = found.end()
    return found[0]


def results(results: Sequence[Result]) -> str:
    """Each result between tokens of its own."""
    return "".join(f"<|tool_response>response:{r.name}{written({'value': r.text})}<tool_response|>" for r in results)


GEMMA4 = ToolFormat(offer, calls, parse, results, opens=(_OPEN,), between="")
