"""What an optimizer is given, and what is known of one before it is built."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from swift.errors import MissingExtraError

Group = dict[str, Any]
"""A parameter group as torch takes it; `params` holds (name, parameter) pairs."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The trained parameters.

    Attributes:
        groups: With the decay and the rate of each.
        lr: The peak rate.
        embeddings: Names of the parameters that belong to input embeddings or the output head.
        leaves: The model's own parameter under each name; where it has a float32 copy, `groups` holds the copy.
        head_dim: Rows of a query or key projection that make a head; 0 where it is not known.
    """

    groups: list[Group]
    lr: float
    embeddings: frozenset[str] = frozenset()
    leaves: Mapping[str, nn.Parameter] = field(default_factory=dict)
    head_dim: int = 0

    def split(self, chosen: Callable[[str, nn.Parameter], bool], yes: Group, no: Group) -> list[Group]:
        """Every group in two: the chosen members with the values `yes`, the others with `no`; none is empty."""
        parts: list[Group] = []
        for group in self.groups:
            for wanted, values in ((True, yes), (False, no)):
                members = [(name, p) for name, p in group["params"] if chosen(name, p) == wanted]
                if members:
                    parts.append({**group, **values, "params": members})
        return parts


Make = Callable[..., torch.optim.Optimizer]
"""A function of `Groups`, whose other parameters are the optimizer's options."""

Grouping = Callable[..., list[Group]]
"""A function of `Groups` that marks some of them; its other parameters are options too."""


def as_they_are(groups: Groups) -> list[Group]:
    """The groups, unmarked."""
    return groups.groups


@dataclass(frozen=True, slots=True)
class Spec:
    """An optimizer.

    Attributes:
        make: A class as "module:Class", or a function of `Groups`.
        extra: The extra of this distribution that brings the module.
        defaults: Options whose default here is not the class' own.
        grouping: What marks groups before the class gets them.
        mark: The key that `grouping` marks with; a run in which no group has it is refused.
        decay: The default weight decay.
        rate: The default peak learning rate, where it is not of AdamW's size.
        draws: Whether a step may draw random numbers.
        averages: Whether it trains one point and evaluates another: the class has `train` and `eval`.
        in_backward: Whether updating in the backward pass is what it is made for.
        joined: Whether a parameter's update depends on other parameters.
        accelerator: Whether it cannot run on the CPU.
    """

    make: str | Make
    extra: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    grouping: Grouping = as_they_are
    mark: str | None = None
    decay: float = 0.1
    rate: float | None = None
    draws: bool = False
    averages: bool = False
    in_backward: bool = False
    joined: bool = False
    accelerator: bool = False

    def load(self) -> Make:
        """The class or function.

        Raises:
            MissingExtraError: Its library is not installed.
        """
        if callable(self.make):
            return self.make
        module, _, name = self.make.partition(":")
        try:
            found: Make = vars(importlib.import_module(module))[name]
        except ModuleNotFoundError as error:
            library = module.partition(".")[0]
            if self.extra is None or error.name != library:
                raise
            raise MissingExtraError(library, extra=self.extra, why="this optimizer") from error
        return found

    def build(self, groups: Groups, options: Mapping[str, Any]) -> torch.optim.Optimizer:
        """The optimizer.

        Args:
            groups: What it updates.
            options: Any of `options_of`.
        """
        made = self.load()
        if callable(self.make):
            return made(groups, **options)
        own = _parameters(self.grouping)
        marked = self.grouping(groups, **{name: value for name, value in options.items() if name in own})
        return made(marked, lr=groups.lr, **{name: value for name, value in options.items() if name not in own})

    def options(self) -> dict[str, Any]:
        """The options it takes, with their defaults.

        Raises:
            MissingExtraError: Its library is not installed.
        """
        own = {} if callable(self.make) else _parameters(self.grouping)
        return {**_parameters(self.load()), **own, **self.defaults}


_OURS = frozenset({"lr", "adamw_lr", "adamw_wd", "maximize", "differentiable", "capturable"})
"""Parameters of optimizer classes that the run sets, or that would break it."""


def _parameters(made: Callable[..., Any]) -> dict[str, Any]:
    """The parameters after the first, which are options."""
    parameters: Iterable[inspect.Parameter] = list(inspect.signature(made).parameters.values())[1:]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name: p.default for p in parameters if p.kind in named and p.name not in _OURS}
