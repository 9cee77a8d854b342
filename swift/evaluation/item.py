"""What is asked, and what identifies it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from swift.chat.tools.offer import names_of
from swift.inference.results import message_json
from swift.types import Conversation, Media, Message


@dataclass(frozen=True, slots=True)
class Item:
    """One question.

    Attributes:
        id: Identifies it within its set.
        prompt: What the model is shown.
        reference: The right answer: the data set's turn, or what the metric of a benchmark compares with.
        choices: Answers of which one is right.
        answers: Several right answers.
        cluster: What it shares with others that are not independent of it, such as its row; empty stands alone.
        group: A part of the set that is summed up by itself, such as a subject.
        sample: Which of several answers to the same question.
        told: What says in the file of predictions where it stands.
    """

    id: str
    prompt: Conversation
    reference: Any
    choices: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    cluster: str = ""
    group: str = ""
    sample: int = 0
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def offered(self) -> frozenset[str]:
        """Names of the functions that may be called."""
        return frozenset(names_of(self.prompt.tools))

    @property
    def expected(self) -> tuple[str, ...]:
        """The right answers as texts: all of `answers`, or else the reference."""
        if self.answers:
            return self.answers
        return (self.reference.content if isinstance(self.reference, Message) else str(self.reference),)

    def shown_reference(self) -> Any:
        """The reference as the file of predictions shows it."""
        return message_json(self.reference) if isinstance(self.reference, Message) else self.reference

    def key(self) -> str:
        """Hash of all of it that decides the answer and its score: predictions under it are used again."""
        parts = {
            "id": self.id,
            "sample": self.sample,
            "messages": [message_json(message) for message in self.prompt.messages],
            "media": [_digest(placed.media) for message in self.prompt.messages for placed in message.media],
            "tools": self.prompt.tools,
            "template": self.prompt.template_kwargs,
            "objects": None if self.prompt.objects is None else asdict(self.prompt.objects),
            "reference": self.shown_reference(),
            "choices": self.choices,
            "answers": self.answers,
        }
        options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
        return sha256(orjson.dumps(parts, option=options, default=str)).hexdigest()[:20]

    def line(self) -> dict[str, Any]:
        """What the file of predictions says of it, whatever the answer."""
        values = {**self.told, "id": self.id, "key": self.key(), "cluster": self.cluster or self.id}
        if self.group:
            values["group"] = self.group
        if self.sample:
            values["sample"] = self.sample
        return {**values, "asked": said(self.prompt.messages), "reference": self.shown_reference()}


def _digest(media: Media) -> str:
    """Hash of a medium as the row has it: its bytes, or where it lies and what of it is shown."""
    return sha256(repr((media.kind, media.source, sorted(media.options.items()))).encode()).hexdigest()


def said(messages: Sequence[Message]) -> str:
    """A conversation as people and judges read it."""
    return "\n\n".join(f"{message.role}: {message.content}" for message in messages)
