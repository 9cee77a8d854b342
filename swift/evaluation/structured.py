"""Whether an answer is JSON, and JSON of a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from swift.errors import ConfigError, MissingExtraError

_FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)

Check = Callable[[Any], bool]


def json_in(text: str) -> tuple[bool, Any]:
    """Whether the whole answer is one JSON value, a fence of Markdown around it aside; and the value."""
    fenced = _FENCE.match(text)
    try:
        return True, json.loads(fenced[1] if fenced else text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False, None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def schema_check(path: str) -> Check:
    """Whether values are as the JSON Schema in a file says.

    Raises:
        ConfigError: The file cannot be read, or holds no schema.
        MissingExtraError: jsonschema is not installed.
    """
    try:
        from jsonschema import SchemaError
        from jsonschema.validators import validator_for
        from jsonschema_specifications import REGISTRY
        from referencing.exceptions import Unresolvable
    except ImportError as error:
        raise MissingExtraError("jsonschema", extra="eval", why="--json_schema") from error
    try:
        schema = json.loads(Path(path).read_bytes())
        if not isinstance(schema, dict | bool):
            raise ValueError("it is neither an object nor true or false")
        kind = validator_for(schema)
        kind.check_schema(schema)
        _require_named(schema, kind.ID_OF(kind.META_SCHEMA))
        validator = kind(schema, registry=REGISTRY)
        validator.is_valid({})
    except OSError as error:
        raise ConfigError(f"--json_schema {path}: {error.strerror}", hint="name a file that can be read") from error
    except (ValueError, SchemaError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"--json_schema {path} is no JSON Schema: {first}", hint="see json-schema.org") from error
    except Unresolvable as error:
        raise ConfigError(
            f"--json_schema {path} names {error.ref!r}, which is not in it", hint="put all its parts into one file"
        ) from error
    except RecursionError as error:
        raise ConfigError(
            f"--json_schema {path} is nested too deeply, or names itself without end",
            hint="make it flatter with $defs, or take the circle out",
        ) from error
    return lambda value: bool(validator.is_valid(value))


def _require_named(schema: Any, dialect: str) -> None:
    """Follow every reference of a schema once, so that none is found missing in the middle of an evaluation."""
    from jsonschema_specifications import REGISTRY
    from referencing.jsonschema import DRAFT3, DRAFT4, DRAFT6, DRAFT7, specification_with

    specification = specification_with(dialect)
    # In these, what stands beside a reference does not count.
    alone = specification in (DRAFT3, DRAFT4, DRAFT6, DRAFT7)
    whole = specification.create_resource(schema)
    name = whole.id() or ""
    left = [(whole, REGISTRY.with_resource(name, whole).resolver(name))]
    seen: set[int] = set()
    while left:
        part, resolver = left.pop()
        if id(part.contents) in seen or not isinstance(part.contents, dict):
            continue
        seen.add(id(part.contents))
        for key in ("$ref", "$dynamicRef"):
            if isinstance(part.contents.get(key), str):
                found = resolver.lookup(part.contents[key])
                left.append((specification.create_resource(found.contents), found.resolver))
        if alone and "$ref" in part.contents:
            continue
        left += [(inner, resolver.in_subresource(inner)) for inner in part.subresources()]
