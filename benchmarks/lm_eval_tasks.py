"""Tasks for lm-eval out of real rows: choices by likelihood, answers up to stop texts, and perplexity.

Rows are those of Alpaca's form (instruction, input, output), and texts of one document a line.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CHOICE, ENDING, ANSWER, TEXT = "swift_choice", "swift_ending", "swift_answer", "swift_text"
SHORT, LETTER, SHOWN = "swift_short", "swift_letter", "swift_shown"
"""The tasks' names."""

_SHOTS = 5


def write_tasks(
    folder: Path, rows: Path, texts: Path, *, choices: int = 400, answers: int = 64, characters: int = 4000
) -> None:
    """Write task files and their data.

    Args:
        folder: Where they go.
        rows: A JSON file of instructions.
        texts: A file of documents.
        choices: Questions with four choices: the row's own answer, and those of three others, cut at 30 to 240
            characters. And as many endings: a question and the first 240 characters of its answer, with four
            continuations of 20 to 80 characters, one of which is its own (as HellaSwag). As many questions with four
            choices of 10 to 40 characters (as ARC), and the same with the choices in the question and a letter as the
            answer, behind five solved ones (as MMLU).
        answers: Questions to be answered in up to 48 tokens or to the end of a paragraph; alone, and behind five solved
            ones (as GSM8K).
        characters: Of each document.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = [row for row in json.loads(rows.read_text(encoding="utf-8")) if len(row["output"]) >= 30]
    random.Random(0).shuffle(found)
    solved = found[-answers - _SHOTS : -answers]
    _write(folder, "choice.jsonl", _choices(found[:choices], 30, 240))
    _write(folder, "short.jsonl", _choices(found[:choices], 10, 40))
    _write(folder, "solved.jsonl", _choices(solved, 10, 40))
    long = [row for row in found if len(row["output"]) >= 340]
    _write(folder, "ending.jsonl", _endings(long[:choices]))
    questions = [{"question": _question(row), "answer": row["output"]} for row in found[-answers:]]
    _write(folder, "answer.jsonl", questions)
    _write(folder, "shown.jsonl", [{"question": _question(row), "answer": row["output"][:240]} for row in solved])
    lines = [line for line in texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    _write(folder, "text.jsonl", [{"text": line[:characters]} for line in lines])
    for name, task, test, examples in _tasks():
        files = {"test": test, **({"validation": examples} if examples else {})}
        paths = {split: str((folder / f"{file}.jsonl").resolve()) for split, file in files.items()}
        data = {"dataset_path": "json", "test_split": "test", "dataset_kwargs": {"data_files": paths}}
        # JSON is YAML.
        (folder / f"{name}.yaml").write_text(json.dumps({"task": name, "metadata": {"version": 1}, **data, **task}))


def _tasks() -> list[tuple[str, dict[str, Any], str, str]]:
    """Name, what lm-eval reads of it, file of rows, and file of solved examples, if any, of each task."""
    choice = {
        "output_type": "multiple_choice",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "right",
        "doc_to_choice": "choices",
        "target_delimiter": " ",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }
    ending = {**choice, "doc_to_text": "Question: {{question}}", "target_delimiter": ""}
    answer = {
        "output_type": "generate_until",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "answer",
        "generation_kwargs": {"until": ["\n\n", "Question:"], "max_gen_toks": 48, "do_sample": False},
        "metric_list": [{"metric": "chrf"}],
    }
    text = {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "text",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}],
    }
    shots = {"fewshot_split": "validation", "fewshot_config": {"sampler": "first_n"}, "num_fewshot": _SHOTS}
    letters = "\n".join(f"{letter}. {{{{choices[{place}]}}}}" for place, letter in enumerate("ABCD"))
    asked = f"Question: {{{{question}}}}\n{letters}\nAnswer:"
    letter = {**choice, **shots, "doc_to_text": asked, "doc_to_choice": list("ABCD")}
    return [
        (CHOICE, choice, "choice", ""),
        (ENDING, ending, "ending", ""),
        (SHORT, choice, "short", ""),
        (LETTER, letter, "short", "solved"),
        (ANSWER, answer, "answer", ""),
        (SHOWN, {**answer, **shots}, "answer", "shown"),
        (TEXT, text, "text", ""),
    ]


def _choices(rows: Sequence[dict[str, Any]], least: int, most: int) -> list[dict[str, Any]]:
    rng = random.Random(1)
    found = []
    for number, row in enumerate(rows):
        others = rng.sample([other for place, other in enumerate(rows) if place != number], 3)
        texts = [one["output"][: rng.randint(least, most)].strip() for one in (row, *others)]
        order = rng.sample(range(4), 4)
        found.append(
            {
                "question": _question(row),
                "choices": [texts[place] for place in order],
                "right": order.index(0),
            }
        )
    return found


def _endings(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rng = random.Random(2)
    found = []
    for number, row in enumerate(rows):
        others = rng.sample([other for place, other in enumerate(rows) if place != number], 3)
        texts = [one["output"][240 : 240 + rng.randint(20, 80)].rstrip() + "." for one in (row, *others)]
        order = rng.sample(range(4), 4)
        begun = f"{_question(row)}\nAnswer: {row['output'][:240]}"
        found.append({"question": begun, "choices": [texts[place] for place in order], "right": order.index(0)})
    return found


def _question(row: dict[str, Any]) -> str:
    return "\n".join(part for part in (row["instruction"], row.get("input") or "") if part)


def _write(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
