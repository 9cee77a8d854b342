"""A checkup as one HTML file that needs nothing else."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

import swift
from swift.checking.findings import Checkup
from swift.checking.lengths import Lengths
from swift.checking.terminal import weights_of
from swift.checking.visible import visible

_WIDTH, _HEIGHT, _BASE = 720, 180, 24


def page(checkup: Checkup) -> str:
    """The report. All text of rows is escaped; no script runs and nothing is fetched."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["visible"] = visible
    environment.filters["weights_of"] = weights_of
    source = files("swift.checking").joinpath("report.html.j2").read_text(encoding="utf-8")
    columns = [] if checkup.lengths is None else histogram(checkup.lengths)
    warnings = sum(finding.status == "warning" for finding in (*checkup.predicates, *checkup.findings))
    return environment.from_string(source).render(
        checkup=checkup,
        version=swift.__version__,
        columns=columns,
        width=_WIDTH,
        height=_HEIGHT,
        base=_BASE,
        warnings=warnings,
    )


def histogram(lengths: Lengths) -> list[dict[str, float | str]]:
    """A column of the picture for each bin: its place and size in SVG units, its label, and what it says."""
    most = max(bin.count for bin in lengths.bins)
    step = _WIDTH / len(lengths.bins)
    return [
        {
            "x": round(number * step + step * 0.08, 2),
            "width": round(step * 0.84, 2),
            "height": round(bin.count / most * (_HEIGHT - _BASE - 18), 2),
            "label": f"{bin.low:,}",
            "count": f"{bin.count:,}",
            "title": f"{bin.low:,} to {bin.high:,} tokens: {bin.count:,} sequences",
        }
        for number, bin in enumerate(lengths.bins)
    ]
