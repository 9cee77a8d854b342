"""Reading judgements."""

from __future__ import annotations

import pytest

from swift.evaluation.judging.pairs import verdict
from swift.evaluation.judging.prompts import better_prompt, grade_prompt, read_better, read_grade


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("Good.\nGrade: 7", 7),
        ("**Grade:** 10/10", 10),
        ("Grade: 3, no, Grade: 4", 4),
        ("grade 12", None),
        ("Grade: 0", None),
        ("I like it", None),
    ],
)
def test_grades(text: str, grade: int | None) -> None:
    assert read_grade(text) == grade


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("Better: 1", "first"),
        ("1 is longer.\n**Better:** 2", "second"),
        ("Better: equal", "tie"),
        ("Better: Answer 2", "second"),
        ("Both are fine", None),
    ],
)
def test_sides(text: str, side: str | None) -> None:
    assert read_better(text) == side


def test_a_judge_who_prefers_a_place_has_no_opinion() -> None:
    assert verdict("first", "second") == 0.0
    assert verdict("second", "first") == 1.0
    assert verdict("first", "first") == 0.5
    assert verdict("tie", "tie") == 0.5
    assert verdict("first", None) is None


def test_prompts_hold_what_is_judged() -> None:
    one = grade_prompt("user: hi", "hello", "good day").messages[0].content
    assert all(text in one for text in ("user: hi", "hello", "good day"))
    two = better_prompt("user: {hi}", "a{}", "b", "").messages[0].content
    assert two.index("a{}") < two.index("\nb\n")
    assert "Answer of the data" not in two
