"""The certificate as one HTML file that needs nothing else; no script runs, and nothing is fetched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from swift.exporting.certificate.certificate import Certificate
from swift.exporting.certificate.page import pairs

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 860, 240, 64, 12, 28
_WORST = 20
_LINES = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on an axis, in SVG units, and what is written there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: its name, its colour (one or two) and the `points` of an SVG polyline."""

    name: str
    style: str
    points: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture: curves over a common axis, with marks along and across."""

    title: str
    note: str
    lines: tuple[Line, ...]
    along: tuple[Mark, ...]
    across: tuple[Mark, ...]
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT


def html(certificate: Certificate) -> str:
    """The page."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = files("swift.exporting.certificate").joinpath("page.html.j2").read_text(encoding="utf-8")
    worst = sorted(certificate.layers, key=lambda layer: -layer.output)[:_WORST]
    return environment.from_string(source).render(
        certificate=certificate,
        distance=certificate.distance,
        verdict="passed" if certificate.passed else "FAILED",
        pairs=pairs(certificate.before, certificate.after),
        plots=_plots(certificate),
        worst=worst if worst and worst[0].output > 0 else [],
    )


def _plots(certificate: Certificate) -> list[Plot]:
    found = []
    spread = certificate.distance.spread
    if any(value > 0 for value in spread):
        found.append(
            plot(
                "Divergence of the predictions, from the nearest to the farthest",
                "Nats, on a logarithmic scale: so much or less is the divergence of this share of the predictions.",
                {"KL divergence": spread},
                [f"{round(100 * place / (len(spread) - 1))}%" for place in range(len(spread))],
                logarithmic=True,
            )
        )
    if certificate.blocks:
        curves = {
            "in the model: what it and all before it do wrong": [block.so_far for block in certificate.blocks],
            "its own, given the source's input": [block.own for block in certificate.blocks],
        }
        note = "Length of the difference of what a decoder layer puts out, over the length of what the source's does."
        names = [str(block.index) for block in certificate.blocks]
        found.append(plot("Relative error of each decoder layer", note, curves, names))
    return found


def plot(
    title: str, note: str, curves: Mapping[str, Sequence[float]], names: Sequence[str], *, logarithmic: bool = False
) -> Plot:
    """Curves of equally many values at equal distances.

    Args:
        names: Of the places along; every so many is written.
        logarithmic: The scale across; values that are not above 0 lie at its lower end.
    """
    finite = [value for values in curves.values() for value in values if math.isfinite(value)]
    high = max(finite, default=1.0) or 1.0
    low = max(min((value for value in finite if value > 0), default=high), high * 1e-9) if logarithmic else 0.0
    room = _HEIGHT - _TOP - _BOTTOM

    def across(value: float) -> float:
        if not logarithmic:
            share = value / high
        elif high > low:
            share = math.log(max(value, low) / low) / math.log(high / low)
        else:
            share = 1.0
        return round(_TOP + room * (1 - min(max(share, 0.0), 1.0)), 1)

    def along(place: int) -> float:
        return round(_LEFT + 12 + (_WIDTH - _LEFT - 36) * place / max(len(names) - 1, 1), 1)

    lines = [
        Line(name, style, " ".join(f"{along(place)},{across(value)}" for place, value in enumerate(values)
                                   if math.isfinite(value)))
        for (name, values), style in zip(curves.items(), ("one", "two"), strict=False)
    ]  # fmt: skip
    steps = [share / _LINES for share in range(_LINES + 1)]
    marks = [low * (high / low) ** share if logarithmic else high * share for share in steps]
    every = max(1, math.ceil(len(names) / 12))
    written = tuple(Mark(along(place), name) for place, name in enumerate(names) if place % every == 0)
    return Plot(title, note, tuple(lines), written, tuple(Mark(across(value), f"{value:.2g}") for value in marks))
