"""A checkup on the terminal: in colour, or with brackets around what is trained on where there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from swift.checking.findings import Checkup, Fact, Fate, Finding, Sample, TurnPieces
from swift.checking.lengths import Lengths
from swift.checking.visible import visible

OPEN, CLOSE = "⟦", "⟧"
"""Around what is trained on, where there are no colours."""

_TRAINED = ("black on green", "black on bright_green")  # neighbouring tokens differ
_MORE = ("black on yellow", "black on bright_yellow")  # of a weight above 1
_LESS = ("black on cyan", "black on bright_cyan")  # of one below 1
_CONTEXT = ("grey50", "grey66")
_STATUS = {
    "ok": ("ok", "green"),
    "note": ("note", "cyan"),
    "warning": ("warning", "yellow"),
    "problem": ("FAILS", "bold red"),
}
_BAR = 40
_EIGHTHS = " ▏▎▍▌▋▊▉"


def show(checkup: Checkup, console: Console) -> None:
    """Print everything."""
    _facts("What is checked", checkup.facts, console)
    for sample in checkup.samples:
        _sample(sample, console)
    if checkup.predicates:
        _findings("Predicates", checkup.predicates, console)
    _totals(checkup, console)
    if checkup.lengths is not None:
        _lengths(checkup.lengths, console)
    _findings("Rows", checkup.findings, console)
    if checkup.steps:
        _facts("Steps", checkup.steps, console)
    warnings = sum(finding.status == "warning" for finding in (*checkup.predicates, *checkup.findings))
    verdict = ("Training could not go.", "bold red") if checkup.problems else ("Training could go.", "bold green")
    console.print()
    console.print(Text.assemble(verdict, f" {warnings} warnings." if warnings != 1 else " 1 warning."))


def sample_text(sample: Sample, *, colour: bool) -> Text:
    """The tokens of a sample, a paragraph for each turn."""
    lines = Text()
    for turn in sample.turns:
        lines.append(f"{turn.role} ({turn.number}) ", style="bold")
        lines.append_text(_coloured(turn) if colour else Text("".join(_bracketed(turn))))
        if not turn.pieces[-1].text.endswith("\n"):
            lines.append("\n")
    return lines


def weights_of(sample: Sample) -> str:
    """How many tokens have which weight; empty where all that are trained on have the same, 1."""
    counts: Counter[float] = Counter()
    for turn in sample.turns:
        for piece in turn.pieces:
            counts[piece.weight] += len(piece.ids)
    if counts.keys() <= {0.0, 1.0}:
        return ""
    told = [f"{count:,} of weight {weight:g}" for weight, count in sorted(counts.items())]
    return f"tokens by weight: {', '.join(told)}"


def bars(lengths: Lengths) -> Iterator[str]:
    """The histogram, a line for each bin."""
    most = max(bin.count for bin in lengths.bins)
    wide = len(f"{lengths.bins[-1].high:,}")
    for bin in lengths.bins:
        eighths = -(-bin.count * _BAR * 8 // most)
        bar = "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
        yield f"{bin.low:>{wide},} - {bin.high:>{wide},}  {bar:<{_BAR}}  {bin.count:,}"


def _coloured(turn: TurnPieces) -> Text:
    text = Text()
    for number, piece in enumerate(turn.pieces):
        text.append(visible(piece.text), style=_styles(piece.weight)[number % 2])
    return text


def _styles(weight: float) -> tuple[str, str]:
    if not weight:
        return _CONTEXT
    return _TRAINED if weight == 1 else _MORE if weight > 1 else _LESS


def _bracketed(turn: TurnPieces) -> Iterator[str]:
    """The text with brackets; behind an opening one stands a weight that is not 1, such as `⟦2× `."""
    weight = 0.0
    for piece in turn.pieces:
        if piece.weight != weight:
            yield (CLOSE if weight else "") + (_opened(piece.weight) if piece.weight else "")
            weight = piece.weight
        yield visible(piece.text)
    if weight:
        yield CLOSE


def _opened(weight: float) -> str:
    return OPEN if weight == 1 else f"{OPEN}{weight:g}× "


def _heading(text: str, console: Console) -> None:
    console.print()
    console.print(Text(text, style="bold underline"))


def _facts(title: str, facts: Sequence[Fact], console: Console) -> None:
    _heading(title, console)
    wide = max(len(name) for name, _ in facts)
    for name, value in facts:
        console.print(Text.assemble((f"{name:<{wide}}  ", "cyan"), visible(value)))


def _sample(sample: Sample, console: Console) -> None:
    part = f", sequence {sample.part} of {sample.parts}" if sample.parts > 1 else ""
    _heading(f"{sample.origin}{part}: {sample.trained} of {sample.tokens} tokens are trained on", console)
    if told := weights_of(sample):
        console.print(Text(told, style="cyan"))
    console.print(sample_text(sample, colour=console.is_terminal), end="")


def _findings(title: str, findings: Sequence[Finding], console: Console) -> None:
    _heading(title, console)
    wide = max(len(finding.name) for finding in findings)
    for finding in findings:
        word, style = _STATUS[finding.status]
        console.print(Text.assemble((f"{word:<8}", style), f"{finding.name:<{wide}}  ", visible(finding.detail)))


def _totals(checkup: Checkup, console: Console) -> None:
    totals = checkup.totals
    _heading("What becomes of the rows", console)
    table = Table(show_edge=False, pad_edge=False, box=None)
    for name in ("kept", "truncated", "split", "dropped", "failed"):
        table.add_column(name, justify="right")
    counts = (totals.kept, totals.truncated, totals.split, totals.dropped, totals.failed)
    table.add_row(*(f"{count:,}" for count in counts))
    console.print(table)
    for fate in checkup.fates:
        console.print(Text(_fate_title(fate), style="yellow"))
        for example in fate.examples:
            console.print(Text(f"  {visible(example)}"))
        if fate.rows > len(fate.examples):
            console.print(Text(f"  and {fate.rows - len(fate.examples):,} more"))


def _fate_title(fate: Fate) -> str:
    remark = ", remark" if fate.outcome == "kept" else ""
    return f"{fate.rows:,} {fate.outcome}{remark}: {fate.reason.replace('_', ' ')}"


def _lengths(lengths: Lengths, console: Console) -> None:
    _heading("Lengths of training sequences, in tokens", console)
    for line in bars(lengths):
        console.print(Text(line))
    marks = "  ".join(f"p{percent} {length:,}" for percent, length in lengths.percentiles)
    console.print(
        Text(
            f"shortest {lengths.shortest:,}  {marks}  longest {lengths.longest:,}  "
            f"mean {lengths.mean:,.0f}  max_length {lengths.max_length:,}"
        )
    )
