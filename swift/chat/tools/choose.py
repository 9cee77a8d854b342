"""Which format a model's calls are in: named by the user, proved by its template, or known of its family."""

from __future__ import annotations

from functools import lru_cache

from swift.chat.continuation import continuation
from swift.chat.template import ChatTemplate
from swift.chat.tools.base import DEFAULT, ToolFormat, tool_formats
from swift.errors import TemplateError
from swift.types import Message, ToolCall

AUTO, TEMPLATE = "auto", "template"
"""Names that are no formats: the template's own ways where it has any, else a format of ours; the template's only."""

_SHORT = 2  # characters; such a mark stands in other text too
_USER = Message("user", "Qzuser asks")
_WORDS = {"word": "qz value", "count": 3, "inner": {"list": [True, None, "x"]}}
# Some templates insist on call ids of nine letters and digits.
_PROBE = ToolCall("qz_tool", _WORDS, id="qzcall001")
_PLAIN_PROBE = ToolCall("qz_tool", {"word": "qz value"}, id="qzcall001")


def writing_format(name: str, template: ChatTemplate, family: str) -> str:
    """The format in which we write tools; empty where the template does.

    Args:
        name: As the user says it.
        template: The model's.
        family: The format of the model's family, or empty.

    Raises:
        UnknownNameError: There is no such format.
    """
    if name == TEMPLATE or (name == AUTO and template.dialect.tools and template.dialect.calls):
        return ""
    if name == AUTO:
        own = template_format(template) if template.dialect.calls else ""
        return own or (family if family in tool_formats else DEFAULT)
    tool_formats.get(name)
    return name


@lru_cache(maxsize=16)
def template_format(template: ChatTemplate) -> str:
    """The format in which a template writes calls: the first whose reader gives back what was written; or empty.

    Nothing is guessed from names: a call is rendered and read. A format that leaves nothing over comes first; what is
    left over may be the template's empty thinking, but not where a format has no marks and so might have overlooked
    some.
    """
    for call in (_PROBE, _PLAIN_PROBE):
        written = _written(template, call)
        for whole in (True, False):
            for name in tool_formats if written else ():
                if _reads(tool_formats.get(name), written or "", call, whole=whole):
                    return name
    return ""


def reading_format(name: str, template: ChatTemplate, family: str) -> str:
    """The format in which a model's answers call functions; empty where that is not known.

    Args:
        name: The format in which we write, or empty.
        template: The model's.
        family: The format of the model's family, or empty.
    """
    own = name or (template_format(template) if template.source and template.dialect.calls else "")
    return own or (family if family in tool_formats else "")


def _written(template: ChatTemplate, call: ToolCall) -> str | None:
    turn = Message("assistant", "", tool_calls=(call,))
    try:
        prompt = template.render([_USER], add_generation_prompt=True)
        full = template.render([_USER, turn])
    except TemplateError:
        return None  # it writes no such turn
    return continuation(prompt, full, None)


def _reads(form: ToolFormat, written: str, call: ToolCall, *, whole: bool) -> bool:
    """Whether a format reads the call; with `whole`, and finds nothing else in the text."""
    if not whole and any(len(mark) <= _SHORT for mark in form.opens):
        return False
    # What ends the turn stands behind the call, and is not generated text.
    tools = ({"type": "function", "function": {"name": call.name, "parameters": {"type": "object"}}},)
    ends = [len(written), *(place for place in range(len(written) - 1, 0, -1) if written[place] in "<[\n")]
    for end in ends:
        found = form.read(written[:end].rstrip(), tools)
        same = [(one.name, one.arguments) for one in found.calls] == [(call.name, call.arguments)]
        if same and not (whole and found.content):
            return True
    return False
