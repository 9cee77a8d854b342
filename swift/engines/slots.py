"""Keys and values of rows in slots, and attention of a flat batch over them.

All new tokens of a step lie back to back in one row, whatever they are: one token each of many answers, and pieces of
prompts. Linear layers see no padding, and rows come and go without anything being moved. Attention is computed for
neighbouring slots together where each has one new token, and for each piece of a prompt alone.

Registered with transformers' attention interface under the name `SLOTS`. Within a tree it is that of
`swift.engines.tree`; outside of both it is `sdpa`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from swift.engines.attend import Rules, attend, causal_mask
from swift.engines.cache import FullLayer, WindowLayer, new_cache
from swift.engines.tree import current_tree, tree_attention

SLOTS = "swift_slots"
"""Name under which the attention is registered with transformers."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows in neighbouring slots that get one token each.

    Attributes:
        slot: The first slot.
        begin: Where the first row's token is in the flat batch; the others follow.
        lengths: int64 [rows], tokens of each row, the new one included.
        width: The largest of them.
    """

    slot: int
    begin: int
    lengths: Tensor
    width: int
    masks: dict[int | None, Tensor | None] = field(default_factory=dict)

    def allowed(self, window: int | None) -> Tensor | None:
        """bool [rows, 1, 1, width], what each row sees; None where that is everything."""
        if window not in self.masks:
            places = torch.arange(self.width, device=self.lengths.device)
            mask = places < self.lengths[:, None]
            if window is not None:
                mask &= places >= self.lengths[:, None] - window
            self.masks[window] = None if bool(mask.all()) else mask[:, None, None]
        return self.masks[window]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one row that are computed together.

    Attributes:
        slot: Where the row is.
        begin: Where they are in the flat batch.
        count: How many.
        start: Tokens of the row that are in the cache already.
    """

    slot: int
    begin: int
    count: int
    start: int


@dataclass(frozen=True, slots=True)
class Step:
    """A flat batch.

    Attributes:
        slots: int64 [tokens], the slot of each token.
        places: int64 [tokens], its number in its row.
        runs: Rows that get one token; they come first.
        chunks: Pieces of prompts.
        rows: Slots that there are.
        width: Places that each has.
    """

    slots: Tensor
    places: Tensor
    runs: tuple[Run, ...]
    chunks: tuple[Chunk, ...]
    rows: int
    width: int


_STEP: ContextVar[Step | None] = ContextVar("step", default=None)


@contextmanager
def in_step(step: Step) -> Iterator[None]:
    """Within this, attention and caches are those of a flat batch."""
    token = _STEP.set(step)
    try:
        yield
    finally:
        _STEP.reset(token)


class SlotLayer(DynamicLayer):
    """Keys and values of one layer: [slots, heads, places, head size], most of it free."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Store the states [1, heads, tokens, head size] of a flat batch; returns all that is stored."""
        step = _STEP.get()
        assert step is not None
        if self.keys is None or self.values is None:
            self.keys, self.values = (_room(states, step.rows, step.width) for states in (key_states, value_states))
        self.keys[step.slots, :, step.places] = key_states[0].transpose(0, 1)
        self.values[step.slots, :, step.places] = value_states[0].transpose(0, 1)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """0: positions are always given."""
        return 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """As for a cache that holds nothing: no mask is made from it."""
        return query_length, 0

    def resize(self, rows: int, width: int) -> None:
        """Have so many slots and so many places in each; of what is there, what fits is kept."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = (_resized(states, rows, width) for states in (self.keys, self.values))

    def copy(self, source: int, target: int, length: int) -> None:
        """Give a slot the first tokens of another one."""
        for states in (self.keys, self.values):
            if states is not None:
                states[target, :, :length] = states[source, :, :length]


def _room(states: Tensor, rows: int, width: int) -> Tensor:
    return states.new_zeros((rows, states.shape[1], width, states.shape[3]))


def _resized(held: Tensor, rows: int, width: int) -> Tensor:
    if held.shape[0] == rows and held.shape[2] == width:
        return held
    grown = _room(held, rows, width)
    fits = (slice(min(held.shape[0], rows)), slice(None), slice(min(held.shape[2], width)))
    grown[fits] = held[fits]
    return grown


def slot_cache(config: PretrainedConfig) -> Cache:
    """An empty cache for the decoder that `config` describes, whose layers are all plain or windowed attention."""
    layers = DynamicCache(config=config.get_text_config(decoder=True)).layers
    return Cache(layers=[SlotLayer() for _ in layers])  # type: ignore[no-untyped-call]


def can_slot(config: PretrainedConfig) -> bool:
    """Whether the layers that `config` describes all keep plain keys and values."""
    cache = new_cache(config)
    return cache is not None and all(isinstance(layer, FullLayer | WindowLayer) for layer in cache.layers)


def register_slots() -> None:
    """Make `SLOTS` known to transformers (idempotent)."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(SLOTS, slot_attention)
    AttentionMaskInterface.register(SLOTS, slot_mask)


def slot_mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """No mask within a step or tree; outside the one of `sdpa`."""
    from transformers.masking_utils import sdpa_mask

    if _STEP.get() is not None or current_tree() is not None:
        return None
    mask: Tensor | None = sdpa_mask(*args, **kwargs)
    return mask


def slot_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention of a flat batch; the signature is transformers' attention interface.

    Args:
        query: [1, heads, tokens, head size].
        key: What the cache's layer returned: [slots, heads, places, head size], fewer heads where they are shared.
        value: The same.
        attention_mask: None within a step or tree.
        sliding_window: How many positions back, itself included, a token sees.
        softcap: Scores become `softcap * tanh(score / softcap)`.
        s_aux: [heads], a learned score per head that takes part in the softmax only (attention sink).

    Returns:
        [1, tokens, heads, value head size], and no attention weights.
    """
    step, tree = _STEP.get(), current_tree()
    rules = Rules(query.shape[-1] ** -0.5 if scaling is None else scaling, softcap, s_aux)
    if tree is not None:
        return tree_attention(query, key, value, tree, sliding_window, rules), None
    if step is None and rules.plain:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    if step is None:
        output = attend(query, key, value, causal_mask(query, key, attention_mask), rules)
        return output.transpose(1, 2).contiguous(), None
    return _step_attention(step, query, key, value, sliding_window, rules), None


def _step_attention(
    step: Step, query: Tensor, key: Tensor, value: Tensor, sliding_window: int | None, rules: Rules
) -> Tensor:
    """Attention of a step's rows and chunks, each over its own slots: [1, tokens, heads, value head size]."""
    output = query.new_empty((1, query.shape[2], query.shape[1], value.shape[-1]))
    for run in step.runs:
        rows = len(run.lengths)
        slots = slice(run.slot, run.slot + rows)
        tokens = slice(run.begin, run.begin + rows)
        q = query[0, :, tokens].transpose(0, 1).unsqueeze(2)
        k, v = key[slots, :, : run.width], value[slots, :, : run.width]
        output[0, tokens] = attend(q, k, v, run.allowed(sliding_window), rules).squeeze(2)
    for chunk in step.chunks:
        tokens = slice(chunk.begin, chunk.begin + chunk.count)
        width = chunk.start + chunk.count
        k, v = key[chunk.slot : chunk.slot + 1, :, :width], value[chunk.slot : chunk.slot + 1, :, :width]
        part = attend(query[:, :, tokens], k, v, _seen(chunk, sliding_window, query.device), rules)
        output[0, tokens] = part[0].transpose(0, 1)
    return output


def _seen(chunk: Chunk, window: int | None, device: torch.device) -> Tensor:
    """bool [1, 1, count, start + count]: what the tokens of a chunk see."""
    own = torch.arange(chunk.start, chunk.start + chunk.count, device=device)[:, None]
    others = torch.arange(chunk.start + chunk.count, device=device)
    seen = others <= own
    if window is not None:
        seen &= others > own - window
    return seen[None, None]
