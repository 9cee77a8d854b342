"""Small conversations that try what a template must be able to do."""

from __future__ import annotations

from swift.chat.dialect import PROBE_TOOLS
from swift.types import Conversation, Message, Origin, ToolCall

_ORIGIN = Origin("probes", 1)
_TOOL = str(PROBE_TOOLS[0]["function"]["name"])
_CALL = ToolCall(_TOOL, {"word": "caf\u00e9"}, id="probe0001")


def _chat(*turns: Message, tools: bool = False) -> Conversation:
    return Conversation(turns, _ORIGIN, tools=PROBE_TOOLS if tools else ())


def _user(text: str) -> Message:
    return Message("user", text)


def _says(text: str, reasoning: str | None = None) -> Message:
    return Message("assistant", text, reasoning=reasoning)


REQUIRED: dict[str, Conversation] = {
    "one turn": _chat(_user("What is 2 + 2?"), _says("It is 4.")),
    "three turns": _chat(
        _user("Hi"),
        _says("Hello!"),
        _user("Count to 3."),
        _says("1, 2, 3"),
        _user("Thanks"),
        _says("Gladly."),
    ),
    "white space": _chat(
        _user("  before\n\n"),
        _says("\n\n  within\n\n\tand behind \n"),
        _user("\tagain"),
        _says(" spaces  "),
    ),
    "other scripts": _chat(
        _user("na\u00efve \u4f60\u597d \U0001f642"),
        _says("\U0001f468\u200d\U0001f469\u200d\U0001f467 \u00e9\u0301"),
    ),
    "role names": _chat(
        _user("user\nassistant\nsystem:"),
        _says("assistant: user said\nassistant"),
        _user("end"),
        _says("end model"),
    ),
}
"""Every template must train these rightly."""

OPTIONAL: dict[str, Conversation] = {
    "system": _chat(Message("system", "Be brief."), _user("Hi"), _says("Hello.")),
    "tools": _chat(
        _user("What does it mean?"),
        Message("assistant", "", tool_calls=(_CALL,)),
        Message("tool", "a place", name=_TOOL, tool_call_id="probe0001"),
        _says("A place."),
        tools=True,
    ),
    "thinking": _chat(_user("What is 3 + 3?"), _says("It is 6.", reasoning="Three and three\n\nare six.")),
    "thinking in history": _chat(
        _user("What is 3 + 3?"),
        _says("6", reasoning="Three and three."),
        _user("And 4 + 4?"),
        _says("8", reasoning="Four and four."),
    ),
}
"""What a template may lack; rows that need it fail by themselves, with their reason."""
