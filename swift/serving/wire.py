"""The forms that all endpoints share: strict about types, and fields that are not known are refused."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Wire(BaseModel):
    """Base of what clients send."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class Told(BaseModel):
    """Base of what the server tells; only for the OpenAPI document and for tests."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ErrorDetail(Told):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Told):
    """An error in OpenAI's shape."""

    error: ErrorDetail


ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "The request cannot be answered."},
    "5XX": {"model": ErrorBody, "description": "The server cannot answer at the moment."},
}
"""The errors of OpenAI's routes, for the OpenAPI document."""


EVENTS: dict[str, Any] = {
    "text/event-stream": {
        "schema": {
            "type": "object",
            "properties": {"data": {"type": "string"}, "event": {"type": "string"}},
            "required": ["data"],
        }
    }
}
"""A stream of events, each with JSON (or `[DONE]`) as its data, for the OpenAPI document."""


class PromptDetails(Told):
    """More about the tokens of the prompt."""

    cached_tokens: int


class Usage(Told):
    """Tokens of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails | None = None


Temperature = Annotated[float, Field(ge=0, le=2)]
Probability = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Bias = Annotated[float, Field(ge=-100, le=100)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Json = dict[str, JsonValue]


class StreamOptions(Wire):
    """What a stream tells besides the answer."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class Choosing(Wire):
    """How tokens are chosen, as chat and text completions have it; those of OpenAI's API, then those of vLLM's."""

    model: str
    temperature: Temperature | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=1024)] | None = None
    stop: str | list[str] | None = None
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Bias] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None

    top_k: Annotated[int, Field(ge=-1, le=2**31 - 1)] | None = None
    min_p: Probability | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    min_tokens: Count | None = None
    ignore_eos: bool | None = None
    stop_token_ids: list[Count] | None = None


class JsonSchema(Wire):
    """A JSON schema with a name."""

    name: str
    schema_: Json | None = Field(None, alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextFormat(Wire):
    """Free text."""

    type: Literal["text"]


class ObjectFormat(Wire):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaFormat(Wire):
    """JSON after a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")]


class Function(Wire):
    """A function that the model may call."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class Tool(Wire):
    """A tool; only functions are."""

    type: Literal["function"]
    function: Function


def call_id() -> str:
    """A fresh id of a call."""
    return f"call_{uuid.uuid4().hex[:24]}"
