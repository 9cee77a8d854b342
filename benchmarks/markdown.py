"""The tables of a report, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.recipe import Mode, Tuner
from benchmarks.report import METRICS, OURS, Run, by_system, judge, loss_gaps, medians, ratios


def page(tuner: Tuner, mode: Mode, runs: Sequence[Run], facts: Mapping[str, str]) -> str:
    """The whole report of one tuner and mode."""
    grouped = by_system(runs)
    parts = [f"# {tuner}, {mode}", "\n".join(f"- {name}: {value}" for name, value in facts.items())]
    parts += ["## Measured (median over rounds, then every round)", values_table(runs)]
    found = ratios(medians(runs))
    if found:
        parts += ["## Ratios, ours / peer", ratios_table(found)]
        parts.append("\n".join(f"- {line}" for line in judge(tuner, mode, found)))
    if mode == "matched" and len(grouped) > 1:
        parts += ["## Losses, step by step (first round)", losses_section(runs)]
    noise = ", ".join(f"{run.system} {run.round}: {run.measured.other_cpu:.0%}" for run in runs)
    parts.append(f"Processor time taken by other processes during each run: {noise}.")
    return "\n\n".join(parts) + "\n"


def summary(found: Mapping[tuple[Tuner, Mode], Sequence[Run]]) -> str:
    """A row for each tuner, mode and peer: what matters most. Losses of the first round, where batches are the same."""
    rows = []
    for (tuner, mode), runs in found.items():
        speeds, memory = medians(runs)["tokens_per_second"], medians(runs)["peak_tree"]
        losses = {system: own[0].losses for system, own in by_system(runs).items()}
        for peer in [name for name in speeds if name != OURS and OURS in speeds]:
            row = [tuner, mode, peer, f"{speeds[OURS]:.1f}", f"{speeds[peer]:.1f}"]
            row += [f"{speeds[OURS] / speeds[peer]:.2f}", f"{memory[OURS] / memory[peer]:.2f}"]
            if mode == "matched":
                gap = loss_gaps({OURS: losses[OURS], peer: losses[peer]})["ours"]
                row += [f"{sum(losses[name]) / len(losses[name]):.5f}" for name in (OURS, peer)]
                row.append(f"{gap.largest:.4f}")
            rows.append(row + [""] * (len(_SUMMARY) - len(row)))
    return table(_SUMMARY, rows) + "\n"


_SUMMARY = (
    *("tuner", "mode", "peer", "ours, real tokens/s", "peer", "ours / peer", "memory, ours / peer"),
    *("mean loss, ours", "peer", "largest difference in a step"),
)


def values_table(runs: Sequence[Run]) -> str:
    """A row a metric, a column a system."""
    grouped, middle = by_system(runs), medians(runs)
    rows = []
    for key, metric in METRICS.items():
        cells = []
        for system, own in grouped.items():
            each = " / ".join(f"{metric.value(run):.{metric.digits}f}" for run in own)
            cells.append(f"**{middle[key][system]:.{metric.digits}f}** ({each})")
        rows.append([metric.name, *cells])
    return table(["", *grouped], rows)


def ratios_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """A row a metric, a column a peer, and the best peer of each metric last."""
    peers = list(next(iter(found.values())))
    rows = []
    for key, against in found.items():
        arrow = "higher is better" if METRICS[key].higher_is_better else "lower is better"
        rows.append([f"{METRICS[key].name} ({arrow})", *(f"{against[peer]:.2f}" for peer in peers)])
    return table(["", *(f"/ {'best peer' if peer == 'best' else peer}" for peer in peers)], rows)


def losses_section(runs: Sequence[Run]) -> str:
    """Every step's loss in each system, and the largest differences."""
    losses = {system: own[0].losses for system, own in by_system(runs).items()}
    names = {"ours": "ours against the farthest peer", "peers": "the peers among themselves"}
    lines = [
        f"- {names[which]}: largest difference {gap.largest:.4f} (step {gap.step}), mean {gap.mean:.4f}"
        for which, gap in loss_gaps(losses).items()
    ]
    means = ", ".join(f"{system} {sum(values) / len(values):.5f}" for system, values in losses.items())
    lines.append(f"- mean loss: {means}")
    steps = min(len(values) for values in losses.values())
    rows = [[str(step + 1), *(f"{values[step]:.4f}" for values in losses.values())] for step in range(steps)]
    return "\n".join(lines) + "\n\n" + table(["step", *losses], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; numbers are aligned right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
