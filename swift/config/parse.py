"""From the words of a command line to a checked configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from swift.config import familiar
from swift.config.explain import about, explain
from swift.config.files import read_file
from swift.config.flags import split
from swift.config.given import Given, convert, expand, unknown
from swift.config.option import Config
from swift.config.problems import Problem, ProblemsError
from swift.config.rules import find
from swift.config.schema import Option, Table, table

C = TypeVar("C", bound=Config)


@dataclass(frozen=True, slots=True)
class Parsed(Generic[C]):
    """A checked configuration.

    Attributes:
        config: It.
        notes: One line for each flag that was accepted though it changes nothing, and the like.
        places: Dotted name of every option that the user set to where: the flag, or file, line and key.
    """

    config: C
    notes: tuple[str, ...]
    places: Mapping[str, str]


def parse(root: type[C], argv: Sequence[str], *, preset: Mapping[str, Any] | None = None) -> Parsed[C]:
    """Read `argv` (a configuration file, if any, and flags) as a `root`, and check every rule.

    Flags win over the file; of several that set the same option, the last wins.

    Args:
        root: The command's configuration class.
        argv: The words after the command.
        preset: Dotted names and values that belong to the command. The user may repeat but not change them.

    Raises:
        ProblemsError: Everything that is wrong, at once.
    """
    options = table(root)
    file, given = split(argv)
    if file is not None:
        given = [*read_file(file, options), *given]
    return parse_given(root, given, preset=preset)


def parse_given(root: type[C], given: Sequence[Given], *, preset: Mapping[str, Any] | None = None) -> Parsed[C]:
    """As `parse`, of names and values that were read already.

    Raises:
        ProblemsError: Everything that is wrong, at once.
    """
    options = table(root)
    reader = _Reader(options)
    for item in given:
        for part in expand(item, options):
            reader.add(part)
    config = _validated(root, reader.values(preset or {}), reader)
    places = {key: item.where for key, item in reader.chosen.items()}
    if config is not None:
        wrong = {problem.where for problem in reader.problems}
        placed = [_placed(problem, options, places) for problem in find(config)]
        reader.problems.extend(problem for problem in placed if problem.where not in wrong)
    if config is None or reader.problems:
        raise ProblemsError(reader.problems)
    return Parsed(config, tuple(reader.notes), places)


def _placed(problem: Problem, options: Table, places: Mapping[str, str]) -> Problem:
    """The problem of a rule, at the place where the user wrote the option rather than at the flag's usual name."""
    option = options.by_name.get(problem.where.removeprefix("--"))
    return problem if option is None else replace(problem, where=places.get(option[0].key, problem.where))


class _Reader:
    """Collects what was given; keeps going after a problem so that all are found."""

    def __init__(self, options: Table) -> None:
        self.table = options
        self.chosen: dict[str, Given] = {}
        self.notes: list[str] = []
        self.problems: list[Problem] = []

    def add(self, given: Given) -> None:
        """Take one name and value; the last one of an option stays."""
        found = self.table.by_name.get(given.name)
        if found is None:
            self._add_familiar(given)
            return
        key = found[0].key
        before = self.chosen.get(key)
        if before is not None and before.words and before.name != given.name and before.value != given.value:
            self.notes.append(f"{before.where} and {given.where} both set {key}; the last one, {given.where}, counts")
        self.chosen[key] = given

    def _add_familiar(self, given: Given) -> None:
        entry = familiar.FLAGS.get(given.name)
        if entry is None:
            self.problems.append(unknown(given, self.table))
            return
        text = _text(given)
        becomes = entry.becomes.get(text) or entry.becomes.get(familiar.ANY)
        if becomes is not None and becomes[0] in self.table.by_name:
            name, value = becomes
            if value == familiar.ANY:
                self.add(Given(name, given.value, given.where, given.words))
            else:
                self.add(Given(name, (value,), given.where, words=True))
            for name, value in entry.also.items():
                option = self.table.by_name[name][0]
                self.chosen.setdefault(option.key, Given(name, (value,), given.where, words=True))
        elif text in entry.accepts or familiar.ANY in entry.accepts:
            self.notes.append(f"{given.where} changes nothing: {entry.sentence}")
        else:
            shown = f"{given.where} {text}" if given.words and given.value else given.where
            self.problems.append(Problem(shown, "not something that this command does", entry.sentence))

    def values(self, preset: Mapping[str, Any]) -> dict[str, Any]:
        """The nested mapping that pydantic validates."""
        result: dict[str, Any] = {}
        tags = {path: self._tag(path) for path in self.table.unions}
        for key, given in self.chosen.items():
            option = self._option(key, given, tags)
            if option is not None:
                self._convert(given, option, result)
        for path, tag in tags.items():
            inner: Any = result
            for part in path:
                inner = inner.get(part) if isinstance(inner, dict) else None
            if isinstance(inner, dict):
                inner.setdefault("type", tag)
        for key, value in preset.items():
            item = self.chosen.get(key)
            if item is not None and _text(item) != str(value).lower():
                why = f"{_text(item)} is not what this command does"
                self.problems.append(Problem(item.where, why, "use the command that does, or take it out"))
            _put(result, key.split("."), value)
        return result

    def _tag(self, path: tuple[str, ...]) -> str:
        given = self.chosen.get(".".join((*path, "type")))
        tags = self.table.unions[path]
        return tags[0] if given is None else _text(given)

    def _option(self, key: str, given: Given, tags: Mapping[tuple[str, ...], str]) -> Option | None:
        """The option of the class that the tagged union's tag selects; a problem where it is another class's."""
        candidates = self.table.by_name[key]
        if candidates[0].variant is None:
            return candidates[0]
        path = next(path for path in tags if candidates[0].path[: len(path)] == path)
        tag = tags[path]
        for option in candidates:
            if option.variant == tag:
                return option
        if tag in self.table.unions[path]:
            owners = " or ".join(str(option.variant) for option in candidates)
            name = path[-1]
            why = f"an option of {name} {owners}, but the {name} is {tag}"
            flag = self.table.by_name[".".join((*path, "type"))][0].names[0]
            self.problems.append(Problem(given.where, why, f"add --{flag} {candidates[0].variant}, or take it out"))
        return None

    def _convert(self, given: Given, option: Option, result: dict[str, Any]) -> None:
        try:
            value = convert(given, option)
        except ValueError as error:
            self.problems.append(Problem(given.where, str(error), about(option)))
            return
        foreign = familiar.VALUES.get(option.key, {})
        if isinstance(value, (str, int)) and str(value) in foreign:
            value = foreign[str(value)]
        _put(result, option.path, value)


def _validated(root: type[C], values: dict[str, Any], reader: _Reader) -> C | None:
    try:
        return root.model_validate(values)
    except ValidationError as error:
        wrong = {problem.where for problem in reader.problems}
        found = (explain(dict(detail), reader.table, reader.chosen) for detail in error.errors(include_url=False))
        reader.problems.extend(problem for problem in found if problem.where not in wrong)
        return None


def _text(given: Given) -> str:
    """The value as a word, for tables: `true` for a bare flag or a YAML true."""
    value = given.value
    if given.words:
        value = " ".join(value) if value else "true"
    text = str(value)
    return text.lower() if text in ("True", "False", "TRUE", "FALSE") else text


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value
