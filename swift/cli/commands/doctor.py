"""`swift doctor`: versions, devices, hubs; what is broken, and the line that mends it."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.markup import escape

from swift import __version__
from swift.cli import checks
from swift.cli.checks import Finding

_MARKS = {"ok": "[green]ok  [/green]", "note": "[yellow]note[/yellow]", "bad": "[red]bad [/red]"}


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 if training would work here, else 2."""
    parser = argparse.ArgumentParser(prog="swift doctor", description="Check whether training would work here.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    findings = []
    console = Console(highlight=False, soft_wrap=True)
    for section, group in groupby(_all(), key=lambda finding: finding.section):
        lines = list(group)
        findings += lines
        if not options.json:
            _print(section, lines, console)
    bad = [finding for finding in findings if finding.status == "bad"]
    if options.json:
        rows = [dataclasses.asdict(finding) for finding in findings]
        print(json.dumps({"version": __version__, "ok": not bad, "findings": rows}))
    elif bad:
        console.print(f"[red]training would not work here[/red]: {escape(', '.join(finding.name for finding in bad))}")
    else:
        console.print("[green]training works here[/green]")
    return 2 if bad else 0


def _all() -> Iterator[Finding]:
    yield Finding("swift", "version", __version__)
    yield from checks.machine()
    yield from checks.packages()
    yield from checks.devices()
    yield from checks.hubs()
    yield from checks.caches()


def _print(section: str, findings: Sequence[Finding], console: Console) -> None:
    console.print(f"[bold]{escape(section)}[/bold]")
    for finding in findings:
        console.print(f"  {_MARKS[finding.status]} {escape(finding.name)}: {escape(finding.value)}")
        if finding.fix:
            console.print(f"       fix: {escape(finding.fix)}")
