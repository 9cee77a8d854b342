"""Whether calls are among the possible answers of BFCL, by its published rules.

A possible answer has a list for each argument: the values that are right, and the empty text where the argument may be
left out. Texts are compared without case, spaces and `,./-_*^`; whole numbers pass for floats. Where a value has the
type of the possible answers but not that of the schema, it stands for a variable and is compared as it is. Calls in
parallel may come in any order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_TYPES: dict[str, type] = {
    "string": str, "integer": int, "float": float, "boolean": bool, "array": list, "tuple": list, "dict": dict,
    "any": str,
}  # fmt: skip
_IGNORED = re.compile(r"[ ,./\-_*^]")

Call = tuple[str, Any]


def mismatch(
    category: str, functions: Sequence[Mapping[str, Any]], calls: Sequence[Call], right: Sequence[Mapping[str, Any]]
) -> str:
    """Why calls are wrong; empty where they are right.

    Args:
        category: Of the question.
        functions: The schemas that were offered, in BFCL's own form.
        calls: Name and arguments of each call.
        right: A possible answer for each call.
    """
    if len(calls) != len(right):
        return f"{len(calls)} calls, not {len(right)}"
    described = {str(function["name"]): function for function in functions}
    if "parallel" not in category:
        name = next(iter(right[0]))
        return _call(described[name], calls[0], right[0][name])
    left = list(calls)
    for possible in right:
        name = next(iter(possible))
        fits = (place for place, call in enumerate(left) if not _call(described[name], call, possible[name]))
        place = next(fits, None)
        if place is None:
            return f"no call is the expected one of {name}"
        del left[place]
    return ""


def _call(function: Mapping[str, Any], call: Call, possible: Mapping[str, Sequence[Any]]) -> str:
    name, arguments = call
    if name != function["name"]:
        return f"calls {name}, not {function['name']}"
    if not isinstance(arguments, Mapping):
        return "its arguments have no names"
    parameters = function["parameters"]
    missing = [key for key in parameters.get("required", ()) if key not in arguments]
    if missing:
        return f"lacks {missing[0]}"
    for key, value in arguments.items():
        if key not in parameters["properties"] or key not in possible:
            return f"has {key}, which is not expected"
        if not _fits(value, parameters["properties"][key], possible[key]):
            return f"{key} is {value!r}"
    forgotten = [key for key, values in possible.items() if key not in arguments and "" not in values]
    return f"lacks {forgotten[0]}" if forgotten else ""


def _fits(value: Any, schema: Mapping[str, Any], possible: Sequence[Any]) -> bool:
    """Whether a value has the type that it should have, and is one of those that are right."""
    wanted: Any = _TYPES.get(schema["type"], str)
    inner = _TYPES.get(schema["items"]["type"], str) if schema["type"] in ("array", "tuple") else None
    if wanted is float and type(value) is int:
        value = float(value)
    told = _type_of(possible)
    if type(value) is not wanted:
        return told is type(value) and value in possible
    if inner is not None and not any(_items_fit(value, inner, answer) for answer in possible):
        return False
    if told is not None and told is not wanted:
        return value in possible
    if wanted is dict:
        return any(_object(value, answer) for answer in possible)
    if wanted is list and inner is dict:
        return any(_objects(value, answer) for answer in possible)
    if wanted is str:
        return _plain(value) in [_plain(answer) for answer in possible if isinstance(answer, str)]
    if wanted is list:
        return [_plain(item) for item in value] in [[_plain(item) for item in answer] for answer in possible]
    return value in possible


def _type_of(values: Sequence[Any]) -> type | None:
    """The type of the possible values; None where all may be left out only."""
    return next((type(value) for value in values if value != ""), None)


def _items_fit(values: Sequence[Any], inner: type, answer: Any) -> bool:
    """Whether the items of a list have the schema's type, or that of the items in a possible answer."""
    if not isinstance(answer, list):
        return True
    told = _type_of(answer)
    return all(type(value) is inner or (told is not None and type(value) is told) for value in values)


def _object(value: Any, answer: Any) -> bool:
    if answer == "" or not isinstance(value, Mapping) or not isinstance(answer, Mapping):
        return False
    if any(key not in answer or _plain(item) not in list(map(_plain, answer[key])) for key, item in value.items()):
        return False
    return all(key in value or "" in values for key, values in answer.items())


def _objects(values: Sequence[Any], answer: Any) -> bool:
    if not isinstance(answer, list | str) or len(values) != len(answer):
        return False
    return all(_object(value, possible) for value, possible in zip(values, answer, strict=True))


def _plain(value: Any) -> Any:
    """A text as it is compared; any other value as it is."""
    return _IGNORED.sub("", value).lower().replace("'", '"') if isinstance(value, str) else value
