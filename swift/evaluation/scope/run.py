"""`swift eval --eval_backend evalscope`: evalscope's sets, asked of our engines by way of a server."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from swift.config.engine import ServedConfig, engine_identity
from swift.config.runs import EvalConfig
from swift.data.plugins import load_plugins
from swift.data.progress import row_progress
from swift.engines.folders import Plan
from swift.engines.open import plan_of
from swift.environments import scope_file
from swift.environments.specs import SPECS
from swift.environments.store import Environment, home, require
from swift.environments.worker import Event, run_worker
from swift.errors import ConfigError, EngineError, SwiftError
from swift.evaluation.page import write_page
from swift.evaluation.report import show
from swift.evaluation.result import Line, Result, write_result
from swift.evaluation.scope.results import lines_of, lost_metrics, result_of
from swift.evaluation.scope.server import Asked, asked
from swift.evaluation.scope.sets import Wanted, wanted_sets
from swift.evaluation.task import Task
from swift.inference.batch import answers_identity
from swift.inference.results import claim
from swift.types import Sampling

ENVIRONMENT = "evalscope"
_HINT = "evalscope's own words are in the folder evalscope/logs of the set"
_RETRY_SECONDS = 2


def evaluate_sets(config: EvalConfig) -> tuple[Result, ...]:
    """Judge a model by sets of evalscope.

    The output folder gets a folder for each set, with `samples.jsonl`, `summary.json` and evalscope's own files in
    `evalscope`; and `report.html`. A run that was stopped goes on with the questions that have no answer.

    Returns:
        The result of each set.

    Raises:
        EngineError: evalscope is not installed in an environment of its own, or has failed.
        SwiftError: A model, adapter, set or option cannot be used.
    """
    load_plugins(config.plugins)
    environment = require(ENVIRONMENT, home(config.scope.environment_dir))
    plan = plan_of(config)
    sets = wanted_sets(config)
    job = _job(config, sets)
    totals: dict[int, int] = {}
    _run(environment, job, lambda event: totals.update({event["set"]: event["total"]}) if "total" in event else None)
    for wanted in sets:
        _claim(config, plan, wanted)
        say(f"{wanted.label}: {totals[sets.index(wanted)]:,} questions")
    begun = time.monotonic()
    with asked(config, plan, job["at_once"]) as server:
        versions = _asked(environment, job, sets, totals, server)
    facts = {
        "model": " + ".join([plan.model.id or server.model, *map(str, plan.adapters.values())]),
        "engine": engine_identity(config.engine),
        "evalscope": versions["evalscope"],
        "seconds": time.monotonic() - begun,
    }
    return _written(sets, facts, Path(config.output_dir))


def say(line: str) -> None:
    """A line for the user."""
    sys.stderr.write(f"{line}\n")


def _job(config: EvalConfig, sets: Sequence[Wanted]) -> dict[str, Any]:
    """What the worker is told, but for the server; see `swift/environments/scope.py`."""
    return {
        "sets": [
            {"name": wanted.name, "args": dict(wanted.args), "folder": str(wanted.work.absolute())} for wanted in sets
        ],
        "at_once": config.scope.at_once or config.max_batch_size,
        "limit": config.benchmark.limit,
        "seed": config.seed,
        "generation": _generation(config),
        "run_code": config.benchmark.run_code,
        "options": config.scope.options,
    }


def _generation(config: EvalConfig) -> dict[str, Any]:
    """Our sampling in evalscope's words; what is as it is anyway is not said, since not every server knows all."""
    rules = config.generation
    values: dict[str, Any] = {
        "max_tokens": rules.max_new_tokens,
        "temperature": rules.temperature,
        "seed": config.seed,
        "retry_interval": _RETRY_SECONDS,
    }
    if isinstance(config.engine, ServedConfig):
        values |= {"retries": 1 + config.engine.retries, "timeout": config.engine.timeout}
    if rules.top_p != 1.0:
        values["top_p"] = rules.top_p
    if rules.top_k:
        values["top_k"] = rules.top_k
    if rules.repetition_penalty != 1.0:
        values["repetition_penalty"] = rules.repetition_penalty
    if rules.stop:
        values["stop_seqs"] = list(rules.stop)
    if rules.min_p:
        values["extra_body"] = {"min_p": rules.min_p}
    return values


def _claim(config: EvalConfig, plan: Plan, wanted: Wanted) -> None:
    """Make sure that answers which are there already are of the same model, asked the same way."""
    identity = {
        **answers_identity(config, plan),
        "backend": f"evalscope {SPECS[ENVIRONMENT].fingerprint}",
        "eval_dataset_args": {**wanted.args, "local_path": None},
        "rows": wanted.rows,
        "extra_eval_args": config.scope.options,
    }
    try:
        claim(wanted.work, identity, "output_dir")
    except OSError as error:
        raise ConfigError(f"--output_dir {wanted.folder}: {error.strerror}", hint="name another folder") from error


def _asked(
    environment: Environment, job: Mapping[str, Any], sets: Sequence[Wanted], totals: Mapping[int, int], server: Asked
) -> Mapping[str, str]:
    """Let evalscope ask, and show how far it is; returns the versions of what did it."""
    done = dict.fromkeys(totals, 0)
    entries = [{**entry, "total": totals[number]} for number, entry in enumerate(job["sets"])]
    full = {**job, "sets": entries, "url": server.url, "key": server.key, "model": server.model}
    with row_progress("evalscope", total=sum(totals.values()), shown=True) as progress:

        def on_event(event: Event) -> None:
            if "done" in event:
                progress(event["done"] - done[event["set"]])
                done[event["set"]] = event["done"]

        return _run(environment, full, on_event, server.failure)


def _run(
    environment: Environment,
    job: Mapping[str, Any],
    on_event: Callable[[Event], None],
    failure: Callable[[], SwiftError | None] = lambda: None,
) -> Mapping[str, str]:
    """Run the worker to its end.

    Raises:
        SwiftError: It, or the server that it asks, has failed; says why.
    """
    told: dict[str, Any] = {}

    def take(event: Event) -> None:
        told.update(event)
        on_event(event)

    with tempfile.TemporaryDirectory(prefix="swift-eval-") as place:  # a folder that only this user can read
        file = Path(place) / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        # A proxy is no way to this machine, and the user's texts are none of its business.
        local = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
        command = [str(environment.python), "-I", str(scope_file()), str(file)]
        code, last = run_worker(command, take, local if "url" in job else None)
    if code or "versions" not in told:
        gone = failure()
        if gone is not None:
            raise gone
        if told.get("hint"):
            raise ConfigError(told["error"], hint=told["hint"])
        raise EngineError(f"evalscope has failed (exit code {code}): {told.get('error') or last}", hint=_HINT)
    versions: Mapping[str, str] = told["versions"]
    return versions


def _written(sets: Sequence[Wanted], facts: Mapping[str, Any], folder: Path) -> tuple[Result, ...]:
    tasks: list[Task] = []
    results: list[Result] = []
    samples: list[Sequence[Line]] = []
    for wanted in sets:
        lines = lines_of(wanted)
        metric, result = result_of(wanted, lines, {**facts, "shots": wanted.args.get("few_shot_num")})
        write_result(result, lines, wanted.folder)
        task = Task(wanted.label, "evalscope", metric, (), wanted.folder, Sampling())
        show(task, result)
        for name, why in lost_metrics(wanted).items():
            say(f"note: {wanted.label}: evalscope could not compute {name}, which is left out: {why}")
        tasks.append(task)
        results.append(result)
        samples.append(lines)
    write_page(tasks, results, samples, folder)
    return tuple(results)
