"""Token choice against transformers' processors and against the distribution it should follow."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from swift.engines.adjust import Chooser
from swift.engines.sampling import choose
from swift.types import Sampling

VOCABULARY = 3000


def _logits(rows=1, seed=0, spread=3.0):
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * spread


def _expected(logits, rules):
    """The distribution that transformers' processors leave, in its order."""
    scores = TemperatureLogitsWarper(rules.temperature)(None, logits.clone())
    if rules.top_k:
        scores = TopKLogitsWarper(rules.top_k)(None, scores)
    if rules.top_p < 1:
        scores = TopPLogitsWarper(rules.top_p)(None, scores)
    if rules.min_p:
        scores = MinPLogitsWarper(rules.min_p)(None, scores)
    return scores.softmax(-1)[0]


@pytest.mark.parametrize(
    "rules",
    [
        Sampling(temperature=0.7, top_p=0.8),
        Sampling(temperature=1.0, top_k=5),
        Sampling(temperature=1.5, top_k=40, top_p=0.5, min_p=0.05),
        Sampling(temperature=0.9, min_p=0.2),
        Sampling(temperature=1.0, top_p=0.1, top_k=2000),
    ],
)
def test_draws_follow_the_distribution_of_transformers(rules):
    logits = _logits()
    expected = _expected(logits, rules)
    row = Chooser.new(Sampling(**{**{f: getattr(rules, f) for f in rules.__slots__}, "seed": 1}))
    draws = 3000
    found = Counter(token for _ in range(draws // 100) for token in choose(logits.repeat(100, 1), [row] * 100))
    assert all(expected[token] > 0 for token in found), "a token that the rules drop was drawn"
    likely = [token for token in range(VOCABULARY) if expected[token] > 0.02]
    for token in likely:
        share = float(expected[token])
        assert abs(found[token] / draws - share) <= 5 * (share * (1 - share) / draws) ** 0.5 + 1e-6


def test_the_tail_is_reached_without_sorting_everything_away():
    flat = torch.zeros(1, VOCABULARY)
    row = Chooser.new(Sampling(temperature=1.0, top_p=0.99, seed=0))
    found = set(choose(flat.repeat(400, 1), [row] * 400))
    assert len(found) > 350
    everything = [Chooser.new(Sampling(temperature=1.0, top_p=top_p, seed=0)) for top_p in (1.0, 0.5)]
    drawn = [choose(flat.repeat(2, 1), everything) for _ in range(300)]
    assert len({first for first, _ in drawn}) > 250
    assert len({second for _, second in drawn}) > 200


def test_greedy_rows_and_sampled_rows_share_a_batch():
    logits = _logits(3)
    rows = [Chooser.new(Sampling()), Chooser.new(Sampling(temperature=1.0, seed=5)), Chooser.new(Sampling())]
    first, sampled, last = choose(logits, rows)
    assert first == int(logits[0].argmax())
    assert last == int(logits[2].argmax())
    alone = Chooser.new(Sampling(temperature=1.0, seed=5))
    assert [sampled] == choose(logits[1:2], [alone])


def test_a_row_draws_the_same_alone_and_beside_others_with_other_rules():
    logits = _logits(4)
    rules = [
        Sampling(temperature=0.8, top_p=0.9, seed=1),
        Sampling(temperature=1.2, top_k=3, seed=2),
        Sampling(temperature=2.0, seed=3),
        Sampling(temperature=1.0, min_p=0.1, seed=4),
    ]
    together = choose(logits, [Chooser.new(rule) for rule in rules])
    alone = [choose(logits[n : n + 1], [Chooser.new(rule)])[0] for n, rule in enumerate(rules)]
    assert together == alone


def test_repeats_are_penalised_as_transformers_does():
    logits = _logits()
    seen = [int(logits.argmax()), 5, 17, int(logits.argmin())]
    expected = RepetitionPenaltyLogitsProcessor(1.7)(torch.tensor([seen]), logits.clone())
    row = Chooser.new(Sampling(repetition_penalty=1.7))
    row.begin(seen[:2], VOCABULARY, logits.device)
    for token in seen[2:]:
        row.accept(token)
    before = logits.clone()
    assert choose(logits, [row]) == [int(expected.argmax())]
    assert torch.equal(logits, before)
    assert int(expected.argmax()) != int(logits.argmax())


def test_half_precision_logits_are_sampled_in_single():
    logits = _logits().bfloat16()
    rule = Sampling(temperature=0.5, top_p=0.9, seed=9)
    assert choose(logits, [Chooser.new(rule)]) == choose(logits.float(), [Chooser.new(rule)])
