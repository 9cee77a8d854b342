"""The forms of these routes: OpenAI's for vectors, Cohere's and Jina's for reranking, vLLM's for the others."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from swift.serving.chat.wire import ChatMessage
from swift.serving.wire import Count, Json, Positive, Told, Wire

Ids = Annotated[list[Count], Field(min_length=1)]
Truncation = Literal[-1] | Positive
"""Longest prompt in tokens; -1 is what the model takes."""


class Asking(Wire):
    """What all these requests have."""

    model: str
    truncate_prompt_tokens: Truncation | None = None
    user: str | None = None


class InputRequest(Asking):
    """Texts or token ids, one or several; or a chat."""

    input: str | Ids | Annotated[list[str], Field(min_length=1)] | Annotated[list[Ids], Field(min_length=1)] | None = (
        None
    )
    messages: Annotated[list[ChatMessage], Field(min_length=1)] | None = None
    chat_template_kwargs: Json | None = None


class EmbeddingRequest(InputRequest):
    """What vectors are wanted of."""

    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Positive | None = None


class PairsRequest(Asking):
    """What all requests for scores of pairs have."""

    instruction: str | None = None


class ScoreRequest(PairsRequest):
    """Pairs: each of `text_1` with the one of `text_2` in its place, or a single `text_1` with each."""

    text_1: str | Annotated[list[str], Field(min_length=1)]
    text_2: str | Annotated[list[str], Field(min_length=1)]


class Document(Wire):
    """A text to be ranked."""

    text: str


class RerankRequest(PairsRequest):
    """Documents that are to be put in order for a query."""

    query: str
    documents: Annotated[list[str | Document], Field(min_length=1)]
    top_n: Count | None = None
    return_documents: bool | None = None


class PromptUsage(Told):
    """Tokens of a request."""

    prompt_tokens: int
    total_tokens: int


class Embedding(Told):
    """A vector: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Embeddings(Told):
    """Vectors, in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: PromptUsage


class Headed(Told):
    """What vLLM's answers have in common."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    usage: PromptUsage


class Score(Told):
    """How well the two texts of a pair suit each other."""

    index: int
    object: Literal["score"]
    score: float


class Scores(Headed):
    """Scores, in the order of the pairs."""

    data: list[Score]


class Labelled(Told):
    """The likeliest label, and the probabilities of all."""

    index: int
    label: str
    probs: list[float]
    num_classes: int


class Labels(Headed):
    """Labels, in the order of the inputs."""

    data: list[Labelled]


class Pooled(Told):
    """How good an answer is."""

    index: int
    object: Literal["pooling"]
    data: list[float]


class Pooling(Headed):
    """Rewards, in the order of the inputs."""

    data: list[Pooled]


class ShownDocument(Told):
    """A document's text."""

    text: str


class Ranked(Told):
    """A document's place in the request, and its score."""

    index: int
    relevance_score: float
    document: ShownDocument | None = None


class Ranking(Told):
    """The best documents first."""

    id: str
    model: str
    results: list[Ranked]
    usage: PromptUsage
