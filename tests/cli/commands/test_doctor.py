from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from pathlib import Path

import pytest

from swift.cli import checks
from swift.cli.commands.doctor import main


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWIFT_OFFLINE", "1")
    monkeypatch.setenv("SWIFT_CACHE", str(tmp_path))


def test_json_of_a_machine_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--json"])
    report = json.loads(capsys.readouterr().out)
    bad = [finding for finding in report["findings"] if finding["status"] == "bad"]
    assert (code, report["ok"], bad) == (0, True, [])
    sections = [finding["section"] for finding in report["findings"]]
    assert {"swift", "machine", "devices", "hubs", "caches"} <= set(sections)
    devices = [finding for finding in report["findings"] if finding["section"] == "devices"]
    assert any(finding["name"] == "cpu" and "tiny training step works" in finding["value"] for finding in devices)


def test_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "packages", lambda: iter([checks.Finding("packages", "x", "broken", "bad", "mend it")]))
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert "bad  x: broken" in shown
    assert "fix: mend it" in shown
    assert "training would not work here: x" in shown


def requirements(monkeypatch: pytest.MonkeyPatch, *lines: str) -> dict[str, checks.Finding]:
    """Findings about dependencies, if these were declared."""
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: list(lines))
    return {finding.name: finding for finding in checks.packages()}


def test_dependencies(monkeypatch: pytest.MonkeyPatch) -> None:
    found = requirements(monkeypatch, "numpy>=1", "rich<1", "no-such-thing>=2", "pydantic; sys_platform == 'none'")
    assert found["numpy"].status == "ok"
    assert found["rich"].status == "bad"
    assert found["rich"].fix == "pip install --upgrade 'rich<1'"
    assert (found["no-such-thing"].value, found["no-such-thing"].status) == ("not installed", "bad")
    assert found["no-such-thing"].fix == "pip install 'no-such-thing>=2'"
    assert "pydantic" not in found


def test_extras_are_notes_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_extras", lambda: ("hub",))
    found = requirements(monkeypatch, "no-such-thing>=2; extra == 'hub'", "other; extra == 'dev'")
    assert found["no-such-thing"].status == "note"
    assert found["no-such-thing"].fix == "pip install 'swift-finetune[hub]'"
    assert "other" not in found


def test_a_library_that_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", None)
    found = requirements(monkeypatch, "xxhash>=1")["xxhash"]
    assert found.status == "bad"
    assert "cannot be imported: ModuleNotFoundError" in found.value
    assert "--force-reinstall 'xxhash==" in found.fix


def test_hubs_are_asked_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(url: str, seconds: float) -> str | None:
        time.sleep(0.2)
        return None if "pypi" in url else "no route"

    monkeypatch.setattr(checks, "unreachable", slow)
    begin = time.monotonic()
    found = {finding.name: finding.status for finding in checks.hubs()}
    assert time.monotonic() - begin < 0.5
    assert found == {"Hugging Face": "note", "ModelScope": "note", "PyPI": "ok"}
