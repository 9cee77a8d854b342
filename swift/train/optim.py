"""The optimizer: AdamW over named parameters, with master weights, loss scale and clipping."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from swift.config.optim import OptimizerConfig
from swift.errors import CheckpointError, ConfigError
from swift.models.parts import Part
from swift.train.checkpoint import JSON
from swift.train.master import MasterWeights
from swift.train.scaling import LossScale

_FUSED_DEVICES = {"cpu", "cuda", "mps", "xpu"}
_PREFIX = "optimizer/"
_MASTER = "master"


class StepOptimizer:
    """What the loop calls for one step: `backward` for each micro-batch, then `clip`, `step`, `zero_grad`.

    Attributes:
        inner: The torch optimizer; its groups carry `param_names`.
        masters: Float32 copies of 16-bit weights; empty where there are none.
        scale: The loss scale of float16 training; fixed at 1 otherwise.
        skipped: Whether `clip` found an overflow that the loss scale explains; `step` then changes nothing.
    """

    def __init__(self, inner: torch.optim.Optimizer, masters: MasterWeights, scale: LossScale) -> None:
        self.inner = inner
        self.masters = masters
        self.scale = scale
        self.skipped = False

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The torch optimizer's groups."""
        return self.inner.param_groups

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Everything that gets a gradient, in the same order on every process."""
        return list(self.masters.optimized.values())

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a scalar `loss`, which is already divided by its count."""
        # Without a scale the graph stays as it is: one multiplication less, and the same bits as plain torch.
        (loss if self.scale.fixed else loss * self.scale.value).backward()

    def clip(self, max_norm: float) -> float:
        """Scale the gradient down to an L2 norm of at most `max_norm`; 0 never does.

        Returns:
            The norm before clipping. Where it is not finite, the gradients are left for inspection, and the caller
            must not step. An overflow of float16 that the loss scale explains is not an error: the scale is halved,
            0 is returned, and the next `step` changes nothing.
        """
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
        for group in self.inner.param_groups:
            group["lr"] = learning_rate * group["rate"]
        self.inner.step()
        self.masters.publish()

    def forget(self, parameters: Collection[nn.Parameter]) -> None:
        """Drop the state of parameters that are not trained for a while."""
        for parameter in self.masters.stand_for(parameters):
            self.inner.state.pop(parameter, None)

    def zero_grad(self) -> None:
        """Drop all gradients."""
        self.inner.zero_grad(set_to_none=True)


def build_optimizer(
    model: nn.Module,
    config: OptimizerConfig,
    lr: float,
    scale: LossScale | None = None,
    parts: Mapping[nn.Parameter, Part] | None = None,
) -> StepOptimizer:
    """AdamW over the trainable parameters, in the order of `model.named_parameters()`, each once if tied.

    Matrices decay; vectors (biases, norms, magnitudes) and anything named bias do not.

    Args:
        model: Its parameters with `requires_grad` are trained.
        config: Options.
        lr: The peak rate, until `step` is given another.
        scale: The loss scale, from `make_loss_scale`; None is none.
        parts: The part of a multimodal model that each parameter is of, for rates of their own.

    Raises:
        ConfigError: No parameter is trainable.
    """
    trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not trainable:
        raise ConfigError("no parameter of the model is trainable", hint="see the options of the tuner")
    masters = MasterWeights(trainable, enabled=config.master_weights)
    rates = {part: (rate or lr) / lr for part, rate in _rates(config).items()}
    part_by_name = {name: (parts or {}).get(p, "llm") for name, p in trainable}
    groups: dict[tuple[float, bool], list[tuple[str, nn.Parameter]]] = {}
    for name, p in masters.optimized.items():
        groups.setdefault((rates[part_by_name[name]], not _decays(name, p)), []).append((name, p))
    described = [
        {"params": members, "weight_decay": 0.0 if bare else config.weight_decay, "rate": rate, "lr": lr * rate}
        for (rate, bare), members in sorted(groups.items(), key=lambda item: item[0])
    ]
    fused = all(p.device.type in _FUSED_DEVICES for _, p in trainable)
    inner = torch.optim.AdamW(
        described, lr=lr, betas=(config.beta1, config.beta2), eps=config.epsilon, fused=True if fused else None
    )
    return StepOptimizer(inner, masters, scale or LossScale(1.0, fixed=True))


def clip_grad_norm(optimizer: StepOptimizer, max_norm: float) -> float:
    """`optimizer.clip(max_norm)`."""
    return optimizer.clip(max_norm)


def state_tensors(optimizer: StepOptimizer) -> tuple[dict[str, Tensor], dict[str, JSON]]:
    """Everything that `load_state_tensors` needs to go on bit for bit.

    Returns:
        Tensors under `optimizer/<parameter>/<what>`, and plain values.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in _named(optimizer).items():
        for what, value in optimizer.inner.state.get(parameter, {}).items():
            tensors[f"{_PREFIX}{name}/{what}"] = torch.as_tensor(value)
    tensors |= {f"{_PREFIX}{name}/{_MASTER}": t for name, t in optimizer.masters.tensors().items()}
    values: dict[str, JSON] = {
        "kind": type(optimizer.inner).__name__,
        "parameters": list(_named(optimizer)),
        "loss_scale": optimizer.scale.state(),
    }
    return tensors, values


def load_state_tensors(optimizer: StepOptimizer, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Put the optimizer, and the weights that have master copies, back to where `state_tensors` found them.

    Options such as the decay stay as the optimizer was built: the configuration decides those.

    Raises:
        CheckpointError: The state is of another optimizer or of other parameters.
    """
    named = _named(optimizer)
    if values["kind"] != type(optimizer.inner).__name__:
        raise CheckpointError(f"the checkpoint's optimizer is {values['kind']}, not {type(optimizer.inner).__name__}")
    if list(values["parameters"]) != list(named):
        different = sorted(set(values["parameters"]) ^ set(named)) or list(named)
        raise CheckpointError(
            f"the checkpoint's optimizer holds other parameters: {len(values['parameters'])} against {len(named)}, "
            f"such as {different[0]}",
            hint="resume with the same tuner options",
        )
    state: dict[str, dict[str, Tensor]] = {name: {} for name in named}
    masters: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if key.startswith(_PREFIX):
            name, _, what = key.removeprefix(_PREFIX).rpartition("/")
            (masters if what == _MASTER else state[name])[name if what == _MASTER else what] = tensor
    optimizer.masters.load(masters)
    _load_inner(optimizer.inner, [state[name] for name in named])
    optimizer.scale.load(values["loss_scale"])


def _load_inner(inner: torch.optim.Optimizer, states: list[dict[str, Tensor]]) -> None:
    """Through torch's own `load_state_dict`, which puts every tensor on the right device; copied, to be ours."""
    copies = {i: {what: t.clone() for what, t in state.items()} for i, state in enumerate(states) if state}
    inner.load_state_dict({"state": copies, "param_groups": inner.state_dict()["param_groups"]})


def _named(optimizer: StepOptimizer) -> dict[str, nn.Parameter]:
    return {
        name: parameter
        for group in optimizer.inner.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
    }


def _rates(config: OptimizerConfig) -> dict[Part, float | None]:
    return {"llm": config.llm_lr, "vit": config.vit_lr, "aligner": config.aligner_lr}


def _decays(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim >= 2 and not name.endswith("bias")
