"""Reading an assistant's text from left to right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from swift.chat.tools.base import Parsed, Tools
from swift.types import ToolCall


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


class Scanner:
    """A place in a text. Whatever is not there as it should be raises ValueError.

    Attributes:
        text: All of it.
        at: The next character.
    """

    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.at = at

    @property
    def done(self) -> bool:
        """Whether nothing is left but white space."""
        return not self.text[self.at :].strip()

    def blank(self) -> Scanner:
        """Skip white space."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self

    def has(self, *marks: str) -> bool:
        """Skip the first of `marks` that stands here; whether there was one."""
        found = next((mark for mark in marks if self.text.startswith(mark, self.at)), None)
        self.at += len(found or "")
        return found is not None

    def take(self, *marks: str) -> None:
        """Skip one of `marks`, which must stand here."""
        if not self.has(*marks):
            raise ValueError(f"no {marks[0]} at {self.at}")

    def until(self, *marks: str) -> str:
        """The text up to the nearest of `marks`, which is skipped."""
        places = [(place, mark) for mark in marks if (place := self.text.find(mark, self.at)) >= 0]
        if not places:
            raise ValueError(f"no {marks[0]} after {self.at}")
        place, mark = min(places)
        found = self.text[self.at : place]
        self.at = place + len(mark)
        return found

    def json(self) -> Any:
        """The JSON value that stands here."""
        value, self.at = _DECODER.raw_decode(self.text, self.at)
        return value


def loads(text: str) -> Any:
    """The JSON value that `text` is, and nothing else."""
    return _DECODER.decode(text)


def dumps(value: Any) -> str:
    """`value` as JSON in one line, as chat templates write it."""
    return json.dumps(value, ensure_ascii=False)


def in_marks(text: str, opens: str, read: Callable[[Scanner], Iterable[ToolCall]]) -> Parsed:
    """Calls that stand in marks; what stands around them is words.

    Args:
        text: An assistant's text.
        opens: The mark.
        read: Reads what follows the mark, including the mark at its end.
    """
    calls: list[ToolCall] = []
    around: list[str] = []
    at = 0
    while (place := text.find(opens, at)) >= 0:
        around.append(text[at:place].strip())
        scan = Scanner(text, place + len(opens))
        calls += read(scan)
        at = scan.at
    around.append(text[at:].strip())
    return Parsed("\n".join(piece for piece in around if piece), tuple(calls))


def call_of(value: Any, name: str = "name", arguments: Sequence[str] = ("arguments", "parameters")) -> ToolCall:
    """A call from its JSON object; arguments may be JSON in a string, and none are an empty object."""
    if not isinstance(value, dict) or not isinstance(value.get(name), str) or not value[name]:
        raise ValueError("a call without a name")
    given: Any = next((value[key] for key in arguments if key in value), {})
    return ToolCall(value[name], _object(given) if isinstance(given, str) else given)


def _object(text: str) -> Any:
    """The object that a string of arguments is; else the string, which is then what the function gets."""
    try:
        value = loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else text


def calls_of(value: Any, name: str = "name", arguments: Sequence[str] = ("arguments", "parameters")) -> list[ToolCall]:
    """Calls from a JSON list of them, or from one."""
    return [call_of(item, name, arguments) for item in (value if isinstance(value, list) else [value])]


def named(call: ToolCall) -> Mapping[str, Any]:
    """The arguments of a call by their names.

    Raises:
        ValueError: They have none, and the format needs them.
    """
    if not isinstance(call.arguments, dict):
        raise ValueError(f"the arguments of {call.name!r} have no names, which this format needs")
    return call.arguments


def written_value(value: Any, *closes: str) -> str:
    """A named argument as text between tags: a string as it is, anything else as JSON.

    A string that would be read as something else, or that has one of the marks that end it, is written as JSON too.
    """
    if isinstance(value, str) and not any(mark in value for mark in closes) and read_value(value, "") == value:
        return value
    text = dumps(value)
    if any(mark in text for mark in closes):
        text = text.replace("<", "\\u003c")  # only strings can have it
    return text


def read_value(text: str, kind: str) -> Any:
    """The inverse of `written_value`.

    Args:
        text: Between the tags.
        kind: The type that the schema declares, which decides what else it may mean; or empty.
    """
    try:
        value = loads(text)
    except ValueError:
        words: dict[str, bool | None] = {"True": True, "False": False, "None": None}
        plain = text.strip()
        return words[plain] if plain in words and kind not in ("", "string") else text
    return text if kind == "string" and not isinstance(value, str) else value


def kinds(tools: Tools, name: str) -> dict[str, str]:
    """The declared type of each argument of a function, where there is one."""
    for tool in tools:
        function = tool.get("function", tool)
        if isinstance(function, Mapping) and function.get("name") == name:
            parameters = function.get("parameters")
            properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
            if isinstance(properties, Mapping):
                declared = ((key, rule.get("type")) for key, rule in properties.items() if isinstance(rule, Mapping))
                return {str(key): kind for key, kind in declared if isinstance(kind, str)}
    return {}
