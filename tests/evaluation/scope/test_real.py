"""evalscope itself, from its environment: our engine answers, its numbers are ours, and a killed run goes on."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from swift.cli.main import main
from swift.config.runs import EvalConfig
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.engines.open import plan_of
from swift.environments import scope_file
from swift.environments.store import home, require
from swift.errors import EngineError
from swift.evaluation.result import read_lines, read_summary
from swift.evaluation.scope.run import ENVIRONMENT
from swift.evaluation.scope.server import asked
from swift.models.tiny import save_tiny
from swift.types import Completion, Conversation, Message, Origin, Request, Sampling
from tests.engines.support import WORDS, save_adapter

ROWS = 24


def missing() -> str:
    try:
        require(ENVIRONMENT, home())
    except EngineError as error:
        return error.message
    return ""


pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason="swift env add evalscope")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    rng = random.Random(0)
    for split, count in (("val", ROWS), ("dev", 3)):
        rows = [
            {"question": " ".join(rng.choices(WORDS, k=6)), "A": "one", "B": "two", "C": "three", "answer": "B"}
            for _ in range(count)
        ]
        (folder / f"words_{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = [{"query": word, "response": f"{word} is a word"} for word in WORDS[:3]]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return folder


def words(model: Path, out: Path, *more: str) -> list[str]:
    base = ["eval", "--model", str(model), "--device", "cpu", "--torch_dtype", "float32", "--eval_backend", "evalscope"]
    return [*base, "--max_new_tokens", "12", "--output_dir", str(out), *more]


def answers(model: Path, adapter: Path | None, texts: list[str]) -> list[str]:
    """What our engine says to them without any server."""
    config = EvalConfig.model_validate({"model": {"id": str(model), "dtype": "float32", "device": "cpu"}})
    plan = plan_model(config.model, [str(adapter)] if adapter else [], config.chat)
    engine = load_engine(plan, limits=Limits(tokens=4096, rows=4))
    chats = [Conversation((Message("user", text),), Origin("test", 1)) for text in texts]
    found = engine.generate([Request(chat, Sampling(max_new_tokens=12, temperature=0.0)) for chat in chats])
    return [answer.text.strip() for answer in found if isinstance(answer, Completion)]


def test_base_and_adapter_are_asked_through_our_template(
    model: Path, sets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    adapter = save_adapter(tmp_path / "adapter", model, seed=1, scale=1.0)
    names = ["--eval_dataset", f"general_mcq:words={sets}", f"general_qa:pairs={sets}", "--eval_limit", "3"]
    args = json.dumps({"general_mcq": {"few_shot_num": 2}})
    names += ["--eval_dataset_args", args]
    assert main(words(model, tmp_path / "base", *names)) == 0, capfd.readouterr().err
    assert main(words(model, tmp_path / "tuned", *names, "--adapters", str(adapter))) == 0
    said: dict[str, list[str]] = {}
    for name, used in (("base", None), ("tuned", adapter)):
        for part in ("general_mcq-words", "general_qa-pairs"):
            lines = read_lines(tmp_path / name / part / "samples.jsonl")
            assert len(lines) == 3
            responses = [line["response"].strip() for line in lines]
            assert responses == answers(model, used, [line["asked"] for line in lines])
            said.setdefault(part, []).append(" ".join(responses))
        summary = read_summary(tmp_path / name / "general_mcq-words")
        report = json.loads(
            (tmp_path / name / "general_mcq-words/evalscope/reports/model/general_mcq.json").read_text()
        )
        (metric,) = report["metrics"]
        assert summary.scores["accuracy"].value == pytest.approx(100 * metric["score"], abs=0.01)
        assert summary.facts["shots"] == 2
        assert "general_qa-pairs" in (tmp_path / name / "report.html").read_text()
    assert any(before != after for before, after in said.values())
    shown = read_lines(tmp_path / "base" / "general_mcq-words" / "samples.jsonl")[0]["asked"]
    assert shown.count("ANSWER: B") == 2
    assert (
        main(["eval", "--compare", str(tmp_path / "base"), str(tmp_path / "tuned"), "--output_dir", str(tmp_path)]) == 0
    )
    assert json.loads((tmp_path / "comparison.json").read_text())


def predictions(out: Path) -> list[dict[str, Any]]:
    files = list((out / "general_mcq-words" / "evalscope" / "predictions").glob("*/*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines() if line.endswith(b"}")]


def test_a_killed_run_goes_on_and_asks_nothing_twice(
    model: Path, sets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ["--eval_dataset", f"general_mcq:words={sets}", "--eval_num_proc", "1"]
    assert main(words(model, tmp_path / "whole", *names)) == 0
    out = tmp_path / "cut"
    process = subprocess.Popen(
        [sys.executable, "-m", "swift", *words(model, out, *names)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    begun = time.monotonic()
    while len(predictions(out)) < ROWS // 3 and time.monotonic() - begun < 240:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(7)  # the guards end what was started
    file = next((out / "general_mcq-words" / "evalscope" / "predictions").glob("*/*.jsonl"))
    before = file.read_bytes()
    known = len(predictions(out))
    assert 0 < known < ROWS
    file.write_bytes(before + b'{"index": 99, "mod')  # a line in the midst of which it was killed
    capfd.readouterr()
    assert main(words(model, out, *names)) == 0
    assert file.read_bytes().startswith(before)
    asked_ = [line["index"] for line in predictions(out)]
    assert sorted(asked_) == list(range(ROWS))
    key = "general_mcq-words/samples.jsonl"
    assert (out / key).read_bytes() == (tmp_path / "whole" / key).read_bytes()
    other = words(model, out, *names, "--max_new_tokens", "5")
    assert main(other) == 2
    assert "made with other settings: generation" in capfd.readouterr().err


AUDITED = """
import json, runpy, sys
def hook(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple):
        print("CONNECT", args[1][0], file=sys.stderr, flush=True)
    if event == "socket.getaddrinfo":
        print("CONNECT", args[0], file=sys.stderr, flush=True)
sys.addaudithook(hook)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def job(place: Path, out: Path, **values: Any) -> dict[str, Any]:
    args = {"local_path": str(place), "subset_list": ["words"]}
    one = {"name": "general_mcq", "args": args, "folder": str(out), "total": 2}
    generation = {"max_tokens": 4, "temperature": 0.0}
    base = {"sets": [one], "at_once": 1, "limit": 2, "seed": 1, "generation": generation, "run_code": False}
    return {**base, "options": {}, **values}


def test_nothing_but_the_server_is_spoken_to(model: Path, sets: Path, tmp_path: Path) -> None:
    environment = require(ENVIRONMENT, home())
    config = EvalConfig.model_validate({"model": {"id": str(model), "dtype": "float32", "device": "cpu"}})
    file = tmp_path / "job.json"
    with asked(config, plan_of(config), 1) as server:
        values = {"url": server.url, "key": server.key, "model": server.model}
        file.write_text(json.dumps(job(sets, tmp_path / "out", **values)))
        command = [str(environment.python), "-I", "-c", AUDITED, str(scope_file()), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert server.key is not None
        wrong = {**values, "key": "x" * 43}
        file.write_text(json.dumps(job(sets, tmp_path / "other", **wrong)))
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spoken = {line.split()[1] for line in done.stderr.splitlines() if line.startswith("CONNECT")}
    assert spoken == {"127.0.0.1"}
    assert not any(server.key in path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert refused.returncode == 1
    assert "error" in json.loads(refused.stdout.splitlines()[-1])


DRIVER = "import runpy, sys; one = runpy.run_path(sys.argv[1]); [one['main']([file]) for file in sys.argv[2:]]"


def test_bad_sets_are_told_in_one_line(sets: Path, tmp_path: Path) -> None:
    environment = require(ENVIRONMENT, home())
    (tmp_path / "bare.jsonl").write_text('{"question": "q", "A": "a"}\n')
    file, bare = sets / "words_val.jsonl", tmp_path / "bare.jsonl"

    def one(name: str, **args: Any) -> list[dict[str, Any]]:
        return [{"name": name, "args": args, "folder": str(tmp_path / "out")}]

    jobs = [
        ({"sets": one("general_mqc")}, r"no set 'general_mqc'"),
        ({"sets": one("gsm8k"), "options": {"dataset_dir": str(tmp_path)}}, r"come from \S+, which does not answer"),
        ({"sets": one("humaneval")}, "runs code"),
        ({"sets": one("general_mcq", local_path=str(sets), subset_list=["gone"])}, "No dataset file found"),
        ({"sets": one("general_mcq", local_path=str(bare))}, "KeyError: 'answer'"),
        ({"sets": one("general_mcq", local_path=str(file), few_shot_num=1)}, "no solved examples"),
        (
            {"sets": one("general_qa", local_path=str(sets / "pairs.jsonl"), few_shot_num=1)},
            "does not support few-shot",
        ),
        ({"sets": one("general_mcq", local_path=str(file), colour="red")}, "has no argument 'colour'"),
        ({"sets": one("general_mcq", local_path=str(file)), "options": {"bogus": 1}}, "bogus"),
    ]
    files = []
    for number, (values, _) in enumerate(jobs):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(job(sets, tmp_path / "out", **values)))
    command = [str(environment.python), "-I", "-c", DRIVER, str(scope_file()), *map(str, files)]
    environ = {**os.environ, "MODELSCOPE_ENDPOINT": "https://hub.invalid"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(jobs), done.stderr
    for event, (_, said) in zip(told, jobs, strict=True):
        assert re.search(said, event["error"]), event
        assert event["hint"]
        assert len(event["error"]) < 400
    assert not (tmp_path / "out").exists()
