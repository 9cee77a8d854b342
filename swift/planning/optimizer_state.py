"""What optimizers keep of each trained element, from their papers: bytes as data, for the memory plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ADAM = 8.0
"""Two float32 moments."""

_ONE = 4.0
_EIGHT_BIT = 1.0 + 4.0 / 256  # and a float32 scale for each block of 256

_PER_ELEMENT: dict[str, float] = {
    **dict.fromkeys("sgd lomo adalomo adafactor adalite amos nero pid racs scionlight sgdw fromage rose".split(), 0.1),
    **dict.fromkeys("lion paged_lion signsgd tiger adagrad rmsprop muon normuon adago scion".split(), _ONE),
    **dict.fromkeys("sgdp sgdsai lars accsgd adam_mini bcos gravity novograd qhm schedule_free_sgd".split(), _ONE),
    **dict.fromkeys("came sm3".split(), _ONE + 0.1),
    **dict.fromkeys(
        "ademamix paged_ademamix adai adamg adamod adatam aggmo apollodqn conda dadaptadagrad".split(), 12.0
    ),
    **dict.fromkeys("dadaptadam dadaptsgd diffgrad grokfastadamw madgrad mars ranger vsgd".split(), 12.0),
    **dict.fromkeys("adan adapnm adashift adasmooth prodigy".split(), 16.0),
    **dict.fromkeys("shampoo dadaptadan".split(), 20.0),
    **dict.fromkeys("scalableshampoo soap splus dash".split(), 24.0),
    **dict.fromkeys("adam_8bit adamw_8bit paged_adam_8bit paged_adamw_8bit lamb_8bit".split(), 2 * _EIGHT_BIT),
    **dict.fromkeys("ademamix_8bit paged_ademamix_8bit".split(), 3 * _EIGHT_BIT),
    **dict.fromkeys("lion_8bit paged_lion_8bit adagrad_8bit rmsprop_8bit sgd_8bit lars_8bit".split(), _EIGHT_BIT),
    "flashadamw": 2.1,
    "torchao_adamw_4bit": 2 * (0.5 + 4.0 / 128),
    "torchao_adamw_8bit": 2 * _EIGHT_BIT,
    "torchao_adamw_fp8": 2 * _EIGHT_BIT,
}
"""By name; every other one is taken for Adam."""

_LOW_RANK = {"galore": 128, "fira": 128, "apollo": 256, "apollo_mini": 1}
"""Default ranks of those that keep moments of a projection, and the projection."""


def state_bytes(name: str, options: Mapping[str, Any], hidden: int, layers: int) -> float:
    """Bytes of state for an average trained element, where the optimizer updates float32.

    Args:
        name: The optimizer.
        options: Its options; a rank counts.
        hidden: Width of the model: matrices are at least so large both ways.
        layers: Decoder layers, of which a block-wise optimizer has one at a time.
    """
    if name in _LOW_RANK:
        rank = int(options.get("rank", _LOW_RANK[name]))
        return min(ADAM, (ADAM + 4.0) * rank / hidden)
    if name == "badam":
        return ADAM / layers
    return _PER_ELEMENT.get(name, ADAM)
