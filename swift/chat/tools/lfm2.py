"""LFM2: a list of Python calls between special tokens."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from typing import Any

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, dumps, in_marks, named
from swift.types import ToolCall

_OPEN, _CLOSE = "<|tool_call_start|>", "<|tool_call_end|>"
_JSON = {"true": True, "false": False, "null": None}
_LONGEST = 100_000  # characters; Python's parser takes much memory for each


def calls(calls: Sequence[ToolCall]) -> str:
    """All calls in one list."""
    written = [
        f"{call.name}({', '.join(f'{key}={_text(value)}' for key, value in named(call).items())})" for call in calls
    ]
    return f"{_OPEN}[{', '.join(written)}]{_CLOSE}"


def _text(value: Any) -> str:
    return dumps(value) if isinstance(value, dict | list) else repr(value)


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse. The text is read as Python's grammar has it, and never run."""
    del tools
    return in_marks(text, _OPEN, _read)


def _read(scan: Scanner) -> list[ToolCall]:
    text = scan.until(_CLOSE).strip()
    if len(text) > _LONGEST:
        raise ValueError("too long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of a backslash that escapes nothing
            tree = ast.parse(text, mode="eval").body
    except (SyntaxError, MemoryError) as error:  # both are how it refuses what is nested too deep
        raise ValueError(str(error)) from error
    if not isinstance(tree, ast.List):
        raise ValueError("not a list")
    return [_call(item) for item in tree.elts]


def _call(node: ast.expr) -> ToolCall:
    if not isinstance(node, ast.Call) or node.args or not isinstance(node.func, ast.Name | ast.Attribute):
        raise ValueError("not a call with named arguments")
    arguments = {}
    for word in node.keywords:
        if word.arg is None:
            raise ValueError("an argument without a name")
        arguments[word.arg] = _value(word.value)
    return ToolCall(ast.unparse(node.func), arguments)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in _JSON:
        return _JSON[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_value(key) if key is not None else None for key in node.keys]
        if not all(isinstance(key, str) for key in keys):
            raise ValueError("a key that is no text")
        return dict(zip(keys, map(_value, node.values), strict=True))
    found = ast.literal_eval(node)
    if found is not None and not isinstance(found, str | int | float):
        raise ValueError(f"{type(found).__name__} is not JSON")
    return found


def results(results: Sequence[Result]) -> str:
    """The texts, one after the other."""
    return "\n".join(result.text for result in results)


LFM2 = ToolFormat(
    listing(
        ("<|tool_list_start|>[\n", "\n]<|tool_list_end|>"),
        f"To call functions, write:\n{_OPEN}[name(argument='value')]{_CLOSE}",
    ),
    calls,
    parse,
    results,
    opens=(_OPEN,),
    role="tool",
)
