"""What the user gave, before it is checked: names and raw values from a file and from the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from swift.config.problems import Problem
from swift.config.schema import Option, Table
from swift.errors import UnknownNameError

_PAIR = re.compile(r"[A-Za-z_]\w*\s*=")
_BETWEEN_PAIRS = re.compile(r",(?=\s*[A-Za-z_]\w*\s*=)")
_PYTHON = {"True": "true", "False": "false", "None": "null"}


@dataclass(frozen=True, slots=True)
class Given:
    """One name with the value that was written after it.

    Attributes:
        name: Flat or dotted, with underscores.
        value: A YAML value; or, from the command line, the words after the flag as a tuple of texts.
        where: The flag as typed, or the file's line, for messages.
        words: Whether `value` is words of a command line, still to be read by the option's kind.
    """

    name: str
    value: Any
    where: str
    words: bool


def convert(given: Given, option: Option) -> Any:
    """The value of `given` in the form that pydantic takes for `option`.

    Raises:
        ValueError: The number of words does not fit, or JSON is broken; says why.
    """
    if given.words:
        return _from_words(given.value, option)
    value = given.value
    if option.kind == "many" and value is not None and not isinstance(value, (list, tuple)):
        return [value]
    return value


def _from_words(words: tuple[str, ...], option: Option) -> Any:
    if option.nullable and len(words) == 1 and words[0] in _nulls(option):
        return None
    if option.kind == "switch":
        return words[0] if _at_most_one(words) else True
    if not words:
        raise ValueError(f"needs a value ({option.type})")
    if option.kind == "many":
        return _json_list(words[0]) if len(words) == 1 and words[0].startswith("[") else list(words)
    _at_most_one(words)
    return _json_object(words[0]) if option.kind == "mapping" else words[0]


def _nulls(option: Option) -> tuple[str, ...]:
    return ("null",) if option.textual else ("null", "none", "None")


def _at_most_one(words: tuple[str, ...]) -> bool:
    if len(words) > 1:
        raise ValueError(f"takes one value, but {len(words)} follow: {' '.join(words)}")
    return len(words) == 1


def _json_list(text: str) -> list[Any]:
    """A JSON list; a text that merely begins with a bracket (such as a file pattern) is an item itself."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return [text]
    return value if isinstance(value, list) else [text]


def _json_object(text: str) -> dict[str, Any]:
    if _PAIR.match(text):
        pairs = (pair.partition("=") for pair in _BETWEEN_PAIRS.split(text))
        return {name.strip(): _scalar(value.strip()) for name, _, value in pairs}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{text!r} is neither JSON nor NAME=VALUE,NAME=VALUE: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f'{text!r} is not a JSON object, such as {{"key": "value"}}')
    return value


def _scalar(text: str) -> Any:
    """A number, true, false, null or a list where it reads as one, in JSON or in Python; else the text."""
    try:
        return json.loads(_PYTHON.get(text, re.sub(r"^\((.*)\)$", r"[\1]", text)))
    except json.JSONDecodeError:
        return text


def expand(given: Given, table: Table) -> list[Given]:
    """`given` itself, or its parts where it names a whole section and holds a mapping (or JSON of one)."""
    if given.name not in table.by_path:
        return [given]
    value = given.value
    if given.words and len(value) == 1 and value[0].startswith("{"):
        try:
            value = json.loads(value[0])
        except json.JSONDecodeError:
            return [given]
    if isinstance(value, Mapping):
        parts = (
            Given(f"{given.name}.{key}", item, f"{given.where}, {key}", words=False) for key, item in value.items()
        )
        return [inner for part in parts for inner in expand(part, table)]
    if given.name not in table.by_name and table.by_path[given.name] in table.unions:
        return [replace(given, name=f"{given.name}.type")]
    return [given]


def unknown(given: Given, table: Table) -> Problem:
    """The problem of a name that stands for nothing."""
    section, _, leaf = given.name.rpartition(".")
    if section and leaf in table.by_name and section in table.by_path:
        option = table.by_name[leaf][0]
        return Problem(given.where, f"unknown option {given.name!r}", f"{leaf} is {option.key}")
    if given.name in table.by_path:
        return Problem(given.where, f"{given.name} is a group of options, not a value", _example(given.name, table))
    # Suggest names of the form that the user wrote: flat for flat, dotted for dotted.
    known = sorted(name for name in table.by_name if ("." in name) == ("." in given.name))
    error = UnknownNameError("option", given.name, known, hint="--help lists all options")
    return Problem(given.where, error.message, error.hint)


def _example(section: str, table: Table) -> str:
    names = [option.key for option in table.options() if option.key.startswith(f"{section}.")]
    return f"set one of {', '.join(names[:4])}, ..."
