"""DeepSeek V3 and R1 (JSON in a code block), and V3.1 (bare JSON), between special tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.begins import behind
from swift.chat.tools.offer import listing
from swift.chat.tools.scan import Scanner, dumps, in_marks
from swift.types import ToolCall

_OPEN, _CLOSE = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
_BEGIN, _SEP, _END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
_HOW = "To call functions, write:\n"


def calls(calls: Sequence[ToolCall], *, block: bool) -> str:
    """Calls between tokens; with `block`, each has a kind, and its arguments in a code block."""
    if block:
        written = [f"{_BEGIN}function{_SEP}{call.name}\n```json\n{dumps(call.arguments)}\n```{_END}" for call in calls]
        return _OPEN + "\n".join(written) + _CLOSE
    return _OPEN + "".join(f"{_BEGIN}{call.name}{_SEP}{dumps(call.arguments)}{_END}" for call in calls) + _CLOSE


def parse(text: str, tools: Tools) -> Parsed:
    """The inverse of both."""
    del tools
    return in_marks(text, _OPEN, _read)


def _read(scan: Scanner) -> list[ToolCall]:
    found = []
    while not scan.blank().has(_CLOSE):
        scan.take(_BEGIN)
        name = scan.until(_SEP)
        block = name.strip() == "function" and _has_block(scan)
        if block:
            name = scan.until("\n```json\n")
        if not name.strip():
            raise ValueError("a call without a name")
        found.append(ToolCall(name, scan.blank().json()))
        if block:
            scan.blank().take("```")
        scan.blank().take(_END)
    return found


def _has_block(scan: Scanner) -> bool:
    """Whether a name and a code block follow rather than the arguments."""
    return "\n```json\n" in scan.text[scan.at :].partition(_END)[0]


def results(results: Sequence[Result], *, around: tuple[str, str] = ("", "")) -> str:
    """Each result between tokens of its own."""
    written = "".join(f"<｜tool▁output▁begin｜>{result.text}<｜tool▁output▁end｜>" for result in results)
    return around[0] + written + around[1]


V3 = ToolFormat(
    listing(("", ""), f"{_HOW}{_OPEN}{_BEGIN}function{_SEP}<name>\n```json\n<arguments>\n```{_END}{_CLOSE}"),
    partial(calls, block=True),
    parse,
    partial(results, around=("<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>")),
    opens=(_OPEN,),
    role="tool",
    between="",
    begins=behind(rf"{_OPEN}\s*{_BEGIN}function{_SEP}", r"\n```json\n\s*"),
)
V3_1 = ToolFormat(
    listing(("", ""), f"{_HOW}{_OPEN}{_BEGIN}<name>{_SEP}<arguments as JSON>{_END}{_CLOSE}"),
    partial(calls, block=False),
    parse,
    results,
    opens=(_OPEN,),
    role="tool",
    between="",
    begins=behind(rf"{_OPEN}\s*{_BEGIN}", rf"{_SEP}\s*"),
)
