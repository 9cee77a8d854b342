"""Programs that do a job elsewhere: what they tell arrives, why they fail is known, and none is left behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from swift.environments.worker import Event, run_worker


def test_events_arrive_in_order_and_the_last_words_are_kept() -> None:
    code = (
        "import json, sys\n"
        "for number in range(3): print(json.dumps({'done': number}), flush=True)\n"
        "print('one\\n\\ntwo', file=sys.stderr)\n"
        "sys.exit(3)\n"
    )
    events: list[Event] = []
    assert run_worker([sys.executable, "-c", code], events.append) == (3, "one / two")
    assert events == [{"done": 0}, {"done": 1}, {"done": 2}]


def test_variables_reach_it_and_ours_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    code = "import json, os; print(json.dumps({name: os.environ.get(name) for name in ('PYTHONPATH', 'X')}))"
    events: list[Event] = []
    run_worker([sys.executable, "-c", code], events.append, {"X": "y"})
    assert events == [{"PYTHONPATH": None, "X": "y"}]


def test_it_ends_with_who_asked(tmp_path: Path) -> None:
    code = "import json, os, time; print(json.dumps({'pid': os.getpid()}), flush=True); time.sleep(600)"
    pids: list[int] = []

    def interrupted(event: Event) -> None:
        pids.append(event["pid"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_worker([sys.executable, "-c", code], interrupted)
    for _ in range(100):
        try:
            os.kill(pids[0], 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the program still runs")
