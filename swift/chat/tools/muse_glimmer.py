"""Muse Glimmer: invoke tags of a name space of their own, in a message to the tool."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from swift.chat.tools.base import Parsed, Result, ToolFormat, Tools
from swift.chat.tools.minimax import how, invokes, parse_invokes
from swift.chat.tools.offer import listing

_OUTER, _PREFIX = "atem:function_calls", "atem:"
_ADDRESSED = re.compile(r"(?:<\|eom\|>)?(?:<\|start\|>assistant)?\s*to=\S+?<\|message\|>\Z")


def parse(text: str, tools: Tools) -> Parsed:
    """Calls; whom a message is addressed to is left out of the words."""
    found = parse_invokes(text, tools, outer=_OUTER, prefix=_PREFIX)
    return Parsed(_ADDRESSED.sub("", found.content).strip(), found.calls)


def results(results: Sequence[Result]) -> str:
    """Each result in tags of its own."""
    return "\n".join(f"<function_result>\n{result.text}\n</function_result>" for result in results)


MUSE_GLIMMER = ToolFormat(
    listing(("", ""), how(_OUTER, _PREFIX), bare=True),
    partial(invokes, outer=_OUTER, prefix=_PREFIX),
    parse,
    results,
    opens=(f"<{_OUTER}>",),
)
