"""Answering a data set by an engine over HTTP: the same file as in process, and nothing mixed up on resuming."""

from __future__ import annotations

import json

import pytest

from swift.config.chat import ChatConfig
from swift.config.model import ModelConfig
from swift.config.runs import EvalConfig
from swift.engines.folders import plan_model
from swift.engines.lanes import Limits
from swift.engines.load import load_engine
from swift.errors import DataError
from swift.evaluation.run import evaluate
from swift.inference.run import infer
from tests.engines.served import serving
from tests.inference.test_batch import TINY, _config, _read, _rows


@pytest.fixture
def data(tmp_path):
    return _rows(tmp_path / "data.jsonl")


@pytest.fixture
def server(model):
    plan = plan_model(ModelConfig(id=str(model), **TINY), [], ChatConfig())
    with serving(load_engine(plan, limits=Limits(tokens=2000, rows=2))) as running:
        yield running


GREEDY = {"max_new_tokens": 5, "temperature": 0.0}


def test_the_file_is_the_same(model, data, server, tmp_path, capsys):
    mine, theirs = tmp_path / "mine.jsonl", tmp_path / "theirs.jsonl"
    infer(_config(model, data, mine, generation=GREEDY))
    engine = {"type": "vllm", "url": server.url}
    infer(_config(model, data, theirs, generation=GREEDY, engine=engine))
    assert theirs.read_bytes() == mine.read_bytes()
    shown = capsys.readouterr().err
    assert "prompts as token ids" in shown
    assert "new tokens" in shown
    with pytest.raises(DataError, match="other settings: weights, engine"):
        infer(_config(model, data, theirs, generation=GREEDY))


def test_a_killed_run_goes_on(model, data, server, tmp_path):
    result = tmp_path / "r.jsonl"
    config = _config(model, data, result, generation=GREEDY, engine={"type": "vllm", "url": server.url})
    infer(config)
    whole = result.read_bytes()
    result.write_bytes(b"".join(whole.splitlines(keepends=True)[:5]))
    before = len(server.asked)
    infer(config)
    assert result.read_bytes() == whole
    assert len(server.asked) == before + 4


def test_without_a_checkpoint_messages_are_sent(data, server, tmp_path):
    result = tmp_path / "r.jsonl"
    server.models = [{"id": "theirs"}]
    message = {"reasoning_content": "well", "content": "fine"}
    server.chat = [{"choices": [{"message": message, "finish_reason": "stop"}], "usage": {"prompt_tokens": 4, "completion_tokens": 3}}]  # fmt: skip # noqa: E501
    config = _config("x", data, result, engine={"type": "openai", "url": server.url})
    infer(config.model_copy(update={"model": None}))
    lines = _read(result)
    assert [line["response"] for line in lines] == ["<think>\nwell\n</think>\n\nfine"] * 9
    assert [line["completion_tokens"] for line in lines] == [3] * 9
    assert server.asked[0]["messages"] == [{"role": "user", "content": "one"}]


def test_turns_are_judged_by_another_engine(model, data, server, tmp_path):
    def judged(name, **values):
        config = EvalConfig.model_validate(
            {
                "model": {"id": str(model), **TINY},
                "data": {"train": [str(data)]},
                "metric": "exact",
                "generation": GREEDY,
                "output_dir": str(tmp_path / name),
                **values,
            }
        )
        evaluate(config)
        lines = (tmp_path / name / "predictions.jsonl").read_text().splitlines()
        return [json.loads(line)["response"] for line in lines]

    assert judged("theirs", engine={"type": "vllm", "url": server.url}) == judged("mine")
