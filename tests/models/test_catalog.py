"""The catalog: well formed, found by either hub's id, and open to plugins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.models import catalog
from swift.models.catalog import Family, Repo, all_families, find, of_architecture, search
from swift.models.catalog.family import expand_braces, read_family

FOLDER = Path(catalog.__file__).parent


def test_every_id_is_one_checkpoint_of_one_family() -> None:
    hf = [repo.hf for family in all_families() for repo in family.repos if repo.hf]
    assert len(hf) == len(set(hf))
    for family in all_families():
        assert family.repos, family.name
        assert len(set(family.repos)) == len(family.repos), family.name
        for repo in family.repos:
            assert repo.hf or repo.ms
            for name in filter(None, (repo.hf, repo.ms)):
                assert re.fullmatch(r"[\w.-]+/[\w.:-]+", name), name
    names = [family.name for family in all_families()]
    assert len(names) == len(set(names))


def test_counts() -> None:
    assert len(search(modality="text")) >= 726
    assert len(search(modality="multimodal")) >= 467
    tables = [path for path in FOLDER.glob("*.yaml") if path.name != "limits.yaml"]  # that one is of architectures
    assert sum(len(path.read_text().splitlines()) for path in tables) <= 1200


def test_families_that_transformers_has_need_no_code() -> None:
    from transformers.models.auto import modeling_auto

    known = {
        name
        for table, classes in vars(modeling_auto).items()
        if table.endswith("_MAPPING_NAMES")
        for entry in classes.values()
        for name in ([entry] if isinstance(entry, str) else entry)
    }
    for family in all_families():
        if not family.remote_code:
            assert set(family.architectures) & known, family.name


@pytest.mark.parametrize(
    ("model", "family", "hf", "ms"),
    [
        ("Qwen/Qwen3-0.6B", "qwen3", "Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("qwen/qwen3-0.6b@main", "qwen3", "Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("google/gemma-2-2b-it", "gemma2", "google/gemma-2-2b-it", "LLM-Research/gemma-2-2b-it"),
        ("ms://LLM-Research/gemma-2-2b-it", "gemma2", "google/gemma-2-2b-it", "LLM-Research/gemma-2-2b-it"),
        ("ms://iic/ModelScope-Agent-7B", "qwen", "", "iic/ModelScope-Agent-7B"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "llama", "HuggingFaceTB/SmolLM2-135M-Instruct", ""),
        ("zai-org/glm-4v-9b", "chatglm4v", "zai-org/glm-4v-9b", "ZhipuAI/glm-4v-9b"),
    ],
)
def test_find(model: str, family: str, hf: str, ms: str) -> None:
    found = find(model)
    assert found is not None
    assert (found[0].name, found[1]) == (family, Repo(hf, ms))


def test_what_is_not_listed() -> None:
    assert find("me/mine") is None
    assert of_architecture("NobodyForCausalLM") is None
    assert search("zzzz") == []


def test_search_by_word_architecture_and_modality() -> None:
    assert all(family.name == "qwen3_vl" for family, _ in search("Qwen3VLForConditionalGeneration"))
    assert search("qwen3-vl", "text") == []
    found = of_architecture("Qwen2AudioForConditionalGeneration")
    assert found is not None
    assert found.modality == "multimodal"


def test_a_plugin_adds_a_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog.families, "_entries", {})
    catalog.families.register("mine")(Family("mine", ("MineForCausalLM",), (Repo("me/mine", ""),)))
    found = find("me/mine")
    assert found is not None
    assert found[0].name == "mine"


def test_notation() -> None:
    values = {"architectures": "A B", "repos": "x/N-{1,2}{,-I} x/O=y/ x/P=z/Q x/R= ms://w/{S,T}", "remote_code": True}
    family = read_family("f", values, "text", {"x": "X"})
    assert family.architectures == ("A", "B")
    assert family.remote_code
    assert [(repo.hf, repo.ms) for repo in family.repos] == [
        ("x/N-1", "X/N-1"),
        ("x/N-1-I", "X/N-1-I"),
        ("x/N-2", "X/N-2"),
        ("x/N-2-I", "X/N-2-I"),
        ("x/O", "y/O"),
        ("x/P", "z/Q"),
        ("x/R", ""),
        ("", "w/S"),
        ("", "w/T"),
    ]


@given(st.lists(st.lists(st.text("ab-1", max_size=3), min_size=1, max_size=3), max_size=3))
def test_braces_are_a_product(parts: list[list[str]]) -> None:
    import itertools

    text = "x".join("{" + ",".join(part) + "}" for part in parts)
    assert expand_braces(text) == ["x".join(choice) for choice in itertools.product(*parts)]
