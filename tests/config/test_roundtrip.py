"""Any configuration can be written as flags or as a file, and read back as the same configuration."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from swift.config.parse import parse
from swift.config.problems import ProblemsError
from swift.config.schema import Option, table
from swift.config.sft import SftConfig

TABLE = table(SftConfig)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(lambda t: t != "null")
SAMPLES: dict[str, st.SearchStrategy[Any]] = {
    "INT": st.integers(2, 10**6),
    "NUMBER": st.floats(1e-6, 0.99),
    "TEXT": TEXT,
    "true|false": st.booleans(),
    "TEXT ...": st.lists(TEXT, max_size=3),
    "NUMBER ...": st.lists(st.floats(0.1, 1.0), min_size=1, max_size=3),
    "JSON": st.dictionaries(TEXT, TEXT, max_size=3),
}


def value_of(option: Option) -> st.SearchStrategy[Any]:
    """Values that are ours: other systems' spellings are translated and would not come back."""
    values = st.sampled_from(option.choices) if option.choices else SAMPLES[option.type]
    if option.choices and option.kind == "many":
        values = st.lists(values, max_size=3)
    return st.one_of(st.none(), values) if option.nullable else values


@st.composite
def settings(draw: st.DrawFn) -> dict[Option, Any]:
    """Values for some options of one tuner class."""
    tag = draw(st.sampled_from(TABLE.unions[("tuner",)]))
    usable = [option for option in TABLE.options() if option.variant in (None, tag) and option.key != "tuner.type"]
    chosen = draw(st.lists(st.sampled_from(usable), unique=True, max_size=8))
    return {TABLE.by_name["tuner.type"][0]: tag, **{option: draw(value_of(option)) for option in chosen}}


def as_words(option: Option, value: Any, name: str) -> list[str]:
    if value is None:
        return [f"--{name}", "null"]
    if option.kind == "many":
        return [f"--{name}", json.dumps(value)]
    if option.kind == "mapping":
        return [f"--{name}={json.dumps(value)}"]
    return [f"--{name}={str(value).lower() if option.kind == 'switch' else value}"]


def outcome(argv: list[str]) -> Any:
    """The configuration; or, where a rule between fields is broken, the rules."""
    try:
        return parse(SftConfig, argv).config
    except ProblemsError as error:
        return [problem.why for problem in error.problems]


@given(settings(), st.data())
def test_flags_file_and_python_agree(values: dict[Option, Any], data: st.DataObject) -> None:
    argv: list[str] = []
    nested: dict[str, Any] = {}
    for option, value in values.items():
        name = data.draw(st.sampled_from(option.names)) if option.names else option.key
        argv += as_words(option, value, data.draw(st.sampled_from([name, name.replace("_", "-")])))
        section = nested
        for part in option.path[:-1]:
            section = section.setdefault(part, {})
        section[option.path[-1]] = value
    from_flags = outcome(argv)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.yaml"
        file.write_text(yaml.safe_dump(nested, allow_unicode=True), encoding="utf-8")
        assert outcome([str(file)]) == from_flags
        if isinstance(from_flags, SftConfig):
            assert SftConfig.model_validate(nested) == from_flags
            file.write_text(from_flags.model_dump_json(), encoding="utf-8")
            assert outcome([str(file)]) == from_flags


@given(st.lists(st.text(max_size=10), max_size=6))
def test_no_words_crash_the_parser(words: list[str]) -> None:
    argv = ["--model", "m", "--dataset", "d", *words]
    if all(not word.startswith("--") for word in words) and len(words) == 0:
        assert outcome(argv) == outcome(argv[:4])
    else:
        assert outcome(argv) is not None


@pytest.mark.parametrize(
    "option", [option for option in TABLE.options() if option.variant is None], ids=lambda o: o.key
)
def test_every_name_of_an_option_reaches_it(option: Option) -> None:
    places = {name: TABLE.find(name)[0].path for name in option.names}
    assert set(places.values()) == {option.path}
