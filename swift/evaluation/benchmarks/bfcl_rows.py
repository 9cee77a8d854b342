"""Whether a row of BFCL has all that its rules ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def unnamed(functions: Sequence[Any]) -> str:
    """What is wrong with functions that are offered; empty where nothing is."""
    for function in functions:
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            return f"a function has no name: {function!r}"[:120]
    return ""


def unusable(functions: Sequence[Any], right: Any, *, several: bool) -> str:
    """What is wrong with functions and the calls that are right; empty where nothing is.

    Args:
        functions: Their schemas, in BFCL's own form.
        right: A possible answer for each call: an object of one name, with a list of values for each argument.
        several: There may be more than one call.
    """
    if why := unnamed(functions):
        return why
    described = {function["name"]: function for function in functions}
    if not isinstance(right, list) or not right or (len(right) > 1 and not several):
        return f"its ground_truth is no list of {'calls' if several else 'one call'}"
    for possible in right:
        if not isinstance(possible, Mapping) or len(possible) != 1:
            return f"a call of its ground_truth has not one name: {possible!r}"[:120]
        ((name, arguments),) = possible.items()
        if name not in described:
            return f"its ground_truth calls {name!r}, which is not offered"
        if not isinstance(arguments, Mapping) or not all(isinstance(values, list) for values in arguments.values()):
            return f"an argument of {name} in its ground_truth has no list of values"
        if why := _untyped(described[name]):
            return f"its function {name} {why}"
    return ""


def _untyped(function: Mapping[str, Any]) -> str:
    parameters = function.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
    if not isinstance(parameters, Mapping) or not isinstance(properties, Mapping):
        return "has no parameters with properties"
    if not isinstance(parameters.get("required", []), list):
        return "has no list of parameters that are required"
    for key, schema in properties.items():
        if not isinstance(schema, Mapping) or not isinstance(schema.get("type"), str):
            return f"has no type of {key}"
        items = schema.get("items")
        if schema["type"] in ("array", "tuple") and not (isinstance(items, Mapping) and "type" in items):
            return f"has no type of the items of {key}"
    return ""
