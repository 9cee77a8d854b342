"""Which parameters get an optimizer's special treatment: options of the optimizers that treat matrices apart."""

from __future__ import annotations

import re

from torch import nn

from swift.train.optimizers.spec import Group, Groups

ATTENTION_AND_FEED_FORWARD = r"attn|attention|mlp|ffn|feed_?forward|dense|experts|fc\d|mixer"
"""Found in the names of the matrices of attention and feed-forward layers."""


def low_rank(
    groups: Groups,
    *,
    rank: int = 128,
    update_proj_gap: int = 200,
    scale: float = 0.25,
    projection_type: str = "std",
    targets: str = ATTENTION_AND_FEED_FORWARD,
) -> list[Group]:
    """Project the gradients of matrices to a low rank.

    Args:
        groups: The trained parameters.
        rank: What is projected to; matrices that are not larger than this both ways stay as they are.
        update_proj_gap: Steps between projections.
        scale: Of the update that is projected back.
        projection_type: Which side is projected: std (the longer), reverse_std, left, right, full or random.
        targets: A regular expression found in the names of the matrices that are projected.
    """
    pattern = re.compile(targets, re.IGNORECASE)

    def chosen(name: str, p: nn.Parameter) -> bool:
        return p.ndim == 2 and min(p.shape) > rank and name not in groups.embeddings and bool(pattern.search(name))

    values = {
        "rank": rank,
        "update_proj_gap": update_proj_gap,
        "scale": scale,
        "projection_type": projection_type,
    }
    return groups.split(chosen, values, {})


def matrices(groups: Groups, *, targets: str = "") -> list[Group]:
    """Muon for matrices, AdamW for the rest: embeddings, the output head, and everything that is no matrix.

    Args:
        groups: The trained parameters.
        targets: A regular expression found in the names of the matrices; all of them by default.
    """
    pattern = re.compile(targets, re.IGNORECASE)

    def chosen(name: str, p: nn.Parameter) -> bool:
        return p.ndim == 2 and name not in groups.embeddings and bool(pattern.search(name))

    return groups.split(chosen, {"use_muon": True}, {"use_muon": False})
