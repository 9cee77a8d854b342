"""The environment before anything heavy is imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from swift.cli import launch, ranks
from swift.errors import ConfigError, ResourceError, TrainingError
from swift.train.parallel.place import Place
from tests.conftest import Swift


def test_defaults_do_not_override_the_user() -> None:
    environment = {"TOKENIZERS_PARALLELISM": "true"}
    launch.set_defaults(environment)
    assert environment["TOKENIZERS_PARALLELISM"] == "true"
    assert environment["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_libraries_that_warn_of_each_other_are_quiet() -> None:
    pytest.importorskip("torchao")
    environment = dict(os.environ)
    launch.set_defaults(environment)
    imported = [sys.executable, "-c", "import transformers.quantizers.auto"]
    done = subprocess.run(imported, env=environment, capture_output=True, text=True, check=True, timeout=300)
    assert "_pytree" not in done.stderr


def test_cores_are_shared_by_processes() -> None:
    alone: dict[str, str] = {}
    launch.set_defaults(alone, 1000)
    assert alone["OMP_NUM_THREADS"] == "1"
    chosen = {"OMP_NUM_THREADS": "7"}
    launch.set_defaults(chosen, 1000)
    assert chosen["OMP_NUM_THREADS"] == "7"


def test_the_place_of_a_process() -> None:
    torchrun = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "NPROC_PER_NODE": "4"}
    place = ranks.place_of(torchrun)
    assert place == Place(5, 8, 1, 4)
    assert (place.main, place.local_main, place.machine) == (False, False, 4)
    assert ranks.start_of(torchrun) is None
    assert ranks.place_of({}) == Place()
    # Schedulers set these two for machines.
    assert ranks.place_of({"RANK": "1", "WORLD_SIZE": "2", "NPROC_PER_NODE": "4"}) == Place()


@pytest.mark.parametrize(
    ("environment", "start"),
    [
        ({}, None),
        ({"NPROC_PER_NODE": "1", "NNODES": ""}, None),
        ({"NPROC_PER_NODE": "4"}, ranks.Start(4)),
        ({"NNODES": "2", "MASTER_ADDR": "10.0.0.1"}, ranks.Start(1, 2, 0, ("10.0.0.1", 29500))),
        (
            {"NPROC_PER_NODE": "8", "NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "7"},
            ranks.Start(8, 2, 1, ("a", 7)),
        ),
    ],
)
def test_what_is_to_be_started(environment: dict[str, str], start: ranks.Start | None) -> None:
    assert ranks.start_of(environment) == start


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"NPROC_PER_NODE": "gpu"}, "NPROC_PER_NODE=gpu is not a number from 1 on"),
        ({"NPROC_PER_NODE": "0"}, "NPROC_PER_NODE=0 is not a number from 1 on"),
        ({"NNODES": "2"}, "MASTER_ADDR does not say where machine 0 is"),
        ({"NNODES": "2", "MASTER_ADDR": "a", "NODE_RANK": "2"}, "NODE_RANK=2 is none of 2 machines"),
        ({"WORLD_SIZE": "2"}, "RANK and LOCAL_RANK do not say which process this is"),
        ({"NPROC_PER_NODE": "2", "NNODES": "2", "MASTER_ADDR": "a", "MASTER_PORT": "x"}, "MASTER_PORT=x is not"),
    ],
)
def test_what_cannot_be_started_is_told(environment: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        ranks.start_of(environment)


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ({1: 2, 0: -15}, 2),
        ({0: 143, 1: 2}, 2),
        ({0: 1, 1: -9}, 1),
        ({0: 143, 1: 143}, 143),
        ({0: 130, 1: -15}, 130),
        ({0: -15, 1: -15}, 143),
    ],
)
def test_the_exit_code_is_that_of_whoever_told_an_error(codes: dict[int, int], code: int) -> None:
    assert ranks.exit_code(codes) == code


def test_processes_that_could_tell_nothing() -> None:
    with pytest.raises(ResourceError, match="process 1 was killed"):
        ranks.exit_code({0: -15, 1: -9})
    with pytest.raises(TrainingError, match="process 0 was ended by SIGSEGV"):
        ranks.exit_code({0: -11, 1: 143})


def test_other_commands_are_one_process(swift: Swift) -> None:
    done = swift("check", env={"NPROC_PER_NODE": "2"})
    assert done.code == 2
    assert done.err.splitlines()[0] == "note: `swift check` is one process; NPROC_PER_NODE=2 is for training"
    assert swift("version", env={"NPROC_PER_NODE": "2"}).err == ""
    torchrun = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    done = swift("infer", env=torchrun)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: torchrun has started 2 processes, and `swift infer` is one\n")


@pytest.mark.parametrize(
    ("text", "cores"), [("50000 100000\n", 1), ("250000 100000\n", 3), ("max 100000\n", None), ("x", None)]
)
def test_quota_of_a_container(tmp_path: Path, text: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert launch.quota_cores(tmp_path) == cores
    assert launch.quota_cores(tmp_path / "none") is None


def test_sigterm_unwinds_a_command_and_is_given_back_after_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop, launch.prepared("check"):
        signal.raise_signal(signal.SIGTERM)
    assert stop.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
