"""From the file of experiments to checked configurations: every mistake is found before the first one starts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from swift.config.files import read_nodes, walk
from swift.config.given import Given
from swift.config.option import Config
from swift.config.parse import parse_given
from swift.config.problems import Problem, ProblemsError
from swift.config.runs import EvalConfig
from swift.config.schema import table
from swift.config.sft import SftConfig

if TYPE_CHECKING:
    import yaml

_KEYS = ("title", "common", "tasks", "experiments")


@dataclass(frozen=True, slots=True)
class Task:
    """Something that every experiment is judged by.

    Attributes:
        name: Its column.
        config: Of `swift eval`; the model is put in for each experiment.
    """

    name: str
    config: EvalConfig


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row of the table.

    Attributes:
        name: As the table shows it.
        config: Of `swift sft`.
        trains: False for the model as it is.
    """

    name: str
    config: SftConfig
    trains: bool = True


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """All that is to be run."""

    title: str
    experiments: tuple[Experiment, ...]
    tasks: tuple[Task, ...]

    def fingerprint(self, experiment: Experiment) -> str:
        """Hash of all that decides the experiment's row."""
        parts = [experiment.config, *(task.config for task in self.tasks)]
        text = "\n".join([str(experiment.trains), *(part.model_dump_json() for part in parts)])
        return hashlib.sha256(text.encode()).hexdigest()


def read_plan(path: str) -> BenchPlan:
    """The experiments in the file `path`.

    Its keys: `title`; `common`, options of `swift sft` for all experiments; `experiments`, a list of options each, with
    a `name`, and `train: false` for the model as it is; `tasks`, a list of options of `swift eval` each, with a `name`.

    Raises:
        ProblemsError: Everything that is wrong, with the lines.
    """
    root = read_nodes(path)
    sections = {} if root is None else {str(key.value): value for key, value in root.value}
    unknown = [name for name in sections if name not in _KEYS]
    if unknown or "experiments" not in sections:
        why = f"unknown key {unknown[0]!r}" if unknown else "no experiments"
        raise ProblemsError([Problem(path, why, f"its keys are {', '.join(_KEYS)}")])
    problems: list[Problem] = []
    options = table(SftConfig)
    common = list(walk(sections["common"], (), path, options)) if "common" in sections else []
    experiments = []
    for name, node in _named(sections["experiments"], path, problems):
        trains = _take(node, "train") != "false"
        found = _parsed(SftConfig, [*common, *walk(node, (), path, options)], name, problems)
        if found is not None:
            experiments.append(Experiment(name, found, trains))
    tasks = []
    model = [given for given in common if given.name in ("model", "model.id")]
    for name, node in _named(sections["tasks"], path, problems) if "tasks" in sections else ():
        given = list(walk(node, (), path, table(EvalConfig)))
        judged = _parsed(EvalConfig, [*(model or [Given("model", "any", path, words=False)]), *given], name, problems)
        if judged is not None:
            tasks.append(Task(name, judged.model_copy(update={"model": None})))
    if problems:
        raise ProblemsError(problems)
    title = str(sections["title"].value) if "title" in sections else "Experiments"
    return BenchPlan(title, tuple(experiments), tuple(tasks))


def slug(name: str) -> str:
    """The name of an experiment's folder."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "experiment"


def _parsed(root: type[Any], given: Sequence[Given], name: str, problems: list[Problem]) -> Any:
    try:
        config: Config = parse_given(root, given).config
    except ProblemsError as error:
        problems.extend(replace(problem, why=f"{problem.why} (in {name!r})") for problem in error.problems)
        return None
    return config


def _named(node: yaml.Node, path: str, problems: list[Problem]) -> Iterator[tuple[str, yaml.MappingNode]]:
    """The mappings of a list, with their names, which are taken out."""
    import yaml

    seen: set[str] = set()
    for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        where = f"{path} line {item.start_mark.line + 1}"
        if not isinstance(item, yaml.MappingNode):
            problems.append(Problem(where, "not a list of options with a name", "- {name: LoRA, tuner_type: lora}"))
            continue
        name = _take(item, "name")
        if not name or slug(name) in seen:
            why = f"the name {name!r}, or its folder {slug(name)!r}, stands here twice" if name else "no name"
            problems.append(Problem(where, why, "give each one a name of its own: - {name: LoRA, ...}"))
            continue
        seen.add(slug(name))
        yield name, item


def _take(node: yaml.MappingNode, key: str) -> str:
    """The text of a value that is taken out of the mapping; empty where there is none."""
    found = [str(value.value) for name, value in node.value if name.value == key]
    node.value = [(name, value) for name, value in node.value if name.value != key]
    return found[-1] if found else ""
