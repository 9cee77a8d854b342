"""The path for models that keep other states than plain keys and values: transformers' own `generate` runs them.

Recurrent states see padding, so only prompts of equal length share a batch.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)

from swift.engines.job import Job, advance
from swift.engines.shape import input_device

_NO_TOKEN = 2**31 - 1
"""An id that no vocabulary has."""


class GenericLane:
    """Jobs that `generate` runs: the one that came first, and with it all of its length.

    Args:
        model: Any causal language model.
        max_rows: Sequences in a batch.
        before: Called before each batch.
    """

    def __init__(self, model: PreTrainedModel, *, max_rows: int, before: Callable[[], None]) -> None:
        self._model = model
        self._max_rows = max_rows
        self._before = before
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._moves = _Background(model, ())

    @property
    def jobs(self) -> list[Job]:
        """Those that have not ended, waiting ones included."""
        return [job for job in self._running if not job.ended] + self._waiting

    def add(self, job: Job) -> None:
        """Let one more job wait for its turn."""
        self._waiting.append(job)

    def drop(self, job: Job) -> None:
        """Forget a job that nobody wants any more; where it runs already, its row ends at the next token."""
        self._waiting = [other for other in self._waiting if other is not job]
        if any(other is job for other in self._running):
            job.finish = job.finish or "stop"
            self._release()

    def step(self) -> list[Job]:
        """One token of the batch that runs; a new batch where none does."""
        self._before()
        while True:
            moved = self._moves.take()
            if moved is not None:
                self._release()
                return moved
            self._running = []
            if not self._waiting:
                return []
            self._start()

    def _release(self) -> None:
        """Let the thread end where nothing is left for it to do."""
        if all(job.ended for job in self._running):
            self._moves.take()

    def _start(self) -> None:
        first = self._waiting[0]
        # What shows something is alone: pictures of several rows are not always told apart.
        same = [job for job in self._waiting if len(job.prompt) == len(first.prompt) and job.media is None]
        self._running = same[: self._max_rows] if first.media is None else [first]
        self._waiting = [job for job in self._waiting if not any(job is other for other in self._running)]
        self._moves = _Background(self._model, self._running)


class _Background:
    """`generate` in a thread that computes one token whenever it is asked for one, and waits in between.

    Args:
        model: Any causal language model.
        jobs: The rows, all prompts of one length.
    """

    def __init__(self, model: PreTrainedModel, jobs: Sequence[Job]) -> None:
        self._model = model
        self.jobs = list(jobs)
        self.moved: queue.Queue[list[Job] | BaseException | None] = queue.Queue()
        self.asked = threading.Semaphore(0)
        self._thread: threading.Thread | None = None

    def take(self) -> list[Job] | None:
        """The jobs that have one token more; None where all have ended."""
        if all(job.ended for job in self.jobs):
            self._end()
            return None
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        self.asked.release()
        item = self.moved.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def _end(self) -> None:
        if self._thread is not None:
            self.asked.release()
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        """The thread: whatever goes wrong is raised by who asks."""
        self.asked.acquire()
        try:
            self._generate()
            self.moved.put(None)
        except BaseException as error:
            self.moved.put(error)

    def _generate(self) -> None:
        device = input_device(self._model)
        ids = torch.tensor([job.prompt for job in self.jobs], device=device)
        rules = GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=max(job.limit for job in self.jobs),
            eos_token_id=_NO_TOKEN,  # `_Stop` ends rows
            pad_token_id=0,
        )
        generate: Any = self._model.generate
        shown = self.jobs[0].media
        weights = next(self._model.parameters()).dtype
        media = {} if shown is None else {name: _cast(t.to(device), weights) for name, t in shown.tensors.items()}
        generate(
            ids,
            attention_mask=torch.ones_like(ids),
            **media,
            generation_config=rules,
            logits_processor=LogitsProcessorList([_Choose(self)]),
            stopping_criteria=StoppingCriteriaList([_Stop(self)]),
        )


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


class _Choose(LogitsProcessor):  # type: ignore[misc,unused-ignore]
    """Leaves only the token that our own sampling chooses, so that `generate` takes it."""

    def __init__(self, work: _Background) -> None:
        self._work = work

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        running = [row for row, job in enumerate(self._work.jobs) if not job.ended]
        moved = [self._work.jobs[row] for row in running]
        advance(moved, scores[torch.tensor(running, device=scores.device)])
        only = torch.full_like(scores, float("-inf"))
        only[:, 0] = 0.0  # rows that have ended go on with anything
        for row, job in zip(running, moved, strict=True):
            only[row] = float("-inf")
            only[row, job.ids[-1]] = 0.0
        self._work.moved.put(moved)
        self._work.asked.acquire()
        return only


class _Stop(StoppingCriteria):  # type: ignore[misc,unused-ignore]
    """Rows whose job has ended."""

    def __init__(self, work: _Background) -> None:
        self._work = work

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        done = [job.ended for job in self._work.jobs]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)
