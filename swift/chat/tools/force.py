"""A grammar of calls, for answers that must be one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from swift.chat.tools.base import ToolFormat, Tools
from swift.chat.tools.offer import function_of
from swift.chat.tools.scan import dumps
from swift.types import Guide, ToolCall

# Were white space free, a small model could fill its answer with it.
_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_NAME, _ARGUMENTS = "qzname", {"qzkey": "qzvalue"}


def call_guide(form: ToolFormat, tools: Tools) -> Guide | None:
    """What an answer that calls one of `tools`, and says nothing else, must look like.

    Args:
        form: How calls are written.
        tools: At least one.

    Returns:
        A Lark grammar; None where the format does not write arguments as one JSON object, or the name behind it.
    """
    written = form.calls([ToolCall(_NAME, _ARGUMENTS)])
    before, found, after = written.partition(dumps(_ARGUMENTS))
    if not found or before.count(_NAME) != 1 or _NAME in after:
        return None
    functions = [function_of(tool) for tool in tools]
    lines = ["start: " + " | ".join(f"call{number}" for number in range(len(functions)))]
    for number, function in enumerate(functions):
        opening = before.replace(_NAME, str(function["name"]))
        lines.append(f"call{number}: {_text(opening)} arguments{number}" + (f" {_text(after)}" if after else ""))
        lines.append(f"arguments{number}: %json {dumps(_schema(function))}")
    return Guide("grammar", "\n".join(lines) + "\n")


def _schema(function: Mapping[str, Any]) -> Any:
    return {**(function.get("parameters") or {"type": "object"}), "x-guidance": _LAYOUT}


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
