"""From what the user names to an engine: adapters, run folders, whole checkpoints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from swift.config.chat import ChatConfig
from swift.config.model import ModelConfig
from swift.config.runs import InferConfig
from swift.config.sft import SftConfig
from swift.engines.folders import plan_model, read_checkpoint
from swift.engines.lanes import Limits
from swift.engines.load import load_base, load_engine
from swift.errors import CheckpointError, ConfigError
from swift.hub import locate
from swift.models.structure import embedding_rows
from swift.models.tiny import CHATML, save_tiny, tiny_tokenizer
from swift.models.vocabulary import add_special_tokens
from tests.engines.support import answers, go_on, save_adapter

FLOAT = {"dtype": "float32", "device": "cpu"}
REQUEST = {"max_new_tokens": 8}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "model")


def _engine(model, adapters=(), *, merge=False, chat=None, pack=False):
    plan = plan_model(model, adapters, chat or ChatConfig())
    return load_engine(plan, limits=Limits(1000, 4), merge_lora=merge, pack=pack)


def _run_folder(path: Path, model: Path, **chat: object) -> Path:
    config = SftConfig(model=ModelConfig(id=str(model), **FLOAT), chat=ChatConfig(**chat), output_dir=str(path))
    path.mkdir(parents=True)
    (path / "run.json").write_text(json.dumps({"config": config.model_dump(mode="json"), "seed": 1}))
    return path


def _ids(engine, **options):
    return answers(engine.generate([go_on("the capital", **REQUEST, **options)]))[0].token_ids


def test_each_request_chooses_its_adapter(tmp_path, model):
    one = save_adapter(tmp_path / "one", model, seed=1)
    two = save_adapter(tmp_path / "two", model, seed=2)
    engine = _engine(ModelConfig(id=str(model), **FLOAT), [str(one), f"second={two}"])
    assert engine.adapters == ("one", "second")
    requests = [go_on("the capital", adapter=name, **REQUEST) for name in ("second", "base", "one", None, "base")]
    found = [answer.token_ids for answer in answers(engine.generate(requests))]
    bare = _ids(_engine(ModelConfig(id=str(model), **FLOAT)))
    assert found[1] == found[4] == bare
    assert found[2] == found[3]
    assert len({found[0], found[1], found[2]}) == 3
    for name, folder in (("one", one), ("second", two)):
        alone = _engine(ModelConfig(id=str(model), **FLOAT), [str(folder)])
        assert _ids(alone) == _ids(engine, adapter=name)


def test_a_merged_adapter_answers_as_beside_the_weights(tmp_path, model):
    folder = save_adapter(tmp_path / "one", model, seed=1)
    config = ModelConfig(id=str(model), **FLOAT)
    merged = _engine(config, [str(folder)], merge=True)
    assert merged.adapters == ()
    assert _ids(merged) == _ids(_engine(config, [str(folder)]))


def test_a_run_folder_brings_all_that_is_needed(tmp_path, model):
    run = _run_folder(tmp_path / "my.run", model, system="be brief", thinking="strip")
    checkpoint = save_adapter(run / "checkpoint-4", model, seed=1)
    tiny_tokenizer(chat_template=CHATML + "{# trained #}").save_pretrained(checkpoint)
    GenerationConfig(eos_token_id=[2, 77]).save_pretrained(checkpoint)
    (run / "last").symlink_to("checkpoint-4")
    for named in (run, run / "last", checkpoint):
        plan = plan_model(None, [str(named)], ChatConfig())
        assert plan.model.id == str(model)
        assert plan.model.dtype == "float32"
        assert plan.chat.system == "be brief"
        assert plan.tokenizer == checkpoint
    engine = load_engine(plan_model(None, [str(run)], ChatConfig()), limits=Limits())
    assert engine.adapters == ("my_run",)
    assert engine.codec.eos_ids == {2, 77}
    assert "trained" in engine.codec.template.source
    assert plan_model(ModelConfig(id=str(run)), [], ChatConfig()).adapters == {"my_run": checkpoint}


def test_best_comes_before_last(tmp_path, model):
    run = _run_folder(tmp_path / "run", model)
    for name, seed in (("checkpoint-2", 1), ("checkpoint-4", 2)):
        save_adapter(run / name, model, seed=seed)
    (run / "last").symlink_to("checkpoint-4")
    assert read_checkpoint(run).path.name == "checkpoint-4"
    (run / "best").symlink_to("checkpoint-2")
    assert read_checkpoint(run).path.name == "checkpoint-2"


def test_what_the_user_says_wins_over_the_run(tmp_path, model):
    run = _run_folder(tmp_path / "run", model, system="of the run", template="chatml")
    save_adapter(run / "checkpoint-4", model, seed=1)
    (run / "last").symlink_to("checkpoint-4")
    said = InferConfig.model_validate({"model": {"dtype": "bfloat16"}, "adapters": [str(run)], "chat": {"system": "x"}})
    plan = plan_model(said.model, said.adapters, said.chat)
    assert (plan.model.id, plan.model.dtype, plan.model.device) == (str(model), "bfloat16", "cpu")
    assert plan.chat.system == "x"
    assert plan.chat.template == "chatml", "the checkpoint carries no tokenizer, so the run's template counts"
    other = save_tiny(tmp_path / "other", seed=5)
    assert plan_model(ModelConfig(id=str(other)), [str(run)], ChatConfig()).model.id == str(other)


def test_a_whole_checkpoint_is_a_model_by_either_flag(tmp_path, model):
    run = _run_folder(tmp_path / "run", model, system="short", template="chatml")
    checkpoint = save_tiny(run / "checkpoint-4", seed=3)
    (run / "last").symlink_to("checkpoint-4")
    plans = [
        plan_model(ModelConfig(id=str(run), **FLOAT), [], ChatConfig()),
        plan_model(ModelConfig(id=str(checkpoint), **FLOAT), [], ChatConfig()),
        plan_model(None, [str(run)], ChatConfig()),
    ]
    for plan in plans:
        assert plan.model.id == str(checkpoint)
        assert plan.adapters == {}
        assert plan.chat == ChatConfig(system="short")
    engine = load_engine(plans[2], limits=Limits(), pack=False)
    weights = AutoModelForCausalLM.from_pretrained(checkpoint).get_input_embeddings().weight
    assert torch.equal(engine._model.get_input_embeddings().weight.float(), weights)


def test_an_adapter_without_a_run_knows_its_model(tmp_path, model):
    folder = save_adapter(tmp_path / "adapter", model, seed=1)
    assert plan_model(None, [str(folder)], ChatConfig()).model.id == str(model)


def test_a_base_model_without_a_template_takes_the_one_that_is_named(tmp_path):
    bare = save_tiny(tmp_path / "bare", chat_template=None)
    engine = _engine(ModelConfig(id=str(bare), **FLOAT), chat=ChatConfig(template="chatml"))
    assert "built-in chatml" in engine.codec.template_source


@pytest.mark.parametrize(
    ("adapters", "error", "words"),
    [
        (["nowhere"], CheckpointError, "no such folder"),
        (["empty"], CheckpointError, "neither an adapter"),
        (["a=adapter", "a=adapter"], ConfigError, "two adapters"),
        (["adapter", "other"], ConfigError, "was trained on"),
        (["adapter", "model"], ConfigError, "whole model"),
        (["damaged"], CheckpointError, "cannot be read"),
        ([], ConfigError, "no model is named"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(adapters, error, words, tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    save_adapter(tmp_path / "adapter", model, seed=1)
    save_adapter(tmp_path / "other", save_tiny(tmp_path / "model2"), seed=1)
    save_adapter(tmp_path / "damaged", model, seed=1)
    (tmp_path / "damaged" / "run.json").write_text("{}")
    with pytest.raises(error, match=words) as caught:
        plan_model(None, adapters, ChatConfig())
    assert "\n" not in caught.value.message


def test_an_adapter_of_another_model_does_not_fit(tmp_path, model):
    wide = save_tiny(tmp_path / "wide", hidden_size=32, head_dim=8)
    folder = save_adapter(tmp_path / "adapter", wide, seed=1)
    with pytest.raises(CheckpointError, match="does not fit this model"):
        _engine(ModelConfig(id=str(model), **FLOAT), [str(folder)])


def test_a_name_that_means_the_bare_model_is_refused(tmp_path, model):
    folder = save_adapter(tmp_path / "adapter", model, seed=1)
    with pytest.raises(ConfigError, match="'base'"):
        _engine(ModelConfig(id=str(model), **FLOAT), [f"base={folder}"])


def test_gemma_keeps_an_attention_that_it_can_use(tmp_path):
    folder = save_tiny(tmp_path / "gemma", "gemma2")
    engine = _engine(ModelConfig(id=str(folder), **FLOAT))
    assert len(_ids(engine)) == 8


@pytest.mark.parametrize(("added", "rows"), [(0, 380), (2, 386)])
def test_embeddings_grow_for_tokens_that_a_run_has_added_only(tmp_path, added, rows):
    """Some models have always had fewer rows than their tokenizer has tokens, and stay so."""
    model = save_tiny(tmp_path / "small", vocab_size=380)
    tokenizer = tiny_tokenizer()
    checkpoint = tmp_path / "checkpoint"
    add_special_tokens(tokenizer, [f"<new{number}>" for number in range(added)])
    tokenizer.save_pretrained(checkpoint)
    plan = replace(plan_model(ModelConfig(id=str(model), **FLOAT), [], ChatConfig()), tokenizer=checkpoint)
    loaded, _ = load_base(plan, locate(plan.model))
    assert embedding_rows(loaded) == rows
