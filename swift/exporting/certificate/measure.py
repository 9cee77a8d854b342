"""Measuring a model on held-out rows, and one against another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swift.errors import ModelError
from swift.exporting.certificate.subject import Answers, Row, Subject
from swift.exporting.rows import Sample

_STEPS = 20
"""Of the spread of divergences."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one model does on the rows.

    Attributes:
        size_bytes: Of its files of weights.
        load_seconds: How long loading took.
        perplexity: Of the rows' answers.
        stop_probability: Mean probability of the stop token where an answer ends; None where no row has such a place.
        tokens_per_second: Of its own answers, all generated at once; None where none was asked for.
        stopped: How many of them ended with a stop token, of how many.
        finite: Whether every prediction is a number.
    """

    size_bytes: int
    load_seconds: float
    perplexity: float
    stop_probability: float | None
    tokens_per_second: float | None
    stopped: tuple[int, int]
    finite: bool


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a model is from the source, over positions that both predict.

    Attributes:
        positions: How many.
        mean_kl: Kullback-Leibler divergence of its next-token distribution from the source's, in nats, mean.
        max_kl: The largest.
        greedy_match: Share of positions where both find the same token likeliest.
        same_answers: Answers that are the same token for token, of how many.
        spread: Divergences from the smallest to the largest, in 20 steps that have equally many positions each.
    """

    positions: int
    mean_kl: float
    max_kl: float
    greedy_match: float
    same_answers: tuple[int, int]
    spread: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """What the source predicts and says.

    Attributes:
        places: Of each sample: positions in its sequence whose next token is predicted, int64.
        file: Logits [all places, vocabulary] in float32, so that both models need not be in memory together.
        vocabulary: Columns of it.
        answers: Its answers' tokens.
        measured: How it does.
    """

    places: tuple[NDArray[Any], ...]
    file: Path
    vocabulary: int
    answers: tuple[tuple[int, ...], ...]
    measured: Measured


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a model.

    Attributes:
        samples: The rows.
        positions: Most predictions that are compared.
        prompts: Token ids of what is answered, as the source renders it.
        new_tokens: Longest answer.
        stop_ids: Tokens that end an answer, as the source has them.
    """

    samples: tuple[Sample, ...]
    positions: int
    prompts: tuple[tuple[int, ...], ...]
    new_tokens: int
    stop_ids: frozenset[int]


class _Sums:
    """What is added up while a model goes through the rows."""

    def __init__(self) -> None:
        self.loss = 0.0
        self.count = 0
        self.stops: list[float] = []
        self.finite = True

    def add(self, logits: Tensor, targets: Tensor, ends: Tensor) -> Tensor:
        """Count predictions [n, vocabulary] of `targets` [n]; `ends` tells which are stop tokens. Returns them as
        log-probabilities in float64."""
        self.finite = self.finite and bool(logits.isfinite().all())
        chances = logits.double().log_softmax(-1)
        found = chances.gather(-1, targets[:, None])[:, 0]
        self.loss -= float(found.sum())
        self.count += len(targets)
        self.stops += found[ends].exp().tolist()
        return chances

    @property
    def perplexity(self) -> float:
        """Of all targets."""
        return math.exp(min(self.loss / max(self.count, 1), 700.0)) if self.finite else math.inf

    @property
    def stop_probability(self) -> float | None:
        """Mean."""
        return float(np.mean(self.stops)) if self.stops else None


def measure_source(subject: Subject, asked: Asked, folder: Path) -> Reference:
    """Measure the source, and keep what it predicts in a file in `folder`."""
    places = _places(asked)
    file = folder / "reference.bin"
    sums, vocabulary = _Sums(), 0
    with file.open("wb") as stream:
        for number, logits in enumerate(subject.predictions(_rows(asked, places))):
            vocabulary = logits.shape[-1]
            sums.add(logits, *_targets(asked, number, places[number]))
            stream.write(logits.numpy().tobytes())
    said = _answers(subject, asked)
    return Reference(places, file, vocabulary, said.tokens, _measured(subject, sums, said))


def measure_result(subject: Subject, asked: Asked, reference: Reference) -> tuple[Measured, Distance]:
    """Measure a result, and how far it is from the source.

    Raises:
        ModelError: It does not know the tokens of the rows.
    """
    kept = np.memmap(reference.file, dtype=np.float32, mode="r").reshape(-1, reference.vocabulary)
    sums, start, same = _Sums(), 0, 0
    divergences: list[float] = []
    for number, logits in enumerate(subject.predictions(_rows(asked, reference.places))):
        targets, ends = _targets(asked, number, reference.places[number])
        common = min(reference.vocabulary, logits.shape[-1])
        if int(targets.max()) >= common:
            raise ModelError(f"the result predicts {common} tokens, and the rows have token {int(targets.max())}")
        mine = sums.add(logits[:, :common], targets, ends)
        theirs = torch.from_numpy(np.array(kept[start : start + len(targets), :common])).double().log_softmax(-1)
        start += len(targets)
        divergences += (theirs.exp() * (theirs - mine)).sum(-1).tolist()
        same += int((theirs.argmax(-1) == mine.argmax(-1)).sum())
    said = _answers(subject, asked)
    equal = sum(left == right for left, right in zip(said.tokens, reference.answers, strict=True))
    mean, most = float(np.mean(divergences)), float(np.max(divergences))
    spread = tuple(np.quantile(divergences, np.linspace(0, 1, _STEPS + 1)).tolist())
    distance = Distance(len(divergences), mean, most, same / len(divergences), (equal, len(said.tokens)), spread)
    return _measured(subject, sums, said), distance


def _measured(subject: Subject, sums: _Sums, said: Answers) -> Measured:
    count = sum(map(len, said.tokens))
    return Measured(
        size_bytes=subject.size,
        load_seconds=subject.load_seconds,
        perplexity=sums.perplexity,
        stop_probability=sums.stop_probability,
        tokens_per_second=count / said.seconds if count else None,
        stopped=(said.stopped, len(said.tokens)),
        finite=sums.finite,
    )


def _answers(subject: Subject, asked: Asked) -> Answers:
    if not asked.prompts:
        return Answers((), 0.0, 0)
    return subject.answers(asked.prompts, asked.new_tokens, asked.stop_ids)


def _rows(asked: Asked, places: Sequence[NDArray[Any]]) -> list[Row]:
    return [(sample.tokens.ids.tolist(), places[number]) for number, sample in enumerate(asked.samples)]


def _places(asked: Asked) -> tuple[NDArray[Any], ...]:
    """Positions before targets, as many of each sample as fit into the limit together."""
    share = max(1, asked.positions // max(1, len(asked.samples)))
    found = []
    for sample in asked.samples:
        places = np.flatnonzero(sample.tokens.weights[1:] > 0)
        found.append(places[-share:])  # the end of an answer is always among them
    return tuple(found)


def _targets(asked: Asked, number: int, places: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """A sample's targets at these places, and which of them end an answer."""
    targets = torch.from_numpy(asked.samples[number].tokens.ids[places + 1].astype(np.int64))
    return targets, torch.isin(targets, torch.tensor(sorted(asked.stop_ids)))
