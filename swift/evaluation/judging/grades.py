"""`--metric judge`: a grade from 1 to 10 for each answer."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from swift.config.runs import EvalConfig
from swift.evaluation.item import said
from swift.evaluation.judging.engine import judgements
from swift.evaluation.judging.prompts import grade_prompt, read_grade
from swift.evaluation.task import Task

FILE = "judgements.jsonl"
UNREAD = "the judge gave no grade"


def graded(config: EvalConfig, task: Task, lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines with the judge's grades as scores; one that got none says so.

    Raises:
        SwiftError: The judge cannot be had.
    """
    items = {item.key(): item for item in task.items}
    prompts = {}
    for line in lines:
        if "response" in line:
            item = items[line["key"]]
            asked = said(item.prompt.messages)
            prompts[_key(line)] = grade_prompt(asked, line["response"], item.expected[0])
    found = judgements(config, task.folder / FILE, list(prompts.items()))
    return [_graded(line, found) for line in lines]


def _key(line: dict[str, Any]) -> str:
    """Another answer to the same question is judged anew."""
    return f"{line['key']}-{sha256(line['response'].encode()).hexdigest()[:12]}"


def _graded(line: dict[str, Any], found: dict[str, str]) -> dict[str, Any]:
    if "response" not in line:
        return line
    text = found.get(_key(line), "")
    grade = read_grade(text)
    unscored = {name: value for name, value in line.items() if name != "scores"}
    if grade is None:
        return {**unscored, "judgement": text, "error": UNREAD}
    return {**unscored, "judgement": text, "scores": {"grade": grade}}
