"""The options of a configuration class, read off its fields: what flags, help, reference and snapshot share."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from swift.errors import UnknownNameError

Kind = Literal["switch", "one", "many", "mapping"]

REQUIRED = "required"
"""Stands for the default of an option that has none."""


@dataclass(frozen=True, slots=True)
class Option:
    """One value that a user can set.

    Attributes:
        path: Where it stands in the configuration, such as ("tuner", "rank").
        flags: Flat names without dashes, the most familiar first. May be empty.
        help: One or two sentences.
        kind: How many values it takes: true or false, one, a list, or a mapping written as JSON.
        type: Its type in words, for help: `INT`, `a|b`, `TEXT ...`.
        default: Its default as help shows it; `REQUIRED` where there is none.
        rule: Its bounds in words; may be empty.
        choices: The texts it may be, or empty where it is free.
        nullable: Whether it may be unset (null).
        textual: Whether it holds free text, so that the word `none` may be meant literally.
        variant: The tag of the tagged union's class that it belongs to; None outside of such unions.
    """

    path: tuple[str, ...]
    flags: tuple[str, ...]
    help: str
    kind: Kind
    type: str
    default: str
    rule: str = ""
    choices: tuple[str, ...] = ()
    nullable: bool = False
    textual: bool = False
    variant: str | None = None

    @property
    def key(self) -> str:
        """The dotted name, which always works: `tuner.rank`."""
        return ".".join(self.path)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name of it, flat ones first, without repeats."""
        return tuple(dict.fromkeys((*self.flags, self.key)))


@dataclass(frozen=True, slots=True)
class Section:
    """A group of options: one configuration class at one place.

    Attributes:
        path: Where it stands; empty for the root.
        help: What it is about.
        options: Its own options.
        tag: Where it is one class of a tagged union: the value of `type` that selects it.
        tags: Of a tagged union itself (whose only option is `type`): every tag, the default first.
    """

    path: tuple[str, ...]
    help: str
    options: tuple[Option, ...]
    tag: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The dotted name; empty for the root."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Table:
    """All options of a root configuration class, by name.

    Attributes:
        sections: In the order of the class, the root's own options first.
        by_name: Flat or dotted name to options: one, or one for each class of a tagged union.
        by_path: Dotted name of a section to its path.
        unions: Path of each tagged union to its tags, the default first.
    """

    sections: tuple[Section, ...]
    by_name: Mapping[str, tuple[Option, ...]]
    by_path: Mapping[str, tuple[str, ...]]
    unions: Mapping[tuple[str, ...], tuple[str, ...]]

    def options(self) -> Iterator[Option]:
        """Every option, in order."""
        for section in self.sections:
            yield from section.options

    def find(self, name: str) -> tuple[Option, ...]:
        """Options called `name`.

        Raises:
            UnknownNameError: There is none.
        """
        found = self.by_name.get(name)
        if found is None:
            raise UnknownNameError("option", name, sorted(self.by_name))
        return found


@cache
def table(root: type[BaseModel]) -> Table:
    """The options of `root`.

    Raises:
        ValueError: Two fields claim the same flag, which is a mistake in the classes.
    """
    sections = _clear(tuple(_sections(root, (), None, _first_line(root))))
    by_name: dict[str, tuple[Option, ...]] = {}
    for section in sections:
        for option in section.options:
            for name in option.names:
                others = by_name.get(name, ())
                if any(other.path != option.path for other in others):
                    raise ValueError(f"{root.__name__}: flag --{name} stands for {others[0].key} and for {option.key}")
                by_name[name] = (*others, option)
    return Table(
        sections=sections,
        by_name=by_name,
        by_path={section.key: section.path for section in sections if section.path},
        unions={section.path: section.tags for section in sections if section.tags},
    )


def _clear(sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """Flat names that an option outside of tagged unions has are its own: those within keep their dotted ones."""
    taken = {flag for section in sections if section.tag is None for option in section.options for flag in option.flags}

    def free(option: Option) -> Option:
        return replace(option, flags=tuple(flag for flag in option.flags if flag not in taken))

    return tuple(
        section if section.tag is None else replace(section, options=tuple(map(free, section.options)))
        for section in sections
    )


def _sections(model: type[BaseModel], path: tuple[str, ...], tag: str | None, help: str) -> Iterator[Section]:
    own: list[Option] = []
    inner: list[Section] = []
    for name, field in model.model_fields.items():
        place = (*path, name)
        classes = _classes(field)
        if tag is not None and name == "type":
            continue
        if not classes:
            own.append(_option(field, place, tag))
        elif field.discriminator is None:
            inner += _sections(classes[0], place, tag, field.description or _first_line(classes[0]))
        else:
            inner += _union(field, classes, place)
    yield Section(path, help, tuple(own), tag)
    yield from inner


def _union(field: FieldInfo, classes: list[type[BaseModel]], path: tuple[str, ...]) -> Iterator[Section]:
    """A tagged union: first the choice itself (flag `--<name>_type`, or the field's own), then each class's options.

    The first class is the default. (Asking the field for it would build the class's validators, which
    takes a third of the time of `--help`.)
    """
    tags = {str(cls.model_fields["type"].default): cls for cls in classes}
    order = tuple(tags)
    choice = Option(
        path=(*path, "type"),
        flags=_flags(field) or (f"{path[-1]}_type",),
        help=f"{field.description or ''} Selects the class of options: "
        + "; ".join(f"{tag}: {_first_line(cls)}" for tag, cls in tags.items()),
        kind="one",
        type="|".join(order),
        default=order[0],
        choices=order,
    )
    yield Section(path, field.description or "", (choice,), tags=order)
    for tag, cls in tags.items():
        yield from (part for part in _sections(cls, path, tag, _first_line(cls)) if part.options)


def _option(field: FieldInfo, path: tuple[str, ...], tag: str | None) -> Option:
    types_, nullable = _alternatives(field.annotation)
    kind, words, choices = _kind(types_)
    return Option(
        path=path,
        flags=_flags(field),
        help=field.description or "",
        kind=kind,
        type=words,
        default=REQUIRED if field.is_required() else _shown(field.get_default(call_default_factory=True)),
        rule=_rule(field),
        choices=choices,
        nullable=nullable,
        textual=str in types_,
        variant=tag,
    )


def _flags(field: FieldInfo) -> tuple[str, ...]:
    extra = field.json_schema_extra
    names = extra.get("flags", []) if isinstance(extra, dict) else []
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def _classes(field: FieldInfo) -> list[type[BaseModel]]:
    """The configuration classes that a field holds; none for a plain value."""
    alternatives, _ = _alternatives(field.annotation)
    return [kind for kind in alternatives if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _alternatives(annotation: Any) -> tuple[list[Any], bool]:
    """The members of a union without None, and whether None was among them."""
    if get_origin(annotation) in (Union, types.UnionType):
        members = get_args(annotation)
        return [member for member in members if member is not type(None)], type(None) in members
    return [annotation], False


_WORDS = {bool: "true|false", int: "INT", float: "NUMBER", str: "TEXT"}


def _kind(alternatives: list[Any]) -> tuple[Kind, str, tuple[str, ...]]:
    annotation = alternatives[0]
    origin = get_origin(annotation)
    if annotation is bool:
        return "switch", _WORDS[bool], ()
    if origin is tuple:
        _, words, choices = _kind([get_args(annotation)[0]])
        return "many", f"{words} ...", choices
    if origin is dict:
        return "mapping", "JSON", ()
    if origin is Literal:
        choices = tuple(str(choice) for choice in get_args(annotation))
        return "one", "|".join(choices), choices
    return "one", _WORDS[annotation], ()


def _rule(field: FieldInfo) -> str:
    words = []
    for bound in field.metadata:
        if isinstance(bound, Ge):
            words.append(f"at least {bound.ge}")
        elif isinstance(bound, Gt):
            words.append(f"more than {bound.gt}")
        elif isinstance(bound, Le):
            words.append(f"at most {bound.le}")
        elif isinstance(bound, Lt):
            words.append(f"less than {bound.lt}")
    return ", ".join(words)


def _shown(value: Any) -> str:
    if value is None or value in ((), {}, ""):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return " ".join(str(item) for item in value)
    return str(value)


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n", 1)[0]
