"""Answers of a given form: whatever a random model would say, the form is kept."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from swift.engines.transformers import TransformersEngine
from swift.errors import RowError
from swift.types import Guide
from tests.engines.support import answers, ask

pytest.importorskip("llguidance")
jsonschema = pytest.importorskip("jsonschema")
MakeEngine = Callable[..., TransformersEngine]


def schema(draw: random.Random, depth: int = 2) -> dict[str, Any]:
    """A random schema whose answers are short."""
    kind = draw.choice(
        ["string", "integer", "boolean", "enum", "null", "number"] + ["object", "array"] * (depth > 0) * 2
    )
    if kind == "object":
        names = draw.sample(["name", "age", "über", "a b", 'quo"te', "x", "list"], draw.randint(1, 4))
        required = [name for name in names if draw.random() < 0.7]
        properties = {name: schema(draw, depth - 1) for name in names}
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    if kind == "array":
        low = draw.randint(0, 2)
        return {
            "type": "array",
            "items": schema(draw, depth - 1),
            "minItems": low,
            "maxItems": low + draw.randint(0, 2),
        }
    if kind == "string":
        return draw.choice([{"type": "string", "maxLength": 8}, {"type": "string", "pattern": "^[a-c]{2,5}$"}])
    if kind == "integer":
        return {"type": "integer", "minimum": draw.randint(-50, 0), "maximum": draw.randint(1, 10**4)}
    if kind == "number":
        return {"enum": [1.5, 2, -3]}
    if kind == "enum":
        return {"enum": draw.sample(["red", "green", 7, None, True, "日本"], 3)}
    return {"type": kind}


@pytest.mark.parametrize("seed", range(5))
def test_random_schemas(make_engine: MakeEngine, seed: int) -> None:
    draw = random.Random(seed)
    schemas = [schema(draw) for _ in range(40)]
    engine = make_engine(rows=40, tokens=40000)
    requests = [
        ask("x", max_new_tokens=600, temperature=1.0, seed=number, guide=Guide("json", json.dumps(wanted)))
        for number, wanted in enumerate(schemas)
    ]
    for wanted, answer in zip(schemas, answers(engine.generate(requests)), strict=True):
        assert answer.finish == "stop"
        jsonschema.validate(json.loads(_said(engine, answer)), wanted)


def _said(engine: TransformersEngine, answer: Any) -> str:
    return engine.codec.decode([token for token in answer.token_ids if token not in engine.codec.eos_ids])


def test_expressions_and_grammars(make_engine: MakeEngine) -> None:
    engine = make_engine()
    regex, lark, other = answers(
        engine.generate(
            [
                ask("x", max_new_tokens=60, guide=Guide("regex", "(yes|no), [0-9]{3}!")),
                ask("x", max_new_tokens=60, guide=Guide("grammar", 'start: "a"~3 b\nb: "b" | "c" b')),
                ask("x", max_new_tokens=5),
            ]
        )
    )
    assert re.fullmatch("(yes|no), [0-9]{3}!", regex.text)
    assert re.fullmatch("aaac*b", lark.text)
    assert other == answers(make_engine().generate([ask("x", max_new_tokens=5)]))[0]


@pytest.mark.parametrize(
    "guide",
    [
        Guide("json", "{"),
        Guide("json", "[1]"),
        Guide("json", '{"type": "nonsense"}'),
        Guide("json", '{"$ref": "http://169.254.169.254/x"}'),
        Guide("json", '{"enum": []}'),
        Guide("regex", "(unclosed"),
        Guide("grammar", "start: nothing"),
        Guide("json", "[" * 100_000),
    ],
)
def test_what_cannot_be_followed(make_engine: MakeEngine, guide: Guide) -> None:
    (refused,) = make_engine().generate([ask("x", guide=guide)])
    assert isinstance(refused, RowError)
    assert refused.reason == "bad_guide"
    assert "\n" not in str(refused)
