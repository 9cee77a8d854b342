"""What the harness must know of a system in order to run it through that system's own command line."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.recipe import TUNERS, Job, Tuner

Flags = Mapping[str, str | int | float | bool | Path]


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one run.

    Attributes:
        argv: The command; relative programs are looked up in the environment's own folder of programs.
        progress: The file that gets a line at the end of every step.
        env: Extra environment variables.
    """

    argv: tuple[str, ...]
    progress: Path
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class System:
    """One contestant.

    Attributes:
        name: What it is called in tables and on the command line.
        distributions: Whose versions are worth reporting, the system's own first.
        prepare: Writes the rows and configuration of a job in the system's form and says how to start it. The
            rendered rows are there for systems that take plain text.
        is_step: Whether a line of the progress file is the end of a step.
        losses: The loss of every step of a finished job, as exact as the system writes it.
        tuners: What it is compared in.
    """

    name: str
    distributions: tuple[str, ...]
    prepare: Callable[[Job, Path], Launch]
    is_step: Callable[[str], bool]
    losses: Callable[[Job], list[float]]
    tuners: tuple[Tuner, ...] = TUNERS


def words(flags: Flags) -> list[str]:
    """`--name value` for each flag, booleans in lower case."""
    spelled = ((name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in flags.items())
    return [word for name, value in spelled for word in (f"--{name}", value)]


_LOG = re.compile(r"\{'loss': ")


def is_trainer_log(line: str) -> bool:
    """Whether a line is the per-step log that `transformers.Trainer` prints."""
    return _LOG.match(line) is not None


def printed_losses(path: Path) -> list[float]:
    """Losses that `transformers.Trainer` printed, rounded to four digits by it."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [float(ast.literal_eval(line)["loss"]) for line in lines if is_trainer_log(line)]


def trainer_state_losses(folder: Path) -> list[float]:
    """Losses in the `trainer_state.json` of `transformers.Trainer` under `folder`, where it is written once.

    Raises:
        FileNotFoundError: There is none.
    """
    states = sorted(folder.rglob("trainer_state.json"))
    if not states:
        raise FileNotFoundError(f"no trainer_state.json under {folder}")
    history = json.loads(states[0].read_text(encoding="utf-8"))["log_history"]
    return [float(entry["loss"]) for entry in history if "loss" in entry]
