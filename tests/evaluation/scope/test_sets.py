"""Which sets of evalscope are asked, and whose answers count as whose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swift.config.runs import EvalConfig
from swift.errors import ConfigError, DataError
from swift.evaluation.scope.run import _generation
from swift.evaluation.scope.server import server_of
from swift.evaluation.scope.sets import wanted_sets


def config(*sets: str, **values: Any) -> EvalConfig:
    benchmark = {"sets": list(sets), **values.pop("benchmark", {})}
    return EvalConfig.model_validate({"eval_backend": "evalscope", "benchmark": benchmark, **values})


def test_subsets_and_places_become_what_evalscope_takes(tmp_path: Path) -> None:
    (tmp_path / "law_val.csv").write_text("question,A,B,answer\nq,a,b,A\n")
    args = {"gsm8k": {"filters": {"remove_until": "x"}}}
    first, second = wanted_sets(
        config(
            f"general_mcq:law,art={tmp_path}",
            "gsm8k",
            benchmark={"shots": 2},
            chat={"system": "Be brief."},
            scope={"dataset_args": args},
            output_dir="out",
        )
    )
    assert first.args == {
        "local_path": str(tmp_path),
        "subset_list": ["law", "art"],
        "few_shot_num": 2,
        "system_prompt": "Be brief.",
    }
    assert (first.label, first.work) == ("general_mcq-law-art", Path("out/general_mcq-law-art/evalscope"))
    assert second.args == {"filters": {"remove_until": "x"}, "few_shot_num": 2, "system_prompt": "Be brief."}
    assert second.rows == ""


def test_other_rows_are_another_set(tmp_path: Path) -> None:
    file = tmp_path / "law_val.csv"
    hashes = set()
    for rows in ("question,answer\nq,A\n", "question,answer\nq,B\n"):
        file.write_text(rows)
        hashes |= {wanted_sets(config(f"general_mcq={place}"))[0].rows for place in (tmp_path, file)}
    file.rename(tmp_path / "art_val.csv")
    hashes.add(wanted_sets(config(f"general_mcq={tmp_path}"))[0].rows)
    assert len(hashes) == 5


def test_a_place_that_is_not_there_is_not_looked_for_on_a_hub(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        wanted_sets(config(f"general_mcq={tmp_path}/gone"))
    with pytest.raises(DataError, match="no such file or folder"):
        wanted_sets(config("general_mcq", scope={"dataset_args": {"general_mcq": {"local_path": "gone"}}}))


def test_what_is_said_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"few_shot_num, and --few_shot says it too"):
        wanted_sets(config("gsm8k", benchmark={"shots": 2}, scope={"dataset_args": {"gsm8k": {"few_shot_num": 1}}}))
    with pytest.raises(ConfigError, match="gsm8k stands there twice"):
        wanted_sets(config("gsm8k:a", "gsm8k:b"))
    with pytest.raises(ConfigError, match="is not NAME"):
        wanted_sets(config("gsm8k:"))


def test_sampling_is_passed_on_and_nothing_that_says_nothing() -> None:
    plain = _generation(config("gsm8k", seed=7, generation={"max_new_tokens": 9}))
    assert plain == {"max_tokens": 9, "temperature": 0.0, "seed": 7, "retry_interval": 2}
    rules = {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "min_p": 0.1, "repetition_penalty": 1.1, "stop": ["x"]}
    full = _generation(config("gsm8k", generation=rules))
    assert full["extra_body"] == {"min_p": 0.1}
    assert (full["top_p"], full["top_k"], full["repetition_penalty"], full["stop_seqs"]) == (0.9, 4, 1.1, ["x"])


def test_the_server_is_for_this_machine_only_and_asks_for_a_key() -> None:
    server = server_of(config("gsm8k", model={"id": "m"}), "k" * 32, at_once=3)
    assert (server.server.host, server.server.port) == ("127.0.0.1", 0)
    assert server.server.api_keys == (f"eval={'k' * 32}",)
    assert server.limits.max_running == 3
    assert server.server.request_log is None
