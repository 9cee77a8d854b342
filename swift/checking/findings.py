"""What a check found, as plain values that the terminal and the HTML report both show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from swift.checking.lengths import Lengths
from swift.data.ledger import LedgerTotals
from swift.types import Origin, Outcome

Status = Literal["ok", "note", "warning", "problem"]
Fact = tuple[str, str]
"""A name and what there is to say."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens that are shown together: one, or as many as make up a character.

    Attributes:
        text: What they decode to.
        ids: Their ids.
        weight: Of each in the loss; 0 means not trained on.
    """

    text: str
    ids: tuple[int, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class TurnPieces:
    """What a sequence shows of one turn, with what the template writes around it.

    Attributes:
        role: Who speaks; `text` for plain text.
        number: Which message of the row it is, from 1.
    """

    role: str
    number: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence of a row.

    Attributes:
        part: Which of the row's `parts` sequences, from 1.
        tokens: Its length.
        trained: Tokens with a weight above 0.
        pictures: Small ones of what the row shows, with its boxes drawn, as data URIs; made only for the HTML report.
    """

    origin: Origin
    part: int
    parts: int
    tokens: int
    trained: int
    turns: tuple[TurnPieces, ...]
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at, and how it came out. Only a `problem` keeps training from starting;
    a `note` is something that the template lacks and only some rows would need."""

    name: str
    status: Status
    detail: str


@dataclass(frozen=True, slots=True)
class Fate:
    """Rows that share an outcome and a reason.

    Attributes:
        examples: The first of them, or all where they are bad rows that stop the run: a line each.
    """

    outcome: Outcome
    reason: str
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why training could not go, in one line, and the way out."""

    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Checkup:
    """All that a check found.

    Attributes:
        facts: Model, template, rows.
        samples: The first training sequences.
        predicates: Proofs on the template and on the rows.
        totals: Rows by what becomes of them.
        fates: The rows that are not kept whole, and those kept with a remark.
        lengths: Of the training sequences; None where there are none.
        findings: Duplicates, overlap and the like.
        steps: What an epoch costs.
        problems: Empty where training could go.
    """

    facts: tuple[Fact, ...]
    samples: tuple[Sample, ...]
    predicates: tuple[Finding, ...]
    totals: LedgerTotals
    fates: tuple[Fate, ...]
    lengths: Lengths | None
    findings: tuple[Finding, ...]
    steps: tuple[Fact, ...]
    problems: tuple[Problem, ...]
