"""Benchmarks by name, each in a file that is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swift.errors import ConfigError, UnknownNameError
from swift.evaluation.benchmarks.base import Benchmark
from swift.registry import Registry

_HERE = "swift.evaluation.benchmarks"

benchmarks: Registry[Benchmark] = Registry(
    "benchmark",
    {
        "humaneval": f"{_HERE}.humaneval:HUMANEVAL",
        "bfcl": f"{_HERE}.bfcl:BFCL",
        "mcq": f"{_HERE}.choices:MCQ",
        "mmlu": f"{_HERE}.choices:MMLU",
        "mmlu_pro": f"{_HERE}.choices:MMLU_PRO",
        "ceval": f"{_HERE}.choices:CEVAL",
        "cmmlu": f"{_HERE}.choices:CMMLU",
        "arc_easy": f"{_HERE}.choices:ARC_EASY",
        "arc_challenge": f"{_HERE}.choices:ARC_CHALLENGE",
        "hellaswag": f"{_HERE}.choices:HELLASWAG",
        "truthfulqa": f"{_HERE}.choices:TRUTHFULQA",
        "winogrande": f"{_HERE}.choices:WINOGRANDE",
        "gsm8k": f"{_HERE}.answers:GSM8K",
        "squad": f"{_HERE}.answers:SQUAD",
        "triviaqa": f"{_HERE}.answers:TRIVIAQA",
        "ifeval": f"{_HERE}.ifeval:IFEVAL",
    },
)
"""A user's own are added by `--plugins`, with `@benchmarks.register(NAME)` or `benchmarks.register(NAME)(VALUE)`."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A set as the user names it.

    Attributes:
        name: The benchmark.
        subsets: Parts of it.
        place: The user's own file or folder in place of the set's; empty is the set's.
    """

    name: str
    subsets: tuple[str, ...] = ()
    place: str = ""

    @property
    def text(self) -> str:
        """As the user writes it."""
        named = f"{self.name}:{','.join(self.subsets)}" if self.subsets else self.name
        return f"{named}={self.place}" if self.place else named

    @property
    def label(self) -> str:
        """A name for folders and tables."""
        return "-".join([self.name, *self.subsets]) if len(self.subsets) < 4 else f"{self.name}-{len(self.subsets)}sets"


def distinct(wishes: Sequence[Wish]) -> Sequence[Wish]:
    """The wishes as they are.

    Raises:
        ConfigError: Two of them would have one folder and one row of the table.
    """
    seen: dict[str, Wish] = {}
    for wish in wishes:
        other = seen.setdefault(wish.label, wish)
        if other is not wish:
            what = f"--eval_dataset: {other.text} and {wish.text} would both be called {wish.label}"
            raise ConfigError(what, hint="run them one after the other, each with an --output_dir of its own")
    return wishes


def parse_wish(text: str) -> Wish:
    """`NAME`, `NAME:SUBSET,SUBSET`, `NAME=FILE` or `NAME:SUBSET=FILE`.

    Raises:
        ConfigError: No such benchmark or subset, or the form is another.
    """
    named, equals, place = text.partition("=")
    name, colon, rest = named.partition(":")
    subsets = tuple(part.strip() for part in rest.split(",")) if colon else ()
    if not name or (equals and not place) or (colon and not all(subsets)):
        raise ConfigError(
            f"--eval_dataset {text!r} is not NAME, NAME:SUBSET or NAME=FILE", hint="as in mcq=questions.csv"
        )
    known = benchmarks.get(name).subsets
    for subset in subsets:
        if not known:
            raise ConfigError(f"--eval_dataset {text}: {name} has no subsets", hint=f"name it as {name}")
        if known != ("*",) and subset not in known:
            raise UnknownNameError(f"subset of {name}", subset, known, hint=f"there are {', '.join(known)}")
    return Wish(name, subsets, place)
