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
    except ImportError as error:
        raise MissingExtraError("jsonschema", extra="eval", why="--json_schema") from error
    try:
        schema = json.loads(Path(path).read_bytes())
        kind = validator_for(schema)
        kind.check_schema(schema)
    except OSError as error:
        raise ConfigError(f"--json_schema {path}: {error.strerror}", hint="name a file that can be read") from error
    except (ValueError, SchemaError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"--json_schema {path} is no JSON Schema: {first}", hint="see json-schema.org") from error
    validator = kind(schema)
    return lambda value: bool(validator.is_valid(value))
