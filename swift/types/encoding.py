"""What models are asked that give numbers in place of an answer, and what they give: EncodeRequest -> Encoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from swift.types.generation import Prompt

Task = Literal["generate", "embed", "rerank", "classify", "reward"]
"""What a model does: answers; a vector for a text; how well a document suits a query; labels; how good an answer is."""


@dataclass(frozen=True, slots=True)
class TextPair:
    """Two texts that are judged together.

    Attributes:
        query: What is looked for.
        document: What may be it.
        instruction: What suiting means, for models that are told; None takes the default one.
    """

    query: str
    document: str
    instruction: str | None = None


Encodable = Prompt | TextPair


@dataclass(frozen=True, slots=True)
class EncodeRequest:
    """One thing to be turned into numbers.

    Attributes:
        prompt: A chat (whole, its last answer included), a text, token ids, or a pair of texts.
        adapter: Name of a loaded adapter; None is the base model or its default adapter.
        truncate: Longest prompt in tokens; a longer one is cut: of a text its end, of a chat its beginning, of a pair
            the end of the longer text. -1 cuts to what the model takes; None refuses a prompt that is too long.
        dimensions: How many of a vector's numbers are wanted, the first ones; None takes all.
        raw: Scores before the function that makes probabilities of them, vectors as they are, not made one long.
    """

    prompt: Encodable
    adapter: str | None = None
    truncate: int | None = None
    dimensions: int | None = None
    raw: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What a model made of a prompt.

    Attributes:
        values: float32: a vector [d], a probability for each label [labels], or a single score [1].
        tokens: How many tokens the prompt had.
    """

    values: NDArray[np.float32]
    tokens: int


@dataclass(frozen=True, slots=True)
class Ability:
    """What a loaded model does.

    Attributes:
        task: It.
        labels: Names of the labels that it tells apart; empty where it tells none.
        dimensions: Length of its vectors; 0 where it gives none.
        longest: Tokens that a prompt may have; None where there is no limit.
        scores: Whether it tells how likely given tokens are.
    """

    task: Task = "generate"
    labels: tuple[str, ...] = ()
    dimensions: int = 0
    longest: int | None = None
    scores: bool = False
