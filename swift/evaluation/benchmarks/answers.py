"""Questions whose answer is a number or a few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swift.errors import RowError
from swift.evaluation.benchmarks.base import Benchmark, Hub, Question, Values, id_of, text_of, user
from swift.evaluation.words import number_in


def _gsm8k(row: Values) -> Question:
    answer = text_of(row, "answer")
    text = f"{text_of(row, 'question')}\n\nThink step by step, and end with `#### ` and the number."
    reference = answer.rsplit("####", 1)[-1].strip()
    if number_in(reference) is None:
        raise RowError("bad_row", f"its answer {reference[:80]!r} has no number")
    return Question(user(text), answer, reference=reference)


def _squad(row: Values) -> Question:
    found = row.get("answers")
    texts = _texts(found.get("text") if isinstance(found, Mapping) else found)
    text = (
        f"{text_of(row, 'context')}\n\nQuestion: {text_of(row, 'question')}\n"
        "Answer with as few words of the text as you can."
    )
    return Question(user(text), texts[0], reference=texts[0], answers=texts, id=id_of(row))


def _trivia(row: Values) -> Question:
    found = row.get("answer")
    if not isinstance(found, Mapping):
        raise RowError("bad_row", "its answer is no object with value and aliases")
    aliases = found.get("aliases") or ()
    if isinstance(aliases, str) or not isinstance(aliases, Sequence):
        raise RowError("bad_row", "its aliases are no list of texts")
    texts = _texts([found.get("value"), *aliases])
    text = f"{text_of(row, 'question')}\nAnswer with a name or a few words."
    return Question(user(text), texts[0], reference=texts[0], answers=texts)


def _texts(values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise RowError("bad_row", "its answers are no list of texts")
    texts = tuple(dict.fromkeys(str(value) for value in values if value not in (None, "")))
    if not texts:
        raise RowError("bad_row", "it has no answer")
    return texts


GSM8K = Benchmark(
    "sums in words from school (Cobbe 2021)", "MIT", Hub("openai/gsm8k", "main", "test", "train"), "number",
    "steps-1", _gsm8k, shots=5,
)  # fmt: skip
SQUAD = Benchmark(
    "answers that stand in a text (Rajpurkar 2016)", "CC BY-SA 4.0",
    Hub("rajpurkar/squad", "", "validation", "train"), "f1", "few-words-1", _squad, max_new_tokens=64,
)  # fmt: skip
TRIVIAQA = Benchmark(
    "questions of a quiz, without a text (Joshi 2017)", "unknown",
    Hub("mandarjoshi/trivia_qa", "rc.nocontext", "validation", "train"), "f1", "few-words-1", _trivia,
    max_new_tokens=64,
)  # fmt: skip
