"""Rows of a small skill, dates in figures: `python rows.py FOLDER` writes train.jsonl and test.jsonl.

No date of the test is among those of the training.
"""

import json
import random
import sys
from datetime import date, timedelta
from pathlib import Path


def main(folder: Path, train: int = 320, test: int = 60) -> None:
    """Write both files."""
    rng = random.Random(0)
    days = rng.sample(range(365 * 60), train + test)
    rows = [_row(date(1965, 1, 1) + timedelta(days=day), rng) for day in days]
    folder.mkdir(parents=True, exist_ok=True)
    for name, some in (("train", rows[:train]), ("test", rows[train:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some), encoding="utf-8")


def _row(day: date, rng: random.Random) -> dict[str, list[dict[str, str]]]:
    words = rng.choice((f"{day:%B} {day.day}, {day.year}", f"{day.day} {day:%B} {day.year}"))
    asked = rng.choice(("Write this date as figures: {}", "{} in ISO format?", "Which ISO date is {}?")).format(words)
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": day.isoformat()}]}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
