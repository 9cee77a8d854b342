"""Qwen3-Coder, Qwen 3.5, Nemotron 3 and Seed-OSS: `<function=NAME>` with `<parameter=NAME>` in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, in_marks, kinds, named, read_value, written_value
from swift.types import ToolCall

_HOW = (
    "To call a function, name it and give each argument in tags:\n"
    "{open}\n<function=name>\n<parameter=argument>\nvalue\n</parameter>\n</function>\n{close}"
)
_CLOSE = "</parameter>"


def calls(calls: Sequence[ToolCall], *, tag: str, line: str) -> str:
    """Calls in tags.

    Args:
        calls: At least one.
        tag: The outer tag.
        line: What stands between a parameter's tags and its value.
    """
    written = []
    for call in calls:
        pairs = "".join(
            f"<parameter={key}>{line}{written_value(value, _CLOSE)}{line}{_CLOSE}\n"
            for key, value in named(call).items()
        )
        written.append(f"<{tag}>\n<function={call.name}>\n{pairs}</function>\n</{tag}>")
    return "\n".join(written)


def parse(text: str, tools: Tools, *, tag: str, line: bool) -> Parsed:
    """The inverse."""
    return in_marks(text, f"<{tag}>", partial(_read, tools=tools, close=f"</{tag}>", line=line))


def _read(scan: Scanner, *, tools: Tools, close: str, line: bool) -> list[ToolCall]:
    found = []
    while not scan.blank().has(close):
        scan.take("<function=")
        name = scan.until(">")
        if not name.strip():
            raise ValueError("a call without a name")
        declared = kinds(tools, name)
        arguments = {}
        while not scan.blank().has("</function>"):
            scan.take("<parameter=")
            key = scan.until(">")
            value = scan.until(_CLOSE)
            arguments[key] = read_value(_inner(value) if line else value, declared.get(key, ""))
        found.append(ToolCall(name, arguments))
    return found


def _inner(text: str) -> str:
    """Without the line breaks next to the tags."""
    return text.removeprefix("\n").removesuffix("\n")


def _tagged(before: str, results: Sequence[Result], after: str) -> str:
    return "\n".join(f"{before}{result.text}{after}" for result in results)


def results(results: Sequence[Result]) -> str:
    """Each result in tags of its own."""
    return _tagged("<tool_response>\n", results, "\n</tool_response>")


def plain_results(results: Sequence[Result]) -> str:
    """The texts, one after the other."""
    return _tagged("", results, "")


QWEN3_CODER = ToolFormat(
    listing(("<tools>\n", "\n</tools>"), _HOW.format(open="<tool_call>", close="</tool_call>")),
    partial(calls, tag="tool_call", line="\n"),
    partial(parse, tag="tool_call", line=True),
    results,
    opens=("<tool_call>",),
)
SEED_OSS = ToolFormat(
    listing(("", ""), _HOW.format(open="<seed:tool_call>", close="</seed:tool_call>")),
    partial(calls, tag="seed:tool_call", line=""),
    partial(parse, tag="seed:tool_call", line=False),
    plain_results,
    opens=("<seed:tool_call>",),
    role="tool",
)
