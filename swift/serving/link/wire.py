"""What the server and the engine host say to each other: frozen, picklable, and nothing of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from swift.chat.parse import AnswerReader
from swift.config.encoding import EncodingConfig
from swift.config.engine import EngineConfig, TransformersConfig
from swift.engines.base import Piece
from swift.engines.folders import Plan
from swift.types import Ability, Completion, Echo, EchoRequest, Encoded, EncodeRequest, Prompt, Request


@dataclass(frozen=True, slots=True)
class HostPlan:
    """What the host loads.

    Attributes:
        plan: Model, adapters and rendering.
        loader: "module:function" that makes a `Live` engine of this plan.
        max_batch_tokens: As `ServeConfig`.
        max_batch_size: As `ServeConfig`.
        merge_lora: As `ServeConfig`.
        plugins: The user's Python files, imported first.
        prompt_tokens: Longest prompt; None leaves it to the engine.
        special_tokens: Whether chats may hold special tokens in their texts.
        encoding: What the model is used for.
        hot: Whether adapters can be loaded later.
        later: Those that were, by name. One that cannot be loaded again is left out.
        engine: Which engine.
        max_length: `ServeConfig.max_model_len`.
    """

    plan: Plan
    loader: str
    max_batch_tokens: int = 32768
    max_batch_size: int = 32
    merge_lora: bool = False
    plugins: tuple[str, ...] = ()
    prompt_tokens: int | None = None
    special_tokens: bool = False
    encoding: EncodingConfig = field(default_factory=EncodingConfig)
    hot: bool = False
    later: Mapping[str, Path] = field(default_factory=dict)
    engine: EngineConfig = field(default_factory=TransformersConfig)
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Submit:
    """Answer a request `count` times, with seeds that follow each other.

    Attributes:
        number: By which replies name it.
        request: It; its media are checked already for where they come from.
        count: How many answers.
        stream: Whether pieces are wanted, or only the whole.
    """

    number: int
    request: Request
    count: int
    stream: bool


@dataclass(frozen=True, slots=True)
class Encode:
    """Make numbers of prompts, all of them or none."""

    number: int
    requests: tuple[EncodeRequest, ...]


@dataclass(frozen=True, slots=True)
class Judge:
    """Tell how likely prompts are, all of them or none."""

    number: int
    requests: tuple[EchoRequest, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop answering; there may be replies on their way still."""

    number: int


@dataclass(frozen=True, slots=True)
class Tokenize:
    """Tell the ids of a prompt, and their texts if `texts`."""

    number: int
    prompt: Prompt
    special: bool = True
    texts: bool = False


@dataclass(frozen=True, slots=True)
class Detokenize:
    """Tell the text of token ids."""

    number: int
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LoadAdapter:
    """Load one more adapter."""

    number: int
    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class UnloadAdapter:
    """Take no more requests for an adapter, and forget it when those that it has are answered."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End the process."""


Command = Submit | Encode | Judge | Cancel | Tokenize | Detokenize | LoadAdapter | UnloadAdapter | Stop


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded.

    Attributes:
        description: One line for banners.
        adapters: Names of loaded adapters.
        vocabulary: Number of token ids.
        reader: How answers are read.
        template: Whether there is a chat template.
        thinks: Whether the template reads `enable_thinking`.
        ability: What the model does.
    """

    description: str
    adapters: tuple[str, ...]
    vocabulary: int
    reader: AnswerReader
    template: bool
    thinks: bool
    ability: Ability = field(default_factory=Ability)


@dataclass(frozen=True, slots=True)
class CannotStart:
    """The model cannot be loaded, for a reason that the user can mend."""

    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Started:
    """A prompt is rendered.

    Attributes:
        opened: It ends inside an open `<think>`.
        tokens: How many it has; 0 where media are still to be loaded.
    """

    number: int
    opened: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Grew:
    """Answer `index` of a request has grown."""

    number: int
    index: int
    piece: Piece


@dataclass(frozen=True, slots=True)
class Finished:
    """Answer `index` of a request is there; `stop` is the stop text that ended it, if one did."""

    number: int
    index: int
    completion: Completion
    stop: str | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of prompts, in their order."""

    number: int
    encoded: tuple[Encoded, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """How likely prompts are, in their order."""

    number: int
    echoes: tuple[Echo, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A request cannot be answered by its own fault; `reason` as of a RowError."""

    number: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A request cannot be answered, and not by its own fault."""

    number: int
    message: str


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Ids of a prompt, and the text of each where they were asked for."""

    number: int
    ids: tuple[int, ...]
    texts: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Detokenized:
    """Text of token ids."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Adapters:
    """The names of the adapters that there are now."""

    number: int
    names: tuple[str, ...]


Reply = Started | Grew | Finished | Numbers | Judged | Refused | Broken | Tokenized | Detokenized | Adapters
"""What belongs to one request."""

Report = Ready | CannotStart
"""What belongs to the host itself."""
