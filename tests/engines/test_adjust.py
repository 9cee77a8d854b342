"""Scores after biases, penalties and limits, against transformers' processors and the definitions."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import (
    MinNewTokensLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
)

from swift.engines.adjust import Chooser, adjust
from swift.types import Sampling

VOCABULARY = 50
CPU = torch.device("cpu")


def scores(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3


def row(prompt: list[int], answer: list[int], eos_ids: frozenset[int] = frozenset(), **rules: object) -> Chooser:
    chooser = Chooser.new(Sampling(**rules), eos_ids=eos_ids)  # type: ignore[arg-type]
    chooser.begin(prompt, VOCABULARY, CPU)
    for token in answer:
        chooser.accept(token)
    return chooser


def test_nothing_to_do_is_free() -> None:
    logits = scores().bfloat16()
    assert adjust(logits, [row([1], [2])]) is logits


def test_repeats_count_in_prompt_and_answer() -> None:
    expected = RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([[3, 4, 5]]), scores())
    torch.testing.assert_close(adjust(scores(), [row([3, 4], [5], repetition_penalty=1.7)]), expected)


def test_bias() -> None:
    expected = SequenceBiasLogitsProcessor([[[7], 2.5], [[9], -100.0]])(torch.tensor([[1]]), scores())
    torch.testing.assert_close(adjust(scores(), [row([1], [], logit_bias=((7, 2.5), (9, -100.0)))]), expected)


def test_presence_and_frequency_are_of_the_answer_alone() -> None:
    found = adjust(scores(), [row([3, 3], [5, 5, 6], presence_penalty=0.5, frequency_penalty=0.25)])
    lowered = scores()[0] - found[0]
    expected = torch.zeros(VOCABULARY)
    expected[5], expected[6] = 0.5 + 2 * 0.25, 0.5 + 0.25
    torch.testing.assert_close(lowered, expected)


@pytest.mark.parametrize("answered", [0, 1, 2, 3])
def test_no_end_before_its_time(answered: int) -> None:
    eos = frozenset((2, 7))
    ids = torch.tensor([[1, *range(10, 10 + answered)]])
    expected = MinNewTokensLengthLogitsProcessor(1, 2, sorted(eos))(ids, scores())
    found = adjust(scores(), [row([1], list(range(10, 10 + answered)), eos, min_new_tokens=2)])
    torch.testing.assert_close(found, expected)


def test_rows_do_not_change_each_other() -> None:
    both = torch.cat([scores(1), scores(2)])
    found = adjust(both, [row([1], []), row([1], [], logit_bias=((3, math.pi),))])
    torch.testing.assert_close(found[0], both[0])
    assert found[1, 3] - both[1, 3] == pytest.approx(math.pi)
