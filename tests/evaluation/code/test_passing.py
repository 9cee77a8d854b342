"""pass@k, and HumanEval's own solutions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from swift.config.benchmark import BenchmarkConfig
from swift.evaluation.benchmarks.humaneval import HUMANEVAL, program
from swift.evaluation.code.passing import code_metric, pass_at_k
from swift.evaluation.item import Item
from swift.evaluation.result import estimates
from swift.types import Conversation, Message, Origin

ROW = {
    "task_id": "T/0",
    "prompt": 'from typing import List\n\n\ndef total(numbers: List[int]) -> int:\n    """ Sum of numbers.\n    """\n',
    "entry_point": "total",
    "canonical_solution": "    return sum(numbers)\n",
    "test": "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n",
}


@pytest.mark.parametrize("count", [1, 4, 7])
def test_pass_at_k_is_the_share_of_draws_that_pass(count: int) -> None:
    for right in range(count + 1):
        outcomes = [True] * right + [False] * (count - right)
        for k in range(1, count + 1):
            draws = [any(draw) for draw in itertools.combinations(outcomes, k)]
            assert pass_at_k(count, right, k) == pytest.approx(sum(draws) / len(draws))
    assert pass_at_k(count, 0, count + 1) is None


def test_pass_at_k_is_the_papers_product() -> None:
    def product(n: int, c: int, k: int) -> float:
        return 1.0 if n - c < k else 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))

    for right in (0, 1, 50, 199, 200):
        for k in (1, 10, 100):
            assert pass_at_k(200, right, k) == pytest.approx(product(200, right, k))
    assert pass_at_k(1000, 1, 1) == pytest.approx(1 / 1000)
    assert not math.isnan(pass_at_k(1000, 500, 500) or 0)


@pytest.mark.parametrize(
    ("answer", "passes"),
    [
        ("Here:\n```python\ndef total(numbers):\n    return sum(numbers)\n```\nDone.", True),
        ("```\nimport math\ndef total(numbers):\n    return int(math.fsum(numbers))\n```", True),
        ("    return sum(numbers)", True),
        ("return sum(numbers)", True),
        ("    return sum(numbers)\n\nprint(total([1]))\nassert False", True),
        ("```python\ndef total(numbers: List[int]) -> int:\n    return sum(numbers)", True),
        ("def total(numbers):\n    return 3", False),
        ("I cannot do that.", False),
        ("```python\ndef other(numbers):\n    return sum(numbers)\n```", False),
        ("```python\nimport os\nos._exit(0)\ndef total(numbers): pass\n```", False),
        ("", False),
    ],
)
def test_answers_become_programs(answer: str, passes: bool) -> None:
    metric = code_metric(BenchmarkConfig(run_code=True))
    asked = HUMANEVAL.ask(ROW)
    item = Item("T/0", Conversation(asked.messages, Origin("x", 1)), asked.reference)
    scores = metric.score(Message("assistant", answer), item)
    assert scores["passed"] is passes, scores


def test_solved_examples_pass() -> None:
    asked = HUMANEVAL.ask(ROW)
    assert "check(total)" in program(asked.answer, **asked.reference)


def test_a_problem_counts_once() -> None:
    metric = code_metric(BenchmarkConfig(run_code=True, samples=3, pass_at=(1, 3)))
    lines = [
        {"id": problem, "cluster": problem, "sample": sample, "scores": {"passed": problem == "a" and sample == 0}}
        for problem in "ab"
        for sample in range(3)
    ]
    found = estimates(lines, metric)
    assert (found["pass@1"].value, found["pass@1"].count) == (pytest.approx(100 / 6), 2)
    assert found["pass@3"].value == 50.0
