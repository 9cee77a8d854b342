"""What a benchmark is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swift.errors import RowError
from swift.types import Message

Values = Mapping[str, Any]
"""A row as its file has it."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Rows of a data set on a hub.

    Attributes:
        id: Its id on Hugging Face.
        subset: A subset by name, where it has some; `{subset}` is the one that the user names.
        split: The split that is asked.
        shots_split: The split that solved examples are taken from; empty takes them out of the rows that are asked.
        revision: Branch or commit. A branch may move: the summary says which commit was used.
        ms: Its id on ModelScope; empty where it is not known to be there.
    """

    id: str
    subset: str = ""
    split: str = "test"
    shots_split: str = ""
    revision: str = "main"
    ms: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """Rows of a PyPI package.

    Attributes:
        requirement: NAME==VERSION.
        patterns: Names of its files, as of `fnmatch`.
    """

    requirement: str
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Only the user has the rows, and names them: NAME=FILE."""


Origin = Hub | Package | Nowhere


@dataclass(frozen=True, slots=True)
class Question:
    """A row as it is asked.

    Attributes:
        messages: What is said to the model: one turn of the user in most cases.
        answer: What a solved example says in the model's place.
        reference: What the metric compares with.
        choices: Answers of which one is right.
        answers: Several right answers.
        tools: Functions that are offered, in OpenAI form.
        group: The part of the set that it belongs to.
        id: What the set calls it; empty is its number.
    """

    messages: tuple[Message, ...]
    answer: str = ""
    reference: Any = ""
    choices: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    group: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a set.

    Attributes:
        values: The rows.
        name: What they are called in messages, such as a file's name.
    """

    values: Sequence[Values]
    name: str


Read = Callable[[Path, Sequence[str]], Rows]
"""Reads the rows of a folder or file, of the subsets that the user names."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A set by name.

    Attributes:
        about: What it asks, in a few words.
        licence: Of its rows.
        origin: Where they come from.
        metric: Name of its metric.
        prompt: Which wording of the prompt; another wording gives other numbers, and gets another name.
        ask: Makes a question of a row. Raises RowError for a row that is not of its form.
        subsets: Names that may stand behind the set's; empty where there are none, ("*",) where any may.
        default: The subsets that are taken where none is named.
        shots: Solved examples in front of a question, where the user does not say.
        max_new_tokens: Longest answer, where the user does not say.
        read: Reads rows that are in no usual file; None reads JSONL, JSON, CSV, TSV and Parquet.
        runs_code: It runs what the model writes.
    """

    about: str
    licence: str
    origin: Origin
    metric: str
    prompt: str
    ask: Callable[[Values], Question]
    subsets: tuple[str, ...] = ()
    default: tuple[str, ...] = ()
    shots: int = 0
    max_new_tokens: int = 512
    read: Read | None = field(default=None)
    runs_code: bool = False


LEFT_OUT = "left_out"
"""Reason of a RowError: the row is in order, but cannot be judged here. It is counted and told."""


def text_of(row: Values, column: str) -> str:
    """The text, or the number as a text, in a column.

    Raises:
        RowError: There is none.
    """
    value = row.get(column)
    if isinstance(value, (str, int, float)) and not isinstance(value, bool) and str(value).strip():
        return str(value)
    what = "is missing" if value is None else f"is {value!r}"[:80]
    raise RowError("bad_row", f"its column {column!r} {what}")


def id_of(row: Values, column: str = "id") -> str:
    """What a row calls itself; empty where it does not."""
    value = row.get(column)
    return "" if value is None else str(value)


def user(text: str) -> tuple[Message, ...]:
    """A turn of the user."""
    return (Message("user", text),)
