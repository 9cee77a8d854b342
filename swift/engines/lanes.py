"""Which jobs share forward passes, and whose turn it is."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Literal

from transformers import PreTrainedModel

from swift.batch import MediaInputs
from swift.engines.adapters import Switch
from swift.engines.base import BASE
from swift.engines.batching import RowBatch
from swift.engines.cache import new_cache
from swift.engines.flat import FlatLane
from swift.engines.generic import GenericLane
from swift.engines.job import Job
from swift.engines.probe import flat_is_right, padding_is_safe
from swift.engines.schedule import Lane, Schedule
from swift.engines.shape import cache_parameter
from swift.errors import ConfigError
from swift.tuners.prompt import Front

_Kind = Literal["flat", "rows", "generic"]
"""Without padding; as rows of a padded batch; by transformers' own `generate`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is generated at once.

    Attributes:
        tokens: Token slots of the cache of one batch, padding included.
        rows: Sequences in one batch.
        live: Requests come and go, and somebody waits for each: who came first goes first. Else the order is that
            which ends everything soonest.
        length: Longest sequence, prompt and answer; None leaves it to the model's positions.
    """

    tokens: int = 8192
    rows: int = 16
    live: bool = False
    length: int | None = None


class Lanes:
    """Jobs under one adapter and of one kind are computed together; the lanes take turns, a forward pass each.

    Args:
        model: The model, with adapters already attached to its layers where there are any.
        parameters: Names of the parameters of its forward pass.
        switch: Its adapters.
        limits: Batch limits.

    Raises:
        ConfigError: An adapter stands in front of rows, and the model's states are not keys and values.
    """

    def __init__(self, model: PreTrainedModel, parameters: Set[str], *, switch: Switch | None, limits: Limits) -> None:
        self._model = model
        self._parameters = parameters
        self._switch = switch
        self._limits = limits
        self.own_loop = (
            new_cache(model.config) is not None
            and cache_parameter(parameters) in parameters
            and not model._is_stateful
            and not model.config.is_encoder_decoder
        )
        if not self.own_loop and switch is not None and any(switch.front(name) for name in switch.names):
            raise ConfigError(
                f"{type(model).__name__} keeps other states than keys and values, and an adapter that stands in front "
                "of rows needs those",
                hint="use an adapter that changes weights, such as LoRA",
            )
        self._padding_proved = False
        self._flat: bool | None = None  # not known yet
        self._lanes: dict[tuple[str, _Kind], Lane] = {}
        self._turns: dict[tuple[str, _Kind], int] = {}
        self._clock = count()

    def add(self, job: Job, adapter: str) -> None:
        """Let a job wait for its turn."""
        key = (adapter, self._kind(job, adapter))
        if key not in self._lanes:
            self._lanes[key] = self._new(*key)
            self._turns[key] = next(self._clock)
        self._lanes[key].add(job)

    def drop(self, job: Job) -> None:
        """Forget a job that nobody wants any more."""
        for lane in self._lanes.values():
            lane.drop(job)

    def step(self) -> list[Job]:
        """One forward pass for whoever's turn was longest ago; returns the jobs that have one token more.

        Raises:
            torch.OutOfMemoryError: As it says; `give_up` then forgets the jobs of that lane.
        """
        busy = [key for key, lane in self._lanes.items() if lane.jobs]
        if not busy:
            return []
        key = min(busy, key=self._turns.__getitem__)
        self._turns[key] = next(self._clock)
        return self._lanes[key].step()

    def give_up(self) -> list[Job]:
        """Forget the jobs of the lane that was computed last; returns them."""
        key = max(self._turns, key=self._turns.__getitem__)
        return self._lanes.pop(key).jobs

    def holds(self, adapter: str) -> bool:
        """Whether any job of an adapter waits or runs."""
        return any(lane.jobs for (name, _), lane in self._lanes.items() if name == adapter)

    def forget(self, adapter: str) -> None:
        """Free what was computed under an adapter that has no jobs any more."""
        for key in [key for key in self._lanes if key[0] == adapter]:
            del self._lanes[key], self._turns[key]

    def clear(self) -> None:
        """Forget all jobs."""
        for lane in self._lanes.values():
            for job in lane.jobs:
                lane.drop(job)
        self._lanes = {}

    @property
    def busy(self) -> bool:
        """Whether any job waits or runs."""
        return any(lane.jobs for lane in self._lanes.values())

    def front(self, adapter: str) -> Front | None:
        """What an adapter puts in front of every row."""
        return None if self._switch is None else self._switch.front(adapter)

    def activate(self, adapter: str) -> None:
        """Make the model compute with an adapter, or bare."""
        if self._switch is not None:
            self._switch.activate(adapter)

    def padding_safe(self) -> bool:
        """Prove once that this model's numbers do not change with padding on the left; else take the other path."""
        if not self._padding_proved:
            self.own_loop = padding_is_safe(self._model, self._parameters)
            self._padding_proved = True
        return self.own_loop

    def _kind(self, job: Job, adapter: str) -> _Kind:
        """How a job is computed."""
        if self.front(adapter) is not None:
            return "rows"  # where rows may not stand side by side, they go one by one
        if not self.own_loop or (job.media is not None and _grows(job.media)):
            return "generic"
        if job.media is None and self.flat_is_right():
            return "flat"
        # nearly all architectures take position ids; one that does not may differ in other ways too
        if not self.busy and "position_ids" in self._parameters:
            return "rows"
        return "rows" if self.padding_safe() else "generic"

    def flat_is_right(self) -> bool:
        """Prove once, on the bare model, that flat batches compute the same."""
        if self._flat is None:
            self.activate(BASE)
            self._flat = flat_is_right(self._model, self._parameters)
        return self._flat

    def _new(self, adapter: str, kind: _Kind) -> Lane:
        limits, before = self._limits, partial(self.activate, adapter)
        if kind == "generic":
            return GenericLane(self._model, max_rows=limits.rows, before=before)
        if kind == "flat":
            return FlatLane(
                self._model,
                self._parameters,
                max_tokens=limits.tokens,
                max_rows=limits.rows,
                before=before,
                live=limits.live,
            )
        batch = RowBatch(self._model, self._parameters, self.front(adapter))
        return Schedule(batch, max_tokens=limits.tokens, max_rows=self._rows, before=before, live=limits.live)

    def _rows(self) -> int:
        """Rows of a batch: one, until it is proved that they may stand side by side."""
        return self._limits.rows if self._padding_proved and self.own_loop else 1


def _grows(media: MediaInputs) -> bool:
    """Whether each new token needs more than its place, such as which pictures it may look at."""
    return any(media.tensors[name].ndim > 2 for name in media.aligned)
