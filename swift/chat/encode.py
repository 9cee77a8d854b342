"""A conversation or a text becomes token sequences; the door of this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from swift.chat import reasons
from swift.chat.codec import Codec
from swift.chat.grounding.formats import Format
from swift.chat.media.place import illustrated, illustrated_text, media_of, require_media, require_processor
from swift.chat.messages import prepare, with_system
from swift.chat.said import appears
from swift.chat.spans import Rendering, Turn, chains, keep_thinking
from swift.chat.targets import TokenSpans
from swift.chat.tokens import tokenize_chain
from swift.chat.truncate import fit_chat, fit_text, too_long
from swift.config.chat import ChatConfig
from swift.errors import RowError
from swift.types import Conversation, Ids, Illustrated, Media, Message, Outcome, Prompt, Text, Tokens

if TYPE_CHECKING:
    from swift.batch import MediaInputs

__all__ = [
    "EncodedRow",
    "conversation_ids",
    "encode",
    "prompt_ids",
    "prompt_of",
    "prompt_text",
    "trained_turns",
    "turn_rule",
    "with_system",
]

TurnRule = Literal["all", "last", "last_round", "everything"]
"""As `ChatConfig.train_on`; and `last_round`: all turns behind the last user or tool turn."""


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """What a row became.

    Attributes:
        sequences: At least one, each exactly what inference would see.
        outcome: Whether it was kept whole.
        reason: Why not, or a remark on a row that was kept; see `swift.chat.reasons`.
        detail: One line.
    """

    sequences: tuple[Tokens, ...]
    outcome: Outcome
    reason: str = ""
    detail: str = ""


def encode(sample: Conversation | Text, codec: Codec, options: ChatConfig) -> EncodedRow:
    """Tokens and loss weights of one row.

    Raises:
        RowError: The row cannot be trained on; `swift.chat.reasons.DROPPED` tells dropped from failed.
        DataError: The row is too long and `truncation` is `error`.
        TemplateError: A chat, and the codec has no template.
    """
    if isinstance(sample, Text):
        return _encode_text(sample, codec, options)
    if not sample.weight:
        raise RowError(reasons.NO_TARGET, "the row's weight is 0")
    require_media(sample, codec)
    prepared = prepare(sample, codec, options)
    turns = trained_turns(prepared, codec, options)
    fitted = fit_chat(
        _tokenize(prepared, turns, codec, options),
        codec,
        options,
        prepared,
        lambda shorter: _tokenize(shorter, trained_turns(shorter, codec, options), codec, options),
    )
    trained = [spans for spans in fitted.sequences if spans.prompt_weight or any(t.value for t in spans.targets)]
    if not trained:
        raise RowError(reasons.NO_TARGET, f"the loss scale {options.loss_scale} gives everything the weight 0")
    sequences = tuple(_tokens(spans, sample, part) for part, spans in enumerate(trained))
    own = None if sample.objects is None else codec.grounding
    reason, detail = (fitted.reason, fitted.detail) if fitted.reason else _remark(prepared, turns, codec, own)
    return EncodedRow(sequences, fitted.outcome, reason, detail)


def prompt_ids(sample: Conversation | Text, codec: Codec, options: ChatConfig) -> list[int]:
    """The ids that every inference engine is given for this conversation; see `prompt_of`."""
    return prompt_of(sample, codec, options)[0]


def prompt_of(sample: Prompt, codec: Codec, options: ChatConfig) -> tuple[list[int], MediaInputs | None]:
    """The ids that every inference engine is given for this prompt, and what it shows or plays.

    Assistant turns at its end are what is to be answered anew, so they are left out.

    Raises:
        RowError: Nothing stands before the answer, the template refuses the messages, or a medium cannot be used.
        TemplateError: A chat, and the codec has no template.
    """
    if isinstance(sample, Ids):
        shown, ids = None, list(sample.ids)
    elif isinstance(sample, Text):
        shown = illustrated_text(sample, codec)[2] if sample.media else None
        ids = codec.encode_text(sample.text) if shown is None else []
    else:
        text, media = _prompt_parts(sample, codec, options)
        shown = Illustrated(text, media) if media else None
        ids = codec.encode(text) if shown is None else []
    if shown is not None:
        return require_processor(codec, shown.media).prompt(shown)
    if codec.media is not None and not codec.media.ids.isdisjoint(ids):
        raise RowError(reasons.MEDIA_TOKEN, "the prompt has a token that stands for a picture, video or sound")
    return ids, None


def conversation_ids(sample: Conversation, codec: Codec, options: ChatConfig) -> list[int]:
    """The ids of a whole conversation, its last turn finished: what models read that judge it.

    Raises:
        RowError: The template refuses the messages, or there are media, which such models are not shown here.
        TemplateError: The codec has no template.
    """
    prepared = prepare(sample, codec, options)
    if media_of(prepared.messages):
        raise RowError(reasons.MEDIA_UNSUPPORTED, "pictures, videos and sounds are for models that answer")
    return codec.encode(Rendering(prepared, codec).upto(len(prepared.messages)))


def prompt_text(sample: Conversation, codec: Codec, options: ChatConfig) -> str:
    """The text of `prompt_ids`.

    Raises:
        RowError: As `prompt_ids`.
    """
    return _prompt_parts(sample, codec, options)[0]


def _prompt_parts(sample: Conversation, codec: Codec, options: ChatConfig) -> tuple[str, tuple[Media, ...]]:
    require_media(sample, codec)
    prepared = prepare(sample, codec, options)
    count = len(prepared.messages)
    while count and prepared.messages[count - 1].role == "assistant":
        count -= 1
    if not count:
        raise RowError(reasons.NO_PROMPT, "the conversation has no turn to be answered")
    return Rendering(prepared, codec).prompt(count), media_of(prepared.messages[:count])


def trained_turns(prepared: Conversation, codec: Codec, options: ChatConfig) -> list[Turn]:
    """The assistant turns of a prepared conversation that are trained on, as text.

    Raises:
        RowError: There is none, or one of them cannot be rendered as inference would see it.
    """
    weights = _turn_weights(prepared.messages, turn_rule(codec, options))
    asked = next((n for n, message in enumerate(prepared.messages) if message.role in ("user", "tool")), None)
    if asked is None and prepared.messages[0].role == "assistant":
        raise RowError(reasons.NO_PROMPT, "no assistant turn answers anything")
    rendering = Rendering(prepared, codec)
    turns = [rendering.turn(index, weight) for index, weight in weights.items() if asked is None or index > asked]
    if not turns:
        raise RowError(reasons.NO_PROMPT, "no assistant turn that is trained on answers anything")
    return keep_thinking(turns, prepared.messages) if options.thinking == "keep" else turns


def turn_rule(codec: Codec, options: ChatConfig) -> TurnRule:
    """Which turns are trained on: what the loss scale says, or else `train_on`."""
    rules: dict[str, TurnRule] = {"last_round": "last_round", "all": "everything"}
    return rules.get(codec.loss_scale.base, options.train_on)


def _turn_weights(messages: Sequence[Message], rule: TurnRule) -> dict[int, float]:
    assistant = [number for number, message in enumerate(messages) if message.role == "assistant"]
    if not assistant:
        raise RowError(reasons.NO_ASSISTANT)
    asked = max((n for n, message in enumerate(messages) if message.role in ("user", "tool")), default=-1)
    from_turn = {"last": assistant[-1], "last_round": asked}.get(rule, 0)
    weights: dict[int, float] = {}
    for number, message in enumerate(messages):
        if message.role != "assistant":
            if message.loss_weight:
                raise RowError(reasons.PROMPT_WEIGHT, f"message {number + 1} is a {message.role} turn")
            continue
        ruled = 1.0 if number >= from_turn else 0.0
        weight = ruled if message.loss_weight is None else message.loss_weight
        if weight or rule == "everything":
            weights[number] = weight
    if not any(weights.values()):
        raise RowError(reasons.NO_TARGET, "every assistant turn has the loss weight 0")
    return weights


def _tokenize(prepared: Conversation, turns: list[Turn], codec: Codec, options: ChatConfig) -> list[TokenSpans]:
    found = [
        _shown(spans, prepared.messages, codec)
        for chain in _chains(turns, prepared.messages, codec)
        for spans in tokenize_chain(chain, codec, prepared.messages, apart=_apart(prepared.messages, codec))
    ]
    if turn_rule(codec, options) == "everything":
        # Prompts are trained on once: in the sequence that shows the most of the conversation.
        longest = max(range(len(found)), key=lambda number: len(found[number].ids))
        found[longest] = replace(found[longest], prompt_weight=1.0)
    return found


def _apart(messages: Sequence[Message], codec: Codec) -> bool:
    """Whether the processor ends every text in a way of its own, so that each prompt has to go through it alone."""
    return codec.media is not None and codec.media.appends and any(message.media for message in messages)


def _chains(turns: list[Turn], messages: Sequence[Message], codec: Codec) -> list[list[Turn]]:
    return [[turn] for turn in turns] if _apart(messages, codec) else chains(turns)


def _shown(spans: TokenSpans, messages: Sequence[Message], codec: Codec) -> TokenSpans:
    """The sequence with the media of its messages."""
    media = media_of(messages[: spans.targets[-1].index + 1])
    if media:
        return illustrated(spans, media, codec)
    if codec.media is not None and not codec.media.ids.isdisjoint(spans.ids):
        raise RowError(reasons.MEDIA_TOKEN, "its text has a token that stands for a picture, video or sound")
    return spans


def _tokens(spans: TokenSpans, sample: Conversation, part: int) -> Tokens:
    weights = np.full(len(spans.ids), spans.prompt_weight * sample.weight, np.float32)
    for target in spans.targets:
        weights[target.start : target.end] = target.value * sample.weight
    weights[[0, *spans.inserted]] = 0.0
    return Tokens(np.array(spans.ids, np.int32), weights, sample.origin, part, spans.shown)


def _remark(prepared: Conversation, turns: list[Turn], codec: Codec, own: Format | None) -> tuple[str, str]:
    """What the user should know of a row that is kept; `own` is the format in which we have put boxes into it."""
    prompt = turns[-1].prompt
    for number, message in enumerate(prepared.messages):
        special = codec.special.finditer(message.content)
        found = next((match for match in special if own is None or not own.writes(match[0])), None)
        if found is not None:
            return reasons.SPECIAL_IN_TEXT, f"message {number + 1} has {found[0]!r} in its text"
        texts = [part.strip() for part in message.parts if isinstance(part, str)]
        shown = all(appears(text, prompt) for text in texts)
        if message.role != "assistant" and number < turns[-1].index and not shown:
            return reasons.PROMPT_REWRITTEN, f"message {number + 1} ({message.role}) is not shown as it was given"
    if prepared.messages[0].role == "assistant":
        return reasons.UNTRAINED_TURN, "the conversation begins with an assistant turn"
    return "", ""


def _encode_text(sample: Text, codec: Codec, options: ChatConfig) -> EncodedRow:
    if not sample.text:
        raise RowError(reasons.EMPTY_TEXT)
    if sample.media:
        return _encode_illustrated(sample, codec, options)
    ids = codec.encode_text(sample.text)
    if codec.media is not None and not codec.media.ids.isdisjoint(ids):
        raise RowError(reasons.MEDIA_TOKEN, "the prompt has a token that stands for a picture, video or sound")
    ids.append(codec.end_id)
    pieces, outcome, reason, detail = fit_text(ids, codec, options, sample.origin)
    sequences = []
    for part, piece in enumerate(pieces):
        weights = np.full(len(piece), sample.weight, np.float32)
        weights[0] = 0.0
        sequences.append(Tokens(np.array(piece, np.int32), weights, sample.origin, part))
    if not any(tokens.weights.any() for tokens in sequences):
        raise RowError(reasons.NO_TARGET, "a single token, or the row's weight is 0")
    return EncodedRow(tuple(sequences), outcome, reason, detail)


def _encode_illustrated(sample: Text, codec: Codec, options: ChatConfig) -> EncodedRow:
    """A text with media: every token is trained on but those that media made. It has no place to be split at."""
    ids, inserted, shown = illustrated_text(sample, codec)
    ids = [*ids, codec.end_id]
    detail = f"{len(ids)} tokens, max_length {codec.max_length}"
    cut = len(ids) > codec.max_length
    if cut and options.truncation == "error":
        raise too_long(sample.origin, len(ids), codec.max_length)
    if cut and (options.truncation != "right" or max(inserted, default=0) >= codec.max_length):
        raise RowError(reasons.TOO_LONG if options.truncation == "drop" else reasons.MEDIA_CUT, detail)
    ids = ids[: codec.max_length]
    weights = np.full(len(ids), sample.weight, np.float32)
    weights[[0, *inserted]] = 0.0
    if not weights.any():
        raise RowError(reasons.NO_TARGET, "nothing but media, or the row's weight is 0")
    tokens = Tokens(np.array(ids, np.int32), weights, sample.origin, shown=shown)
    return EncodedRow((tokens,), *(("truncated", reasons.TOO_LONG, detail) if cut else ("kept", "", "")))
