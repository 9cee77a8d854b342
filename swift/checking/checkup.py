"""All findings of a check, from rows that have been tokenized."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from swift.chat import reasons
from swift.chat.codec import Codec
from swift.checking import proofs
from swift.checking.fates import fates
from swift.checking.findings import Checkup, Fact, Fate, Finding, Problem
from swift.checking.lengths import Lengths, measure
from swift.checking.repeats import Repeats, Sayings
from swift.checking.steps import step_facts
from swift.checking.survey import Survey, survey
from swift.config.looks import CheckConfig
from swift.data.prepare import Rows
from swift.errors import DataError
from swift.hub import Located

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def make_checkup(
    config: CheckConfig, located: Located, codec: Codec, tokenizer: PreTrainedTokenizerBase, rows: Rows
) -> Checkup:
    """Look at everything.

    Args:
        config: As the user gave it.
        rows: Encoded without stopping at bad rows.
    """
    found = fates(rows, all_bad=config.data.on_error == "error")
    seen = survey(rows, codec, config)
    predicates = _predicates(config, codec, tokenizer, seen)
    sequences = rows.store.sequences_in_order(rows.selection.train)
    lengths, targets = rows.store.lengths[sequences], rows.store.targets[sequences]
    measured = measure(lengths, targets, codec.max_length) if len(sequences) else None
    problems = [*_row_problems(config, rows, found, codec.max_length)]
    if config.task == "sft":
        problems += proofs.problems(predicates, codec, config.chat)
    return Checkup(
        facts=_facts(config, located, codec, rows),
        samples=seen.samples,
        predicates=tuple(predicates),
        totals=rows.ledger.totals(),
        fates=found,
        lengths=measured,
        findings=tuple(_findings(found, seen.sayings, rows, measured)),
        steps=step_facts(lengths, config, codec.max_length) if len(sequences) else (),
        problems=tuple(problems),
    )


def _predicates(config: CheckConfig, codec: Codec, tokenizer: PreTrainedTokenizerBase, seen: Survey) -> list[Finding]:
    if config.task != "sft":
        return []
    return [
        *proofs.template_findings(codec, config.chat),
        *proofs.row_findings(seen.proved, codec, tokenizer, config.chat),
    ]


def _facts(config: CheckConfig, located: Located, codec: Codec, rows: Rows) -> tuple[Fact, ...]:
    selection = rows.selection
    stops = " ".join(codec.stops)
    sampled = " (a sample: the data is streamed)" if config.data.streaming else ""
    return (
        ("model", located.id + (f" at {located.revision}" if located.revision else "")),
        ("template", codec.template_source if config.task == "sft" else "none: plain text"),
        *(("note", note) for note in codec.notes),
        ("stops at", stops),
        *((("loss scale", config.chat.loss_scale),) if config.chat.loss_scale != "default" else ()),
        ("max_length", f"{codec.max_length:,} tokens, longer rows: {config.chat.truncation}"),
        ("rows", f"{len(selection.train):,} train, {len(selection.validation):,} validation{sampled}"),
    )


def _row_problems(config: CheckConfig, rows: Rows, found: Sequence[Fate], limit: int) -> Iterator[Problem]:
    if config.data.on_error == "error":
        try:
            rows.ledger.require_good()
        except DataError as error:
            yield Problem(error.message, error.hint)
    long = next((fate for fate in found if fate.reason == reasons.TOO_LONG), None)
    if long is not None and config.chat.truncation == "error":
        yield Problem(
            f"{long.rows:,} rows have more than max_length {limit} tokens, first {long.examples[0]}",
            "raise --max_length, or choose --truncation_strategy drop, left, right or split",
        )
    if len(rows.store.sequences_in_order(rows.selection.train)) == 0:
        told = ", ".join(f"{fate.rows:,} {fate.reason.replace('_', ' ')}" for fate in found if fate.outcome != "kept")
        yield Problem(f"no row is left to train on: {told}", "the reasons above say what to change")


def _findings(found: Sequence[Fate], sayings: Sayings, rows: Rows, lengths: Lengths | None) -> Iterator[Finding]:
    if lengths is not None:
        yield Finding("target share", "ok", f"{lengths.target_share:.1%} of {lengths.tokens:,} tokens are trained on")
    duplicates, identical = sayings.duplicates(), sayings.identical()
    remedy = f" ({identical:,} equal in every column: --deduplicate true drops those)" if identical else ""
    yield _repeats(
        "duplicates",
        "no training row repeats another",
        f"training rows that repeat another: {duplicates.rows:,}{remedy}",
        duplicates,
    )
    if len(rows.selection.validation):
        rows_shared, prompts_shared = sayings.shared_rows(), sayings.shared_prompts()
        yield _repeats(
            "overlap of rows",
            "no validation row is a training row",
            f"validation rows that are trained on: {rows_shared.rows:,}",
            rows_shared,
        )
        yield _repeats(
            "overlap of prompts",
            "no validation prompt is trained on",
            f"validation rows with the prompt of a training row: {prompts_shared.rows:,}",
            prompts_shared,
        )
    yield _counted("empty answers", "none", found, reasons.EMPTY_ANSWER)
    yield _counted("special tokens in text", "none", found, reasons.SPECIAL_IN_TEXT)
    yield _counted("prompts rewritten by the template", "none", found, reasons.PROMPT_REWRITTEN)


def _repeats(name: str, fine: str, bad: str, repeats: Repeats) -> Finding:
    if not repeats.rows:
        return Finding(name, "ok", fine)
    return Finding(name, "warning", f"{bad}: {'; '.join(repeats.examples)}")


def _counted(name: str, fine: str, found: Sequence[Fate], reason: str) -> Finding:
    matching = [fate for fate in found if fate.reason == reason]
    if not matching:
        return Finding(name, "ok", fine)
    count = sum(fate.rows for fate in matching)
    first = matching[0].examples[0]
    return Finding(name, "warning", first if count == 1 else f"{count:,} rows, first {first}")
