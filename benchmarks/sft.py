"""Fine-tune the same rows with every system, side by side: `python -m benchmarks.sft --rows FILE`.

With `--tuner lora dora full galore` they are compared in these one after the other. Each run is a process of its own,
through that system's own command line, in that system's own environment; the systems take turns (A B C D A B C D). An
interrupted comparison goes on with --resume.
See README.md in this folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.arguments import Arguments, parse
from benchmarks.markdown import page, summary
from benchmarks.measure import Measurement, measure
from benchmarks.recipe import RECIPE, Job, Mode, Tuner
from benchmarks.report import Run
from benchmarks.surroundings import describe, environment, installed, machine
from benchmarks.systems import SYSTEMS, System
from benchmarks.tokens import count, load_tokenizer, render


@dataclass(frozen=True, slots=True)
class Contest:
    """All that the runs of one tuner and mode share.

    Attributes:
        counts: Real tokens of each row.
        versions: System -> distribution -> version.
    """

    arguments: Arguments
    tuner: Tuner
    mode: Mode
    counts: tuple[int, ...]
    versions: Mapping[str, Mapping[str, str]]

    @property
    def folder(self) -> Path:
        """Where the runs lie."""
        return self.arguments.out / self.tuner / self.mode

    @property
    def systems(self) -> list[System]:
        """Those that take part, in the order of running."""
        return [SYSTEMS[name] for name in self.arguments.environments if self.tuner in SYSTEMS[name].tuners]

    def job(self, name: str) -> Job:
        """The job in the folder `name`."""
        arguments = self.arguments
        preload = arguments.preload if self.mode == "matched" else None
        return Job(
            arguments.model,
            arguments.examples,
            self.folder / name,
            self.mode,
            self.tuner,
            arguments.dtype,
            arguments.max_steps,
            preload,
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """A run that is not repeated as long as `spec`, the hash of what it depends on, stays."""

    spec: str
    run: Run


KEPT = TypeAdapter(Kept)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    arguments = parse(argv)
    tokenizer = load_tokenizer(arguments.model)
    counts = tuple(count(render(arguments.examples, tokenizer), tokenizer, RECIPE.max_length))
    versions = {name: installed(python, SYSTEMS[name].distributions) for name, python in arguments.environments.items()}
    print(f"{len(counts)} rows, {sum(counts)} real tokens; {machine()}", flush=True)
    found = {}
    for tuner, mode in product(arguments.tuners, arguments.modes):
        contest = Contest(arguments, tuner, mode, counts, versions)
        warm_up(contest)
        found[tuner, mode] = contend(contest)
        write_report(contest, found[tuner, mode])
    text = summary(found)
    (arguments.out / "summary.md").write_text(text, encoding="utf-8")
    print(text, flush=True)


def contend(contest: Contest) -> list[Run]:
    """Every system in turn, round after round."""
    runs = []
    for number in range(1, contest.arguments.rounds + 1):
        for system in contest.systems:
            run = run_once(contest, system, number)
            runs.append(run)
            seen = run.measured
            print(
                f"{contest.tuner} {contest.mode} round {number} {system.name}: {run.tokens_per_second:.1f} tokens/s, "
                f"first step after {seen.step_ends[0]:.1f} s, whole process {seen.wall:.1f} s, "
                f"{seen.peak_tree_mib:.0f} MiB, others used {seen.other_cpu:.0%} of the processor",
                flush=True,
            )
    return runs


def run_once(contest: Contest, system: System, number: int) -> Run:
    """One run, or its kept result.

    Raises:
        CommandError: The system failed.
        ValueError: It took another number of steps than the rows make.
    """
    job = contest.job(f"{number}-{system.name}")
    kept = job.folder / "result.json"
    spec = fingerprint(contest, system)
    if contest.arguments.resume and kept.exists():
        result = KEPT.validate_json(kept.read_bytes())
        if result.spec == spec:
            return result.run
    measured = execute(contest, system, job)
    losses = tuple(system.losses(job))
    rows = contest.counts[: None if job.max_steps is None else job.max_steps * RECIPE.batch]
    steps = -(-len(rows) // RECIPE.batch)
    if not len(losses) == len(measured.step_ends) == steps:
        seen = f"{len(losses)} losses and {len(measured.step_ends)} lines of progress"
        raise ValueError(f"{system.name}: {seen}, but the rows make {steps} steps of {RECIPE.batch}")
    run = Run(system.name, number, sum(rows), measured, losses)
    kept.write_bytes(KEPT.dump_json(Kept(spec, run), indent=1))
    return run


def warm_up(contest: Contest) -> None:
    """A short run of every system, so that its files are in the page cache."""
    for system in contest.systems:
        if contest.arguments.warmup:
            job = dataclasses.replace(contest.job(f"0-{system.name}"), max_steps=contest.arguments.warmup)
            wall = execute(contest, system, job).wall
            print(f"{contest.tuner} {contest.mode} warm-up {system.name}: {wall:.1f} s", flush=True)


def execute(contest: Contest, system: System, job: Job) -> Measurement:
    """Run a job in an empty folder."""
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    arguments = contest.arguments
    python = arguments.environments[system.name]
    launch = system.prepare(job, python)
    return measure(
        launch.argv,
        env=environment(python, job.folder / "cache", arguments.out, arguments.threads, job.preload) | dict(launch.env),
        folder=job.folder,
        progress=launch.progress,
        is_step=system.is_step,
        timeout=arguments.timeout,
    )


def fingerprint(contest: Contest, system: System) -> str:
    """Changes with anything that a run's result depends on, as far as it is known here."""
    arguments = contest.arguments
    facts = {
        "tuner": contest.tuner,
        "mode": contest.mode,
        "model": str(arguments.model),
        "examples": [example.messages() for example in arguments.examples],
        "recipe": dataclasses.asdict(RECIPE),
        "dtype": arguments.dtype,
        "max_steps": arguments.max_steps,
        "threads": arguments.threads,
        "preload": str(contest.job("").preload),
        "versions": contest.versions[system.name],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def write_report(contest: Contest, runs: Sequence[Run]) -> None:
    """Write TUNER/MODE.json and TUNER/MODE.md in the results folder, and print the latter."""
    arguments = contest.arguments
    preload = contest.job("").preload
    facts = {
        "machine": machine(),
        "rows": f"{len(contest.counts)} of {arguments.rows or 'made-up words'}, {sum(contest.counts)} real tokens",
        "steps": "one epoch" if arguments.max_steps is None else str(arguments.max_steps),
        "model": f"{arguments.model.name} in {arguments.dtype}",
        "recipe": ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(RECIPE).items()),
        "threads": str(arguments.threads),
        "preloaded": preload.name if preload else "nothing",
    }
    for system in contest.systems:
        facts[system.name] = describe(contest.versions[system.name])
    record = {"facts": facts, "runs": [dataclasses.asdict(run) for run in runs]}
    contest.folder.with_suffix(".json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    text = page(contest.tuner, contest.mode, runs, facts)
    contest.folder.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text, flush=True)


if __name__ == "__main__":
    main()
