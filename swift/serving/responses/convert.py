"""From the items of `/v1/responses` to a `Request`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from swift.config.media import MediaConfig
from swift.serving import chats
from swift.serving.chat.convert import Asked, offered, template_kwargs
from swift.serving.chat.wire import NamedFunction
from swift.serving.choosing import Rules, guide_of, new_tokens, schema_guide
from swift.serving.errors import bad
from swift.serving.link.wire import Ready
from swift.serving.responses import wire
from swift.types import Guide, Media, Message, Placed, Request, Sampling, ToolCall

Part = wire.InputText | wire.InputImage | wire.OutputText | wire.Refusal


def asked(body: wire.ResponseRequest, adapter: str, rules: Rules, media: MediaConfig, ready: Ready) -> Asked:
    """What a client asks.

    Args:
        body: What the client sent.
        adapter: The adapter that it names.
        rules: Limits and defaults.
        media: Where media may come from.
        ready: What is known of the model.

    Raises:
        ApiError: 400, for what cannot be answered.
    """
    given = [
        {"type": "function", "function": tool.model_dump(exclude_none=True, exclude={"type"})}
        for tool in body.tools or ()
    ]
    choice = body.tool_choice
    tools, guide = offered(
        given, NamedFunction(name=choice.name) if isinstance(choice, wire.NamedTool) else choice, ready.reader
    )
    form = _form(body, rules)
    if guide is not None and form is not None:
        raise bad("a call cannot be required together with a format of the text", "text")
    guide = guide or form
    defaults = rules.defaults
    sampling = Sampling(
        max_new_tokens=new_tokens(body.max_output_tokens, rules),
        temperature=defaults.temperature if body.temperature is None else body.temperature,
        top_p=defaults.top_p if body.top_p is None else body.top_p,
        top_k=defaults.top_k,
        min_p=defaults.min_p,
        repetition_penalty=defaults.repetition_penalty,
        stop=defaults.stop,
        guide=guide,
    )
    kwargs = template_kwargs(None, guided=guide is not None, ready=ready)
    chat = chats.conversation(_messages(body, media), tools, kwargs, rules)
    return Asked(Request(chat, sampling, adapter), 1, tools, guide is not None)


def _form(body: wire.ResponseRequest, rules: Rules) -> Guide | None:
    form = None if body.text is None else body.text.format
    if isinstance(form, wire.SchemaFormat):
        return schema_guide(form.schema_, rules)
    return guide_of(form, rules)


@dataclass(slots=True)
class _Turn:
    """What items of the model's one turn say together."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)

    def take(self) -> list[Message]:
        """The turn, if there is one; it begins anew."""
        if not (self.texts or self.thoughts or self.calls):
            return []
        made = Message(
            "assistant",
            "".join(self.texts),
            reasoning="".join(self.thoughts) or None,
            tool_calls=tuple(self.calls),
        )
        self.texts, self.thoughts, self.calls = [], [], []
        return [made]


def _messages(body: wire.ResponseRequest, media: MediaConfig) -> list[Message]:
    found = [] if body.instructions is None else [Message("system", body.instructions)]
    if isinstance(body.input, str):
        return [*found, Message("user", body.input)]
    turn = _Turn()
    for place, item in enumerate(body.input, 1):
        if isinstance(item, wire.ReasoningItem):
            turn.thoughts += [part.text for part in item.content or item.summary or ()]
        elif isinstance(item, wire.CallItem):
            arguments = chats.decoded(item.arguments, f"the arguments of item {place}")
            turn.calls.append(ToolCall(item.name, arguments, item.call_id))
        elif isinstance(item, wire.ResultItem):
            text, shown = _parts(item.output, media)
            found += [*turn.take(), Message("tool", text, tool_call_id=item.call_id, media=shown)]
        else:
            text, shown = _parts(item.content, media)
            if item.role == "assistant":
                turn.texts.append(text)
            else:
                found += [*turn.take(), Message(item.role, text, media=shown)]
    return [*found, *turn.take()]


def _parts(content: str | Sequence[Part], media: MediaConfig) -> tuple[str, tuple[Placed, ...]]:
    if isinstance(content, str):
        return content, ()
    return chats.joined([_part(part, media) for part in content])


def _part(part: Part, media: MediaConfig) -> str | Media:
    if isinstance(part, wire.InputImage):
        return chats.medium("image", part.image_url, media)
    return part.refusal if isinstance(part, wire.Refusal) else part.text
