"""All optimizers by name, and those that are refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swift.registry import Registry
from swift.train.optimizers.adalomo import adalomo
from swift.train.optimizers.adam_mini import adam_mini
from swift.train.optimizers.apollo import apollo, apollo_mini
from swift.train.optimizers.badam import badam
from swift.train.optimizers.grouping import low_rank, matrices
from swift.train.optimizers.library import PLAIN, library_spec
from swift.train.optimizers.spec import Make, Spec

optimizers: Registry[Spec | Make] = Registry("optimizer")
"""All optimizers. A plugin adds one with `@optimizers.register("name")` above a function of `Groups`, whose other
parameters, with defaults, become the options of `optimizer.options`; it returns a torch optimizer over the groups."""

_ADAM: dict[str, Any] = {"betas": (0.9, 0.95), "eps": 1e-8}


def _bnb(name: str, decay: float = 0.0, defaults: Mapping[str, Any] | None = None, **traits: Any) -> Spec:
    return Spec(f"bitsandbytes.optim:{name}", extra="optim", defaults=defaults or {}, decay=decay, **traits)


def _ao(name: str) -> Spec:
    return Spec(f"torchao.optim:{name}", extra="optim", defaults=_ADAM, draws=True)


_TORCH: dict[str, Spec] = {
    "adamw": Spec("torch.optim:AdamW", defaults=_ADAM, fused=True),
    "adam": Spec("torch.optim:Adam", decay=0.0, fused=True),
    "nadamw": Spec("torch.optim:NAdam", defaults={"decoupled_weight_decay": True}),
    "nadam": Spec("torch.optim:NAdam", decay=0.0),
    "radam": Spec("torch.optim:RAdam", decay=0.0),
    "adamax": Spec("torch.optim:Adamax", decay=0.0),
    "adagrad": Spec("torch.optim:Adagrad", decay=0.0),
    "adadelta": Spec("torch.optim:Adadelta", decay=0.0),
    "rmsprop": Spec("torch.optim:RMSprop", decay=0.0),
    "sgd": Spec("torch.optim:SGD", decay=0.0, fused=True),
    "adafactor": Spec("torch.optim:Adafactor", decay=0.0),
    "lomo": Spec("torch.optim:SGD", decay=0.0, fused=True),
}

_OURS: dict[str, Spec] = {
    "adalomo": Spec(adalomo, decay=0.0),
    "adam_mini": Spec(adam_mini),
    "apollo": Spec(apollo, mark="rank"),
    "apollo_mini": Spec(apollo_mini, mark="rank"),
    "badam": Spec(badam, joined=True),
}

_BITSANDBYTES: dict[str, Spec] = {
    "adam_8bit": _bnb("Adam8bit"),
    "adamw_8bit": _bnb("AdamW8bit", decay=0.1, defaults=_ADAM),
    "lion_8bit": _bnb("Lion8bit", decay=0.1),
    "ademamix_8bit": _bnb("AdEMAMix8bit", decay=0.1),
    "adagrad_8bit": _bnb("Adagrad8bit"),
    "rmsprop_8bit": _bnb("RMSprop8bit"),
    "lamb_8bit": _bnb("LAMB8bit"),
    "lars_8bit": _bnb("LARS8bit", defaults={"momentum": 0.9}),
    "sgd_8bit": _bnb("SGD8bit", defaults={"momentum": 0.9}),
    "paged_adam": _bnb("PagedAdam"),
    "paged_adam_8bit": _bnb("PagedAdam8bit"),
    "paged_adamw": _bnb("PagedAdamW", decay=0.1, defaults=_ADAM),
    "paged_adamw_8bit": _bnb("PagedAdamW8bit", decay=0.1, defaults=_ADAM),
    "paged_lion": _bnb("PagedLion", decay=0.1),
    "paged_lion_8bit": _bnb("PagedLion8bit", decay=0.1),
    "paged_ademamix": _bnb("PagedAdEMAMix", decay=0.1, accelerator=True),
    "paged_ademamix_8bit": _bnb("PagedAdEMAMix8bit", decay=0.1, accelerator=True),
}

_TORCHAO: dict[str, Spec] = {
    "torchao_adamw_4bit": _ao("AdamW4bit"),
    "torchao_adamw_8bit": _ao("AdamW8bit"),
    "torchao_adamw_fp8": _ao("AdamWFp8"),
}

_MATRICES: dict[str, Spec] = {
    "galore": library_spec("GaLore", defaults=_ADAM, grouping=low_rank, mark="rank", draws=True),
    "fira": library_spec("Fira", defaults=_ADAM, grouping=low_rank, mark="rank", draws=True),
    "muon": library_spec(
        "Muon",
        defaults={"adamw_betas": (0.9, 0.95), "adamw_eps": 1e-8, "use_adjusted_lr": True},
        grouping=matrices,
        mark="use_muon",
    ),
    "adamuon": library_spec("AdaMuon", grouping=matrices, mark="use_muon"),
    "normuon": library_spec("NorMuon", grouping=matrices, mark="use_muon"),
    "adago": library_spec("AdaGO", grouping=matrices, mark="use_muon"),
}

_HESSIAN = "needs products with the Hessian, for which the backward pass would have to be differentiated again"
_CLOSURE = "evaluates the loss again within a step"
_TWICE = "needs a second forward and backward pass at moved weights in every step"
_LOSS = "steers by the value of the loss, which it takes from a closure"
_INNER = "keeps the moments of the projection in another form, which is not here; use galore"
_PROCESSES = "exchanges gradients between processes by itself, and here they are summed before the step"

REFUSED: dict[str, str] = {
    "adahessian": _HESSIAN,
    "sophia": _HESSIAN,
    "sophiah": _HESSIAN,
    "lbfgs": _CLOSURE,
    "alig": _LOSS,
    "emofact": _LOSS,
    "emolynx": _LOSS,
    "emonavi": _LOSS,
    "sam": _TWICE,
    "bsam": _TWICE,
    "demo": _PROCESSES,
    "distributedmuon": _PROCESSES,
    "asgd": "sets its learning rate by itself, against the schedule",
    "ranger21": "brings a schedule of its own, against the run's",
    "magma": "keeps state under memory addresses, which no checkpoint can hold",
    "muonclip": "needs the largest attention score of every head, which no attention kernel gives; use muon",
    "qgalore": "needs the weights in int8 and layers of its own; use galore, or a quantized model with LoRA",
    "galore_adamw_8bit": _INNER,
    "galore_adafactor": _INNER,
    "galore_adamw_layerwise": "updates in the backward pass, which projections that draw numbers cannot; use galore",
    "kron": "multiplies its preconditioners in an order that takes seconds even for a matrix of 64 x 128; use soap",
    "lorarite": "has to be told which two matrices are a pair",
    "spectralsphere": "takes nothing but matrices; use muon",
}
"""Names that users know, and why they are no choice here."""

for _name, _spec in {**_TORCH, **_OURS, **_BITSANDBYTES, **_TORCHAO, **_MATRICES, **PLAIN}.items():
    optimizers.register(_name)(_spec)
