"""Finding out how a template wants to be spoken to, by rendering a few messages with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from swift.chat.continuation import THINK_CLOSE, continuation, opens_thinking
from swift.chat.template import ChatTemplate, Dialect
from swift.errors import TemplateError
from swift.types import Media, MediaKind, Message, Placed, ToolCall

# Words that no template contains, so that finding them proves that a field was rendered.
_USER, _ANSWER, _SYSTEM, _THOUGHT = "Qzuser asks", "Qzanswer given", "Qzsystem rules", "Qzthought held"
_TOOL, _VALUE, _RESULT = "qztool", "qzvalue", "Qzresult told"
PROBE_TOOLS: tuple[dict[str, Any], ...] = (
    {
        "type": "function",
        "function": {
            "name": _TOOL,
            "description": "Looks a word up.",
            "parameters": {
                "type": "object",
                "properties": {"word": {"type": "string", "description": "The word."}},
                "required": ["word"],
            },
        },
    },
)
# Some templates insist on call ids of nine letters and digits.
_CALL = ToolCall(_TOOL, {"word": _VALUE}, id="qzcall001")


def adapt(template: ChatTemplate) -> ChatTemplate:
    """`template` with its dialect found out.

    Raises:
        TemplateError: It renders a plain question and answer in no known form.
    """
    for content in ("text", "parts"):
        adapted = replace(template, dialect=Dialect(content=content))
        if _shows(adapted, [_user(), _answer()], _USER, _ANSWER):
            return replace(adapted, dialect=_with_thinking(adapted, _with_roles(adapted, adapted.dialect)))
    _render(template, [_user(), _answer()])  # raises the template's own words, if it has any
    raise TemplateError(
        "the chat template fails 'renders': a question and its answer do not appear in its text",
        hint="choose another with --chat_template FILE",
    )


def adapt_media(template: ChatTemplate, tokens: Mapping[MediaKind, str]) -> ChatTemplate:
    """`template` with its dialect for media found out.

    Args:
        tokens: The placeholder that the model's processor looks for, by kind of media.
    """
    written = [(kind, token) for kind, token in tokens.items() if not _places(template, kind)]
    return replace(template, dialect=replace(template.dialect, placeholders=tuple(written)))


def _places(template: ChatTemplate, kind: MediaKind) -> bool:
    """Whether the template puts something of its own where a message has a medium."""
    shown = _try(template, [Message("user", _USER, media=(Placed(0, Media(kind, "")),)), _answer()])
    if shown is None or _USER not in shown or _ANSWER not in shown or "'type'" in shown or '"type"' in shown:
        return False
    plain = _try(template, [_user(), _answer()])
    return plain is not None and len(shown) > len(plain)


def _with_roles(template: ChatTemplate, dialect: Dialect) -> Dialect:
    system = _shows(template, [Message("system", _SYSTEM), _user(), _answer()], _SYSTEM, _USER)
    tools = _shows(template, [_user()], _TOOL, tools=PROBE_TOOLS)
    told = Message("tool", _RESULT, name=_TOOL, tool_call_id=_CALL.id)
    results = _shows(template, [_user(), _answer(), told], _RESULT)
    dialect = replace(dialect, system=system, tools=tools, results=results)
    for arguments in ("object", "json"):
        spoken = replace(dialect, arguments=arguments)
        call = Message("assistant", "", tool_calls=(_CALL,))
        if _shows(replace(template, dialect=spoken), [_user(), call], _TOOL, _VALUE):
            return replace(spoken, calls=True)
    return dialect


def _with_thinking(template: ChatTemplate, dialect: Dialect) -> Dialect:
    asks = template.reads("enable_thinking")
    prompt = _render(template, [_user()], generate=True, thinking=True if asks else None)
    thought = Message("assistant", _ANSWER, reasoning=_THOUGHT)
    full = _try(template, [_user(), thought], thinking=True if asks else None) or ""
    opened = opens_thinking(prompt)
    dialect = replace(dialect, opened=opened)
    if _THOUGHT in full:
        dialect = replace(dialect, reasoning="field")
    elif opened:
        dialect = replace(dialect, reasoning="opened")
    written = continuation(prompt, full, _THOUGHT) or ""
    before, found, rest = written.partition(_THOUGHT)
    if found and _ANSWER in rest:
        dialect = replace(dialect, think_open=before, think_close=rest[: rest.index(_ANSWER)])
    elif dialect.reasoning == "opened":
        dialect = replace(dialect, think_close=THINK_CLOSE)
    return replace(dialect, answer_open=_answer_open(template, asks))


def _answer_open(template: ChatTemplate, asks: bool) -> str:
    thinking = False if asks else None
    prompt = _render(template, [_user()], generate=True, thinking=thinking)
    written = continuation(prompt, _render(template, [_user(), _answer()], thinking=thinking), None) or ""
    return written.partition(_ANSWER)[0]


def _user() -> Message:
    return Message("user", _USER)


def _answer() -> Message:
    return Message("assistant", _ANSWER)


def _render(
    template: ChatTemplate,
    messages: list[Message],
    *,
    generate: bool = False,
    thinking: bool | None = None,
    tools: tuple[dict[str, Any], ...] = (),
) -> str:
    kwargs = {} if thinking is None else {"enable_thinking": thinking}
    return template.render(messages, tools=tools, add_generation_prompt=generate, template_kwargs=kwargs)


def _try(template: ChatTemplate, messages: list[Message], **options: Any) -> str | None:
    try:
        return _render(template, messages, **options)
    except TemplateError:
        return None  # a refusal is an answer here: the template does not know this form


def _shows(template: ChatTemplate, messages: list[Message], *words: str, **options: Any) -> bool:
    text = _try(template, messages, **options)
    return text is not None and all(word in text for word in words)
