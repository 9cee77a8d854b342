"""The catalog: well formed, found by either hub's id, and open to plugins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.chat.fallback import FALLBACKS
from swift.models import catalog
from swift.models.catalog import (
    Family,
    Repo,
    all_families,
    find,
    hub_id,
    of_architecture,
    recommended_template,
    search,
)
from swift.models.catalog.family import expand_braces, read_family
from swift.models.catalog.proofs import FILE, proof_of
from swift.models.catalog.trait import Trait, read_trait

FOLDER = Path(catalog.__file__).parent
DECLARED = [FOLDER / f"{name}.yaml" for name in ("text", "multimodal", "owners", "limits")]
TOOLS = set(
    "hermes qwen3_coder qwen3_5 hunyuan_hermes chatglm4 glm4 glm4_5 glm4_7 glm5_1 llama3 llama4 deepseek_v3_1 "
    "deepseek_v4 minimax_m2 minimax_m3 kimi_k25 kimi_k3 seed_oss gemma4 hy_v3_preview hy_v3 mistral minicpm5 youtu "
    "harmony".split()
)


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
    assert {*FOLDER.glob("*.yaml")} <= {*DECLARED, FILE}
    assert sum(len(path.read_text().splitlines()) for path in DECLARED) <= 1200


def test_a_family_is_few_lines_beside_its_list_of_checkpoints() -> None:
    for path in DECLARED[:2]:
        for entry in re.split(r"^(?=\w)", path.read_text(), flags=re.MULTILINE)[1:]:
            before, repos, ids = entry.partition("  repos:\n")
            assert len(f"{before}{repos}".splitlines()) < 10, entry
            assert all(line.startswith("    ") for line in ids.splitlines()), entry


def test_traits_are_known_words_and_each_exception_is_of_some_checkpoint() -> None:
    for family in all_families():
        assert family.template.values <= set(FALLBACKS), family.name
        assert family.thinking.values <= {"none", "always", "switch"}, family.name
        assert family.tools.values <= TOOLS, family.name
        ids = [repo.hf or repo.ms for repo in family.repos]
        for trait in (family.template, family.tools, family.thinking, family.grounding):
            for exception in trait.exceptions:
                alone = Trait("", ((exception[0], "x"),))
                assert any(alone.of(name) for name in ids), f"{family.name}: {exception[0]} matches nothing"


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
        ("hf://qwen/qwen3-0.6b@main", "qwen3", "Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
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


@pytest.mark.parametrize(
    ("model", "template", "tools", "thinking"),
    [
        ("Qwen/Qwen3-8B", "chatml", "hermes", "switch"),
        ("Qwen/Qwen3-8B-Base", "chatml", "hermes", "none"),
        ("Qwen/Qwen3-4B-Thinking-2507-FP8", "chatml", "hermes", "always"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "chatml", "qwen3_coder", "none"),
        ("Qwen/Qwen3-Embedding-0.6B", "chatml", "", ""),
        ("meta-llama/Llama-3.2-1B", "llama3", "", "none"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "llama3", "llama3", "none"),
        ("meta-llama/Llama-2-7b-hf", "", "", "none"),
        ("HuggingFaceTB/SmolLM2-135M", "chatml", "", "none"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "", "", "always"),
        ("google/gemma-2-2b", "gemma", "", "none"),
    ],
)
def test_traits(model: str, template: str, tools: str, thinking: str) -> None:
    found = find(model)
    assert found is not None
    family = found[0]
    assert (family.template.of(model), family.tools.of(model), family.thinking.of(model)) == (template, tools, thinking)


def test_a_trait_and_its_exceptions() -> None:
    trait = read_trait("switch *-Base=none *-Thinking=always *-Thinking-x=")
    assert trait.of("o/A") == "switch"
    assert trait.of("ms://o/A-base@v1") == "none"
    assert trait.of("/models/A-Thinking/") == "always"
    assert trait.of("A-Thinking-x") == ""
    assert str(trait) == "switch; *-Base: none; *-Thinking: always"
    assert trait.values == {"switch", "none", "always"}
    assert str(Trait()) == ""


def test_recommended_templates() -> None:
    assert recommended_template("meta-llama/Llama-3.2-1B") == "llama3"
    assert recommended_template("ms://LLM-Research/Llama-3.2-1B@main") == "llama3"
    assert recommended_template("/models/Llama-3.2-1B", ["LlamaForCausalLM"]) == "llama3"
    assert recommended_template("/models/mine", ["LlamaForCausalLM"]) == ""
    assert recommended_template("/models/mine", ["GemmaForCausalLM"]) == "gemma"
    assert recommended_template("me/mine", ["NobodyForCausalLM"]) == ""


@pytest.mark.parametrize(
    ("model", "hub", "there"),
    [
        ("google/gemma-2-2b", "ms", "LLM-Research/gemma-2-2b"),
        ("Google/Gemma-2-2b", "ms", "LLM-Research/gemma-2-2b"),
        ("google/gemma-2-2b", "hf", "google/gemma-2-2b"),
        ("LLM-Research/gemma-2-2b", "hf", "google/gemma-2-2b"),
        ("LLM-Research/gemma-2-2b", "ms", "LLM-Research/gemma-2-2b"),
        ("Qwen/Qwen3-0.6B", "ms", "Qwen/Qwen3-0.6B"),
        ("HuggingFaceTB/SmolLM2-135M", "ms", "HuggingFaceTB/SmolLM2-135M"),
        ("me/mine", "ms", "me/mine"),
    ],
)
def test_the_id_on_the_other_hub(model: str, hub: Literal["hf", "ms"], there: str) -> None:
    assert hub_id(model, hub) == there


def test_proofs(tmp_path: Path) -> None:
    file = tmp_path / "proved.yaml"
    assert proof_of("qwen3", file) is None
    other = tmp_path / "more.yaml"
    other.write_text("causal: qwen3\n  bamba mllama\nmultimodal: mllama\n")
    whole = proof_of("qwen3", other)
    assert whole is not None
    assert whole.works == ("build", "full", "lora", "packed", "padded", "generate", "reload", "merge")
    part = proof_of("bamba", other)
    assert part is not None
    assert "packed" not in part.works
    assert "carry a state on" in str(part)
    shown = proof_of("mllama", other)
    assert shown is not None
    assert shown.modality == "multimodal"
    assert "tower" in shown.works
    assert proof_of("llama", other) is None


def test_recorded_proofs_are_of_architectures_that_are_there() -> None:
    from swift.models.native import native_type, native_types

    assert native_type("Qwen3ForCausalLM") == native_type("qwen3") == "qwen3"
    assert native_type("NobodyForCausalLM") == ""
    recorded = [name for name in native_types() if proof_of(name) is not None]
    assert FILE.is_file() == bool(recorded)


def test_what_is_not_listed() -> None:
    assert find("me/mine") is None
    assert of_architecture("NobodyForCausalLM") is None
    assert search("zzzz") == []


def test_a_model_type_names_its_family() -> None:
    for name in ("qwen3_vl", "Qwen3VLForConditionalGeneration"):
        family = of_architecture(name)
        assert family is not None
        assert family.name == "qwen3_vl"


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
