"""Publishing: what goes, what must not, what the card says, and uploads to hubs on this machine."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from swift.errors import CheckpointError, ConfigError, HubError, ModelError
from swift.exporting.export import export
from swift.exporting.publish.files import fingerprints, outgoing
from swift.exporting.publish.hubs import target_of
from swift.exporting.publish.origin import licence_in, public_name, training_behind, training_of
from tests.engines.support import save_adapter
from tests.exporting.hub_server import Repository, Site, site
from tests.exporting.support import config, trained, write_rows

CARD = "README.md"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = trained(tmp_path_factory.mktemp("trained") / "model")
    (folder / CARD).write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    (folder / "LICENSE").write_text("Apache License, version 2.0")
    return folder


@pytest.fixture(scope="module")
def made(model, tmp_path_factory) -> Path:
    """An export."""
    place = tmp_path_factory.mktemp("made")
    return export(config(model, write_rows(place / "rows.jsonl"), output_dir=str(place / "out")))


@pytest.fixture
def folder(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "out")


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[Site]:
    import huggingface_hub.constants as constants

    with site() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", running.url)
        monkeypatch.setenv("SWIFT_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the server knows LFS only
        yield running


def front(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def goes(folder: Path, **values):
    given = {"model": {"id": "", "hub_token": "secret", "device": "cpu"}, "push_to": "me/mine", **values}
    return export(config(folder, None, publish=str(folder), **given))


def test_the_card_says_what_the_folder_is(made, model):
    text = (made / CARD).read_text()
    values = front(text)
    assert values["license"] == "apache-2.0"
    assert values["pipeline_tag"] == "text-generation"
    assert "base_model" not in values, "a folder of this machine is no repository"
    for name in (CARD, "certificate.json", "certificate.md"):
        assert str(model.parent) not in (made / name).read_text()
    assert "| divergence | yes |" in text
    assert "swift infer --model out" in text
    assert (made / "LICENSE").read_text() == (model / "LICENSE").read_text()


def test_the_card_tells_of_the_run(model, tmp_path):
    run = tmp_path / "run"
    adapter = save_adapter(run / "checkpoint-2", model, seed=1, scale=0.02)
    (run / "metrics.jsonl").write_text(
        '{"step": 0, "eval_loss": 5.5}\n{"step": 1, "loss": 5.25, "learning_rate": 0.0003}\n'
        '{"step": 2, "eval_loss": 4.75}\n{"step": 2, "lo'
    )
    values = {
        "task": "sft",
        "model": {"id": str(model), "hub_token": "x"},
        "data": {"train": [str(tmp_path / "private" / "rows.jsonl"), "owner/data#500"]},
        "chat": {"system": "keep this to yourself"},
        "tuner": {"type": "lora", "rank": 8},
    }
    (run / "run.json").write_text(
        json.dumps({"config": values, "seed": 7, "fingerprints": {}, "versions": {"torch": "2"}, "ledger": None})
    )
    folder = export(
        config(model, write_rows(tmp_path / "rows.jsonl"), adapters=[str(adapter)], merge_lora=True, licence="My own!")
    )
    assert folder == run / "checkpoint-2-merged"
    text = (folder / CARD).read_text()
    assert front(text)["license"] == "other"
    assert front(text)["license_name"] == "my-own"
    assert front(text)["datasets"] == ["owner/data"]
    assert "Data: rows.jsonl, owner/data" in text
    assert "| learning rate | 0.0003 |" in text
    assert "| rank | 8 |" in text
    assert "| 0 |  | 5.5 |" in text
    assert "| 2 | 5.25 | 4.75 |" in text
    assert "keep this" not in text
    assert str(tmp_path) not in text
    assert "run/checkpoint-2" in text


@pytest.mark.parametrize("text", ['{"config": {}}', "[1]", "{"])
def test_a_record_beside_the_model_that_is_not_ours(text, tmp_path, capsys):
    base = tmp_path / "base"
    base.mkdir()
    (tmp_path / "run.json").write_text(text)
    assert training_behind([], base) is None
    assert "run.json" in capsys.readouterr().err
    with pytest.raises(CheckpointError):
        training_behind([base], base)


def test_a_damaged_record_is_told(tmp_path):
    (tmp_path / "run.json").write_text('{"config": 7}')
    with pytest.raises(CheckpointError, match=r"run\.json is damaged"):
        training_of([tmp_path])


def test_no_run_is_none(tmp_path):
    assert training_of([tmp_path / "nowhere" / "last"]) is None


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\nlicense: other\nlicense_name: qwen\n---\nx", "qwen"),
        ("# no front matter\nlicense: mit\n", ""),
        ("---\nlicense: [\n---\n", ""),
        ("---\n- a\n---\n", ""),
        ("", ""),
    ],
)
def test_the_licence_that_a_readme_states(text, licence, tmp_path):
    (tmp_path / CARD).write_text(text)
    assert licence_in(tmp_path) == licence


def test_strangers_read_no_paths(tmp_path):
    (tmp_path / "run" / "last").mkdir(parents=True)
    (tmp_path / "rows.jsonl").write_text("")
    assert public_name(str(tmp_path / "run" / "last")) == "run/last"
    assert public_name(f"{tmp_path / 'rows.jsonl'}#500") == "rows.jsonl"
    assert public_name("/gone/away/rows.jsonl") == "rows.jsonl"
    assert public_name("owner/name") == "owner/name"


def test_only_an_export_goes(folder):
    (folder / "optimizer.pt").write_bytes(b"x")
    (folder / ".secret").write_text("x")
    (folder / "logs").mkdir()
    (folder / "logs" / "a.json").write_text("{}")
    going = outgoing(folder)
    assert set(going.left) == {"optimizer.pt", ".secret", "logs/a.json"}
    assert {"model.safetensors", "config.json", "chat_template.jinja", CARD, "LICENSE", "certificate.json"} <= dict(
        going.files
    ).keys()
    (folder / "state").mkdir()
    with pytest.raises(ModelError, match="training checkpoint"):
        outgoing(folder)


def test_what_was_not_certified_does_not_go(folder, hub):
    file = folder / "model.safetensors"
    known = fingerprints(folder, None)["model.safetensors"]
    assert known == hashlib.sha256(file.read_bytes()).hexdigest()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelError, match="has changed since: its certificate is not about it"):
        goes(folder)
    data[-1] ^= 1
    file.write_bytes(data)
    (folder / "extra.json").write_text("{}")
    with pytest.raises(ModelError, match=r"extra\.json was not there"):
        goes(folder)
    (folder / "extra.json").unlink()
    values = json.loads((folder / "certificate.json").read_text())
    (folder / "certificate.json").write_text(json.dumps({**values, "passed": False}))
    with pytest.raises(ModelError, match="did not pass its certificate"):
        goes(folder)
    assert hub.repositories == {}


def test_a_dry_run_needs_no_network(folder, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (folder / "notes.log").write_text("x")
    goes(folder, dry_run=True, private=True, hub_revision="v2")
    out = capsys.readouterr().out
    size = (folder / "model.safetensors").stat().st_size
    assert any(line.split() == ["model.safetensors", f"{size:,}"] for line in out.splitlines())
    assert "to me/mine on Hugging Face, branch v2 (a private repository)" in out
    assert "stay here:\n  notes.log" in out
    assert (folder / CARD).read_text() in out
    with pytest.raises(HubError, match="cannot be reached"):
        goes(folder)


@pytest.mark.parametrize(("base", "told"), [("/home/me/model", True), ("me/model", False)])
def test_an_adapter_over_a_folder_of_this_machine_is_told(base, told, folder, capsys):
    (folder / "certificate.json").unlink()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
    goes(folder, dry_run=True)
    assert ("a folder that others do not have" in capsys.readouterr().err) is told


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_adapter_is_told(text, folder):
    (folder / "certificate.json").unlink()
    (folder / "adapter_config.json").write_text(text)
    with pytest.raises(ModelError, match=r"adapter_config\.json is damaged"):
        goes(folder, dry_run=True)


def test_to_hugging_face(folder, hub):
    goes(folder, private=True, commit_message="Hello")
    repository = hub.repositories["me/mine"]
    assert repository.private
    assert repository.branches["main"] == {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".cache"
    }
    assert hub.messages == ["Hello"]


def test_to_a_branch(folder, hub):
    hub.repositories["me/mine"] = Repository(False, {"main": {"old": b"1"}})
    goes(folder, hub_revision="v2")
    branches = hub.repositories["me/mine"].branches
    assert branches["main"] == {"old": b"1"}
    assert "model.safetensors" in branches["v2"]


@pytest.mark.parametrize("name", ["me/mine", "ms://me/mine"])
def test_a_public_repository_is_not_used_for_private_weights(name, folder, hub):
    hub.repositories["me/mine"] = Repository(False, {"main": {}, "master": {}})
    with pytest.raises(HubError, match="already and public"):
        goes(folder, private=True, push_to=name)
    assert hub.stored == []


@pytest.mark.parametrize("name", ["me/mine", "ms://me/mine"])
def test_an_interrupted_upload_goes_on(name, model, hub, tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl")
    folder = export(config(model, rows, output_dir=str(tmp_path / "out"), max_shard_size="150KB"))
    *others, last = [path.read_bytes() for path in sorted(folder.glob("*.safetensors"))]
    assert others
    hub.full = {hashlib.sha256(last).hexdigest()}
    with pytest.raises(HubError, match="could not be uploaded") as error:
        goes(folder, push_to=name)
    assert f"--publish {folder} goes on" in error.value.hint
    assert {hashlib.sha256(other).hexdigest() for other in others} <= hub.blobs.keys()
    before = list(hub.stored)
    hub.full = set()
    goes(folder, push_to=name)
    assert len(last) in hub.stored[len(before) :]
    assert len(hub.stored) == len(hub.blobs), "nothing went twice"
    branch = "master" if name.startswith("ms") else "main"
    assert hub.repositories["me/mine"].branches[branch].keys() == dict(outgoing(folder).files).keys()


def test_to_modelscope(folder, hub):
    goes(folder, push_to="ms://me/mine", private=True, commit_message="Hello")
    repository = hub.repositories["me/mine"]
    assert repository.private
    assert repository.branches["master"] == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_wrong_token_is_told_in_a_line(folder, hub):
    with pytest.raises(HubError, match="could not be uploaded as me/mine") as error:
        goes(folder, model={"id": "", "hub_token": "wrong", "device": "cpu"})
    assert "\n" not in error.value.message
    assert hub.repositories == {}


@pytest.mark.parametrize("name", ["me/mine", "ms://me/mine"])
def test_what_did_not_arrive_is_told(name, folder, hub):
    hub.lost = {"config.json"}
    with pytest.raises(HubError, match=r"config\.json is not there after the upload to me/mine"):
        goes(folder, push_to=name)
    hub.lost = set()
    goes(folder, push_to=name)


def test_exporting_and_publishing_at_once(model, hub, tmp_path):
    values = {"model": {"id": str(model), "hub_token": "secret", "device": "cpu"}, "push_to": "me/mine"}
    rows = write_rows(tmp_path / "rows.jsonl")
    export(config(model, rows, output_dir=str(tmp_path / "out"), push_to_hub=True, **values))
    assert "# mine" in hub.repositories["me/mine"].branches["main"][CARD].decode()


def test_a_model_that_fails_is_not_published(hub, tmp_path):
    silent = trained(tmp_path / "silent", stops=False, steps=5)
    values = {"model": {"id": str(silent), "hub_token": "secret", "device": "cpu"}, "push_to": "me/mine"}
    rows = write_rows(tmp_path / "rows.jsonl")
    with pytest.raises(ModelError, match="stops"):
        export(config(silent, rows, output_dir=str(tmp_path / "out"), push_to_hub=True, **values))
    assert hub.repositories == {}
    assert hub.stored == []
    with pytest.raises(ModelError, match="did not pass its certificate"):
        goes(tmp_path / "out-failed")


@pytest.mark.parametrize("name", ["mine", "a/b/c", "me/", "/mine", "me/my model", "me/x--y", "ms://mine", ""])
def test_what_is_no_id(name, folder):
    with pytest.raises(ConfigError):
        goes(folder, push_to=name, dry_run=True)


def test_where_a_bare_id_is():
    rest = {"revision": None, "private": False, "message": "x", "token": None}
    assert target_of("a/b", modelscope=False, **rest).hub == "hf"
    assert target_of("a/b", modelscope=True, **rest).hub == "ms"
    assert target_of("hf://a/b", modelscope=True, **rest) == target_of("a/b", modelscope=False, **rest)
