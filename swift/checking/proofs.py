"""The predicates of `swift.chat.predicates` as findings, and as reasons not to train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from swift.chat.codec import Codec
from swift.chat.predicates import (
    REQUIRED_PREDICATES,
    Verdict,
    inference_agreement,
    prove_rows,
    prove_template,
    require,
)
from swift.checking.findings import Finding, Problem, Status
from swift.config.chat import ChatConfig
from swift.errors import TemplateError
from swift.types import Conversation, Text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AGREEMENT = "inference_agreement"
_SHOWN = 3


def template_findings(codec: Codec, options: ChatConfig) -> list[Finding]:
    """The required predicates, and what the template is able to do; a lack there is only worth knowing."""
    return [
        Finding(f"template: {verdict.name}", _status(verdict), verdict.detail)
        for verdict in prove_template(codec, options)
    ]


def row_findings(
    samples: Sequence[Conversation | Text],
    codec: Codec,
    tokenizer: PreTrainedTokenizerBase,
    options: ChatConfig,
) -> list[Finding]:
    """The required predicates on rows that are trained on, and agreement with what an engine would be given."""
    findings = [
        Finding(f"rows: {verdict.name}", _status(verdict), verdict.detail)
        for verdict in prove_rows(samples, codec, options)
        if verdict.name in REQUIRED_PREDICATES
    ]
    chats = [sample for sample in samples if isinstance(sample, Conversation)]
    return [*findings, _agreement(chats, codec, tokenizer, options)] if chats else findings


def problems(findings: Sequence[Finding], codec: Codec, options: ChatConfig) -> list[Problem]:
    """Predicates that fail, as reasons not to train."""
    found: list[Problem] = []
    try:
        require(codec, options)
    except TemplateError as error:
        found.append(Problem(error.message, error.hint))
    found += [
        Problem(
            f"training and inference differ on {finding.name}: {finding.detail}",
            "leave such rows out, or choose another template with --chat_template",
        )
        for finding in findings
        if finding.status == "problem" and finding.name.startswith("rows: ")
    ]
    return found


def _agreement(
    chats: Sequence[Conversation], codec: Codec, tokenizer: PreTrainedTokenizerBase, options: ChatConfig
) -> Finding:
    broken = [
        verdict.detail for chat in chats if not (verdict := inference_agreement(chat, codec, tokenizer, options)).ok
    ]
    if not broken:
        return Finding(
            f"rows: {AGREEMENT}",
            "ok",
            f"the prompts of {len(chats):,} rows have the ids that transformers' apply_chat_template gives",
        )
    detail = f"{len(broken):,} of {len(chats):,} rows: {'; '.join(broken[:_SHOWN])}"
    if options.thinking == "keep":  # asked for: earlier turns are trained with thinking that inference would not show
        return Finding(f"rows: {AGREEMENT}", "warning", f"as --thinking keep asks for, {detail}")
    return Finding(f"rows: {AGREEMENT}", "problem", detail)


def _status(verdict: Verdict) -> Status:
    if verdict.ok:
        return "ok"
    return "problem" if verdict.name in REQUIRED_PREDICATES else "note"
