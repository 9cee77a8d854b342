"""Proofs, on probes and on the user's own rows, that training sees what inference sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from swift.chat import reasons
from swift.chat.codec import CHECKPOINT, Codec
from swift.chat.encode import EncodedRow, encode, prompt_ids, trained_turns, turn_rule
from swift.chat.loss_scale import LossScale
from swift.chat.media.place import media_of, require_processor
from swift.chat.messages import prepare
from swift.chat.probes import OPTIONAL, REQUIRED
from swift.chat.spans import Turn
from swift.chat.template import wire_messages, wire_tools
from swift.config.chat import ChatConfig
from swift.errors import DataError, RowError, TemplateError
from swift.types import Conversation, Illustrated, Media, Text, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PREFIX = "prefix"
STOP_TOKEN = "stop_token"
SAYS = "says_what_was_said"
PROMPT_UNTRAINED = "prompt_untrained"
RENDERS = "renders"
REQUIRED_PREDICATES = (RENDERS, PREFIX, STOP_TOKEN, SAYS, PROMPT_UNTRAINED)

_HINTS = {
    RENDERS: "choose another template with --chat_template",
    PREFIX: "choose another template with --chat_template",
    STOP_TOKEN: "let eos_token_id in generation_config.json name the token that ends a turn, or use "
    "--chat_template chatml",
    SAYS: "choose another template with --chat_template",
    PROMPT_UNTRAINED: "choose another template with --chat_template",
}
_BROKEN = {
    reasons.NOT_A_PREFIX: PREFIX,
    reasons.NO_STOP: STOP_TOKEN,
    reasons.ANSWER_LOST: SAYS,
    reasons.REASONING_LOST: SAYS,
    reasons.TOOL_CALL_LOST: SAYS,
    reasons.NOT_DECODABLE: SAYS,
    reasons.TEMPLATE_REFUSED: RENDERS,
}
_SHOWN = 3  # failures named in one verdict


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one predicate.

    Attributes:
        name: The predicate.
        ok: Whether it holds.
        detail: One line: what was tried, or where it fails.
    """

    name: str
    ok: bool
    detail: str


def prove_template(codec: Codec, options: ChatConfig) -> list[Verdict]:
    """Verdicts on the template: the required predicates over all probes, then one for each optional ability."""
    # The user's system message, length and turn rule are proved on rows; probes try the template alone.
    bare = options.model_copy(update={"system": None, "train_on": "all", "truncation": "drop"})
    wide = replace(codec, max_length=2**31, loss_scale=LossScale())
    broken: dict[str, list[str]] = {name: [] for name in REQUIRED_PREDICATES}
    for title, probe in REQUIRED.items():
        for name, why in _failures(probe, wide, bare):
            broken[name].append(f"{title}: {why}")
    verdicts = [
        Verdict(name, not failures, "; ".join(failures[:_SHOWN]) or f"holds on {len(REQUIRED)} probes")
        for name, failures in broken.items()
    ]
    for title, probe in OPTIONAL.items():
        failures = [f"{name}: {why}" for name, why in _failures(probe, wide, bare)]
        verdicts.append(Verdict(title, not failures, failures[0] if failures else "works"))
    return verdicts


def require(codec: Codec, options: ChatConfig) -> None:
    """Refuse a template that fails a required predicate.

    Raises:
        TemplateError: It names the predicate; or there is no template.
    """
    codec.require_template()
    for verdict in prove_template(codec, options):
        if verdict.name in REQUIRED_PREDICATES and not verdict.ok:
            raise TemplateError(
                f"the chat template ({codec.template_source}) fails {verdict.name!r}: {verdict.detail}",
                hint=_HINTS[verdict.name],
            )


def prove_rows(samples: Iterable[Conversation | Text], codec: Codec, options: ChatConfig) -> list[Verdict]:
    """Verdicts on the user's rows: the required predicates, and rows that are dropped, truncated or remarkable."""
    # Weights within answers say how much, not what; they come on top of what is proved here.
    codec = replace(codec, loss_scale=replace(codec.loss_scale, scales=()))
    broken: dict[str, list[str]] = {name: [] for name in REQUIRED_PREDICATES}
    seen: Counter[str] = Counter()
    first: dict[str, str] = {}
    count = 0
    for sample in samples:
        count += 1  # not enumerate: the samples may be none at all
        for name, why in _failures(sample, codec, options):
            line = f"{sample.origin}: {why}"
            if name in broken:
                broken[name].append(line)
            else:
                seen[name] += 1
                first.setdefault(name, line)
    verdicts = [
        Verdict(
            name,
            not lines,
            f"{len(lines)} of {count} rows: {'; '.join(lines[:_SHOWN])}" if lines else f"holds on {count} rows",
        )
        for name, lines in broken.items()
    ]
    verdicts.extend(
        Verdict(name, name in reasons.REMARKS | reasons.DROPPED, f"{number} of {count} rows, first {first[name]}")
        for name, number in sorted(seen.items())
    )
    return verdicts


def inference_agreement(
    sample: Conversation, codec: Codec, tokenizer: PreTrainedTokenizerBase, options: ChatConfig
) -> Verdict:
    """Whether each training prompt has the ids that transformers' `apply_chat_template` gives for the conversation."""
    prepared = prepare(sample, codec, options)
    wire = wire_messages(prepared.messages, codec.template.dialect)
    try:
        turns = trained_turns(prepared, codec, options)
        row = encode(sample, codec, options)
    except RowError as error:
        return Verdict("inference_agreement", False, str(error))
    tools: Any = wire_tools(prepared.tools)
    for turn in turns:
        media = media_of(prepared.messages[: turn.index])
        # The model's processor goes on from the text, where there are media.
        form: dict[str, Any] = {"tokenize": False} if media else {"return_dict": True}
        theirs: Any = tokenizer.apply_chat_template(
            wire[: turn.index],
            tools=tools,
            add_generation_prompt=True,
            chat_template=None if codec.template_source == CHECKPOINT else codec.template.source,
            **dict(prepared.template_kwargs),
            **form,
        )
        ids = _ids(theirs, media, codec) if media else list(theirs["input_ids"])
        if row.outcome == "kept" and not any(_begins(tokens, ids) for tokens in row.sequences):
            return Verdict(
                "inference_agreement",
                False,
                f"{sample.origin}, message {turn.index + 1}: inference would be given other ids than training",
            )
    return Verdict("inference_agreement", True, f"{len(turns)} prompts of {sample.origin} are the same")


def _failures(sample: Conversation | Text, codec: Codec, options: ChatConfig) -> Iterator[tuple[str, str]]:
    """(predicate or reason, why) for all that is wrong or remarkable."""
    try:
        row = encode(sample, codec, options)
    except RowError as error:
        yield _BROKEN.get(error.reason, error.reason), error.detail or error.reason
        return
    except DataError as error:
        yield reasons.TOO_LONG, error.message
        return
    if row.reason:
        yield row.reason, row.detail
    if isinstance(sample, Conversation) and row.outcome == "kept" and turn_rule(codec, options) != "everything":
        prepared = prepare(sample, codec, options)
        yield from _check_tokens(row, trained_turns(prepared, codec, options), prepared, codec, options)


def _check_tokens(
    row: EncodedRow, turns: Sequence[Turn], prepared: Conversation, codec: Codec, options: ChatConfig
) -> Iterator[tuple[str, str]]:
    """Look at the finished tokens, by other means than those that made them."""
    accounted = 0
    bare = options.model_copy(update={"system": None})
    for turn in turns:
        place = _locate(_prompt(turn, prepared, codec), row.sequences)
        title = f"message {turn.index + 1}"
        if place is None:
            yield PREFIX, f"{title}: no sequence begins with the ids that inference is given"
            continue
        tokens, start = place
        end = start
        while end < len(tokens) and tokens.weights[end]:
            end += 1
        if options.thinking != "keep":
            earlier = replace(prepared, messages=prepared.messages[: turn.index])
            if prepared.messages[turn.index - 1].role != "assistant" and tokens.ids[:start].tolist() != prompt_ids(
                earlier, codec, bare
            ):
                yield PREFIX, f"{title}: its prompt differs from what an engine is given"
        if tokens.weights[start - 1]:
            yield PROMPT_UNTRAINED, f"{title}: the token before the answer is trained on"
        accounted += end - start
        ids = tokens.ids[start:end].tolist()
        if not ids or ids[-1] not in codec.eos_ids:
            yield STOP_TOKEN, f"{title}: the last trained token is not one that generation stops at"
        elif not codec.keeps(prepared.messages[turn.index].content.strip(), ids):
            yield SAYS, f"{title}: the trained tokens decode to another text"
    trained = sum(int((tokens.weights != 0).sum()) for tokens in row.sequences)
    if trained != accounted:
        yield PROMPT_UNTRAINED, f"{trained} tokens are trained on, but the answers have {accounted}"


def _prompt(turn: Turn, prepared: Conversation, codec: Codec) -> list[int]:
    """The ids of what stands before a turn, with its media."""
    return _ids(turn.prompt, media_of(prepared.messages[: turn.index]), codec)


def _ids(text: str, media: tuple[Media, ...], codec: Codec) -> list[int]:
    return require_processor(codec, media)(Illustrated(text, media)).ids if media else codec.encode(text)


def _locate(prompt: list[int], sequences: Sequence[Tokens]) -> tuple[Tokens, int] | None:
    """The sequence that trains what follows these ids, and its first token."""
    for tokens in sequences:
        if _begins(tokens, prompt) and len(tokens) > len(prompt) and tokens.weights[len(prompt)]:
            return tokens, len(prompt)
    return None


def _begins(tokens: Tokens, ids: list[int]) -> bool:
    return bool(tokens.ids[: len(ids)].tolist() == ids)
