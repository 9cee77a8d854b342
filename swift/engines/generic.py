"""The path for models that keep other states than plain keys and values: transformers' own `generate` runs them.

Recurrent states see padding, so only prompts of equal length share a batch.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
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

from swift.engines.batching import Job
from swift.engines.sampling import choose
from swift.engines.shape import input_device


def run_generic(
    model: PreTrainedModel, jobs: Sequence[Job], *, max_rows: int, before: Callable[[], None]
) -> Iterator[list[Job]]:
    """Generate; after each token yields the jobs that moved.

    Args:
        model: Any causal language model.
        jobs: What to generate.
        max_rows: Sequences in a batch.
        before: Called before each batch.
    """
    ordered = sorted(jobs, key=lambda job: -len(job.prompt))
    # What shows something is alone: pictures of several rows are not always told apart.
    for _, group in groupby(ordered, key=lambda job: (len(job.prompt), job.media and job.number)):
        same = list(group)
        for begin in range(0, len(same), max_rows):
            before()
            yield from _Background(model, same[begin : begin + max_rows]).run()


class _Background:
    """`generate` in a thread, its tokens handed out as they come."""

    def __init__(self, model: PreTrainedModel, jobs: Sequence[Job]) -> None:
        self._model = model
        self.jobs = list(jobs)
        self.moved: queue.Queue[list[Job] | BaseException | None] = queue.Queue()
        self.cancelled = threading.Event()

    def run(self) -> Iterator[list[Job]]:
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        try:
            while (item := self.moved.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.cancelled.set()
            thread.join()

    def _work(self) -> None:
        """The thread: whatever goes wrong is raised by the reader."""
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
            eos_token_id=sorted(self.jobs[0].eos_ids),
            pad_token_id=min(self.jobs[0].eos_ids),
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
        running = [row for row, job in enumerate(self._work.jobs) if job.finish is None]
        moved = [self._work.jobs[row] for row in running]
        tokens = choose(scores[torch.tensor(running, device=scores.device)], [job.chooser for job in moved])
        only = torch.full_like(scores, float("-inf"))
        only[:, min(moved[0].eos_ids)] = 0.0
        for row, job, token in zip(running, moved, tokens, strict=True):
            only[row] = float("-inf")
            only[row, token] = 0.0
            job.chooser.note([token], scores.shape[-1], scores.device)
            job.accept(token)
        self._work.moved.put(moved)
        return only


class _Stop(StoppingCriteria):  # type: ignore[misc,unused-ignore]
    """Rows whose job has ended; all of them once nobody listens any more."""

    def __init__(self, work: _Background) -> None:
        self._work = work

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        cancelled = self._work.cancelled.is_set()
        done = [cancelled or job.finish is not None for job in self._work.jobs]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)
