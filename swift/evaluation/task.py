"""A set of questions with all that its answers depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swift.evaluation.item import Item
from swift.evaluation.metric import Metric
from swift.types import Sampling


@dataclass(frozen=True, slots=True)
class Task:
    """One set.

    Attributes:
        name: What the user calls it.
        metric_name: Name of its metric.
        metric: How it is judged.
        items: The questions.
        folder: Where its files go.
        rules: Sampling of answers.
        identity: What its answers depend on besides model, engine and the questions themselves.
        skipped: How many rows and turns were left out, by reason.
        told: What a reason means, in words.
        facts: What the summary says of where it comes from.
    """

    name: str
    metric_name: str
    metric: Metric
    items: Sequence[Item]
    folder: Path
    rules: Sampling
    identity: Mapping[str, Any] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
