"""The forms of `/v1/responses`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from swift.serving.wire import Json, ObjectFormat, Positive, Temperature, TextFormat, Told, Wire


class InputText(Wire):
    """A text."""

    type: Literal["input_text"]
    text: str


class InputImage(Wire):
    """A picture."""

    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(Wire):
    """A text of an earlier answer."""

    type: Literal["output_text"]
    text: str
    annotations: list[Json] | None = None
    logprobs: list[Json] | None = None


class Refusal(Wire):
    """A refusal of an earlier answer."""

    type: Literal["refusal"]
    refusal: str


class MessageItem(Wire):
    """A turn."""

    type: Literal["message"] = "message"
    role: Literal["user", "system", "developer", "assistant"]
    content: str | list[Annotated[InputText | InputImage | OutputText | Refusal, Field(discriminator="type")]]
    id: str | None = None
    status: str | None = None


class CallItem(Wire):
    """A call of an earlier turn."""

    type: Literal["function_call"]
    call_id: str
    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: str
    id: str | None = None
    status: str | None = None


class ResultItem(Wire):
    """What a function gave back."""

    type: Literal["function_call_output"]
    call_id: str
    output: str | list[Annotated[InputText | InputImage, Field(discriminator="type")]]
    id: str | None = None
    status: str | None = None


class ReasoningText(Wire):
    """Thinking."""

    type: Literal["reasoning_text", "summary_text"]
    text: str


class ReasoningItem(Wire):
    """Thinking of an earlier turn."""

    type: Literal["reasoning"]
    id: str | None = None
    summary: list[ReasoningText] | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: None = None
    status: str | None = None


Item = MessageItem | CallItem | ResultItem | ReasoningItem


class FunctionTool(Wire):
    """A function that the model may call."""

    type: Literal["function"]
    name: Annotated[str, Field(min_length=1, max_length=256)]
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class NamedTool(Wire):
    """The function that must be called."""

    type: Literal["function"]
    name: str


class SchemaFormat(Wire):
    """JSON after a schema."""

    type: Literal["json_schema"]
    name: str
    schema_: Json = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextOptions(Wire):
    """The form of the answer's text."""

    format: Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")] | None = None
    verbosity: str | None = None


class Reasoning(Wire):
    """How much the model thinks; taken, and changes nothing."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class StreamOptions(Wire):
    """What a stream tells besides the answer."""

    include_obfuscation: bool | None = None


class ResponseRequest(Wire):
    """Something to be answered. Fields of the last group are taken and change nothing: nothing is kept here."""

    model: str
    input: str | Annotated[list[Item], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Positive | None = None
    temperature: Temperature | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    text: TextOptions | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: dict[str, str] | None = None
    previous_response_id: None = None
    conversation: None = None
    background: Literal[False] | None = None

    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    store: bool | None = None
    include: list[str] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    user: str | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class CachedDetails(Told):
    """More about the tokens of the prompt."""

    cached_tokens: int


class ReasoningDetails(Told):
    """More about the tokens of the answer; those of thinking are not counted apart."""

    reasoning_tokens: int


class ResponseUsage(Told):
    """Tokens of a request."""

    input_tokens: int
    input_tokens_details: CachedDetails
    output_tokens: int
    output_tokens_details: ReasoningDetails
    total_tokens: int


class OutputPart(Told):
    """Words of an answer."""

    type: Literal["output_text"]
    text: str
    annotations: list[Any]
    logprobs: list[Any]


class OutputMessage(Told):
    """Words of the model."""

    type: Literal["message"]
    id: str
    status: Literal["in_progress", "completed", "incomplete"]
    role: Literal["assistant"]
    content: list[OutputPart]


class OutputCall(Told):
    """A call."""

    type: Literal["function_call"]
    id: str
    call_id: str
    name: str
    arguments: str
    status: Literal["in_progress", "completed", "incomplete"]


class ThoughtPart(Told):
    """Thinking."""

    type: Literal["reasoning_text"]
    text: str


class OutputReasoning(Told):
    """Thinking of the model."""

    type: Literal["reasoning"]
    id: str
    status: Literal["in_progress", "completed", "incomplete"]
    summary: list[Any]
    content: list[ThoughtPart]


class Incomplete(Told):
    """Why an answer is not whole."""

    reason: Literal["max_output_tokens"]


class ResponseAnswer(Told):
    """The model's answer."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["in_progress", "completed", "incomplete"]
    error: None
    incomplete_details: Incomplete | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputMessage | OutputCall | OutputReasoning]
    parallel_tool_calls: bool
    previous_response_id: None
    store: Literal[False]
    temperature: float | None
    text: dict[str, Any]
    tool_choice: Any
    tools: list[Any]
    top_p: float | None
    truncation: Literal["disabled"]
    usage: ResponseUsage | None
