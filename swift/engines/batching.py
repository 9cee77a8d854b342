"""The rows that are decoded together: prompts are prefilled, rows leave when they end, others take their place."""

from __future__ import annotations

from collections.abc import Sequence, Set

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from swift.engines.cache import FullLayer, WindowLayer, join_rows, keep_rows, new_cache, trim_left
from swift.engines.job import Job
from swift.engines.shape import cache_parameter, input_device
from swift.models.forward import make_backbone, single
from swift.models.structure import backbone, input_embeddings
from swift.tuners.prompt import Front

_HEADROOM = 64
"""New tokens that a batch must have room for when a row is admitted."""


_WASTE = 1024
"""Padding tokens in a prefill that cost as much as another forward pass, roughly."""
_WASTE_ON_CPU = 64


class RowBatch:
    """The rows that are being decoded, with their cache. Row i belongs to `jobs[i]`.

    Args:
        model: The model, with a cache of plain keys and values.
        parameters: Names of the parameters of its forward pass.
        front: What stands in front of every row.
    """

    def __init__(self, model: PreTrainedModel, parameters: Set[str], front: Front | None = None) -> None:
        self._model = model
        self._front = front
        self._backbone = make_backbone(backbone(model))
        self._parameters = parameters
        self._device = input_device(model)
        self._waste = _WASTE_ON_CPU if self._device.type == "cpu" else _WASTE
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in parameters else {}
        self._takes_positions = "position_ids" in parameters
        self._cache_name = cache_parameter(parameters)
        self._cache: Cache | None = None
        self._mask = torch.zeros((0, 0), dtype=torch.bool)
        self._lengths = torch.zeros(0, dtype=torch.int64, device=self._device)
        self._padded = False
        self.jobs: list[Job] = []
        self.width = 0

    @torch.inference_mode()
    def admit(self, jobs: Sequence[Job]) -> Tensor:
        """Prefill these jobs' prompts (and what they have answered already) and add them as rows.

        Returns:
            Logits [len(jobs), vocabulary] of their next token.
        """
        # Behind keys and values that are there already, padding would stand in the middle of a row.
        waste = 0 if self._front is not None and self._front.states else self._waste
        return torch.cat([self._prefill(group) for group in _by_length(jobs, waste)])

    @torch.inference_mode()
    def step(self) -> Tensor:
        """Feed every row its last token; returns logits [rows, vocabulary] of the next."""
        assert self._cache is not None
        tokens = torch.tensor([[job.ids[-1]] for job in self.jobs], device=self._device)
        mask = None
        if self._padded:
            mask = self._mask_of(self.width + 1)
        shifts = torch.tensor([job.shift for job in self.jobs], device=self._device)
        logits = self._forward(tokens, (self._lengths + shifts).unsqueeze(-1), mask, self._cache)
        self._lengths += 1
        self.width += 1
        return logits

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but these, and the padding that no row needs any more."""
        if len(rows) == len(self.jobs):
            return
        self.jobs = [self.jobs[row] for row in rows]
        if not rows:
            self._cache, self.width = None, 0
            return
        assert self._cache is not None
        index = torch.tensor(list(rows), device=self._device)
        keep_rows(self._cache, index)
        self._lengths, self._mask = self._lengths[index], self._mask_of(self.width)[index]
        spare = self.width - int(self._lengths.max())
        if spare:
            trim_left(self._cache, spare)
            self._mask = self._mask[:, spare:]
            self.width -= spare
        self._padded = not bool(self._mask.all())

    def _prefill(self, jobs: list[Job]) -> Tensor:
        cache = new_cache(self._model.config)
        assert cache is not None
        if jobs[0].media is not None:
            return self._prefill_shown(jobs[0])
        if self._front is not None and self._front.states:
            return self._prefill_behind(jobs, self._front, cache)
        width = max(job.length for job in jobs)
        ids = torch.zeros((len(jobs), width), dtype=torch.int64)
        mask = torch.zeros((len(jobs), width), dtype=torch.bool)
        for row, job in enumerate(jobs):
            ids[row, width - job.length + job.front :] = torch.tensor(job.prompt + job.ids)
            mask[row, width - job.length :] = True
        ids, mask = ids.to(self._device), mask.to(self._device)
        positions = (mask.cumsum(-1) - 1).clamp_(min=0)
        types = {name: torch.zeros_like(ids) for name in self._backbone.token_types if name in self._parameters}
        if self._front is not None:
            types["inputs_embeds"] = self._behind_vectors(ids, jobs, self._front)
        logits = self._forward(ids, positions, None if bool(mask.all()) else mask, cache, **types)
        self._join(jobs, cache, mask)
        return logits

    def _behind_vectors(self, ids: Tensor, jobs: list[Job], front: Front) -> Tensor:
        """Embeddings [rows, width, size] of the rows, the learned ones in front of each."""
        assert front.vectors is not None
        vectors: Tensor = input_embeddings(self._model)(ids)
        for row, job in enumerate(jobs):
            begin = ids.shape[1] - job.length
            vectors[row, begin : begin + front.length] = front.vectors
        return vectors

    def _prefill_behind(self, jobs: list[Job], front: Front, cache: Cache) -> Tensor:
        """Prefill jobs of one length behind learned keys and values."""
        for layer, (keys, values) in zip(cache.layers, front.states, strict=True):
            assert isinstance(layer, FullLayer | WindowLayer)
            layer.update(keys.expand(len(jobs), -1, -1, -1), values.expand(len(jobs), -1, -1, -1))
        ids = torch.tensor([job.prompt + job.ids for job in jobs], device=self._device)
        mask = torch.ones((len(jobs), jobs[0].length), dtype=torch.bool, device=self._device)
        positions = torch.arange(front.length, jobs[0].length, device=self._device).expand(len(jobs), -1)
        logits = self._forward(ids, positions, None, cache)
        self._join(jobs, cache, mask)
        return logits

    def _prefill_shown(self, job: Job) -> Tensor:
        """Prefill one job as training would see it: its media, and positions as its media make them."""
        cache = new_cache(self._model.config)
        assert cache is not None
        ids = torch.tensor([job.prompt + job.ids], device=self._device)
        batch = single(ids, None if job.media is None else job.media.to(self._device))
        positions = self._backbone.positions(batch)
        assert positions is not None
        # The first axis, where there is one more, counts tokens; the others are what goes on behind the prompt.
        axes = positions[1:] if self._backbone.text_axis else positions
        job.shift = int(axes.max()) + 1 - ids.shape[1]
        logits = self._forward(ids, positions, None, cache, **self._backbone.media(batch))
        self._join([job], cache, torch.ones_like(ids, dtype=torch.bool))
        return logits

    def _join(self, jobs: list[Job], cache: Cache, mask: Tensor) -> None:
        """Add freshly prefilled rows to those that are running."""
        if self._cache is None:
            self._cache, self._mask = cache, mask
        else:
            join_rows(self._cache, cache)
            width = max(self.width, mask.shape[1])
            self._mask = torch.cat(
                [pad(m, (width - m.shape[1], 0), value=False) for m in (self._mask_of(self.width), mask)]
            )
        self.jobs = self.jobs + jobs
        self.width = self._mask.shape[1]
        self._lengths = torch.cat([self._lengths[: len(self.jobs) - len(jobs)], mask.sum(-1)])
        self._padded = not bool(self._mask.all())

    def _mask_of(self, width: int) -> Tensor:
        """The attention mask bool [rows, width]; what lies right of the part made so far is real tokens."""
        missing = width - self._mask.shape[1]
        if missing > 0:
            self._mask = pad(self._mask, (0, missing + _HEADROOM), value=True)
        return self._mask[:, :width]

    def _forward(self, ids: Tensor, positions: Tensor, mask: Tensor | None, cache: Cache, **media: Tensor) -> Tensor:
        options: dict[str, object] = {**self._options, self._cache_name: cache}
        if self._takes_positions:
            options["position_ids"] = positions
        given = None if mask is None else mask.long()  # some architectures compute with the mask's numbers
        if "inputs_embeds" not in media:
            options["input_ids"] = ids
        output = self._model(attention_mask=given, use_cache=True, **options, **media)
        logits: Tensor = output.logits[:, -1]
        return logits


def _by_length(jobs: Sequence[Job], waste: int) -> list[list[Job]]:
    """Cut jobs, in their order, into groups that are prefilled together with no more padding than `waste` tokens."""
    groups: list[list[Job]] = []
    for job in jobs:
        group = [*groups[-1], job] if groups else [job]
        longest = max(member.length for member in group)
        apart = any(member.media is not None for member in group)
        if groups and not apart and sum(longest - member.length for member in group) <= waste:
            groups[-1] = group
        else:
            groups.append([job])
    return groups
