"""Reading single values of a row, with errors that name the column."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from swift.data.reasons import BAD_MEDIA, BAD_WEIGHT, WRONG_TYPE
from swift.errors import RowError

_KINDS = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number", str: "a text"}


def kind(value: Any) -> str:
    """What a value is, in words."""
    return "null" if value is None else _KINDS.get(type(value), f"a {type(value).__name__}")


def text_value(value: Any, what: str) -> str:
    """A text, as a string or as a list of OpenAI text parts; null is empty.

    Raises:
        RowError: `wrong_type`, or `bad_media` for a part that is no text.
    """
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, list):
        if sum(type(part) is str for part in value) > 1:  # parts are objects; these are alternatives
            raise RowError(WRONG_TYPE, f"{what} is a list of {len(value)} texts, not one text")
        return "".join(_part(part, what) for part in value)
    raise RowError(WRONG_TYPE, f"{what} is {kind(value)}, not a text")


def json_value(value: Any, what: str) -> Any:
    """A value that tables hold as JSON text; anything but a text is as it is.

    Raises:
        RowError: `wrong_type`, for a text that is not JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise RowError(WRONG_TYPE, f"{what} is a text that is not JSON: {error.msg}") from error


def mapping_value(value: Any, what: str) -> Mapping[str, Any]:
    """An object, or JSON text of one. Raises RowError `wrong_type` for anything else."""
    found = json_value(value, what)
    if not isinstance(found, dict):
        raise RowError(WRONG_TYPE, f"{what} is {kind(found)}, not an object")
    return found


def weight_value(value: Any, what: str) -> float:
    """A finite number, 0 or more; tables may hold it as text. Raises RowError `bad_weight` for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError as error:
            raise RowError(BAD_WEIGHT, f"{what} is {value!r}, not a number") from error
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RowError(BAD_WEIGHT, f"{what} is {kind(value)}, not a number")
    if not math.isfinite(value) or value < 0:
        raise RowError(BAD_WEIGHT, f"{what} is {value}; it must be finite and not negative")
    return float(value)


def as_text(value: Any, what: str) -> str:
    """A tool's answer: a text, or any other value as JSON."""
    if isinstance(value, dict) or (isinstance(value, list) and not all(_is_part(part) for part in value)):
        return json.dumps(value, ensure_ascii=False)
    return text_value(value, what)


def _is_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text"


def _part(part: Any, what: str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise RowError(WRONG_TYPE, f"{what} is a list that holds {kind(part)}")
    if part.get("type", "text") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if part.get("type") == "text":
        raise RowError(WRONG_TYPE, f"{what} has a text part without text")
    raise RowError(BAD_MEDIA, f"{what} has a part of type {part.get('type')!r}, which does not belong here")
