"""Where a run stands: everything that resuming needs besides tensors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from swift.data.feed import Position


@dataclass(frozen=True, slots=True)
class State:
    """Progress of a run; JSON-able.

    Attributes:
        step: Optimizer steps taken.
        position: Where in the data the next step begins.
        tokens: Real tokens seen.
        targets: Tokens trained on.
        samples: Sequences seen.
        best: Best value of the chosen metric so far.
        best_step: The step that had it.
        stale: Evaluations since the best one.
        elapsed: Seconds of training, over all sessions.
    """

    step: int = 0
    position: Position = field(default_factory=Position)
    tokens: int = 0
    targets: int = 0
    samples: int = 0
    best: float | None = None
    best_step: int | None = None
    stale: int = 0
    elapsed: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> State:
        """The inverse of `to_json`."""
        return replace(cls(**{**value, "position": Position(**value["position"])}))
