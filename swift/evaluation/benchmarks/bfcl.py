"""The Berkeley Function Calling Leaderboard (Patil et al. 2025), version 4: its categories of one turn, of Python.

Official scores average categories; here the set's score is over all questions, and each category stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from swift.errors import DataError, RowError
from swift.evaluation.benchmarks.base import Benchmark, Package, Question, Rows, Values, id_of
from swift.evaluation.benchmarks.bfcl_match import mismatch
from swift.evaluation.benchmarks.bfcl_rows import unnamed, unusable
from swift.evaluation.item import Item
from swift.evaluation.metric import Scores
from swift.types import Message

_ANSWERED = (
    "simple_python", "multiple", "parallel", "parallel_multiple",
    "live_simple", "live_multiple", "live_parallel", "live_parallel_multiple",
)  # fmt: skip
_NOT_ANSWERED = ("irrelevance", "live_irrelevance", "live_relevance")
_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}
_ROLES = ("system", "user", "assistant")


def _read(path: Path, subsets: Sequence[str]) -> Rows:
    """Questions with what is right, of the categories, from the folder of the package or one of its form."""
    rows: list[Values] = []
    for category in subsets:
        questions = _lines(path, f"BFCL_v4_{category}.json", answers=False)
        right = _right(path, category, questions) if category in _ANSWERED else [[]] * len(questions)
        rows += [
            {**question, "category": category, "ground_truth": truth}
            for question, truth in zip(questions, right, strict=True)
        ]
    return Rows(rows, f"BFCL in {path}")


def _right(path: Path, category: str, questions: Sequence[Values]) -> list[Any]:
    """What is right for each question: the answer of the same id."""
    answers = _lines(path, f"BFCL_v4_{category}.json", answers=True)
    known = {id_of(answer): answer.get("ground_truth") for answer in answers}
    if len(known) != len(answers) or "" in known:
        raise DataError(f"BFCL {category}: answers in {path} have no id of their own each", hint="mend the file")
    lost = next((number for number, row in enumerate(questions, 1) if id_of(row) not in known), None)
    if lost is not None:
        what = f"row {lost}, {id_of(questions[lost - 1]) or 'without an id'}, has no answer of its id"
        raise DataError(f"BFCL {category} in {path}: {what}", hint="mend the row, or take it out")
    return [known[id_of(row)] for row in questions]


def _lines(path: Path, name: str, *, answers: bool) -> list[Values]:
    found = [file for file in path.rglob(name) if (file.parent.name == "possible_answer") == answers]
    found = [file for file in found if "unused_datasets" not in file.parts]
    if len(found) != 1:
        where = "possible_answer/" if answers else ""
        raise DataError(f"{path} holds no {where}{name}", hint="name the folder `data` of bfcl-eval")
    lines: list[Values] = []
    for number, line in enumerate(found[0].read_bytes().splitlines(), 1):
        try:
            value = orjson.loads(line)
        except ValueError as error:
            raise DataError(f"row {number} of {found[0]} is no JSON", hint="mend the row") from error
        lines.append(value if isinstance(value, dict) else {})
    return lines


def _ask(row: Values) -> Question:
    turns, functions = row.get("question"), row.get("function")
    category = str(row["category"])
    if not isinstance(turns, list) or len(turns) != 1 or not isinstance(functions, list):
        raise RowError("bad_row", "it is not one turn with a list `function`")
    if not functions and category in _ANSWERED:
        raise RowError("bad_row", "its list `function` is empty")
    messages = []
    for turn in turns[0]:
        if not isinstance(turn, dict) or turn.get("role") not in _ROLES or not isinstance(turn.get("content"), str):
            raise RowError("bad_row", f"a message has not role and content: {turn!r}"[:120])
        messages.append(Message(turn["role"], turn["content"]))
    if not messages or messages[-1].role != "user":
        raise RowError("bad_row", "the user does not have the last word")
    right = row["ground_truth"]
    why = unusable(functions, right, several="parallel" in category) if category in _ANSWERED else unnamed(functions)
    if why:
        raise RowError("bad_row", why)
    return Question(
        tuple(messages),
        reference={"category": category, "functions": functions, "right": right},
        tools=tuple({"type": "function", "function": _openai(function)} for function in functions),
        group=category,
        id=id_of(row),
    )


def _openai(schema: Any) -> Any:
    """The schema with the names of types that JSON Schema has."""
    if isinstance(schema, list):
        return [_openai(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: _openai(value) for key, value in schema.items()}
    kind = found.get("type")
    return {**found, "type": _TYPES.get(kind, kind)} if isinstance(kind, str) else found


def score(answer: Message, item: Item) -> Scores:
    """Whether an answer calls what it should, and why not."""
    category = item.reference["category"]
    calls = [(call.name, call.arguments) for call in answer.tool_calls]
    if category in _NOT_ANSWERED:
        right = bool(calls) == (category == "live_relevance")
        return {"right": right, "why": "" if right else ("it calls a function" if calls else "it calls nothing")}
    why = mismatch(category, item.reference["functions"], calls, item.reference["right"])
    return {"right": not why, "why": why}


BFCL = Benchmark(
    about="calls of functions: one, several, the right one of many, or none",
    licence="Apache-2.0",
    origin=Package("bfcl-eval==2026.3.23", ("bfcl_eval/data/BFCL_v4_*.json", "bfcl_eval/data/possible_answer/*.json")),
    metric="bfcl",
    prompt="tools-1",
    ask=_ask,
    subsets=(*_ANSWERED, *_NOT_ANSWERED),
    default=(*_ANSWERED, *_NOT_ANSWERED),
    max_new_tokens=512,
    read=_read,
)
