"""Validation errors in our own words: where the user wrote it, the value, the rule, the way out."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from swift.config.given import Given
from swift.config.problems import Problem
from swift.config.schema import REQUIRED, Option, Table


def explain(detail: dict[str, Any], table: Table, chosen: Mapping[str, Given]) -> Problem:
    """The problem that pydantic's error `detail` stands for; `chosen` is what the user gave, by dotted name."""
    path, tag = [str(part) for part in detail["loc"]], None
    for union, tags in table.unions.items():
        at = len(union)
        if tuple(path[:at]) == union and len(path) > at and path[at] in tags:
            tag = path.pop(at)
    if detail["type"] == "union_tag_invalid":
        path.append("type")
    key = next((".".join(path[:n]) for n in range(len(path), 0, -1) if ".".join(path[:n]) in table.by_name), "")
    if detail["type"] == "missing":
        return _missing(".".join(path), table)
    variants = table.by_name[key] if key else ()
    option = next((option for option in variants if option.variant == tag), variants[0] if variants else None)
    given = chosen.get(key)
    where = given.where if given is not None else f"--{option.names[0]}" if option is not None else ".".join(path)
    why, fix = _why(detail, option)
    return Problem(where, why, fix or (about(option) if option is not None else ""))


def about(option: Option) -> str:
    """What the option is, and its default: the way out where nothing better is known."""
    if option.path[-1] == "type":
        return "--help tells of each"
    untold = option.default in ("", REQUIRED) or "default" in option.help.lower()
    told = "" if untold else f" Default: {option.default}."
    return f"{option.help}{told}"


def _missing(key: str, table: Table) -> Problem:
    inside = [option for option in table.options() if option.key == key or option.key.startswith(f"{key}.")]
    first = inside[0]
    return Problem(f"--{first.names[0]}", "is required", first.help.split(". ")[0])


_RULES: dict[str, str] = {
    "int_parsing": "is not a whole number",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "float_type": "is not a number",
    "finite_number": "is not a finite number",
    "bool_parsing": "is neither true nor false",
    "bool_type": "is neither true nor false",
    "string_type": "is not text",
    "tuple_type": "is not a list",
    "dict_type": "is not a mapping",
    "model_type": "is not a mapping",
    "model_attributes_type": "is not a mapping",
}
_BOUNDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than_equal": lambda context: f"is less than {context['ge']}",
    "greater_than": lambda context: f"is not more than {context['gt']}",
    "less_than_equal": lambda context: f"is more than {context['le']}",
    "less_than": lambda context: f"is not less than {context['lt']}",
}


def _why(detail: dict[str, Any], option: Option | None) -> tuple[str, str]:
    """The broken rule in words, and the way out."""
    value, kind = detail["input"], detail["type"]
    if kind == "union_tag_invalid":
        value, kind = detail["ctx"]["tag"], "literal_error"
    if kind == "literal_error" and option is not None:
        near = difflib.get_close_matches(str(value), option.choices, n=1, cutoff=0.6)
        return f"{value!r} is not one of {', '.join(option.choices)}", f"did you mean {near[0]}?" if near else ""
    if kind in _RULES:
        fix = "in YAML, put quotes around it" if kind == "string_type" and value is not None else ""
        return f"{value!r} {_RULES[kind]}", fix
    if kind in _BOUNDS:
        return f"{value!r} {_BOUNDS[kind](detail['ctx'])}", ""
    if kind == "value_error":
        return str(detail["ctx"]["error"]), ""
    return f"{value!r}: {detail['msg']}", ""
