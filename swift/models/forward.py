"""One forward pass of a batch through a model's backbone, whatever media it holds; no architecture is named here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from swift.batch import Batch, MediaInputs
from swift.models.blocks import in_blocks
from swift.models.quantize.layers import number_type
from swift.types import Origin

_TOKEN_TYPES = ("mm_token_type_ids", "token_type_ids")
"""A multimodal model may insist on these even for plain text. (To a text model they mean something else.)"""

_DERIVED: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "audio_seqlens": ("feature_attention_mask", lambda mask: mask.sum(-1)),
    "second_per_grids": ("video_second_per_grid", lambda seconds: seconds),
}
"""Parameters of position rules that processors give under another name, or as a mask."""


class Caller(Protocol):
    """Whatever takes a batch through a model: a backbone, or a technique that adds to its inputs."""

    def __call__(self, batch: Batch, run: nn.Module | None = None) -> Any:
        """The output for a batch, with `last_hidden_state`; of `run` in the backbone's place, with `logits`."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """The part of a model that ends in hidden states, and how it wants to be called.

    Attributes:
        module: Takes token ids and media, gives `last_hidden_state`.
        takes: Names of its forward's parameters.
        open: Whether it takes further ones, which it hands on.
        rope_index: Positions in several dimensions (M-RoPE, arXiv 2409.12191) of one sequence, where the
            architecture has them: its own function.
        rope_takes: Names of that function's parameters.
        text_axis: Whether positions in several dimensions are led by plain ones, for the attention mask.
        blocks: Whether packed rows get the model's own mask, cut into blocks (see `swift.models.blocks`).
        marks_answer: Whether tokens from a sample's first target on are marked as such in `token_type_ids`, for models
            that read their prompt in both directions.
        token_types: Inputs that say of which kind each token is; plain text has zeros there.
    """

    module: nn.Module
    takes: frozenset[str]
    open: bool = True
    rope_index: Callable[..., tuple[Tensor, Any]] | None = None
    rope_takes: frozenset[str] = frozenset()
    text_axis: bool = False
    blocks: bool = False
    marks_answer: bool = False
    token_types: tuple[str, ...] = ()

    def __call__(self, batch: Batch, run: nn.Module | None = None) -> Any:
        """The module's output for a batch.

        Args:
            run: What is called in the module's place: the whole model, where its logits are wanted.
        """
        packed = self.blocks and batch.boundaries is not None
        with in_blocks(batch.boundaries) if packed else nullcontext():
            return (run or self.module)(
                input_ids=batch.input_ids,
                # With a mask, transformers does not look for samples by itself.
                attention_mask=torch.ones_like(batch.input_ids) if packed else _as_numbers(batch.attention_mask),
                position_ids=self.positions(batch),
                use_cache=False,
                **({} if packed else self._boundaries(batch)),
                **self.media(batch),
            )

    def states(self, batch: Batch) -> Tensor:
        """[rows, length, d], the last hidden states; logits where the module has no other output."""
        output = self(batch)
        states: Tensor = output["last_hidden_state"] if "last_hidden_state" in output else output["logits"]
        return states

    def positions(self, batch: Batch) -> Tensor | None:
        """Position ids: [rows, length]; [3 or 4, rows, length] where there are several dimensions.

        None leaves them to the model, which then sees rows of one sample each.
        """
        if self.rope_index is None:
            return batch.position_ids
        if batch.boundaries is None:
            return None
        parts = []
        media = batch.media or (None,) * len(batch.origins)
        for (begin, end), item in zip(pairwise(batch.boundaries), media, strict=True):
            parts.append(self._rope(batch.input_ids[:, begin:end], batch.position_ids[:, begin:end], item))
        axes = torch.cat(parts, dim=-1)
        return torch.cat((batch.position_ids[None], axes)) if self.text_axis else axes

    def media(self, batch: Batch) -> dict[str, Tensor]:
        """The media of all samples as the model's arguments."""
        found = [item for item in batch.media if item is not None]
        dtype = number_type(self.module)
        merged = {
            name: _cast(_stacked([item.tensors[name] for item in found if name in item.tensors]), dtype)
            for name in dict.fromkeys(name for item in found for name in item.tensors if name not in item.aligned)
        }
        aligned = dict.fromkeys(name for item in found for name in item.aligned)
        aligned |= dict.fromkeys(self.token_types)
        merged |= {name: _along_tokens(batch, name) for name in aligned}
        if self.marks_answer:
            merged["token_type_ids"] = _answer_marks(batch)
        return {name: tensor for name, tensor in merged.items() if self.open or name in self.takes}

    def _rope(self, ids: Tensor, plain: Tensor, media: MediaInputs | None) -> Tensor:
        if media is None:
            return plain.expand(3, *plain.shape)
        assert self.rope_index is not None
        known = {"attention_mask": torch.ones_like(ids), **media.tensors}
        for name, (source, derive) in _DERIVED.items():
            if source in known:
                known[name] = derive(known[source])
        given = {name: tensor for name, tensor in known.items() if name in self.rope_takes}
        positions, _ = self.rope_index(input_ids=ids, **given)
        return positions.to(plain)

    def _boundaries(self, batch: Batch) -> dict[str, Any]:
        """Sample boundaries, by the names that transformers gives them."""
        if batch.boundaries is None:
            return {}
        edges = torch.tensor(batch.boundaries, dtype=torch.int32, device=batch.input_ids.device)
        longest = max(batch.lengths)
        return {
            "cu_seq_lens_q": edges,
            "cu_seq_lens_k": edges,
            "max_length_q": longest,
            "max_length_k": longest,
        }


def make_backbone(module: nn.Module) -> Backbone:
    """Read off a module's signature how it is called."""
    parameters = inspect.signature(module.forward).parameters
    config: Any = module.config
    composite = config.get_text_config(decoder=True) is not config
    rope_index: Any = getattr(module, "get_rope_index", None)
    return Backbone(
        module=module,
        takes=frozenset(parameters),
        open=any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()),
        rope_index=rope_index,
        rope_takes=frozenset(inspect.signature(rope_index).parameters) if rope_index is not None else frozenset(),
        text_axis=rope_index is not None,
        token_types=tuple(name for name in _TOKEN_TYPES if composite and name in parameters),
    )


def single(ids: Tensor, media: MediaInputs | None) -> Batch:
    """A sequence as a batch without targets.

    Args:
        ids: int64 [1, length].
        media: What it shows or plays.
    """
    empty = torch.empty(0, dtype=torch.int64, device=ids.device)
    length = ids.shape[1]
    return Batch(
        input_ids=ids,
        position_ids=torch.arange(length, device=ids.device)[None],
        targets=empty,
        target_index=empty,
        weights=empty.float(),
        boundaries=(0, length),
        attention_mask=None,
        tokens=length,
        origins=(Origin("a prompt", 1),),
        media=(media,),
    )


def variants(backbone: Backbone) -> list[Backbone]:
    """Ways in which a model may want the positions of packed rows."""
    return [backbone, replace(backbone, text_axis=False)] if backbone.text_axis else [backbone]


def with_blocks(backbone: Backbone) -> Backbone:
    """The same with the model's own mask in blocks."""
    return replace(backbone, blocks=True)


def _as_numbers(mask: Tensor | None) -> Tensor | None:
    """As tokenizers give it: some architectures compute with it."""
    return None if mask is None else mask.long()


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """One after the other along the first dimension; other dimensions are filled up with zeros to the largest."""
    if len(tensors) == 1:
        return tensors[0]
    if len({tensor.shape[1:] for tensor in tensors}) > 1:
        sizes = [max(size) for size in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
        tensors = [_filled(tensor, sizes) for tensor in tensors]
    return torch.cat(list(tensors))


def _filled(tensor: Tensor, sizes: Sequence[int]) -> Tensor:
    padding = [
        n for have, want in zip(reversed(tensor.shape[1:]), reversed(sizes), strict=True) for n in (0, want - have)
    ]
    return F.pad(tensor, padding)


def _answer_marks(batch: Batch) -> Tensor:
    """int64 [rows, length]: 1 from each sample's first target on, else 0."""
    marks = torch.zeros_like(batch.input_ids)
    flat = marks.view(-1)
    flat[batch.target_index + 1] = 1
    spans = pairwise(batch.boundaries) if batch.boundaries is not None else _row_spans(batch)
    for begin, end in spans:
        flat[begin:end] = flat[begin:end].cummax(0).values
    return marks


def _row_spans(batch: Batch) -> list[tuple[int, int]]:
    rows, width = batch.input_ids.shape
    return [(row * width, (row + 1) * width) for row in range(rows)]


def _along_tokens(batch: Batch, name: str) -> Tensor:
    """An input that runs along the tokens, laid out as the batch is; zeros where a sample has none."""
    example = next((item.tensors[name] for item in batch.media if item is not None and name in item.tensors), None)
    dtype, tail = (torch.int64, ()) if example is None else (example.dtype, tuple(example.shape[2:]))
    if example is not None and tail:
        shapes = [item.tensors[name].shape[2:] for item in batch.media if item is not None and name in item.tensors]
        tail = tuple(max(size) for size in zip(*shapes, strict=True))
    whole = torch.zeros((*batch.input_ids.shape, *tail), dtype=dtype, device=batch.input_ids.device)
    lengths = batch.lengths
    for number, item in enumerate(batch.media):
        if item is None or name not in item.tensors:
            continue
        length = lengths[number]
        part = item.tensors[name][0, :length]
        begin = batch.boundaries[number] if batch.boundaries is not None else 0
        row = 0 if batch.boundaries is not None else number
        place: tuple[Any, ...] = (row, slice(begin, begin + length), *(slice(0, size) for size in part.shape[1:]))
        whole[place] = part
    return whole
