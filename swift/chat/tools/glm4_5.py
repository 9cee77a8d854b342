"""GLM-4.5 and later, and Hunyuan 3: name, then keys and values in tags, all in `<tool_call>` tags."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, in_marks, kinds, named, read_value, written_value
from swift.types import ToolCall

_HOW = (
    "To call a function, write its name, and each argument's name and value, in tags:\n"
    "<tool_call><name>{line}<arg_key><argument></arg_key>{line}<arg_value><value></arg_value>{line}</tool_call>"
)
_TOOLS = ("<tools>\n", "\n</tools>")


def calls(calls: Sequence[ToolCall], *, line: str, after_name: str = "", around: tuple[str, str] = ("", "")) -> str:
    """Calls in tags.

    Args:
        calls: At least one.
        line: What stands between tags.
        after_name: A tag that ends the name.
        around: What stands around all of them.
    """
    return around[0] + "\n".join(_call(call, line, after_name) for call in calls) + around[1]


def _call(call: ToolCall, line: str, after_name: str) -> str:
    pairs = "".join(
        f"<arg_key>{key}</arg_key>{line}<arg_value>{written_value(value, '</arg_value>')}</arg_value>{line}"
        for key, value in named(call).items()
    )
    return f"<tool_call>{call.name}{after_name}{line}{pairs}</tool_call>"


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse, with or without line breaks between tags."""
    found = in_marks(text, "<tool_call>", partial(_read, tools=tools))
    return Parsed(found.content.replace("<tool_calls>", "").replace("</tool_calls>", "").strip(), found.calls)


def _read(scan: Scanner, *, tools: Tools) -> list[ToolCall]:
    start = scan.at
    name = scan.until("<tool_sep>", "\n", "<arg_key>", "</tool_call>").strip()
    if not name:
        raise ValueError("a call without a name")
    scan.at = start + len(scan.text[start : scan.at].partition("<arg_key>")[0].partition("</tool_call>")[0])
    declared = kinds(tools, name)
    arguments = {}
    while not scan.blank().has("</tool_call>"):
        scan.take("<arg_key>")
        key = scan.until("</arg_key>").strip()
        scan.blank().take("<arg_value>")
        arguments[key] = read_value(scan.until("</arg_value>"), declared.get(key, ""))
    return [ToolCall(name, arguments)]


def results(results: Sequence[Result], *, around: tuple[str, str] = ("", "")) -> str:
    """Each result in tags of its own."""
    written = "\n".join(f"<tool_response>\n{result.text}\n</tool_response>" for result in results)
    return around[0] + written + around[1]


def _how(line: str) -> str:
    return _HOW.replace("{line}", line)


GLM4_5 = ToolFormat(
    listing(_TOOLS, _how("\n")), partial(calls, line="\n"), parse, results, opens=("<tool_call>",), role="tool"
)
GLM4_7 = ToolFormat(
    listing(_TOOLS, _how("")), partial(calls, line=""), parse, results, opens=("<tool_call>",), role="tool", between=""
)
HY_V3 = ToolFormat(
    listing(_TOOLS, _how("\n").replace("<name>", "<name><tool_sep>")),
    partial(calls, line="\n", after_name="<tool_sep>", around=("<tool_calls>\n", "\n</tool_calls>")),
    parse,
    partial(results, around=("<tool_responses>\n", "\n</tool_responses>")),
    opens=("<tool_calls>", "<tool_call>"),
    role="tool",
)
