"""A chat template that renders our messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from swift.chat.environment import RENDER_ERRORS, compile_template, plain, template_variables
from swift.errors import TemplateError
from swift.types import MediaKind, Message, ToolCall

WireMessage = dict[str, Any]
"""A message as templates and OpenAI clients write it."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a template wants to be spoken to; found out by trying (see `swift.chat.dialect`).

    Attributes:
        content: Message texts as strings, or as lists of parts (templates of vision models).
        arguments: Arguments of a tool call as an object, or as JSON text.
        calls: Whether tool calls are rendered at all.
        tools: Whether offered tools are rendered.
        results: Whether turns of the tool are rendered.
        system: Whether a system message is rendered; where not, it is folded into the first user message.
        reasoning: Thinking comes from a field of its own; or the generation prompt opens it and the template drops
            it from finished turns; or it is written into the text.
        opened: The generation prompt ends inside an open `<think>`.
        think_open: What the model writes before its thinking, the generation prompt included.
        think_close: What it writes between thinking and answer.
        answer_open: What it writes before an answer without thinking.
        placeholders: Kinds of media that the template has no place for, with the text that is written into the
            message in their stead.
    """

    content: Literal["text", "parts"] = "text"
    arguments: Literal["object", "json"] = "object"
    calls: bool = False
    tools: bool = False
    results: bool = True
    system: bool = True
    reasoning: Literal["field", "opened", "inline"] = "inline"
    opened: bool = False
    think_open: str = ""
    think_close: str = ""
    answer_open: str = ""
    placeholders: tuple[tuple[MediaKind, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A Jinja chat template with the values that it is rendered with.

    Attributes:
        source: The Jinja text.
        special_tokens: Texts of `bos_token`, `eos_token` and so on, as (name, text).
        tools_source: The Jinja text for rows that offer tools, where the checkpoint has two.
        dialect: How messages are written for it.
    """

    source: str
    special_tokens: tuple[tuple[str, str], ...] = ()
    tools_source: str | None = None
    dialect: Dialect = field(default_factory=Dialect)

    def render(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        add_generation_prompt: bool = False,
        template_kwargs: Mapping[str, Any] | None = None,
    ) -> str:
        """The text of a conversation.

        Args:
            messages: The turns.
            tools: Function schemas in OpenAI form.
            add_generation_prompt: End with what comes before the assistant's next words.
            template_kwargs: Further variables of the template.

        Raises:
            TemplateError: The template refuses these messages, in its own words.
        """
        wire = wire_messages(messages, self.dialect)
        return self.render_wire(
            wire,
            tools=wire_tools(tools),
            add_generation_prompt=add_generation_prompt,
            template_kwargs=template_kwargs or {},
        )

    def render_wire(
        self,
        messages: list[WireMessage],
        *,
        tools: list[dict[str, Any]] | None,
        add_generation_prompt: bool,
        template_kwargs: Mapping[str, Any],
    ) -> str:
        """As `render`, for messages that were translated already."""
        source = self.tools_source if tools and self.tools_source is not None else self.source
        try:
            return compile_template(source).render(
                **{
                    **dict(self.special_tokens),
                    "documents": None,
                    **template_kwargs,
                    "messages": messages,
                    "tools": tools,
                    "add_generation_prompt": add_generation_prompt,
                }
            )
        except RENDER_ERRORS as error:
            raise TemplateError(
                f"the chat template refuses this conversation: {error or type(error).__name__}",
                hint="see what roles and fields the template expects",
            ) from error

    def reads(self, variable: str) -> bool:
        """Whether the template asks for a variable of this name."""
        return variable in template_variables(self.source) or (
            self.tools_source is not None and variable in template_variables(self.tools_source)
        )


def wire_messages(messages: Sequence[Message], dialect: Dialect) -> list[WireMessage]:
    """Messages in the form in which inference engines hand them to a template."""
    return [_wire(message, dialect) for message in messages]


def wire_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Tools in the form in which inference engines hand them to a template; None for no tools."""
    return [plain(tool) for tool in tools] if tools else None


def _wire(message: Message, dialect: Dialect) -> WireMessage:
    wire: WireMessage = {"role": message.role, "content": message.content}
    if message.media:
        wire["content"] = _wire_parts(message, dialect)
    elif dialect.content == "parts":
        wire["content"] = [{"type": "text", "text": message.content}]
    if message.reasoning is not None:
        # Templates know this under two names; engines hand over both.
        wire["reasoning_content"] = wire["thinking"] = message.reasoning
    if message.tool_calls:
        wire["tool_calls"] = [_wire_call(call, dialect) for call in message.tool_calls]
    if message.name is not None:
        wire["name"] = message.name
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _wire_parts(message: Message, dialect: Dialect) -> str | list[dict[str, str]]:
    """Texts and media in their order."""
    written = dict(dialect.placeholders)
    parts: list[dict[str, str]] = []
    for part in message.parts:
        text = part if isinstance(part, str) else written.get(part.kind)
        if text is None:
            assert not isinstance(part, str)
            parts.append({"type": part.kind})
        elif parts and parts[-1]["type"] == "text":
            parts[-1]["text"] += text
        else:
            parts.append({"type": "text", "text": text})
    if dialect.content == "text" and all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _wire_call(call: ToolCall, dialect: Dialect) -> dict[str, Any]:
    arguments = plain(call.arguments)
    if dialect.arguments == "json" and not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    wire: dict[str, Any] = {"type": "function", "function": {"name": call.name, "arguments": arguments}}
    if call.id is not None:
        wire["id"] = call.id
    return wire
