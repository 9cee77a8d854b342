"""Offering tools in the system message, in words that several formats share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from swift.chat.tools.base import Tools
from swift.chat.tools.scan import dumps


def function_of(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """The function of a schema in OpenAI form."""
    function: Mapping[str, Any] = tool["function"]
    return function


def names_of(tools: Tools) -> list[str]:
    """The names of what is offered."""
    return [str(function_of(tool)["name"]) for tool in tools]


def listed(tools: Tools, *, around: tuple[str, str], how: str, bare: bool = False) -> str:
    """One JSON object a line between marks, and how a call is written.

    Args:
        tools: What is offered.
        around: The marks, each with its line break.
        how: The last sentences.
        bare: Leave out OpenAI's `{"type": "function", "function": ...}` around each.
    """
    lines = "\n".join(dumps(function_of(tool) if bare else tool) for tool in tools)
    return f"# Tools\n\nYou may call these functions:\n{around[0]}{lines}{around[1]}\n\n{how}"


def listing(around: tuple[str, str], how: str, *, bare: bool = False) -> Callable[[Tools], str]:
    """`listed` with everything but the tools."""
    return partial(listed, around=around, how=how, bare=bare)
