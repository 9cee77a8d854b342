"""What is known of a data set, and how it is written down.

    gsm8k: {hf: openai/gsm8k, ms: modelscope/gsm8k, tags: sft en, rows: 7_473, licence: mit, subset: main,
      about: school problems with worked solutions}

The file that an entry stands in is its category. `both` is an id that is the same on both hubs. What is not known is
not written: no licence means that nobody has looked, not that there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Category = Literal["text", "agent", "preference", "math", "code", "multimodal", "pretrain", "other"]
CATEGORIES: tuple[Category, ...] = get_args(Category)

TASKS: Mapping[str, str] = {
    "sft": "conversations with answers",
    "pt": "plain text",
    "preference": "a better and a worse answer",
    "kto": "answers marked good or bad",
    "rl": "questions whose answers can be checked",
    "embedding": "pairs of texts, alike or not",
    "rerank": "a question with fitting and other texts",
    "classify": "texts with labels",
    "tts": "texts to be spoken",
}
"""Tags that say what the rows are for, in words."""
MEDIA: Mapping[str, str] = {"image": "pictures", "video": "videos", "audio": "sounds"}
"""Tags that say what rows hold beside text, in words."""
TRAINABLE: tuple[Literal["sft", "pt"], ...] = ("sft", "pt")
"""Tasks that there is a command for; the first is what an entry is used for where it fits both."""
UNUSED = "unused"
"""Our name for a column that is in the way of others."""


@dataclass(frozen=True)
class Entry:
    """A data set known by name.

    Attributes:
        name: Its short name.
        about: One line on what is in it.
        hf: Its id on Hugging Face, or empty.
        ms: Its id on ModelScope, or empty.
        file: A file beside `swift/data`, for built-in rows, or an absolute path; or empty.
        category: What it is mostly for.
        tags: What its rows are for (`TASKS`), what they hold (`MEDIA`), their languages, and subjects.
        licence: As its page names it, or empty where we do not know it.
        rows: About how many; 0 where we do not know.
        subset: Taken where the user names none; "all" takes every one.
        split: Taken where the user names none, if it is not train.
        columns: Its column names to ours; `UNUSED` for one that is in the way.
        placeholders: Whether rows hold {{name}} and {{author}}.
    """

    name: str
    about: str
    hf: str = ""
    ms: str = ""
    file: str = ""
    category: Category = "other"
    tags: tuple[str, ...] = ("sft",)
    licence: str = ""
    rows: int = 0
    subset: str = ""
    split: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    placeholders: bool = False

    @property
    def task(self) -> Literal["sft", "pt"] | None:
        """The command that trains on it, `sft` or `pt`; None where none does yet."""
        return next((task for task in TRAINABLE if task in self.tags), None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before using it, one line each."""
        found = []
        if not self.licence:
            found.append("its licence is not known here: read its page before you publish what you train on it")
        if not set(TRAINABLE) & set(self.tags):
            rows = "; ".join(TASKS[tag] for tag in self.tags if tag in TASKS)
            found.append(f"not trained on yet ({rows}): swift trains {' and '.join(TRAINABLE)}")
        return tuple(found)


def read_entry(name: str, values: Mapping[str, Any], category: Category) -> Entry:
    """An entry as a catalog file has it."""
    rest = {key: value for key, value in values.items() if key not in ("both", "tags")}
    both = values.get("both")
    hubs = {} if both is None else {"hf": both, "ms": both}
    return Entry(name=name, category=category, tags=tuple(values["tags"].split()), **hubs, **rest)
