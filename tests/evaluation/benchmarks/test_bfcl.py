"""BFCL: its rules by hand, and, over all of its questions, beside its own checker."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from swift.config.runs import EvalConfig
from swift.errors import DataError, HubError, RowError
from swift.evaluation.benchmarks.bfcl import BFCL, score
from swift.evaluation.benchmarks.bfcl_match import mismatch
from swift.evaluation.benchmarks.registry import Wish
from swift.evaluation.benchmarks.rows import find
from swift.evaluation.item import Item
from swift.evaluation.tasks import tasks_of
from swift.types import Conversation, Message, Origin, ToolCall

FUNCTION = {
    "name": "shop.buy",
    "parameters": {
        "type": "dict",
        "properties": {
            "what": {"type": "string"},
            "price": {"type": "float"},
            "count": {"type": "integer"},
            "sizes": {"type": "array", "items": {"type": "integer"}},
            "names": {"type": "array", "items": {"type": "string"}},
            "to": {"type": "dict", "properties": {}},
            "parts": {"type": "array", "items": {"type": "dict"}},
            "gift": {"type": "boolean"},
        },
        "required": ["what"],
    },
}
RIGHT = {
    "what": ["April 1, 2024", "tea"],
    "price": [5.0, ""],
    "count": [2, ""],
    "sizes": [[1, 2], ""],
    "names": [["A b", "c"], ""],
    "to": [{"street": ["Main St."], "flat": ["", 4]}, ""],
    "parts": [[{"id": [1]}, {"id": [2]}], ""],
    "gift": ["", True],
}


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ({"what": "tea"}, True),
        ({"what": "april 1 2024"}, True),  # neither case nor marks count
        ({"what": "coffee"}, False),
        ({}, False),
        ({"what": "tea", "who": "me"}, False),
        ({"what": "tea", "price": 5}, True),  # a whole number passes for a float
        ({"what": "tea", "price": "5"}, False),
        ({"what": "tea", "count": 2.0}, False),
        ({"what": "tea", "count": True}, False),
        ({"what": "tea", "sizes": [1, 2]}, True),
        ({"what": "tea", "sizes": [2, 1]}, False),
        ({"what": "tea", "sizes": ["1", "2"]}, False),
        ({"what": "tea", "names": ["ab", "C"]}, True),
        ({"what": "tea", "to": {"street": "main st"}}, True),
        ({"what": "tea", "to": {"flat": 4}}, False),
        ({"what": "tea", "to": {"street": "main st", "town": "x"}}, False),
        ({"what": "tea", "parts": [{"id": 1}, {"id": 2}]}, True),
        ({"what": "tea", "parts": [{"id": 2}, {"id": 1}]}, False),
        ({"what": "tea", "parts": [{"id": 1}]}, False),
        ({"what": "tea", "gift": True}, True),
        ({"what": "tea", "gift": 1}, False),
        ("tea", False),
    ],
)
def test_rules(arguments: Any, right: bool) -> None:
    assert (mismatch("simple_python", [FUNCTION], [("shop.buy", arguments)], [{"shop.buy": RIGHT}]) == "") is right


def test_calls_in_parallel_come_in_any_order() -> None:
    possible = [{"shop.buy": {"what": [name]}} for name in ("tea", "milk")]
    calls = [("shop.buy", {"what": name}) for name in ("milk", "tea")]
    assert mismatch("parallel", [FUNCTION], calls, possible) == ""
    assert mismatch("parallel", [FUNCTION], calls[:1], possible) == "1 calls, not 2"
    assert mismatch("parallel", [FUNCTION], [calls[0], calls[0]], possible) != ""
    assert "not shop.buy" in mismatch("multiple", [FUNCTION], [("shop.sell", {"what": "tea"})], possible[:1])


@pytest.mark.parametrize(
    ("category", "calls", "right"),
    [
        ("irrelevance", 0, True),
        ("live_irrelevance", 1, False),
        ("live_relevance", 1, True),
        ("live_relevance", 0, False),
    ],
)
def test_whether_to_call_at_all(category: str, calls: int, right: bool) -> None:
    reference = {"category": category, "functions": [FUNCTION], "right": []}
    item = Item("x", Conversation((Message("user", "x"),), Origin("x", 1)), reference)
    answer = Message("assistant", "", tool_calls=(ToolCall("shop.buy", {}),) * calls)
    assert score(answer, item)["right"] is right


def test_a_folder_in_its_form(tmp_path: Path) -> None:
    (tmp_path / "possible_answer").mkdir()
    question = {"id": "m_0", "question": [[{"role": "user", "content": "buy tea"}]], "function": [FUNCTION]}
    (tmp_path / "BFCL_v4_multiple.json").write_text(json.dumps(question) + "\n")
    answer = {"id": "m_0", "ground_truth": [{"shop.buy": RIGHT}]}
    (tmp_path / "possible_answer" / "BFCL_v4_multiple.json").write_text(json.dumps(answer) + "\n")
    values = {"model": {"id": "x"}, "benchmark": {"sets": [f"bfcl:multiple={tmp_path}"]}}
    (task,) = tasks_of(EvalConfig.model_validate(values))
    (item,) = task.items
    assert (item.id, item.group) == ("m_0", "multiple")
    schema = item.prompt.tools[0]["function"]["parameters"]
    assert schema["type"] == "object"
    assert schema["properties"]["price"] == {"type": "number"}
    assert schema["properties"]["parts"]["items"] == {"type": "object"}
    good = Message("assistant", "", tool_calls=(ToolCall("shop.buy", {"what": "tea"}),))
    assert task.metric.score(good, item) == {"right": True, "why": ""}


def _folder(path: Path, questions: list[dict[str, Any]], answers: list[dict[str, Any]]) -> Path:
    (path / "possible_answer").mkdir(exist_ok=True)
    for folder, rows in ((path, questions), (path / "possible_answer", answers)):
        (folder / "BFCL_v4_multiple.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_answer_is_that_of_the_same_id(tmp_path: Path) -> None:
    questions = [{"id": name, "question": []} for name in "ab"]
    answers = [{"id": name, "ground_truth": name} for name in "ba"]
    found = find(Wish("bfcl", ("multiple",), str(_folder(tmp_path, questions, answers))), BFCL).rows.values
    assert [row["ground_truth"] for row in found] == ["a", "b"]
    with pytest.raises(DataError, match="row 2, b, has no answer of its id"):
        find(Wish("bfcl", ("multiple",), str(_folder(tmp_path, questions, answers[1:]))), BFCL)
    with pytest.raises(DataError, match="have no id of their own each"):
        find(Wish("bfcl", ("multiple",), str(_folder(tmp_path, questions, [*answers, answers[0]]))), BFCL)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"ground_truth": [{}]}, "has not one name"),
        ({"ground_truth": []}, "no list of one call"),
        ({"ground_truth": [{"gone": {}}]}, "'gone', which is not offered"),
        ({"ground_truth": [{"shop.buy": {"what": "tea"}}]}, "no list of values"),
        ({"function": [{"name": "shop.buy"}]}, "no parameters with properties"),
        ({"function": [{"name": "shop.buy", "parameters": {"properties": {"what": {}}}}]}, "no type of what"),
        ({"function": [{}]}, "a function has no name"),
        ({"function": []}, "is empty"),
    ],
)
def test_rows_that_cannot_be_judged(change: dict[str, Any], why: str) -> None:
    row = {
        "id": "m_0", "category": "multiple", "question": [[{"role": "user", "content": "buy tea"}]],
        "function": [FUNCTION], "ground_truth": [{"shop.buy": RIGHT}],
    }  # fmt: skip
    assert BFCL.ask(row).id == "m_0"
    with pytest.raises(RowError, match=why):
        BFCL.ask({**row, **change})


def test_nothing_may_be_offered_where_nothing_is_to_be_called() -> None:
    turns = [[{"role": "user", "content": "buy tea"}]]
    row = {"category": "live_irrelevance", "question": turns, "function": [], "ground_truth": []}
    assert BFCL.ask(row).tools == ()


# Run by another interpreter, which has bfcl-eval. Its table of models would import every vendor's library; the checker
# asks of it only whether a model cannot write dots in names.
_ORACLE = """
import json, sys, types
class Models(dict):
    def __missing__(self, name):
        return types.SimpleNamespace(underscore_to_dot=False)
table = types.ModuleType("bfcl_eval.constants.model_config")
table.MODEL_CONFIG_MAPPING = Models()
sys.modules[table.__name__] = table
from bfcl_eval.constants.enums import Language
from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker
for line in sys.stdin:
    case = json.loads(line)
    calls = [{name: arguments} for name, arguments in case["calls"]]
    try:
        valid = ast_checker(case["functions"], calls, case["right"], Language.PYTHON, case["category"], "m")["valid"]
    except Exception as error:
        valid = f"{type(error).__name__}"
    print(json.dumps(valid))
"""


def _value(value: Any, random_: random.Random) -> Any:
    """One of the possible answers as a model would write it: of an object, its parts are lists of answers too."""
    if isinstance(value, Mapping):
        parts = {
            key: random_.choice(answers) for key, answers in value.items() if isinstance(answers, list) and answers
        }
        return {key: _value(part, random_) for key, part in parts.items() if part != ""}
    if isinstance(value, list):
        return [_value(item, random_) for item in value]
    return value


def _call(possible: Mapping[str, Any], random_: random.Random) -> tuple[str, dict[str, Any]]:
    ((name, arguments),) = possible.items()
    chosen = {key: random_.choice(values) for key, values in arguments.items() if values}
    return name, {key: _value(value, random_) for key, value in chosen.items() if value != ""}


def _spoiled(calls: list[tuple[str, dict[str, Any]]], random_: random.Random) -> list[tuple[str, Any]]:
    """The calls with something about one of them changed."""
    place = random_.randrange(len(calls))
    name, arguments = calls[place]
    key = random_.choice([*arguments, "extra"])
    old = arguments.get(key)
    others: list[Any] = [
        None, True, 0, 1.5, "", "x", [], {}, [old], str(old), float(old) if isinstance(old, int) else old,
        old.upper() + "." if isinstance(old, str) else old, old[::-1] if isinstance(old, str | list) else old,
        int(old) if isinstance(old, float) and old == old // 1 else old, [str(old)], {"a": old},
    ]  # fmt: skip
    kind = random_.randrange(6)
    if kind == 0:
        return [*calls[:place], *calls[place + 1 :]]
    if kind == 1:
        return [*calls, calls[place]]
    if kind == 2:
        return [*calls[:place], (name + "x", arguments), *calls[place + 1 :]]
    if kind == 3:
        left = {one: value for one, value in arguments.items() if one != key}
        return [*calls[:place], (name, left), *calls[place + 1 :]]
    return [*calls[:place], (name, {**arguments, key: random_.choice(others)}), *calls[place + 1 :]]


def _cases() -> Iterator[dict[str, Any]]:
    try:
        rows = find(Wish("bfcl"), BFCL).rows.values
    except HubError as error:
        pytest.skip(f"no package index: {error}")
    random_ = random.Random(0)
    for row in rows:
        if not row["ground_truth"]:
            continue
        shared = {"category": row["category"], "functions": row["function"], "right": row["ground_truth"]}
        good = [_call(possible, random_) for possible in row["ground_truth"]]
        shuffled = random_.sample(good, len(good))
        yield {**shared, "calls": good}
        yield {**shared, "calls": shuffled}
        for _ in range(6):
            yield {**shared, "calls": _spoiled(good, random_)}


@pytest.mark.slow
def test_as_its_own_checker_judges(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "lib")]
    done = subprocess.run([*install, "bfcl-eval==2026.3.23"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no package index: {done.stderr[-200:]}")
    cases = list(_cases())
    program = tmp_path / "oracle.py"
    program.write_text(_ORACLE)
    said = subprocess.run(
        [sys.executable, "-s", str(program)], input="".join(json.dumps(case) + "\n" for case in cases), text=True,
        capture_output=True, check=True, env={"PYTHONPATH": str(tmp_path / "lib")},
    ).stdout.splitlines()  # fmt: skip
    theirs = [json.loads(line) for line in said]
    assert len(theirs) == len(cases) > 10_000
    assert 0.15 < sum(verdict is True for verdict in theirs) / len(theirs) < 0.6
    wrong = []
    for case, verdict in zip(cases, theirs, strict=True):
        mine = mismatch(case["category"], case["functions"], case["calls"], case["right"])
        # Where their checker breaks on what a model may say, ours calls it wrong.
        if (mine == "") is not (verdict is True):
            wrong.append((mine, verdict, case["category"], case["calls"], case["right"]))
    assert wrong == []
