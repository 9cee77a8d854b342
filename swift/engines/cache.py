"""A key/value cache whose rows can leave and join while the others go on.

Rows are aligned to the right: shorter ones have padding on the left, which the attention mask hides.
Full-attention layers grow in place instead of copying everything at every token.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig
from transformers.cache_utils import Cache, DummyLayer, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

_SPARE = 64
"""Free token slots that a full-attention layer allocates ahead."""


class FullLayer(DynamicLayer):
    """Keys and values of one full-attention layer, in buffers that grow by a quarter at a time.

    `keys` and `values` are views [rows, heads, width, head_dim] of the used part.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._buffers: tuple[Tensor, Tensor] | None = None
        self._start = 0
        self._end = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append the states [rows, heads, new, head_dim] of new tokens; returns all of them."""
        new = key_states.shape[-2]
        if self._buffers is None:
            self.lazy_initialization(key_states, value_states)
            self._allocate(key_states, value_states, used=0, spare=new + _SPARE)
        elif self._end + new > self._buffers[0].shape[-2]:
            self._allocate(*self.states, used=self.width, spare=max(new, self.width // 4) + _SPARE)
        assert self._buffers is not None
        keys, values = self._buffers
        end = self._end + new
        keys[:, :, self._end : end] = key_states
        values[:, :, self._end : end] = value_states
        self._end = end
        self.keys = keys[:, :, self._start : end]
        self.values = values[:, :, self._start : end]
        return self.keys, self.values

    @property
    def states(self) -> tuple[Tensor, Tensor]:
        """Keys and values [rows, heads, width, head_dim]."""
        return _given(self.keys), _given(self.values)

    @property
    def width(self) -> int:
        """Token slots in use, padding included."""
        return self._end - self._start

    def get_seq_length(self) -> int:
        """The same, under the name that transformers asks for."""
        return self._end - self._start

    def replace(self, keys: Tensor, values: Tensor) -> None:
        """Hold these states, with some room to grow."""
        buffers = self._allocate(keys, values, used=keys.shape[-2], spare=_SPARE)
        self.keys, self.values = (buffer[:, :, : self._end] for buffer in buffers)

    def trim(self, slots: int) -> None:
        """Forget the `slots` leftmost token slots; costs nothing."""
        keys, values = self.states
        self._start += slots
        self.keys, self.values = keys[:, :, slots:], values[:, :, slots:]

    def _allocate(self, keys: Tensor, values: Tensor, *, used: int, spare: int) -> tuple[Tensor, Tensor]:
        """New buffers with the first `used` slots copied, and `spare` free ones behind them."""

        def buffer(states: Tensor) -> Tensor:
            rows, heads, _, size = states.shape
            grown = states.new_empty((rows, heads, used + spare, size))
            grown[:, :, :used] = states[:, :, :used]
            return grown

        self._buffers = (buffer(keys), buffer(values))
        self._start, self._end = 0, used
        return self._buffers


class WindowLayer(DynamicSlidingWindowLayer):
    """Keys and values of one sliding-window layer: the last `window - 1` tokens."""

    @property
    def states(self) -> tuple[Tensor, Tensor]:
        """Keys and values [rows, heads, at most window - 1, head_dim]."""
        return _given(self.keys), _given(self.values)

    def replace(self, keys: Tensor, values: Tensor, seen: int) -> None:
        """Hold these states, the last of `seen` tokens."""
        self.keys, self.values = keys, values
        self.cumulative_length = seen

    def trim(self, slots: int) -> None:
        """Forget the `slots` leftmost of all token slots seen."""
        self.cumulative_length -= slots
        left = min(self.cumulative_length, self.sliding_window - 1)
        keys, values = self.states
        self.keys, self.values = keys[:, :, -left:], values[:, :, -left:]


def new_cache(config: PretrainedConfig) -> Cache | None:
    """An empty cache for the decoder that `config` describes, or None where its layers keep other states.

    Layers with recurrent or convolution states (Mamba and its hybrids), indexed or chunked attention are
    not plain keys and values of past tokens: such models take the engine's other path.
    """
    decoder = config.get_text_config(decoder=True)
    kinds = getattr(decoder, "layer_types", None) or ()
    if "chunked_attention" in kinds or getattr(decoder, "attention_chunk_size", None):
        return None
    layers: list[Any] = []
    for layer in DynamicCache(config=decoder).layers:
        if type(layer) is DynamicLayer:
            layers.append(FullLayer())
        elif type(layer) is DynamicSlidingWindowLayer:
            layers.append(WindowLayer(layer.sliding_window))
        elif type(layer) is DummyLayer:
            layers.append(layer)
        else:
            return None
    return Cache(layers=layers) if layers else None


def keep_rows(cache: Cache, rows: Tensor) -> None:
    """Drop all rows but these (int64 [kept])."""
    for layer in cache.layers:
        if isinstance(layer, (FullLayer, WindowLayer)) and layer.keys is not None:
            keys, values = (states.index_select(0, rows) for states in layer.states)
            if isinstance(layer, FullLayer):
                layer.replace(keys, values)
            else:
                layer.replace(keys, values, layer.cumulative_length)


def trim_left(cache: Cache, slots: int) -> None:
    """Drop the `slots` leftmost token slots, which are padding in every row."""
    for layer in cache.layers:
        if isinstance(layer, (FullLayer, WindowLayer)) and layer.keys is not None:
            layer.trim(slots)


def join_rows(cache: Cache, newcomers: Cache) -> None:
    """Append the rows of another cache of the same model, aligned to the right."""
    for mine, theirs in zip(cache.layers, newcomers.layers, strict=True):
        if isinstance(mine, (FullLayer, WindowLayer)) and mine.keys is None:
            continue  # a layer that looks at pictures, and there are none
        if isinstance(mine, FullLayer) and isinstance(theirs, FullLayer):
            keys, values = map(_stack, mine.states, theirs.states)
            mine.replace(keys, values)
        elif isinstance(mine, WindowLayer) and isinstance(theirs, WindowLayer):
            keys, values = map(_stack, mine.states, theirs.states)
            mine.replace(keys, values, max(mine.cumulative_length, theirs.cumulative_length))


def _given(states: Tensor | None) -> Tensor:
    assert states is not None, "the layer has seen no token yet"
    return states


def _stack(upper: Tensor, lower: Tensor) -> Tensor:
    """Both [rows, heads, length, head_dim] on top of each other, the shorter padded with zeros on the left."""
    width = max(upper.shape[-2], lower.shape[-2])
    return torch.cat([torch.nn.functional.pad(t, (0, 0, width - t.shape[-2], 0)) for t in (upper, lower)])
