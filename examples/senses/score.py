"""How many answers of `swift infer --val_dataset` are exactly the row's own; and the curves of runs.

python examples/senses/score.py answers.jsonl
python examples/senses/score.py --plot docs/images/senses.svg pictures=run1 videos=run2 sounds=run3
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> None:
    """Print the score of a result file, or plot."""
    if arguments[0] == "--plot":
        plot(Path(arguments[1]), dict(argument.split("=", 1) for argument in arguments[2:]))
        return
    rows = [json.loads(line) for line in Path(arguments[0]).read_text(encoding="utf-8").splitlines()]
    right = sum(row.get("response", "").strip() == row["label"] for row in rows)
    most = Counter(row["label"] for row in rows).most_common(1)[0][1]
    share, guess = right / len(rows), most / len(rows)
    print(f"{right} of {len(rows)} right: {share:.1%}; the most frequent answer alone: {guess:.1%}")


def plot(target: Path, runs: dict[str, str]) -> None:
    """Training loss, and accuracy on unseen rows, over minutes; one column a run."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(runs), figsize=(3.4 * len(runs), 4.6), sharex="col", sharey="row", squeeze=False)
    for column, (name, folder) in enumerate(runs.items()):
        lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        axes[0][column].plot(*_curve(lines, "loss"), lw=1)
        axes[1][column].plot(*_curve(lines, "eval_token_accuracy"), "o-", ms=3, color="tab:green")
        axes[0][column].set_title(name)
        axes[1][column].set_xlabel("minutes")
    axes[0][0].set_ylabel("training loss")
    axes[0][0].set_ylim(0, 2)
    axes[1][0].set_ylabel("right tokens of unseen rows")
    axes[1][0].set_ylim(0, 1)
    figure.tight_layout()
    figure.savefig(target)


def _curve(lines: list[dict[str, Any]], key: str) -> tuple[list[float], list[float]]:
    found = [line for line in lines if key in line]
    return [line["elapsed_seconds"] / 60 for line in found], [line[key] for line in found]


if __name__ == "__main__":
    main(sys.argv[1:])
