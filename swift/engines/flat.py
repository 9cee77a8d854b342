"""Continuous batching without padding: each step takes one token of every running answer, and pieces of prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from swift.engines.job import Job, advance
from swift.engines.prefix import common
from swift.engines.shape import cache_parameter, input_device
from swift.engines.slots import Chunk, Run, SlotLayer, Step, in_step, slot_cache

_HEADROOM = 64
"""New tokens that there must be room for when a row is admitted."""

_CHUNK = 2048
"""Prompt tokens in a step: enough to use an accelerator well; more would make running answers wait."""
_CHUNK_ON_CPU = 256

_WORTH = 16
"""Tokens that a prompt must share with another one for them to be copied."""


@dataclass(slots=True)
class _Row:
    """A job in a slot.

    Attributes:
        filled: Its tokens that are in the cache.
    """

    job: Job
    slot: int
    filled: int = 0

    @property
    def tokens(self) -> list[int]:
        """All of them; as long as the row, so not for every step."""
        return self.job.prompt + self.job.ids

    @property
    def length(self) -> int:
        return len(self.job.prompt) + len(self.job.ids)

    @property
    def missing(self) -> int:
        """Tokens that have to be computed before it can get its next one."""
        return self.length - self.filled

    def next(self, count: int) -> list[int]:
        """The first tokens that are missing."""
        if count == 1 and self.missing == 1 and self.job.ids:
            return self.job.ids[-1:]
        return self.tokens[self.filled : self.filled + count]


class FlatLane:
    """Runs jobs in slots of one cache.

    Where everything is there from the start, those go first that may have the most new tokens, so that no long answer
    is left to run alone in the end, and then the longest prompts; where somebody waits for each answer (`live`), who
    came first. A place that is free is filled at once. The tokens of rows that have ended stay in their
    slots until those are needed: a prompt that begins as one of them, or as one that runs, takes over what is equal.
    When the growing rows no longer fit the budget, the last one is sent back to wait.

    Args:
        model: A model for which `flat_is_right`.
        parameters: Names of the parameters of its forward pass.
        max_tokens: Token slots of the cache: rows times the longest one. A single row may exceed it.
        max_rows: Rows at a time.
        before: Called before each forward pass.
        live: Jobs come and go, and somebody waits for each.
        chunk: Prompt tokens in a step.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        parameters: Set[str],
        *,
        max_tokens: int,
        max_rows: int,
        before: Callable[[], None],
        live: bool = False,
        chunk: int | None = None,
    ) -> None:
        self._model = model
        self._device = input_device(model)
        self._takes_index = "logits_to_keep" in parameters
        self._cache_name = cache_parameter(parameters)
        self._cache = slot_cache(model.config)
        self._room = (0, 0)  # slots, and places in each
        self._max_tokens = max_tokens
        self._max_rows = max_rows
        self._before = before
        self._live = live
        self._chunk = chunk or (_CHUNK_ON_CPU if self._device.type == "cpu" else _CHUNK)
        self._waiting: list[Job] = []  # taken from the end
        self._sorted = True
        self._rows: dict[int, _Row] = {}
        self._kept: dict[int, list[int]] = {}  # tokens in slots of rows that have ended; the oldest first

    @property
    def jobs(self) -> list[Job]:
        """Those that have not ended, waiting ones included."""
        return [row.job for row in self._rows.values()] + self._waiting

    def add(self, job: Job) -> None:
        """Let one more job wait for its turn."""
        self._waiting.append(job)
        self._sorted = False

    def drop(self, job: Job) -> None:
        """Forget a job that nobody wants any more."""
        self._waiting = [other for other in self._waiting if other is not job]
        for slot, row in list(self._rows.items()):
            if row.job is job:
                self._leave(slot)

    def step(self) -> list[Job]:
        """One forward pass; returns the jobs that have one token more. There are none where only prompts moved on."""
        ready, logits = self.compute()
        moved = advance(ready, logits) if ready else []
        if any(job.ended for job in moved):
            for slot, row in list(self._rows.items()):
                if row.job.ended:
                    self._leave(slot)
        return moved

    @torch.inference_mode()
    def compute(self) -> tuple[list[Job], Tensor]:
        """One forward pass; returns the jobs that are to get a token, and logits [jobs, vocabulary] for it."""
        if not self._sorted:
            self._waiting.sort(key=_arrival if self._live else _work_left)
            self._sorted = True
        self._shrink()
        self._admit()
        self._fit()
        work = self._work()
        step, ids, positions, index = self._flat(work)
        self._before()
        logits = self._forward(step, ids, positions, index)
        for row, count in work:
            row.filled += count
        return [row.job for row, _ in work if not row.missing], logits

    def _work(self) -> list[tuple[_Row, int]]:
        """(row, tokens to compute): first the rows that need one, by slot; then pieces of prompts, the oldest first."""
        ones = sorted((row for row in self._rows.values() if row.missing == 1), key=lambda row: row.slot)
        work = [(row, 1) for row in ones]
        room = max(self._chunk - len(ones), 1)
        for row in self._rows.values():
            if row.missing > 1 and room > 0:
                work.append((row, min(row.missing, room)))
                room -= row.missing
        return work

    def _flat(self, work: Sequence[tuple[_Row, int]]) -> tuple[Step, Tensor, Tensor, Tensor]:
        """The step; ids and positions [1, tokens] of its tokens; and which of them give logits, int64 [rows]."""
        ids: list[int] = []
        slots: list[int] = []
        places: list[int] = []
        index: list[int] = []
        chunks: list[Chunk] = []
        ones: list[_Row] = []
        for row, count in work:
            if row.missing > 1:
                chunks.append(Chunk(row.slot, len(ids), count, row.filled))
            else:
                ones.append(row)
            ids += row.next(count)
            slots += [row.slot] * count
            places += range(row.filled, row.filled + count)
            if count == row.missing:
                index.append(len(ids) - 1)
        place = self._tensor(places)
        step = Step(self._tensor(slots), place, tuple(self._runs(ones)), tuple(chunks), *self._room)
        return step, self._tensor(ids)[None], place[None], self._tensor(index)

    def _runs(self, ones: Sequence[_Row]) -> list[Run]:
        """Neighbouring slots together; `ones` are in the order of their slots."""
        runs: list[Run] = []
        begin = 0
        for end in range(1, len(ones) + 1):
            if end == len(ones) or ones[end].slot != ones[end - 1].slot + 1:
                lengths = [row.filled + 1 for row in ones[begin:end]]
                runs.append(Run(ones[begin].slot, begin, self._tensor(lengths), max(lengths)))
                begin = end
        return runs

    def _tensor(self, values: list[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)

    def _forward(self, step: Step, ids: Tensor, positions: Tensor, index: Tensor) -> Tensor:
        """Logits [rows, vocabulary] of the tokens that `index` names."""
        options = {"logits_to_keep": index} if self._takes_index else {}
        with in_step(step):
            output = self._model(
                input_ids=ids, position_ids=positions, use_cache=True, **{self._cache_name: self._cache}, **options
            )
        logits: Tensor = output.logits[0]
        return logits if self._takes_index else logits[index]

    def _admit(self) -> None:
        """Give slots to waiting jobs that fit beside the running rows; to at least one where none runs."""
        while self._waiting and len(self._rows) < self._max_rows:
            job = self._waiting[-1]
            wanted = job.length + min(_HEADROOM, job.limit - len(job.ids))
            if self._rows and (len(self._rows) + 1) * max(self._width(), wanted) > self._max_tokens:
                return
            if self._soon_shared(job.prompt + job.ids):
                return
            self._waiting.pop()
            self._enter(job)

    def _soon_shared(self, tokens: list[int]) -> bool:
        """Whether a prompt that is being computed will soon be there to be copied from: worth a step or two of waiting.

        Without it, rows that start together, such as questions behind the same solved examples, would all compute what
        they share.
        """
        filling = [row for row in self._rows.values() if row.missing > 1]
        soon = max((common(tokens, row.tokens, len(tokens) - 1) for row in filling), default=0)
        return soon - self._donor(tokens)[1] >= self._chunk // 4 if filling else False

    def _enter(self, job: Job) -> None:
        """Put a job into a slot, with as much of its beginning as is there already."""
        row = _Row(job, 0)
        tokens = row.tokens
        slot = row.slot = self._free_slot(tokens)
        held = self._kept.pop(slot, [])
        self._rows[slot] = row
        self._fit()
        own = 0 if row.slot != slot else min(common(tokens, held, len(tokens) - 1), self._room[1])
        source, shared = self._donor(tokens)
        if max(own, shared) < _WORTH:
            return
        if shared > own:
            self._copy(source, row.slot, shared)
        row.filled = job.cached = max(own, shared)

    def _donor(self, tokens: list[int]) -> tuple[int, int]:
        """The slot whose tokens begin like these, and how many do. The last one has to be computed in any case."""
        best = (0, 0)
        held = [(slot, row.tokens[: row.filled]) for slot, row in self._rows.items()] + list(self._kept.items())
        for slot, others in held:
            shared = common(tokens, others, len(tokens) - 1)
            if shared > best[1]:
                best = (slot, shared)
        return best

    def _free_slot(self, tokens: list[int]) -> int:
        """A slot for a row that begins with these tokens.

        One that holds nothing but their beginning; else the lowest unused one, where there is room for it; else that
        of the row that ended first, but for the one that has most of them.
        """
        source, shared = self._donor(tokens)
        if _WORTH <= shared == len(self._kept.get(source, ())):
            return source
        used = self._rows.keys() | self._kept.keys()
        free = next(slot for slot in range(len(used) + 1) if slot not in used)
        rows, width = self._room
        if not self._kept or free < rows or (free + 1) * max(width, len(tokens)) <= self._max_tokens:
            return free
        oldest = list(self._kept)
        return next((slot for slot in oldest if slot != source), oldest[0])

    def _leave(self, slot: int) -> None:
        """A row has ended: what it computed stays until its slot is needed."""
        row = self._rows.pop(slot)
        self._kept[slot] = row.tokens[: row.filled]

    def _copy(self, source: int, target: int, length: int) -> None:
        for layer in self._cache.layers:
            assert isinstance(layer, SlotLayer)
            layer.copy(source, target, length)

    def _width(self) -> int:
        """Places that the longest row needs in the next step."""
        return max((row.length for row in self._rows.values()), default=0)

    def _shrink(self) -> None:
        """Send the youngest rows back to wait until the next step fits the budget."""
        while len(self._rows) > 1 and len(self._rows) * self._width() > self._max_tokens:
            slot = max(self._rows, key=lambda slot: self._rows[slot].job.number)
            self.add(self._rows[slot].job)
            self._leave(slot)

    def _fit(self) -> None:
        """Decide how many slots and places there are: with some to spare, but within the budget."""
        rows, width = max(self._rows) + 1, self._width()
        if rows <= self._room[0] and width <= self._room[1]:
            return
        if rows > len(self._rows) and rows * width > self._max_tokens:
            self._close_up()
            rows = len(self._rows)
        rows = max(rows, min(self._room[0], self._max_tokens // width))
        width = max(width, min(width + width // 4 + _HEADROOM, self._max_tokens // rows))
        self._room = (rows, width)
        for layer in self._cache.layers:
            assert isinstance(layer, SlotLayer)
            layer.resize(rows, width)
        self._kept = {slot: tokens[:width] for slot, tokens in self._kept.items() if slot < rows}

    def _close_up(self) -> None:
        """Move rows to the lowest slots, over what was kept there."""
        rows = sorted(self._rows.values(), key=lambda row: row.slot)
        for slot, row in enumerate(rows):
            if slot != row.slot:
                self._copy(row.slot, slot, row.filled)
                row.slot = slot
        self._rows = {row.slot: row for row in rows}
        self._kept = {}


def _arrival(job: Job) -> int:
    return -job.number


def _work_left(job: Job) -> tuple[int, int]:
    return job.limit - len(job.ids), job.length
