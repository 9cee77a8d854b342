"""What is wrong with a configuration, as data: everything at once, not one error a try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swift.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend.

    Attributes:
        where: The flag or the line of the file, as the user wrote it.
        why: The value and the rule that it breaks.
        fix: The way out; may be empty.
    """

    where: str
    why: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


class ProblemsError(ConfigError):
    """A configuration with problems: all of them, in the order in which they were found.

    Attributes:
        problems: At least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems), hint=problems[0].fix)
        self.problems = tuple(problems)
