"""The forms of Anthropic's messages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from swift.serving.wire import Count, Json, Positive, Probability, Told, Wire


class TextBlock(Wire):
    """A text. A mark for caching changes nothing: what can be reused is."""

    type: Literal["text"]
    text: str
    cache_control: Json | None = None
    citations: list[Json] | None = None


class Base64Source(Wire):
    """A picture as base64."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class UrlSource(Wire):
    """A picture at an address."""

    type: Literal["url"]
    url: str


class ImageBlock(Wire):
    """A picture."""

    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource, Field(discriminator="type")]
    cache_control: Json | None = None


class ToolUseBlock(Wire):
    """A call of an earlier turn."""

    type: Literal["tool_use"]
    id: str
    name: Annotated[str, Field(min_length=1, max_length=256)]
    input: Json
    cache_control: Json | None = None


class ToolResultBlock(Wire):
    """What a function gave back."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[Annotated[TextBlock | ImageBlock, Field(discriminator="type")]] | None = None
    is_error: bool | None = None
    cache_control: Json | None = None


class ThinkingBlock(Wire):
    """Thinking of an earlier turn."""

    type: Literal["thinking"]
    thinking: str
    signature: str | None = None


Block = Annotated[TextBlock | ImageBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock, Field(discriminator="type")]


class InputMessage(Wire):
    """One turn."""

    role: Literal["user", "assistant"]
    content: str | list[Block]


class Tool(Wire):
    """A function that the model may call."""

    type: Literal["custom"] | None = None
    name: Annotated[str, Field(min_length=1, max_length=256)]
    description: str | None = None
    input_schema: Json
    cache_control: Json | None = None


class AnyChoice(Wire):
    """Whether the model may or must call a function."""

    type: Literal["auto", "any", "none"]
    disable_parallel_tool_use: bool | None = None


class ToolChoice(Wire):
    """The function that must be called."""

    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool | None = None


class Thinking(Wire):
    """Whether the model thinks first. How much it thinks is not bounded apart from `max_tokens`."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Count | None = None
    display: str | None = None


class CountRequest(Wire):
    """A chat whose tokens are counted."""

    model: str
    messages: Annotated[list[InputMessage], Field(min_length=1)]
    system: str | list[TextBlock] | None = None
    tools: list[Tool] | None = None
    tool_choice: Annotated[AnyChoice | ToolChoice, Field(discriminator="type")] | None = None
    thinking: Thinking | None = None


class Metadata(Wire):
    """Who asks."""

    user_id: str | None = None


class MessageRequest(CountRequest):
    """A chat to be answered. `metadata` and `service_tier` are taken and change nothing."""

    max_tokens: Positive
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    temperature: Probability | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Count | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None


class ErrorDetail(Told):
    """What is wrong."""

    type: str
    message: str


class ErrorBody(Told):
    """An error in Anthropic's shape."""

    type: Literal["error"]
    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "The request cannot be answered."},
    "5XX": {"model": ErrorBody, "description": "The server cannot answer at the moment."},
}


class Counted(Told):
    """How many tokens a chat has."""

    input_tokens: int


class TextAnswer(Told):
    """Words."""

    type: Literal["text"]
    text: str


class ThinkingAnswer(Told):
    """Thinking; it needs no signature here."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class ToolUseAnswer(Told):
    """A call."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: Any


class MessageUsage(Told):
    """Tokens of a request; those that did not have to be computed stand apart."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int


class MessageAnswer(Told):
    """The model's answer."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[TextAnswer | ThinkingAnswer | ToolUseAnswer]
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"] | None
    stop_sequence: str | None
    usage: MessageUsage
