"""`swift bench`: train and judge each experiment, keep what was measured, write the table."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status

from swift.comparing.plan import BenchPlan, Experiment, Task, read_plan, slug
from swift.comparing.process import run_command
from swift.comparing.result import Result, load_result, training_values
from swift.comparing.table import write_tables
from swift.config.bench import BenchConfig
from swift.config.chat import ChatConfig
from swift.config.option import Config
from swift.errors import ConfigError, TrainingError, UnknownNameError
from swift.evaluation.result import read_summary, set_folders
from swift.train.atomic import write_atomic
from swift.train.listeners.jsonl import FILE, read_lines

RUN, LOG = "run", "log.txt"
_MAIN = {"toolbench": "act_em"}
"""The score that stands in the table, where it is not the metric's first."""


def bench(config: BenchConfig) -> tuple[Result, ...]:
    """Run the experiments one after the other, each in a process of its own, and write the table after each.

    What was measured by an earlier bench of the same experiment is not measured again. An experiment that fails does
    not stop the others.

    Returns:
        The rows of the table.

    Raises:
        ProblemsError: Something is wrong with the file of experiments.
        TrainingError: Experiments failed; the others are in the table.
    """
    plan = read_plan(config.file)
    names = [experiment.name for experiment in plan.experiments]
    for name in config.only:
        if name not in names:
            raise UnknownNameError("experiment", name, names)
    chosen = [experiment for experiment in plan.experiments if not config.only or experiment.name in config.only]
    folder = Path(config.output_dir)
    console = Console(stderr=True, highlight=False)
    if config.dry_run:
        for experiment in chosen:
            console.print(f"{experiment.name}: {experiment.config.tuner.type if experiment.trains else 'not tuned'}")
        return ()
    results: list[Result] = []
    for number, experiment in enumerate(chosen, start=1):
        with console.status(f"{number}/{len(chosen)} {experiment.name}") as status:
            result, fresh = _measured(plan, experiment, folder, f"{number}/{len(chosen)} {experiment.name}", status)
        console.print(f"{number}/{len(chosen)} {result.name}: {_told(result)}{'' if fresh else ' (measured before)'}")
        results.append(result)
        write_tables(plan.title, results, [task.name for task in plan.tasks], folder)
    console.print(f"{folder}: table.csv, table.md, report.html")
    failed = [result for result in results if result.error]
    if failed:
        raise TrainingError(
            f"{len(failed)} of {len(results)} experiments failed: {', '.join(result.name for result in failed)}",
            hint=f"{folder / slug(failed[0].name) / LOG} says why; the same command tries them again",
        )
    return tuple(results)


def _measured(plan: BenchPlan, experiment: Experiment, folder: Path, title: str, status: Status) -> tuple[Result, bool]:
    """The experiment's row, and whether it was measured just now."""
    own = folder / slug(experiment.name)
    fingerprint = plan.fingerprint(experiment)
    before = load_result(own)
    if before is not None and before.fingerprint == fingerprint and not before.error:
        return replace(before, name=experiment.name), False
    _clear(own)
    result = Result(experiment.name, fingerprint)
    result = _trained(result, experiment, own, title, status) if experiment.trains else result
    for task in plan.tasks if not result.error else ():
        status.update(f"{title}: {task.name}")
        result = _judged(result, experiment, task, own)
    result.save(own)
    return result, True


def _clear(own: Path) -> None:
    """An empty folder for an experiment; what an earlier bench has left there goes, anything else is not touched.

    Raises:
        ConfigError: The folder is somebody else's.
    """
    if own.exists():
        if not (own / LOG).is_file() and any(own.iterdir()):
            raise ConfigError(f"{own} exists and holds no experiment", hint="choose another --output_dir")
        shutil.rmtree(own)
    own.mkdir(parents=True)
    (own / LOG).touch()


def _trained(result: Result, experiment: Experiment, own: Path, title: str, status: Status) -> Result:
    run = own / RUN
    config = experiment.config.model_copy(update={"output_dir": str(run), "overwrite": True})

    def show() -> None:
        steps = [line["step"] for line in read_lines(run / FILE)]
        status.update(f"{title}: training" + (f", step {steps[-1]:,}" if steps else ""))

    started = time.monotonic()
    error = run_command("sft", _written(config, own / "sft.json"), own / LOG, show)
    seconds = time.monotonic() - started
    if error:
        return replace(result, error=error)
    return replace(result, **training_values(run), seconds=seconds)


def _judged(result: Result, experiment: Experiment, task: Task, own: Path) -> Result:
    folder = own / f"task-{slug(task.name)}"
    update: dict[str, Any] = {"output_dir": str(folder)}
    run = own / RUN
    if experiment.trains and (run / "last" / "adapter_config.json").is_file():
        update["adapters"] = (str(run),)
    else:
        model = experiment.config.model
        update["model"] = model.model_copy(update={"id": str(run / "last")}) if experiment.trains else model
        if task.config.chat == ChatConfig():
            update["chat"] = experiment.config.chat.model_copy(update={"max_length": None})
    error = run_command("eval", _written(task.config.model_copy(update=update), own / "eval.json"), own / LOG, _nothing)
    if error:
        return replace(result, error=f"{task.name}: {error}")
    found = [read_summary(place) for place in set_folders(folder)]
    for one in found:
        name = next(name for name in (_MAIN.get(one.metric, ""), *one.scores) if name in one.scores)
        title = task.name if len(found) == 1 else f"{task.name}: {one.name}"
        result = replace(result, tasks={**result.tasks, title: one.scores[name].value})
        if one.facts.get("new_tokens") and result.infer_tokens_per_second is None:
            result = replace(result, infer_tokens_per_second=one.facts["new_tokens"] / one.facts["seconds"])
    return result


def _nothing() -> None:
    """There is nothing to show while a task runs."""


def _written(config: Config, path: Path) -> Path:
    """The configuration as a file that the command reads: JSON, which YAML contains."""
    write_atomic(path, json.dumps(config.model_dump(mode="json"), indent=2).encode())
    return path


def _told(result: Result) -> str:
    if result.error:
        return f"failed: {result.error}"
    parts = [f"eval loss {result.eval_loss:.4f}"] if result.eval_loss is not None else []
    parts += [f"{name} {value:.1f} %" for name, value in result.tasks.items() if value is not None]
    return ", ".join(parts) or "done"
