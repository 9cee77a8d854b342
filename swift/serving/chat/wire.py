"""The forms of `/v1/chat/completions`: OpenAI's, and vLLM's further options."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swift.serving.wire import Choosing, Json, Positive, ResponseFormat, Told, Tool, Usage, Wire


class TextPart(Wire):
    """A text."""

    type: Literal["text"]
    text: str


class RefusalPart(Wire):
    """A refusal of an earlier turn."""

    type: Literal["refusal"]
    refusal: str


class ImageUrl(Wire):
    """Where a picture is."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Wire):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


class Url(Wire):
    """Where a medium is."""

    url: str


class VideoPart(Wire):
    """A video."""

    type: Literal["video_url"]
    video_url: Url


class AudioUrlPart(Wire):
    """A sound at an address."""

    type: Literal["audio_url"]
    audio_url: Url


class InputAudio(Wire):
    """A sound as base64."""

    data: str
    format: str


class AudioPart(Wire):
    """A sound."""

    type: Literal["input_audio"]
    input_audio: InputAudio


Part = Annotated[TextPart | ImagePart | VideoPart | AudioUrlPart | AudioPart, Field(discriminator="type")]


class SystemMessage(Wire):
    """What the model is told to be."""

    role: Literal["system", "developer"]
    content: str | list[TextPart]
    name: str | None = None


class UserMessage(Wire):
    """A turn of the user."""

    role: Literal["user"]
    content: str | list[Part]
    name: str | None = None


class CalledFunction(Wire):
    """A function that was called, with its arguments as JSON text."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: str


class Called(Wire):
    """A call of an earlier turn."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class AssistantMessage(Wire):
    """An earlier turn of the model."""

    role: Literal["assistant"]
    content: str | list[Annotated[TextPart | RefusalPart, Field(discriminator="type")]] | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[Called] | None = None
    name: str | None = None
    audio: None = None
    function_call: None = None
    annotations: list[Json] | None = None


class ToolMessage(Wire):
    """What a function gave back."""

    role: Literal["tool"]
    content: str | list[Part]
    tool_call_id: str
    name: str | None = None


ChatMessage = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class NamedFunction(Wire):
    """The name of a function."""

    name: str


class NamedTool(Wire):
    """The function that must be called."""

    type: Literal["function"]
    function: NamedFunction


class ChatRequest(Choosing):
    """A chat to be answered. Fields of the last group are taken and change nothing."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=1024)] | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    chat_template_kwargs: Json | None = None

    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class TopLogprob(Told):
    """A token that could have stood in a place."""

    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TopLogprob):
    """A token of the answer."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(Told):
    """How likely an answer's tokens are."""

    content: list[TokenLogprob] | None
    refusal: None = None


class AnswerFunction(Told):
    """The function that the model calls, and its arguments as JSON text."""

    name: str
    arguments: str


class AnswerCall(Told):
    """A call."""

    id: str
    type: Literal["function"]
    function: AnswerFunction


class AnswerMessage(Told):
    """The model's answer."""

    role: Literal["assistant"]
    content: str | None
    refusal: None = None
    reasoning_content: str | None = None
    tool_calls: list[AnswerCall] | None = None


FinishReason = Literal["stop", "length", "tool_calls"]


class Choice(Told):
    """One of n answers."""

    index: int
    message: AnswerMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: FinishReason


class ChatCompletion(Told):
    """The answers to a chat."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class DeltaFunction(Told):
    """A function that is called, or a piece of its arguments."""

    name: str | None = None
    arguments: str


class DeltaCall(Told):
    """A call that begins, a piece of its arguments, or a whole call; with its place among the calls."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: DeltaFunction


class Delta(Told):
    """What an answer has grown by."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[DeltaCall] | None = None


class ChunkChoice(Told):
    """What one of n answers has grown by."""

    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None
    finish_reason: FinishReason | None


class ChatChunk(Told):
    """One event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
