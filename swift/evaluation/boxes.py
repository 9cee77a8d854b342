"""How well boxes in an answer lie on those of the reference."""

from __future__ import annotations

import re
from collections.abc import Sequence

Box = tuple[float, float, float, float]

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_BOX = re.compile(rf"[\[(]{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}[\])]")
_CORNERS = re.compile(rf"\({_NUMBER},{_NUMBER}\)\s*,\s*\({_NUMBER},{_NUMBER}\)")


def boxes_in(text: str) -> list[Box]:
    """Boxes (x1, y1, x2, y2) that a text names: `[x1, y1, x2, y2]`, `(x1, y1, x2, y2)` or `(x1,y1),(x2,y2)`."""
    found = [match.groups() for match in (*_BOX.finditer(text), *_CORNERS.finditer(text))]
    return [_ordered(*map(float, numbers)) for numbers in found]


def _ordered(left: float, top: float, right: float, bottom: float) -> Box:
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def iou(mine: Box, theirs: Box) -> float:
    """Intersection over union of two boxes, from 0 to 1; 0 where both are empty."""
    width = min(mine[2], theirs[2]) - max(mine[0], theirs[0])
    height = min(mine[3], theirs[3]) - max(mine[1], theirs[1])
    common = max(0.0, width) * max(0.0, height)
    union = _area(mine) + _area(theirs) - common
    return common / union if union else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def mean_iou(mine: Sequence[Box], theirs: Sequence[Box]) -> float:
    """Mean IoU of pairs, the best pair first, each box in one pair; a box without a partner counts as 0.

    Two empty lists agree, 1.
    """
    if not mine and not theirs:
        return 1.0
    pairs = [(iou(one, other), place, place2) for place, one in enumerate(mine) for place2, other in enumerate(theirs)]
    used: tuple[set[int], set[int]] = set(), set()
    total = 0.0
    for value, place, place2 in sorted(pairs, reverse=True):
        if place not in used[0] and place2 not in used[1]:
            used[0].add(place)
            used[1].add(place2)
            total += value
    return total / max(len(mine), len(theirs))
