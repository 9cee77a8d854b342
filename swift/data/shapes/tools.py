"""Tool schemas and tool calls, in the forms that data sets have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from swift.data.reasons import BAD_TOOL
from swift.data.shapes.values import kind
from swift.errors import RowError
from swift.types import ToolCall


def tool_schemas(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Schemas in OpenAI form, from a list of them, of bare functions, or of JSON texts of either.

    Raises:
        RowError: `bad_tool`.
    """
    found = _decoded(value, "tools") if value else []
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        raise RowError(BAD_TOOL, f"tools is {kind(found)}, not a list")
    return tuple(_schema(item, f"tool {place}") for place, item in enumerate(found, 1))


def tool_calls(value: Any, what: str) -> tuple[ToolCall, ...]:
    """Calls from one call or a list of them, each with or without OpenAI's `function` around it.

    Raises:
        RowError: `bad_tool`.
    """
    found = _decoded(value, what)
    items = found if isinstance(found, list) else [found]
    return tuple(_call(item, what) for item in items)


def _schema(item: Any, what: str) -> Mapping[str, Any]:
    found = _decoded(item, what)
    if not isinstance(found, dict):
        raise RowError(BAD_TOOL, f"{what} is {kind(found)}, not an object")
    function = found.get("function", found)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise RowError(BAD_TOOL, f"{what} has no name")
    return found if "function" in found else {"type": "function", "function": found}


def _call(item: Any, what: str) -> ToolCall:
    found = _decoded(item, what)
    if not isinstance(found, dict):
        raise RowError(BAD_TOOL, f"{what} is {kind(found)}, not an object with name and arguments")
    call = found.get("function", found)
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not call["name"]:
        raise RowError(BAD_TOOL, f"{what} names no function")
    arguments = call.get("arguments", call.get("parameters"))
    if isinstance(arguments, str) and arguments.strip():
        arguments = _decoded(arguments, f"the arguments of {what}")
    identity = found.get("id")
    # A call without arguments is one with none.
    return ToolCall(
        call["name"],
        {} if arguments in (None, "") or _blank(arguments) else arguments,
        None if identity is None else str(identity),
    )


def _blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def _decoded(value: Any, what: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise RowError(BAD_TOOL, f"{what}: not JSON: {error.msg}") from error
