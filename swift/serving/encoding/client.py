"""What `InferClient` asks of these routes, and how it reads the answers; the same for both kinds of client."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document's place among those that were given, and how well it suits the query."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Label:
    """The likeliest label of a text, and the probability of each, in the model's order."""

    label: str
    probabilities: tuple[float, ...]


def vectors_of(value: Mapping[str, Any]) -> NDArray[np.float32]:
    """float32 [texts, d]."""
    rows = sorted(value["data"], key=lambda item: int(item["index"]))
    return np.stack([_vector(row["embedding"]) for row in rows])


def ranked_of(value: Mapping[str, Any]) -> list[Ranked]:
    """The best first."""
    return [Ranked(int(item["index"]), float(item["relevance_score"])) for item in value["results"]]


def scores_of(value: Mapping[str, Any]) -> list[float]:
    """In the order of the pairs."""
    return [float(item["score"]) for item in sorted(value["data"], key=lambda item: int(item["index"]))]


def labels_of(value: Mapping[str, Any]) -> list[Label]:
    """In the order of the texts."""
    rows = sorted(value["data"], key=lambda item: int(item["index"]))
    return [Label(str(row["label"]), tuple(map(float, row["probs"]))) for row in rows]


def reward_of(value: Mapping[str, Any]) -> float:
    """Of the only chat."""
    return float(value["data"][0]["data"][0])


def beside(base: str, route: str) -> str:
    """The full address of a route that does not lie below /v1."""
    return base.rstrip("/").removesuffix("/v1") + route


def embed_body(texts: str | Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """A request for vectors; base64 keeps every bit, and is shorter."""
    return {"input": texts if isinstance(texts, str) else list(texts), "encoding_format": "base64", **options}


def _vector(given: str | list[float]) -> NDArray[np.float32]:
    if isinstance(given, str):
        return np.frombuffer(base64.b64decode(given), "<f4").astype(np.float32)
    return np.array(given, np.float32)
