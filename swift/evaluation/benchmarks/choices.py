"""Questions of which one of several answers is right."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swift.errors import DataError, RowError
from swift.evaluation.benchmarks.base import Benchmark, Hub, Nowhere, Question, Rows, Values, text_of, user
from swift.evaluation.benchmarks.rows import read_files
from swift.evaluation.metrics import LETTERS

_ENGLISH = "{question}\n{options}\nAnswer with the letter of the right choice."
_CHINESE = "{question}\n{options}\n请只回答正确选项的字母。"


def _listed(row: Values, choices: Sequence[str], right: int, words: str, group: str) -> Question:
    letters = LETTERS[: len(choices)]
    options = "\n".join(f"{letter}. {choice}" for letter, choice in zip(letters, choices, strict=True))
    text = words.format(question=text_of(row, "question").strip(), options=options)
    return Question(user(text), letters[right], reference=letters[right], choices=tuple(letters), group=group)


def _group(row: Values) -> str:
    found = next((row[name] for name in ("subject", "category", "subset") if row.get(name)), "")
    return str(found)


def _right(value: Any, count: int, *, letters: str = LETTERS) -> int:
    """The number of the right choice, from its letter, or from its number (from 0)."""
    text = str(value).strip()
    if _is_letter(text, letters[:count]):
        return letters.index(text.upper())
    if text.isdecimal() and len(text) < 4 and int(text) < count:
        return int(text)
    known = letters[:count] or map(str, range(count))
    raise RowError("bad_row", f"its answer {value!r} is none of {', '.join(known)}"[:200])


def _is_letter(text: str, letters: str) -> bool:
    return len(text) == 1 and text.upper() in letters


def _texts(values: Any, what: str) -> list[str]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) < 2:
        raise RowError("bad_row", f"its {what} are not a list of two or more")
    if len(values) > len(LETTERS):
        raise RowError("bad_row", f"its {what} are {len(values)}, more than letters")
    return [str(value) for value in values]


def _any(row: Values, words: str = _ENGLISH) -> Question:
    """A row with columns question, A to D (and further), answer; or with a list `choices` or `options`."""
    listed = next((row[name] for name in ("choices", "options") if row.get(name) is not None), None)
    if listed is None:
        columns = [letter for letter in LETTERS if row.get(letter) not in (None, "")]
        if columns != list(LETTERS[: len(columns)]) or len(columns) < 2:
            raise RowError("bad_row", "it has neither columns A, B, ... nor a list `choices`")
        choices = [str(row[letter]) for letter in columns]
    else:
        choices = _texts(listed, "choices")
    answer = row.get("answer", row.get("label", row.get("answer_index")))
    if isinstance(answer, str) and answer in choices and not _is_letter(answer, LETTERS[: len(choices)]):
        answer = choices.index(answer)
    return _listed(row, choices, _right(answer, len(choices)), words, _group(row))


def _read(path: Path, subsets: Sequence[str]) -> Rows:
    """Files as they are; a CSV file without a header, as MMLU has them, gets its columns' names."""
    if path.suffix.lower() != ".csv":
        return read_files(path, subsets)
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            lines = [line for line in csv.reader(file) if line]
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}", hint="save it as UTF-8 CSV") from error
    bare = lines and len(lines[0]) == 6 and lines[0][-1].strip() in ("A", "B", "C", "D") and "question" not in lines[0]
    if not bare:
        return read_files(path, subsets)
    names = ("question", "A", "B", "C", "D", "answer")
    short = next((number for number, line in enumerate(lines, 1) if len(line) != 6), None)
    if short is not None:
        raise DataError(f"row {short} of {path}: {len(lines[short - 1])} columns, not 6", hint="mend the row")
    return Rows([dict(zip(names, line, strict=True)) for line in lines], str(path))


def _chinese(row: Values) -> Question:
    if "Question" in row:  # CMMLU's own name
        row = {**row, "question": row["Question"], "answer": row.get("Answer")}
    return _any(row, _CHINESE)


def _arc(row: Values) -> Question:
    """ARC's rows: labels are letters or numbers from 1."""
    found = row.get("choices")
    if not isinstance(found, dict) or "text" not in found or "label" not in found:
        return _any(row)
    labels, choices = _labelled(found["label"], found["text"])
    if str(row.get("answerKey")) not in labels:
        raise RowError("bad_row", f"its answerKey {row.get('answerKey')!r} is none of {', '.join(labels)}")
    return _listed(row, choices, labels.index(str(row["answerKey"])), _ENGLISH, "")


def _labelled(labels: Any, values: Any) -> tuple[list[str], list[str]]:
    """Labels and the choices that they are of."""
    choices = _texts(values, "choices")
    if not isinstance(labels, Sequence) or isinstance(labels, str) or len(labels) != len(choices):
        raise RowError("bad_row", f"its labels are not a list of {len(choices)}, one for each choice")
    return [str(label) for label in labels], choices


def _hellaswag(row: Values) -> Question:
    endings = _texts(row.get("endings"), "endings")
    right = endings[_right(row.get("label"), len(endings), letters="")]
    text = f"Continue this text.\n\n{text_of(row, 'ctx')}"
    return Question(user(text), right, reference=right, choices=tuple(endings))


def _truthful(row: Values) -> Question:
    """TruthfulQA's mc1: one choice is right. Which one is first in the file does not matter to likelihoods."""
    targets = row.get("mc1_targets")
    if not isinstance(targets, dict):
        raise RowError("bad_row", "it has no mc1_targets")
    labels, choices = _labelled(targets.get("labels"), targets.get("choices"))
    if "1" not in labels:
        raise RowError("bad_row", "its mc1_targets have no right choice")
    right = choices[labels.index("1")]
    return Question(user(text_of(row, "question")), right, reference=right, choices=tuple(choices))


def _winogrande(row: Values) -> Question:
    options = [text_of(row, "option1"), text_of(row, "option2")]
    text = f"Which word fits the blank?\n\n{text_of(row, 'sentence')}"
    answer = str(row.get("answer")).strip()
    if answer not in ("1", "2"):
        raise RowError("bad_row", f"its answer {row.get('answer')!r} is none of 1, 2")
    right = options[int(answer) - 1]
    return Question(user(text), right, reference=right, choices=tuple(options))


def _pro(row: Values) -> Question:
    """MMLU-Pro's rows: `N/A` stands where there is no further choice, and is not shown."""
    options = _texts(row.get("options"), "options")
    right = _right(row.get("answer"), len(options))
    if options[right] == "N/A":
        raise RowError("bad_row", f"its answer {row.get('answer')!r} is the choice N/A")
    shown = _texts([option for option in options if option != "N/A"], "options but N/A")
    return _listed(row, shown, right - options[:right].count("N/A"), _ENGLISH, _group(row))


MCQ = Benchmark(
    "your own questions with choices A, B, ... in JSONL, CSV or another format of rows", "yours", Nowhere(), "letter",
    "letter-1", _any, read=_read,
    max_new_tokens=64,
)  # fmt: skip
MMLU = Benchmark(
    "57 subjects from school to profession (Hendrycks 2021)", "MIT",
    Hub("cais/mmlu", "{subset}", "test", "dev"), "letter", "letter-1", _any, ("*",), ("all",), 5, 64, _read,
)  # fmt: skip
MMLU_PRO = Benchmark(
    "harder questions with up to ten choices (Wang 2024)", "MIT",
    Hub("TIGER-Lab/MMLU-Pro", "", "test", "validation"), "letter", "letter-1", _pro, shots=5, max_new_tokens=64,
)  # fmt: skip
CEVAL = Benchmark(
    "52 Chinese subjects (Huang 2023); the split with answers", "CC BY-NC-SA 4.0",
    Hub("ceval/ceval-exam", "{subset}", "val", "dev"), "letter", "letter-zh-1", _chinese, ("*",),
    ("computer_network",), 5, 64, _read,
)  # fmt: skip
CMMLU = Benchmark(
    "67 Chinese subjects (Li 2023)", "CC BY-NC 4.0",
    Hub("haonan-li/cmmlu", "{subset}", "test", "dev"), "letter", "letter-zh-1", _chinese, ("*",), ("agronomy",), 5, 64,
    _read,
)  # fmt: skip
ARC_EASY = Benchmark(
    "questions of science from school (Clark 2018)", "CC BY-SA 4.0",
    Hub("allenai/ai2_arc", "ARC-Easy", "test", "validation"), "letter", "letter-1", _arc, max_new_tokens=64,
)  # fmt: skip
ARC_CHALLENGE = Benchmark(
    "the harder ones of them", "CC BY-SA 4.0",
    Hub("allenai/ai2_arc", "ARC-Challenge", "test", "validation"), "letter", "letter-1", _arc, max_new_tokens=64,
)  # fmt: skip
HELLASWAG = Benchmark(
    "which ending goes on with a text (Zellers 2019)", "MIT",
    Hub("Rowan/hellaswag", "", "validation", "train"), "choice", "ending-1", _hellaswag,
)  # fmt: skip
TRUTHFULQA = Benchmark(
    "questions that people answer wrong (Lin 2022), mc1", "Apache-2.0",
    Hub("truthfulqa/truthful_qa", "multiple_choice", "validation"), "choice", "mc1-1", _truthful,
)  # fmt: skip
WINOGRANDE = Benchmark(
    "which of two words fits (Sakaguchi 2020)", "Apache-2.0",
    Hub("allenai/winogrande", "winogrande_xl", "validation", "train"), "choice", "blank-1", _winogrande,
)  # fmt: skip
