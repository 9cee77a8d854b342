"""What must hold between a model and what was made of it."""

from __future__ import annotations

from collections.abc import Sequence

from swift.chat.codec import Codec
from swift.chat.encode import encode, prompt_ids
from swift.config.chat import ChatConfig
from swift.config.export import CertificateConfig
from swift.errors import RowError, TemplateError
from swift.exporting.certificate.certificate import Check
from swift.exporting.certificate.measure import Distance, Measured
from swift.exporting.rows import Sample
from swift.types import Conversation

QUANTIZED_KL = 0.5
"""Largest mean divergence in nats of weights in fewer bits, unless the user says otherwise: beyond it, the most likely
token is another one about as often as not in a small model."""


def template_check(samples: Sequence[Sample], codec: Codec, chat: ChatConfig) -> Check:
    """The result's own template and tokenizer make the same tokens of every row, and of every prompt."""
    for number, sample in enumerate(samples, 1):
        try:
            ids = encode(sample.row, codec, chat).sequences[-1].ids.tolist()
        except (RowError, TemplateError) as error:
            return Check("template", False, f"row {number} cannot be rendered any more: {error}")
        if ids != sample.tokens.ids.tolist():
            pairs = zip(ids, sample.tokens.ids.tolist(), strict=False)
            place = next((place for place, (mine, theirs) in enumerate(pairs) if mine != theirs), len(sample.tokens))
            return Check("template", False, f"row {number} becomes other tokens, from token {place + 1} on")
    return Check("template", True, f"the same tokens in {len(samples)} rows")


def prompt_check(samples: Sequence[Sample], source: Codec, result: Codec, chat: ChatConfig) -> Check:
    """What an engine would be given for each prompt is the same."""
    talks = [sample.row for sample in samples if isinstance(sample.row, Conversation)]
    plain = chat.model_copy(update={"template": None})
    for number, talk in enumerate(talks, 1):
        try:
            if prompt_ids(talk, source, chat) != prompt_ids(talk, result, plain):
                return Check("prompts", False, f"prompt {number} becomes other tokens")
        except (RowError, TemplateError) as error:
            return Check("prompts", False, f"prompt {number} cannot be rendered: {error}")
    return Check("prompts", True, f"the same tokens in {len(talks)} prompts" if talks else "no row is a chat")


def stops_same(source: Codec, result: Codec) -> Check:
    """The same tokens end an answer."""
    same = source.eos_ids == result.eos_ids
    return Check("stop tokens", same, _named(result) if same else f"{_named(result)} instead of {_named(source)}")


def stop_check(before: Measured, after: Measured, least: float) -> list[Check]:
    """The model knows when an answer ends; nothing where no row has such a place."""
    if before.stop_probability is None or after.stop_probability is None:
        return []
    enough = after.stop_probability >= least
    detail = f"probability {after.stop_probability:.2g} where answers end, source {before.stop_probability:.2g}"
    return [Check("stops", enough, detail if enough else f"{detail}; at least {least:g} is wanted")]


def closeness(distance: Distance, after: Measured, config: CertificateConfig, rounding: float | None) -> list[Check]:
    """The result predicts what the source does.

    Args:
        rounding: What rounding weights to their type explains; None where they have fewer bits.
    """
    if config.max_kl is not None:
        bound, why = config.max_kl, "--max_kl"
    elif rounding is not None:
        bound, why = rounding, "what rounding explains"
    else:
        bound, why = QUANTIZED_KL, "as --max_kl has it where nothing is said"
    near = distance.mean_kl <= bound  # not so for NaN
    return [
        Check(
            "finite", after.finite, "every prediction is a number" if after.finite else "predictions are not numbers"
        ),
        Check("divergence", near, f"{distance.mean_kl:.3g} nats, bound {bound:g} ({why})"),
    ]


def _named(codec: Codec) -> str:
    return ", ".join(codec.stops) or "none"
