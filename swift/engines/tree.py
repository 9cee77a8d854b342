"""Sequences that begin alike, computed as a tree: what they share is computed once.

The tokens of all branches lie back to back in one row, without padding, each branch behind the one from which it
shares the most. A token sees those of its own branch, up to the root. Neighbouring branches are attended to together,
under a mask that is made once for all layers; a long branch without a beginning that others share needs none.

What of a branch is still needed by the next batch (its path) is held by the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PretrainedConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from swift.engines.attend import Rules, attend

_TOGETHER = 256
"""Tokens of branches that are attended to together, and how many tokens may be hidden from some of them."""


@dataclass(frozen=True, slots=True)
class Branch:
    """New tokens of one sequence.

    Attributes:
        start: Tokens of it before them, all of which the branch before it in the batch has too, or the cache holds.
        begin: Where they are in the flat batch.
        count: How many.
        path: Where the tokens before them are, among held and new ones: int64 [start].
    """

    start: int
    begin: int
    count: int
    path: np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring branches, attended to together.

    Attributes:
        begin: Where their tokens begin in the flat batch.
        end: Where they end.
        before: Where the first one's path is, among held and new tokens: a slice or int64 [start]; None where it is
            empty.
        own: Where their own tokens are, among held and new ones.
        places: int64 [before and own], the place of each token in its sequence.
        reach: int64 [branches, before and own]: of a token, before which place it is seen by a branch.
        branch: int64 [own], which branch a token belongs to.
        alone: One branch from the root.
    """

    begin: int
    end: int
    before: slice | Tensor | None
    own: slice
    places: Tensor
    reach: Tensor
    branch: Tensor
    alone: bool
    masks: dict[int | None, Tensor] = field(default_factory=dict)

    def pick(self, states: Tensor) -> Tensor:
        """Of all tokens' states [1, heads, tokens, size], those that some of the branches see."""
        own = states[:, :, self.own]
        if self.before is None:
            return own
        if isinstance(self.before, slice):
            if self.before.stop == self.own.start:
                return states[:, :, self.before.start : self.own.stop]
            return torch.cat((states[:, :, self.before], own), dim=2)
        return torch.cat((states.index_select(2, self.before), own), dim=2)

    def allowed(self, window: int | None) -> Tensor:
        """bool [1, 1, own, before and own], what each token sees."""
        if window not in self.masks:
            mine = self.places[-len(self.branch) :, None]
            mask = (self.places < self.reach)[self.branch] & (self.places <= mine)
            if window is not None:
                mask &= self.places > mine - window
            self.masks[window] = mask[None, None]
        return self.masks[window]


@dataclass(frozen=True, slots=True)
class Tree:
    """A flat batch of branches."""

    groups: tuple[Group, ...]


_TREE: ContextVar[Tree | None] = ContextVar("tree", default=None)


def current_tree() -> Tree | None:
    """The tree that is being computed."""
    return _TREE.get()


@contextmanager
def in_tree(tree: Tree) -> Iterator[None]:
    """Within this, attention is that of the tree."""
    token = _TREE.set(tree)
    try:
        yield
    finally:
        _TREE.reset(token)


def tree_of(branches: Sequence[Branch], held: int, device: torch.device) -> Tree:
    """The tree of branches.

    Args:
        held: Tokens that the cache holds.
    """
    groups: list[Group] = []
    some: list[Branch] = []
    for branch in branches:
        if some and not _fits(some, branch):
            groups.append(_group(some, held, device))
            some = []
        some.append(branch)
    if some:
        groups.append(_group(some, held, device))
    return Tree(tuple(groups))


def _fits(some: Sequence[Branch], branch: Branch) -> bool:
    tokens = branch.begin + branch.count - some[0].begin
    return tokens <= _TOGETHER and some[0].start - branch.start <= _TOGETHER


def _group(branches: Sequence[Branch], held: int, device: torch.device) -> Group:
    first, last = branches[0], branches[-1]
    begin, end = first.begin, last.begin + last.count
    places = np.concatenate(
        [np.arange(first.start), *(np.arange(one.start, one.start + one.count) for one in branches)]
    )
    branch = np.repeat(np.arange(len(branches)), [one.count for one in branches])
    owner = np.concatenate([np.zeros(first.start, np.int64), branch])
    return Group(
        begin=begin,
        end=end,
        before=_where(first.path, device),
        own=slice(held + begin, held + end),
        places=torch.from_numpy(places).to(device),
        reach=torch.from_numpy(_reach(branches)[:, owner]).to(device),
        branch=torch.from_numpy(branch).to(device),
        alone=len(branches) == 1 and first.start == 0,
    )


def _reach(branches: Sequence[Branch]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """[branch that sees, branch that is seen]: how many tokens they share; all, with itself; none, of later ones."""
    starts = np.array([one.start for one in branches], np.int64)
    reach = np.zeros((len(branches), len(branches)), np.int64)
    for number in range(len(branches)):
        reach[number, number] = np.iinfo(np.int64).max
        reach[number + 1 :, number] = np.minimum.accumulate(starts[number + 1 :])
    return reach


def _where(path: np.ndarray[Any, np.dtype[np.int64]], device: torch.device) -> slice | Tensor | None:
    if not len(path):
        return None
    first, last = int(path[0]), int(path[-1])
    if last - first + 1 == len(path) and bool((np.diff(path) == 1).all()):
        return slice(first, last + 1)
    return torch.from_numpy(path).to(device)


def tree_attention(query: Tensor, key: Tensor, value: Tensor, tree: Tree, window: int | None, rules: Rules) -> Tensor:
    """Attention of a tree's tokens.

    Args:
        query: [1, heads, new tokens, head size].
        key: [1, heads or fewer, held and new tokens, head size].
        value: The same.
        window: How many places back, itself included, a token sees; None is all.
        rules: The architecture's own.

    Returns:
        [1, new tokens, heads, value head size].
    """
    output = query.new_empty((1, query.shape[2], query.shape[1], value.shape[-1]))
    for group in tree.groups:
        tokens = slice(group.begin, group.end)
        q, k, v = query[:, :, tokens], group.pick(key), group.pick(value)
        if group.alone and rules.plain and (window is None or window >= q.shape[2]):
            groups = q.shape[1] // k.shape[1]
            k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
            part = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=rules.scale)
        else:
            part = attend(q, k, v, group.allowed(window), rules)
        output[0, tokens] = part[0].transpose(0, 1)
    return output


class TreeLayer(DynamicLayer):
    """Keys and values of one layer: [1, heads, held and new tokens, head size]."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Put the states of new tokens behind those that are held; returns all."""
        if self.keys is None or self.values is None or not self.keys.shape[2]:
            self.keys, self.values = key_states, value_states
        else:
            self.keys = torch.cat((self.keys, key_states), dim=2)
            self.values = torch.cat((self.values, value_states), dim=2)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """0: positions are always given."""
        return 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """As for a cache that holds nothing: no mask is made from it."""
        return query_length, 0

    def hold(self, path: Tensor) -> None:
        """Keep the states of these tokens only: int64 [held]."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys.index_select(2, path), self.values.index_select(2, path)


def tree_cache(config: PretrainedConfig) -> Cache:
    """An empty cache for the decoder that `config` describes, whose layers are all plain or windowed attention."""
    layers = DynamicCache(config=config.get_text_config(decoder=True)).layers
    return Cache(layers=[TreeLayer() for _ in layers])  # type: ignore[no-untyped-call]
