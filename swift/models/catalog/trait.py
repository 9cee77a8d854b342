"""What holds for a family, but for some of its checkpoints.

    thinking: switch *-Base=none *-Thinking-2507*=always

A word is what holds for the family; `pattern=word` what holds for checkpoints whose name, without the owner and in any
case of letters, matches the pattern; the last one that matches counts. A bare `pattern=` says that nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Trait:
    """A property of a family.

    Attributes:
        usual: Its value; empty where it is not known.
        exceptions: Pairs of a pattern and a value.
    """

    usual: str = ""
    exceptions: tuple[tuple[str, str], ...] = ()

    def of(self, checkpoint: str) -> str:
        """The value for a checkpoint, by its id or path on either hub."""
        name = checkpoint.rstrip("/").rpartition("/")[2].partition("@")[0].lower()
        found = [value for pattern, value in self.exceptions if fnmatchcase(name, pattern.lower())]
        return found[-1] if found else self.usual

    @property
    def values(self) -> frozenset[str]:
        """Every value that some checkpoint has."""
        return frozenset({self.usual, *(value for _, value in self.exceptions)} - {""})

    def __str__(self) -> str:
        told = [f"{pattern}: {value}" for pattern, value in self.exceptions if value]
        return "; ".join(([self.usual] if self.usual else []) + told)


def read_trait(text: str) -> Trait:
    """A trait as a catalog file has it."""
    words = [word.partition("=") for word in text.split()]
    usual = [word for word, equals, _ in words if not equals]
    return Trait(" ".join(usual), tuple((pattern, value) for pattern, equals, value in words if equals))
