"""What generating engines are asked, and what they answer: Request -> Completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from swift.types.rows import Conversation, Text

GuideKind = Literal["json", "regex", "grammar"]


@dataclass(frozen=True, slots=True)
class Guide:
    """What an answer must look like; tokens that lead elsewhere are never chosen.

    Attributes:
        kind: What `text` is: a JSON schema (`{}` is any JSON value), a regular expression, or a Lark grammar.
        text: It.
    """

    kind: GuideKind
    text: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens. `temperature` 0 is greedy.

    Attributes:
        min_new_tokens: No stop token is chosen before so many.
        ignore_eos: Go on behind stop tokens, up to `max_new_tokens`.
        presence_penalty: Subtracted from the logit of each token that the answer has already.
        frequency_penalty: The same, once for each time that it has it.
        logit_bias: Added to logits, as (token id, number).
        stop: Texts at which generation ends; they are not part of the answer.
        stop_ids: Further token ids that end the answer.
        seed: Makes sampling repeatable; None draws a fresh one.
        logprobs: Report the logarithm of each token's probability, and those of so many likeliest ones; None reports
            nothing. Probabilities are the model's own, before temperature, penalties and limits.
        guide: What the answer must look like; None leaves it free.
    """

    max_new_tokens: int = 2048
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    min_new_tokens: int = 0
    ignore_eos: bool = False
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    stop_ids: tuple[int, ...] = ()
    logprobs: int | None = None
    guide: Guide | None = None


@dataclass(frozen=True, slots=True)
class Ids:
    """A prompt as token ids."""

    ids: tuple[int, ...]


Prompt = Conversation | Text | Ids


@dataclass(frozen=True, slots=True)
class Given:
    """Token ids of which some are judged by how likely they are behind those before them.

    Attributes:
        ids: All of them.
        targets: Places of those that are judged, ascending; the first token cannot be.
    """

    ids: Sequence[int]
    targets: Sequence[int]


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to generate.

    Attributes:
        prompt: A chat (ending in a user or tool turn), a plain text, or token ids.
        adapter: Name of a loaded adapter; None is the base model or its default adapter.
    """

    prompt: Prompt
    sampling: Sampling = field(default_factory=Sampling)
    adapter: str | None = None


@dataclass(frozen=True, slots=True)
class EchoRequest:
    """A prompt whose own tokens are to be judged by how likely they are behind those before them.

    Attributes:
        prompt: A plain text or token ids; or a chat, up to where its answer begins.
        adapter: Name of a loaded adapter; None is the base model or its default adapter.
        top: How many of the likeliest tokens are told for each place.
    """

    prompt: Prompt
    adapter: str | None = None
    top: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token, mostly of an answer, and how likely the model found it.

    Attributes:
        id: The token.
        text: It decoded alone; a part of a character shows as U+FFFD.
        logprob: Natural logarithm of its probability.
        top: The likeliest tokens in its place, the likeliest first, without tokens in their place.
    """

    id: int
    text: str
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Echo:
    """How likely a model found a prompt.

    Attributes:
        first: Text of its first token, behind which nothing is judged.
        tokens: The others.
    """

    first: str
    tokens: tuple[TokenLogprob, ...]

    @property
    def prompt_tokens(self) -> int:
        """How many tokens the prompt has."""
        return 1 + len(self.tokens)


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine generated.

    Attributes:
        text: The answer without stop tokens.
        token_ids: The generated ids, stop token included where one was generated; none where an engine on another
            machine does not tell them.
        prompt_tokens: How many tokens the prompt had.
        finish: Why it ended: a stop token or text, or the length limit.
        logprobs: One for each of `token_ids`, where they were asked for.
        cached_tokens: How many of the prompt's tokens did not have to be computed.
        told_tokens: How many tokens were generated, by an engine that does not tell which.
    """

    text: str
    token_ids: tuple[int, ...]
    prompt_tokens: int
    finish: Literal["stop", "length"]
    logprobs: tuple[TokenLogprob, ...] | None = None
    cached_tokens: int = 0
    told_tokens: int = 0

    @property
    def new_tokens(self) -> int:
        """How many tokens were generated."""
        return len(self.token_ids) or self.told_tokens


@dataclass(frozen=True, slots=True)
class Scored:
    """How likely a model finds an answer.

    Attributes:
        logprob: Natural logarithm of its probability: of all its tokens and of its end.
        tokens: How many tokens that are.
        greedy: Whether each of them is the likeliest in its place; None where that is not known.
    """

    logprob: float
    tokens: int
    greedy: bool | None = None
