"""Each metric against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from swift.evaluation.metrics import METRICS
from swift.evaluation.result import estimates
from swift.evaluation.toolbench import (
    Verdict,
    answer_of,
    arguments_f1,
    judge,
    plan_of,
)
from swift.types import Message, ToolCall

OFFERED = {"find", "book"}


def says(text: str) -> Message:
    return Message("assistant", text)


def calls(*pairs: tuple[str, object]) -> Message:
    return Message("assistant", "", tool_calls=tuple(ToolCall(*pair) for pair in pairs))


@pytest.mark.parametrize(
    ("predicted", "reference", "score"),
    [
        ({}, {}, 1.0),
        ({"a": 1}, {}, 0.0),
        ({}, {"a": 1}, 0.0),
        ({"a": 1}, {"a": 1}, 1.0),
        ({"a": 2}, {"a": 1}, 0.5),
        ({"b": 1}, {"a": 1}, 0.0),
        # 1.5 matched; recall 1.5 / 2, precision 1.5 / 3: 2 * 0.75 * 0.5 / 1.25
        ({"a": 1, "b": 0, "c": 0}, {"a": 1, "b": 2}, 0.6),
        ({"a": True}, {"a": 1}, 0.5),
        ({"a": [1, {"b": 1.0}]}, {"a": [1, {"b": 1}]}, 1.0),
        ({"a": [1, {"b": True}]}, {"a": [1, {"b": 1}]}, 0.5),
        ([1], [1], 1.0),
        ([1], {"a": 1}, 0.0),
    ],
)
def test_f1_of_arguments(predicted: object, reference: object, score: float) -> None:
    assert arguments_f1(predicted, reference) == pytest.approx(score)


def test_plans_and_answers() -> None:
    assert (plan_of(says("hi")), answer_of(says("hi"))) == ("answer", "hi")
    assert (plan_of(calls(("find", {}))), answer_of(calls(("find", {})))) == ("call", "")
    done = calls(("Finish", {"return_type": "give_answer", "final_answer": "42"}))
    assert (plan_of(done), answer_of(done)) == ("answer", "42")
    up = calls(("Finish", {"return_type": "give_up_and_restart"}))
    assert (plan_of(up), answer_of(up)) == ("give up", "")
    assert plan_of(calls(("Finish", "broken"))) == "give up"


@pytest.mark.parametrize(
    ("predicted", "reference", "verdict"),
    [
        (calls(("find", {"a": 1})), calls(("find", {"a": 1})), Verdict(True, True, 1.0, None, False)),
        (calls(("find", {"a": 2})), calls(("find", {"a": 1})), Verdict(True, True, 0.5, None, False)),
        (calls(("book", {"a": 1})), calls(("find", {"a": 1})), Verdict(True, False, 0.0, None, False)),
        (calls(("cook", {"a": 1})), calls(("find", {"a": 1})), Verdict(True, False, 0.0, None, True)),
        (says("no"), calls(("find", {})), Verdict(False, False, 0.0, None, False)),
        (calls(("find", {}), ("book", {})), calls(("find", {})), Verdict(True, False, 0.0, None, False)),
        (
            calls(("find", {}), ("book", {"a": 2})),
            calls(("find", {}), ("book", {"a": 1})),
            Verdict(True, True, 0.75, None, False),
        ),
        (says("a b"), says("a b"), Verdict(True, None, None, 1.0, False)),
        (calls(("find", {})), says("a b"), Verdict(False, None, None, 0.0, False)),
        (calls(("cook", {})), says("a b"), Verdict(False, None, None, 0.0, True)),
        (
            calls(("Finish", {"return_type": "give_answer", "final_answer": "a b"})),
            says("a b"),
            Verdict(True, None, None, 1.0, False),
        ),
    ],
)
def test_a_turn_is_judged(predicted: Message, reference: Message, verdict: Verdict) -> None:
    assert judge(predicted, reference, OFFERED) == verdict


def test_a_summary_has_means_over_what_counts() -> None:
    verdicts = [
        Verdict(True, True, 1.0, None, False),
        Verdict(False, False, 0.0, None, True),
        Verdict(True, None, None, 0.3, False),
        Verdict(True, None, None, 0.5, False),
    ]
    lines = [{"id": str(n), "cluster": str(n), "scores": asdict(one)} for n, one in enumerate(verdicts)]
    found = estimates(lines, METRICS["toolbench"])
    values = {name: (score.value, score.count) for name, score in found.items()}
    assert values == {
        "plan_em": (75.0, 4),
        "act_em": (50.0, 2),
        "f1": (50.0, 2),
        "hallucination": (25.0, 4),
        "rouge_l": (pytest.approx(40.0), 2),
    }
    assert {score.value for score in estimates([], METRICS["toolbench"]).values()} == {None}
