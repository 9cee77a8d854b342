"""What a judge is asked, and how its judgement is read."""

from __future__ import annotations

import re
from typing import Literal

from swift.types import Conversation, Message, Origin

VERSION = "judge-1"
"""Another wording gives other judgements, and gets another name."""

Side = Literal["first", "second", "tie"]

_GRADE = (
    "Judge how well an assistant answered. Look at whether the answer is right, helpful, complete and to the point; "
    "its length alone counts for nothing.{expected}\n\n"
    "[Conversation]\n{asked}\n[End of conversation]\n\n{reference}"
    "[Answer]\n{answer}\n[End of answer]\n\n"
    "Explain in one or two sentences, then write the grade, a whole number from 1 (worst) to 10 (best), in a last line "
    "of its own, as in:\nGrade: 7"
)
_BETTER = (
    "Two assistants answered the same request. Judge which answer is better: right, helpful, complete and to the "
    "point; the order in which they stand and their length count for nothing.\n\n"
    "[Conversation]\n{asked}\n[End of conversation]\n\n{reference}"
    "[Answer 1]\n{first}\n[End of answer 1]\n\n[Answer 2]\n{second}\n[End of answer 2]\n\n"
    "Explain in one or two sentences, then write in a last line of its own:\nBetter: 1, Better: 2 or Better: equal"
)
_READ_GRADE = re.compile(r"grade\W{0,6}(10|[1-9])(?![\d.]*\d)(?:\s*/\s*10)?", re.IGNORECASE)
_READ_BETTER = re.compile(r"better\W{0,6}(?:answer\s*)?(1|2|equal|tie|both)\b", re.IGNORECASE)


def grade_prompt(asked: str, answer: str, reference: str) -> Conversation:
    """Asks for a grade of an answer."""
    expected = " The data's own answer is given to compare with." if reference else ""
    return _said(_GRADE.format(asked=asked, answer=answer, reference=_reference(reference), expected=expected))


def better_prompt(asked: str, first: str, second: str, reference: str) -> Conversation:
    """Asks which of two answers is better."""
    return _said(_BETTER.format(asked=asked, first=first, second=second, reference=_reference(reference)))


def read_grade(text: str) -> int | None:
    """The grade in a judgement, the last one; None where there is none."""
    found = _READ_GRADE.findall(text)
    return int(found[-1]) if found else None


def read_better(text: str) -> Side | None:
    """Which answer a judgement prefers, by its last word on it; None where it says nothing."""
    found = _READ_BETTER.findall(text)
    if not found:
        return None
    return {"1": "first", "2": "second"}.get(found[-1], "tie")  # type: ignore[return-value]


def _reference(text: str) -> str:
    return f"[Answer of the data]\n{text}\n[End of that answer]\n\n" if text else ""


def _said(text: str) -> Conversation:
    return Conversation((Message("user", text),), Origin("judge", 1))
