"""The optimizer of a run: groups, master weights, loss scale and clipping around any torch optimizer."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from swift.config.optim import OptimizerConfig
from swift.errors import ConfigError
from swift.models.parts import Part
from swift.train.master import MasterWeights
from swift.train.optimizers.choose import Choice, choose
from swift.train.optimizers.groups import make_groups, one_by_one
from swift.train.optimizers.in_backward import InBackward
from swift.train.optimizers.offload import Offload
from swift.train.optimizers.spec import Group, Groups
from swift.train.rng import apart
from swift.train.scaling import LossScale

_FUSED_DEVICES = {"cpu", "cuda", "mps", "xpu"}
_FUSED = ("adamw", "adam", "sgd", "lomo", "adagrad")
_NO_STATE = frozenset({"params", "param_names", "lr", "rate", "train_mode"})


class Averaging(Protocol):
    """An optimizer that trains one point and evaluates another."""

    def train(self) -> None:
        """Put the weights to where gradients are taken."""

    def eval(self) -> None:
        """Put the weights to where the loss is lowest."""


class StepOptimizer:
    """What the loop calls for one step: `backward` for each micro-batch, then `clip`, `step`, `zero_grad`.

    Attributes:
        inners: The torch optimizers, whose groups carry `param_names`: one, or one a parameter where updates run in
            the backward pass.
        masters: Float32 copies of 16-bit weights; empty where there are none.
        scale: The loss scale of float16 training; fixed at 1 otherwise.
        skipped: Whether `clip` found an overflow that the loss scale explains; `step` then changes nothing.
        updates: Updates so far.
        averages: Whether evaluated and saved are other weights than those that gradients are taken at.
        in_backward: What updates in the backward pass; None where `step` does.
    """

    def __init__(
        self,
        inners: Sequence[torch.optim.Optimizer],
        masters: MasterWeights,
        scale: LossScale,
        *,
        averages: bool = False,
        seed: int | None = None,
        in_backward: InBackward | None = None,
        offload: Offload | None = None,
    ) -> None:
        self.inners = inners
        self.masters = masters
        self.scale = scale
        self.skipped = False
        self.updates = 0
        self.averages = averages
        self.in_backward = in_backward
        self._seed = seed
        self._offload = offload
        self._kept: dict[str, Tensor] | None = None
        self._first = [_values(group) for group in self.param_groups]

    @property
    def param_groups(self) -> list[Group]:
        """The groups of the torch optimizers."""
        return [group for inner in self.inners for group in inner.param_groups]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Everything that gets a gradient, in the same order on every process."""
        return list(self.masters.optimized.values())

    @property
    def named(self) -> dict[str, nn.Parameter]:
        """What is updated, by name, in the order of the groups."""
        return {
            name: parameter
            for group in self.param_groups
            for name, parameter in zip(group["param_names"], group["params"], strict=True)
        }

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.parameters[0].device

    @property
    def broken(self) -> bool:
        """Whether some weights were updated, in a backward pass, before a gradient was found not to be finite."""
        return self.in_backward is not None and self.in_backward.failed

    def set_rate(self, learning_rate: float) -> None:
        """Give every group its share of the rate; before the backward pass where that updates."""
        for group in self.param_groups:
            rate = learning_rate * group["rate"]
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)  # compiled steps read it; another number would be compiled anew
            else:
                group["lr"] = rate

    def backward(self, loss: Tensor, *, update: bool = True) -> None:
        """Add the gradient of a scalar `loss`, which is already divided by its count.

        Args:
            loss: If it is not finite, nothing is updated in the backward pass.
            update: False for a trial: nothing is updated in any case.
        """
        if self.in_backward is not None:
            self.in_backward.active = update and math.isfinite(loss.item())
        # Without a scale the graph stays as it is: one multiplication less, and the same bits as plain torch.
        (loss if self.scale.fixed else loss * self.scale.value).backward()

    def clip(self, max_norm: float) -> float:
        """Scale the gradient down to an L2 norm of at most `max_norm`; 0 never does.

        Returns:
            The norm before clipping. Where it is not finite, the gradients are left for inspection, and the caller
            must not step. An overflow of float16 that the loss scale explains is not an error: the scale is halved,
            0 is returned, and the next `step` changes nothing.
        """
        if self.in_backward is not None:
            return self.in_backward.norm()
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if self.scale.value != 1.0:
            torch._foreach_mul_(gradients, 1.0 / self.scale.value)
        norm = get_total_norm(gradients)
        value = norm.item()
        self.skipped = self.scale.update(finite=math.isfinite(value))
        if self.skipped:
            return 0.0
        if max_norm > 0 and value + 1e-6 > max_norm:  # torch divides by the norm + 1e-6
            clip_grads_with_norm_(self.parameters, max_norm, norm)
        return value

    def step(self, learning_rate: float) -> None:
        """Update the weights with the clipped gradient."""
        if self.skipped:
            return
        self.updates += 1
        if self.in_backward is not None:
            return
        self.set_rate(learning_rate)
        numbers = nullcontext() if self._seed is None else apart(self._seed, self.updates)
        place = nullcontext() if self._offload is None else self._offload.on_device()
        with numbers, place:
            for inner in self.inners:
                inner.step()
        self.masters.publish()

    def forget(self, parameters: Collection[nn.Parameter]) -> None:
        """Drop the state of parameters that are not trained for a while."""
        for parameter in self.masters.stand_for(parameters):
            for inner in self.inners:
                inner.state.pop(parameter, None)

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for inner in self.inners:
            inner.zero_grad(set_to_none=True)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model has the weights that are evaluated and saved; after the block, exactly those that are trained."""
        if not self.averages or self.updates == 0:
            yield
            return
        self._kept = {name: p.detach().clone() for name, p in self.named.items()}
        try:
            for inner in self.inners:
                cast(Averaging, inner).eval()
            self.masters.publish()
            yield
        finally:
            for inner in self.inners:
                cast(Averaging, inner).train()
            with torch.no_grad():
                for name, p in self.named.items():
                    p.copy_(self._kept[name])
            self._kept = None
            self.masters.publish()

    def training_weights(self, *, masters: bool) -> dict[str, Tensor]:
        """The weights that are trained, in `averaged` too: the float32 copies, or those that have no copy."""
        copies = self.masters.tensors()
        weights = self._kept if self._kept is not None else {name: p.detach() for name, p in self.named.items()}
        return {name: t for name, t in weights.items() if (name in copies) == masters}

    @torch.no_grad()
    def load_training_weights(self, masters: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> None:
        """Put weights to what `training_weights` gave.

        Raises:
            CheckpointError: The copies are of other parameters.
        """
        self.masters.load(masters)
        for name, tensor in others.items():
            self.named[name].copy_(tensor)

    def changed_groups(self) -> list[dict[str, Any]]:
        """Of each group, the values that steps have changed."""
        return [
            {key: value for key, value in _values(group).items() if key not in first or _differ(first[key], value)}
            for first, group in zip(self._first, self.param_groups, strict=True)
        ]

    def load_groups(self, changed: Sequence[Mapping[str, Any]]) -> None:
        """The inverse of `changed_groups`."""
        for group, first in zip(self.param_groups, self._first, strict=True):
            group.update(copy.deepcopy(first))
        for group, values in zip(self.param_groups, changed, strict=False):
            group.update(values)


def _values(group: Group) -> dict[str, Any]:
    return {key: copy.deepcopy(value) for key, value in group.items() if key not in _NO_STATE}


def _differ(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return not (isinstance(one, Tensor) and isinstance(other, Tensor) and torch.equal(one, other))
    return bool(one != other)


def build_optimizer(
    model: nn.Module,
    config: OptimizerConfig,
    lr: float,
    scale: LossScale | None = None,
    parts: Mapping[nn.Parameter, Part] | None = None,
    *,
    head: Collection[nn.Parameter] = (),
    head_dim: int = 0,
    seed: int = 0,
) -> StepOptimizer:
    """The configured optimizer over the trainable parameters, in the order of `model.named_parameters()`.

    Args:
        model: Its parameters with `requires_grad` are trained, each once if tied.
        config: Options.
        lr: The peak rate, until `step` is given another.
        scale: The loss scale, from `make_loss_scale`; None is none.
        parts: The part of a multimodal model that each parameter is of, for rates of their own.
        head: Parameters of the output head, which some optimizers treat like embeddings.
        head_dim: Rows of a query projection that make an attention head; 0 where it is not known.
        seed: Of the random numbers that the optimizer draws.

    Raises:
        ConfigError: No parameter is trainable, or an option does not fit the model.
    """
    choice = choose(config)
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise ConfigError("no parameter of the model is trainable", hint="see the options of the tuner")
    masters = MasterWeights(trainable.items(), enabled=config.master_weights)
    described = make_groups(
        masters.optimized,
        config,
        lr,
        weight_decay=choice.weight_decay,
        part_of={name: (parts or {}).get(p, "llm") for name, p in trainable.items()},
    )
    tables = {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    tables |= {id(p) for p in head}
    apart_ = frozenset(name for name, p in trainable.items() if id(p) in tables)
    kinds = {p.device.type for p in trainable.values()}
    fused = choice.name in _FUSED and kinds <= _FUSED_DEVICES
    options = {"fused": True, **choice.options} if fused else choice.options
    choice = Choice(choice.name, choice.spec, options, choice.weight_decay)
    scale = scale or LossScale(1.0, fixed=True)
    in_backward = config.updates_in_backward

    def build(groups: list[Group]) -> torch.optim.Optimizer:
        return choice.build(Groups(groups, lr, apart_, trainable, head_dim))

    inners = [build([group]) for group in one_by_one(described)] if in_backward else [build(described)]
    _require_marked(choice, inners)
    spec = choice.spec
    optimizer = StepOptimizer(
        inners,
        masters,
        scale,
        averages=spec.averages,
        seed=seed if spec.draws else None,
        in_backward=_in_backward(choice, inners, masters, trainable, scale) if in_backward else None,
        offload=Offload(inners[0]) if config.offload else None,
    )
    if spec.averages:
        for inner in inners:
            cast(Averaging, inner).train()
    return optimizer


def _in_backward(
    choice: Choice,
    inners: Sequence[torch.optim.Optimizer],
    masters: MasterWeights,
    leaves: Mapping[str, nn.Parameter],
    scale: LossScale,
) -> InBackward:
    why = None
    if choice.spec.joined:
        why = f"an update of {choice.name} depends on other parameters than its own"
    elif choice.spec.draws:
        why = f"{choice.name} draws random numbers for all parameters one after the other"
    elif not scale.fixed:
        why = "float16 needs all gradients to know whether one has overflowed"
    if why is not None:
        raise ConfigError(f"updates in the backward pass: {why}", hint="leave out --optim_in_backward")
    owners = {name: inner for inner in inners for group in inner.param_groups for name in group["param_names"]}
    made = InBackward(owners, masters.optimized, masters.publish_one)
    made.attach(leaves)
    return made


def _require_marked(choice: Choice, inners: Sequence[torch.optim.Optimizer]) -> None:
    mark = choice.spec.mark
    if mark is None or any(group.get(mark) for inner in inners for group in inner.param_groups):
        return
    raise ConfigError(
        f"optimizer {choice.name}: nothing that is trained is a matrix that its options choose",
        hint="lower the option rank, widen the option targets, or use --optim adamw; see docs/optimizers.md",
    )


def clip_grad_norm(optimizer: StepOptimizer, max_norm: float) -> float:
    """`optimizer.clip(max_norm)`."""
    return optimizer.clip(max_norm)
