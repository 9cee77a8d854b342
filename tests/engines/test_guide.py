"""Answers of a given form: whatever a random model would say, the form is kept."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from swift.chat.codec import make_codec
from swift.config.chat import ChatConfig
from swift.engines.guide import Guides
from swift.engines.transformers import TransformersEngine
from swift.errors import RowError
from swift.models.tiny import CHATML, tiny_tokenizer
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


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def _doubled(depth: int, how: str) -> dict[str, Any]:
    """Schemas that name the next one twice: written out, there would be 2 to the power of `depth`."""
    steps: dict[str, Any] = {f"a{depth}": {"type": "string"}}
    for number in range(depth):
        both = [{"$ref": f"#/$defs/a{number + 1}"}] * 2
        steps[f"a{number}"] = {"allOf": both} if how == "allOf" else {"type": "array", "prefixItems": both}
    return {"$defs": steps, "$ref": "#/$defs/a0"}


HARD: dict[str, dict[str, Any]] = {
    "plus of plus": {"type": "string", "pattern": "^(a+)+$"},
    "repeated": {"type": "string", "pattern": "^((a{1,1000}){1,1000}){1,1000}$"},
    "behind": {"type": "string", "pattern": "^(a)\\1$"},
    "long": {"type": "string", "minLength": 100_000, "maxLength": 2_000_000_000},
    "many": {"type": "array", "minItems": 1_000_000, "items": {"type": "integer"}},
    "itself": {"$ref": "#"},
    "itself twice": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    "each other": {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    "tree": {"type": "array", "prefixItems": [{"$ref": "#"}, {"$ref": "#"}]},
    "doubled": _doubled(60, "allOf"),
    "doubled items": _doubled(60, "items"),
    "deep": _nested(60),
    "too deep": _nested(400),
    "choices": {"allOf": [{"anyOf": [{"properties": {f"p{i}{j}": {}}} for j in range(6)]} for i in range(12)]},
    "elsewhere": {"$ref": "http://127.0.0.1:1/x"},
    "a file": {"$ref": "file:///etc/passwd"},
    "huge number": {"type": "integer", "maximum": 10**300},
}


@pytest.fixture(scope="module")
def guides() -> Guides:
    return Guides(make_codec(tiny_tokenizer(chat_template=CHATML), ChatConfig(), positions=1000))


@pytest.mark.parametrize("name", HARD)
def test_schemas_that_would_take_for_ever(guides: Guides, name: str) -> None:
    """Each is followed or refused, and the library takes no more time over it than over any other."""
    refused, match = "", None
    try:
        match = guides.start(Guide("json", json.dumps(HARD[name])))
    except RowError as error:
        refused = error.reason + error.detail
    assert refused.startswith("bad_guide") if match is None else match.allowed(300, torch.device("cpu")).any()
    assert "root:" not in refused
