"""What becomes of sequences longer than `max_length`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from swift.chat import reasons
from swift.chat.codec import Codec
from swift.chat.targets import TokenSpans
from swift.config.chat import ChatConfig
from swift.errors import DataError, RowError
from swift.types import Conversation, Message, Origin, Outcome


@dataclass(frozen=True, slots=True)
class Fitted:
    """Sequences that fit, and what it took."""

    sequences: list[TokenSpans]
    outcome: Outcome = "kept"
    reason: str = ""
    detail: str = ""


def fit_chat(
    sequences: list[TokenSpans],
    codec: Codec,
    options: ChatConfig,
    prepared: Conversation,
    retokenize: Callable[[Conversation], list[TokenSpans]],
) -> Fitted:
    """Make a chat's sequences fit.

    drop and split leave out sequences that are too long (a chat has no place to be split at); right cuts the end
    off; left leaves out the oldest exchanges after the system message, so that what remains is what inference would
    see, and cuts tokens behind the begin token only where the last exchange alone is too long.

    Raises:
        RowError: Nothing that could be trained on remains.
        DataError: `truncation` is `error`.
    """
    limit = codec.max_length
    if all(len(sequence.ids) <= limit for sequence in sequences):
        return Fitted(sequences)
    longest = max(len(sequence.ids) for sequence in sequences)
    detail = f"{longest} tokens, max_length {limit}"
    if options.truncation == "error":
        raise too_long(prepared.origin, longest, limit)
    kept: list[TokenSpans] = []
    for sequence in sequences:
        if len(sequence.ids) <= limit:
            kept.append(sequence)
        elif options.truncation == "right" and max(sequence.inserted, default=0) < limit:
            kept.append(sequence.window(0, limit))
        elif options.truncation == "left":
            kept.extend(_cut_left(sequence, codec, prepared, retokenize))
    kept = [sequence for sequence in kept if any(target.value for target in sequence.targets)]
    if not kept:
        if any(sequence.inserted for sequence in sequences) and options.truncation in ("left", "right"):
            raise RowError(reasons.MEDIA_CUT, detail)
        dropped = {"drop": reasons.TOO_LONG, "split": reasons.CANNOT_SPLIT}.get(options.truncation, reasons.NO_TARGET)
        raise RowError(dropped, detail)
    if len(kept) < len(sequences):
        detail += f"; {len(sequences) - len(kept)} of {len(sequences)} sequences left out"
    return Fitted(kept, "truncated", reasons.TOO_LONG, detail)


def fit_text(
    ids: list[int], codec: Codec, options: ChatConfig, origin: Origin
) -> tuple[list[list[int]], Outcome, str, str]:
    """Make a plain text fit.

    Split pieces overlap by one token, so that every token is predicted exactly once.

    Returns:
        The pieces, what happened, the reason and a line about it.

    Raises:
        RowError: `truncation` is `drop`.
        DataError: `truncation` is `error`.
    """
    limit = codec.max_length
    if len(ids) <= limit:
        return [ids], "kept", "", ""
    detail = f"{len(ids)} tokens, max_length {limit}"
    match options.truncation:
        case "error":
            raise too_long(origin, len(ids), limit)
        case "drop":
            raise RowError(reasons.TOO_LONG, detail)
        case "right":
            return [ids[:limit]], "truncated", reasons.TOO_LONG, detail
        case "left":
            begin = ids[:1] if ids[0] == codec.bos_id else []
            return [[*begin, *ids[len(ids) - limit + len(begin) :]]], "truncated", reasons.TOO_LONG, detail
        case "split":
            pieces = [ids[start : start + limit] for start in range(0, len(ids) - 1, limit - 1)]
            return pieces, "split", reasons.TOO_LONG, f"{detail}; {len(pieces)} pieces"


def _cut_left(
    sequence: TokenSpans, codec: Codec, prepared: Conversation, retokenize: Callable[[Conversation], list[TokenSpans]]
) -> list[TokenSpans]:
    weights = {target.index: target.weight for target in sequence.targets}
    messages = [
        replace(message, loss_weight=weights.get(number, 0.0)) if message.role == "assistant" else message
        for number, message in enumerate(prepared.messages[: sequence.targets[-1].index + 1])
    ]
    head = next((number for number, message in enumerate(messages) if message.role != "system"), 0)
    starts = [n for n, message in enumerate(messages) if message.role == "user" and n > head and not message.results]

    def without(exchanges: int) -> list[TokenSpans] | None:
        """The sequences without the oldest exchanges, if they fit."""
        left = [*messages[:head], *messages[starts[exchanges - 1] :]]
        if not _trained(left):
            return None
        made = [
            replace(item, prompt_weight=sequence.prompt_weight)
            for item in retokenize(replace(prepared, messages=tuple(left)))
        ]
        return made if all(len(item.ids) <= codec.max_length for item in made) else None

    low, high, best = 1, len(starts), None
    while low <= high:  # the more is left out, the shorter it gets
        middle = (low + high) // 2
        made = without(middle)
        if made is None:
            low = middle + 1
        else:
            best, high = made, middle - 1
    if best is not None:
        return best
    if sequence.inserted:
        return []
    begin = 1 if sequence.ids[0] == codec.bos_id else 0
    tail = sequence.window(len(sequence.ids) - codec.max_length + begin, len(sequence.ids))
    return [tail.behind(sequence.ids[:begin])]


def _trained(messages: list[Message]) -> bool:
    return any(message.role == "assistant" and message.loss_weight for message in messages)


def too_long(origin: Origin, length: int, limit: int) -> DataError:
    """What stops the run where `truncation` is `error`."""
    return DataError(
        f"{origin} has {length} tokens, more than max_length {limit}",
        hint="raise --max_length, or choose --truncation_strategy drop, left, right or split",
    )
