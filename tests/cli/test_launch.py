"""The environment before anything heavy is imported."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from swift.cli import launch
from swift.errors import ConfigError


def test_defaults_do_not_override_the_user() -> None:
    environment = {"TOKENIZERS_PARALLELISM": "true"}
    launch.set_defaults(environment)
    assert environment["TOKENIZERS_PARALLELISM"] == "true"
    assert environment["HF_HUB_DISABLE_TELEMETRY"] == "1"


@pytest.mark.parametrize("name", ["NPROC_PER_NODE", "NNODES", "WORLD_SIZE"])
def test_several_processes_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}=2: training with several processes is not supported yet"):
        launch.require_one_process({name: "2"})
    launch.require_one_process({name: "1"})


@pytest.mark.parametrize(
    ("text", "cores"), [("50000 100000\n", 1), ("250000 100000\n", 3), ("max 100000\n", None), ("x", None)]
)
def test_quota_of_a_container(tmp_path: Path, text: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert launch.quota_cores(tmp_path) == cores
    assert launch.quota_cores(tmp_path / "none") is None


def test_sigterm_unwinds_a_command_and_is_given_back_after_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop, launch.prepared(trains=False):
        signal.raise_signal(signal.SIGTERM)
    assert stop.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
