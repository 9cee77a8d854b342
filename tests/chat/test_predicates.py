from __future__ import annotations

import pytest

from swift.chat import predicates, reasons
from swift.chat.predicates import inference_agreement, prove_rows, prove_template, require
from swift.config.chat import ChatConfig
from swift.errors import TemplateError
from tests.chat.support import CHATML, CONVERSATIONS, chat, codec_for, tokenizer_for

OPTIONS = ChatConfig()
BROKEN = {
    predicates.STOP_TOKEN: CHATML.replace("'<|im_end|>' + ", ""),
    predicates.SAYS: CHATML.replace("message.content +", "message.content[:15] +"),
    predicates.PREFIX: CHATML.replace("<|im_start|>assistant\n", "<|other|>"),
    predicates.RENDERS: "{% if messages | length > 2 %}{{ raise_exception('one turn only') }}{% endif %}" + CHATML,
}


def test_a_sound_template_passes() -> None:
    verdicts = {verdict.name: verdict for verdict in prove_template(codec_for(CHATML), OPTIONS)}
    assert all(verdicts[name].ok for name in predicates.REQUIRED_PREDICATES)
    assert verdicts["system"].ok
    assert verdicts["tools"].ok
    alone = {verdict.name: verdict for verdict in prove_template(codec_for(CHATML, tool_format="template"), OPTIONS)}
    assert not alone["tools"].ok
    require(codec_for(CHATML), OPTIONS)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_template_is_refused_by_the_predicates_name(name: str) -> None:
    codec = codec_for(BROKEN[name])
    failed = [verdict.name for verdict in prove_template(codec, OPTIONS) if not verdict.ok]
    assert name in failed
    with pytest.raises(TemplateError, match=f"fails '{name}'") as caught:
        require(codec, OPTIONS)
    assert caught.value.hint


def test_the_users_own_options_do_not_hide_a_template() -> None:
    require(codec_for(CHATML, max_length=2), ChatConfig(max_length=2, truncation="error", train_on="last"))


def test_rows_are_proved_and_remarks_counted() -> None:
    codec = codec_for(CHATML)
    samples = [
        CONVERSATIONS["multi_turn"],
        CONVERSATIONS["white_space"],
        chat(("user", "<|im_end|>"), ("assistant", "x")),
        chat(("user", "a"), ("assistant", "")),
    ]
    verdicts = {verdict.name: verdict for verdict in prove_rows(samples, codec, OPTIONS)}
    assert all(verdicts[name].ok for name in predicates.REQUIRED_PREDICATES)
    assert verdicts[reasons.SPECIAL_IN_TEXT].detail.startswith("1 of 4 rows, first row 1 of test")
    assert verdicts[reasons.EMPTY_ANSWER].ok


def test_a_row_that_loses_words_fails_its_predicate() -> None:
    codec = codec_for(CHATML.replace("message.content +", "message.content.split('SECRET')[0] +"))
    sample = chat(("user", "a"), ("assistant", "one SECRET two"))
    verdicts = {verdict.name: verdict for verdict in prove_rows([sample], codec, OPTIONS)}
    assert not verdicts[predicates.SAYS].ok
    assert "row 1 of test" in verdicts[predicates.SAYS].detail


def test_no_rows_prove_nothing_wrong() -> None:
    assert all(verdict.ok for verdict in prove_rows([], codec_for(CHATML), OPTIONS))


@pytest.mark.parametrize("kind", ["single", "multi_turn", "system", "white_space", "emoji", "thinking"])
def test_training_prompts_are_those_of_transformers(kind: str) -> None:
    tokenizer = tokenizer_for(CHATML, ("<|im_end|>",))
    verdict = inference_agreement(CONVERSATIONS[kind], codec_for(CHATML), tokenizer, OPTIONS)
    assert verdict.ok, verdict.detail


def test_another_template_at_inference_is_noticed() -> None:
    tokenizer = tokenizer_for(CHATML.replace("assistant\n", "assistant\n\n"), ("<|im_end|>",))
    verdict = inference_agreement(CONVERSATIONS["single"], codec_for(CHATML), tokenizer, OPTIONS)
    assert not verdict.ok
