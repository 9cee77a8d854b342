"""A few uneven conversations, and the configuration of quick runs on them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from swift.config.sft import SftConfig

WORDS = "the cat sat on a mat while seven dogs barked at an old moon and nobody knew why it rained so much".split()


def write_rows(path: Path, count: int, *, seed: int = 0, longest: int = 40) -> Path:
    """Conversations of one or two turns and very different lengths."""
    draw = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            messages = []
            for _ in range(draw.choice((1, 1, 2))):
                question, answer = (" ".join(draw.choices(WORDS, k=draw.randint(1, longest))) for _ in range(2))
                messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": messages}) + "\n")
    return path


def configure(tiny: Path, rows: Path, output: Path, **sections: dict[str, Any]) -> SftConfig:
    """A quick float32 run on the CPU; `sections` are added to the configuration."""
    values: dict[str, Any] = {
        "model": {"id": str(tiny), "dtype": "float32", "device": "cpu"},
        "data": {"train": [str(rows)], "cache": False, "workers": 0},
        "batch": {"size": 4, "accumulation": 2},
        "tuner": {"type": "lora", "rank": 4},
        "optimizer": {"learning_rate": 1e-2},
        "loop": {"max_steps": 6},
        "logging": {"every": 1, "plots": False},
        "output_dir": str(output),
    }
    for name, section in sections.items():
        current = values.get(name)
        values[name] = {**current, **section} if isinstance(current, dict) and name != "tuner" else section
    return SftConfig.model_validate(values)
