"""Who answers: one engine under one adapter. Several answer side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from swift.config.generation import GenerationConfig
from swift.engines.base import Engine, OnDone
from swift.types import Conversation, Request, Sampling, Text


@dataclass(frozen=True, slots=True)
class Answerer:
    """A model as the user sees it.

    Attributes:
        name: The adapter's name, or `base`.
        engine: Where it runs.
    """

    name: str
    engine: Engine

    def request(self, prompt: Conversation | Text, sampling: Sampling) -> Request:
        """A request to this answerer."""
        return Request(prompt, sampling, adapter=self.name)

    def stream(self, prompt: Conversation | Text, sampling: Sampling, *, on_done: OnDone) -> Iterator[str]:
        """The answer in pieces; `on_done` gets it whole.

        Raises:
            RowError: The prompt cannot be answered.
        """
        return self.engine.stream(self.request(prompt, sampling), on_done=on_done)


def sampling_of(rules: GenerationConfig, seed: int) -> Sampling:
    """The sampling that the configuration asks for."""
    return Sampling(
        max_new_tokens=rules.max_new_tokens,
        temperature=rules.temperature,
        top_p=rules.top_p,
        top_k=rules.top_k,
        min_p=rules.min_p,
        repetition_penalty=rules.repetition_penalty,
        stop=rules.stop,
        seed=seed,
    )
