"""A model with every kind of parameter that optimizers treat apart, and how it is trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from swift.config.optim import OptimizerConfig
from swift.train.checkpoint import load_checkpoint, save_checkpoint
from swift.train.optim import StepOptimizer, build_optimizer
from swift.train.optim_state import load_state_tensors, state_tensors

WIDTH, TOKENS = 64, 33

SMALL: dict[str, dict[str, Any]] = {
    "galore": {"rank": 8, "update_proj_gap": 7, "scale": 1.0},
    "fira": {"rank": 8, "update_proj_gap": 7, "scale": 1.0},
    "apollo": {"rank": 8, "update_proj_gap": 7},
    "apollo_mini": {"update_proj_gap": 7, "scale": 1.0},
    "dadaptadagrad": {"d0": 1e-2},
    "dadaptlion": {"d0": 1e-3},
    "dadaptsgd": {"d0": 1e-2},
    "dadaptadam": {"d0": 1e-3},
    "badam": {"switch_every": 4},
    "conda": {"update_proj_gap": 7},
    "alice": {"rank": 16, "leading_basis": 4, "update_interval": 7},
    "soap": {"precondition_frequency": 3},
    "spam": {"update_proj_gap": 7},
    "stablespam": {"update_proj_gap": 7},
    "scalableshampoo": {"start_preconditioning_step": 3, "preconditioning_compute_steps": 2},
    "splus": {"inverse_steps": 3, "ema_rate": 0.9},
    "dash": {"precondition_frequency": 3},
}
"""Options that make what happens now and then happen in a run of thirty steps."""

RATES: dict[str, float] = {
    **dict.fromkeys(("adadelta", "adai", "adamg", "adamod", "avagrad", "gravity", "lomo", "msvag", "pid", "pnm"), 0.1),
    **dict.fromkeys(("qhm", "sara", "schedule_free_sgd", "sgd", "sgdp", "sgdw", "splus", "srmm"), 0.1),
    **dict.fromkeys(("dadaptadagrad", "dadaptadam", "dadaptlion", "dadaptsgd", "lars", "prodigy"), 1.0),
    "kate": 1e-3,
}
"""Peak rates of optimizers for which 1e-2 is too small or too large."""


class Block(nn.Module):
    """A layer: one attention matrix, a feed-forward network with a bias, a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.ModuleDict({"q_proj": nn.Linear(WIDTH, WIDTH, bias=False)})
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.Tanh(), nn.Linear(2 * WIDTH, WIDTH))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = x + torch.tanh(self.self_attn["q_proj"](x))
        return self.norm(x + self.mlp(x))


class Net(nn.Module):
    """Embeddings, layers and a head; its loss is that of naming the next token."""

    def __init__(self, dtype: torch.dtype = torch.float32, layers: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(TOKENS, WIDTH)
        self.layers = nn.ModuleList(Block() for _ in range(layers))
        self.lm_head = nn.Linear(WIDTH, TOKENS, bias=False)
        self.to(dtype)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return nn.functional.cross_entropy(self.lm_head(x).float(), (7 * ids + 1) % TOKENS)


def config_of(name: str, **changes: Any) -> OptimizerConfig:
    """The optimizer with options for a short run."""
    options = {**SMALL.get(name, {}), **changes.pop("options", {})}
    values = {"max_grad_norm": 0.0, "fused_backward": False, **changes}
    return OptimizerConfig(name=name, options=options, **values)


def built(model: nn.Module, config: OptimizerConfig, rate: float | None = None, **more: Any) -> StepOptimizer:
    """The optimizer at its rate."""
    return build_optimizer(model, config, rate or rate_of(config.name), head_dim=16, **more)


def rate_of(name: str) -> float:
    """The peak rate at which the net learns."""
    return RATES.get(name, 1e-2)


def steps(model: Net, optimizer: StepOptimizer, numbers: range, rate: float, *, max_norm: float = 0.0) -> list[float]:
    """Losses before each step; the batch and the rate of a step are functions of its number."""
    losses = []
    for number in numbers:
        generator = torch.Generator().manual_seed(number)
        ids = torch.randint(0, TOKENS, (64,), generator=generator)
        now = rate * (1.0 - number / 100)
        optimizer.set_rate(now)
        loss = model(ids)
        losses.append(loss.item())
        optimizer.backward(loss)
        optimizer.clip(max_norm)
        optimizer.step(now)
        optimizer.zero_grad()
    return losses


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether names and every bit are the same."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def saved(folder: Path, model: Net, optimizer: StepOptimizer, step: int) -> Path:
    """A checkpoint with weights and state, as a run writes it."""
    with optimizer.averaged():
        tensors, values = state_tensors(optimizer)
        inner = {f"weights/{name}": tensor for name, tensor in weights(model).items()}
        return save_checkpoint(
            folder, step, write_weights=lambda _: None, tensors={**tensors, **inner}, state={"optimizer": values}
        )


def resumed(path: Path, config: OptimizerConfig, rate: float, dtype: torch.dtype) -> tuple[Net, StepOptimizer]:
    """A new model and optimizer that stand where the checkpoint was written."""
    tensors, state = load_checkpoint(path)
    model = Net(dtype)
    prefix = "weights/"
    model.load_state_dict({k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)})
    torch.manual_seed(12345)  # what was drawn before does not matter
    optimizer = built(model, config, rate)
    load_state_tensors(optimizer, tensors, state["optimizer"])
    return model, optimizer
