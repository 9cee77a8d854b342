"""Pictures, videos and sounds through the command line: what is good trains, what is bad is told and left out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image
from safetensors.torch import load_file

from swift.cli.main import main
from swift.models.tiny import save_tiny_multimodal

RANDOM = np.random.default_rng(0)
OPTIONS = ["--max_steps", "2", "--logging_steps", "1", "--dataset_num_proc", "0", "--device", "cpu"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_multimodal(tmp_path_factory.mktemp("model") / "qwen2_vl", "qwen2_vl")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    _picture(60, 50).save("good.png")
    _video("good.mp4", 6)
    return tmp_path


def _picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    return Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)


def _video(name: str, frames: int) -> None:
    with av.open(name, "w") as file:
        stream = file.add_stream("libx264", rate=4)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(frames):
            file.mux(stream.encode(av.VideoFrame.from_image(_picture(64, 64))))
        file.mux(stream.encode())


def _row(kind: str, source: Any, **extra: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": f"<{kind}>What is it?"}, {"role": "assistant", "content": "noise"}]
    return {"messages": said, f"{kind}s": [source], **extra}


def _write(name: str, content: bytes) -> str:
    Path(name).write_bytes(content)
    return name


def _half(name: str) -> str:
    content = Path(name).read_bytes()
    return _write(f"half_{name}", content[: len(content) // 2])


def _saved(name: str, picture: Image.Image, **options: Any) -> str:
    picture.save(name, **options)
    return name


def _sound() -> str:
    soundfile.write("tone.wav", np.sin(np.arange(8000) / 9.0), 16_000)
    return "tone.wav"


def _linked() -> str:
    Path("link.png").symlink_to("/etc/hostname")
    return "link.png"


def _fifo() -> str:
    os.mkfifo("pipe.png")
    return "pipe.png"


def _noise(size: int) -> bytes:
    return RANDOM.integers(0, 256, size, dtype=np.uint8).tobytes()


# What the row names -> the reason in the ledger.
BAD: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "missing": (lambda: _row("image", "nope.png"), "media_missing"),
    "missing in a folder": (lambda: _row("image", "no/such/nope.png"), "media_missing"),
    "zero bytes": (lambda: _row("image", _write("empty.png", b"")), "media_unreadable"),
    "truncated png": (lambda: _row("image", _half("good.png")), "media_unreadable"),
    "truncated jpeg": (lambda: _row("image", _half(_saved("a.jpg", _picture(90, 90)))), "media_unreadable"),
    "truncated webp": (lambda: _row("image", _half(_saved("a.webp", _picture(90, 90)))), "media_unreadable"),
    "truncated gif": (lambda: _row("image", _half(_saved("a.gif", _picture(90, 90)))), "media_unreadable"),
    "random bytes": (lambda: _row("image", _write("noise.png", _noise(900))), "media_unreadable"),
    "a page in the place of a picture": (
        lambda: _row("image", _write("page.jpg", b"<!DOCTYPE html><html><body>404</body></html>")),
        "media_unreadable",
    ),
    "text": (lambda: _row("image", _write("text.png", b"hello there")), "media_unreadable"),
    "pdf": (lambda: _row("image", _write("a.pdf", b"%PDF-1.7\n1 0 obj\n")), "media_unreadable"),
    "svg": (
        lambda: _row("image", _write("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>')),
        "media_unreadable",
    ),
    "a sound as a picture": (lambda: _row("image", _sound()), "media_unreadable"),
    "a video as a picture": (lambda: _row("image", "good.mp4"), "media_unreadable"),
    "a folder as a picture": (lambda: _row("image", "."), "media_unreadable"),
    "far too many pixels": (
        lambda: _row("image", _saved("wide.png", Image.new("1", (20_000, 20_000)))),
        "media_too_large",
    ),
    "20,000 pixels wide and 20 high": (
        lambda: _row("image", _saved("wide_strip.png", Image.new("RGB", (20_000, 20)))),
        "media_refused",
    ),
    "outside by dots": (lambda: _row("image", "../../../etc/hostname"), "media_outside_root"),
    "outside, absolute": (lambda: _row("image", "/etc/hostname"), "media_outside_root"),
    "outside by a link": (lambda: _row("image", _linked()), "media_outside_root"),
    "outside by file://": (lambda: _row("image", "file:///etc/passwd"), "media_outside_root"),
    "a pipe": (lambda: _row("image", _fifo()), "media_unreadable"),
    "a NUL in the name": (lambda: _row("image", "a\0b.png"), "media_bad_source"),
    "a name that is too long": (lambda: _row("image", "a" * 5000 + ".png"), "media_bad_source"),
    "ftp": (lambda: _row("image", "ftp://example.org/a.png"), "media_bad_source"),
    "javascript": (lambda: _row("image", "javascript:alert(1)"), "media_bad_source"),
    "this machine": (lambda: _row("image", "http://127.0.0.1/a.png"), "media_refused_host"),
    "this machine by name": (lambda: _row("image", "http://localhost:8080/a.png"), "media_refused_host"),
    "a private network": (lambda: _row("image", "http://10.0.0.1/a.png"), "media_refused_host"),
    "a cloud's metadata": (lambda: _row("image", "http://169.254.169.254/latest/"), "media_refused_host"),
    "this machine in IPv6": (lambda: _row("image", "http://[::1]/a.png"), "media_refused_host"),
    "IPv4 inside IPv6": (lambda: _row("image", "http://[::ffff:127.0.0.1]/a.png"), "media_refused_host"),
    "a number for an address": (lambda: _row("image", "http://2130706433/a.png"), "media_refused_host"),
    "broken base64": (lambda: _row("image", "data:image/png;base64,@@@@"), "media_bad_source"),
    "a data URI of nothing": (lambda: _row("image", "data:image/png;base64,"), "media_unreadable"),
    "a number": (lambda: _row("image", 17), "media_bad_source"),
    "an empty name": (lambda: _row("image", {"path": ""}), "media_bad_source"),
    "two tags, one file": (
        lambda: {**_row("image", "good.png"), "messages": _row("image", "")["messages"] * 2},
        "media_count",
    ),
    "two files, one tag": (lambda: _row("image", "good.png", images=["good.png", "good.png"]), "media_count"),
    "a video without frames": (lambda: _row("video", _write("none.mp4", b"\0\0\0\x18ftypmp42" + b"\0" * 200)), ""),
    "truncated video": (lambda: _row("video", _half("good.mp4")), "media_unreadable"),
    "a still picture as a video": (lambda: _row("video", "good.png"), ""),
    "an empty clip": (lambda: _row("video", "good.mp4", start=900, end=901), ""),
    "a clip that runs backwards": (lambda: _row("video", "good.mp4", start=1, end=0.5), "media_bad_option"),
    "no frames a second": (lambda: _row("video", "good.mp4", fps=0), "media_bad_option"),
    "a sound for a model without ears": (lambda: _row("audio", _sound()), "media_unsupported"),
    "a placeholder in the text": (
        lambda: {"instruction": "what is <|image_pad|> ?", "output": "a token"},
        "media_token_in_text",
    ),
}


def test_every_bad_medium_is_one_line_of_the_ledger(model: Path, folder: Path) -> None:
    bad = {name: make() for name, (make, _) in BAD.items()}
    good = [_row("image", "good.png"), _row("video", "good.mp4"), {"instruction": "hi", "output": "hello"}]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, [*bad.values(), *good])), encoding="utf-8")
    command = ["sft", "--model", str(model), "--dataset", "rows.jsonl", "--output_dir", "run", *OPTIONS]
    assert main([*command, "--on_data_error", "drop"]) == 0
    entries = [json.loads(line) for line in Path("run/ledger.jsonl").read_text(encoding="utf-8").splitlines()]
    found = {entry["row"]: entry for entry in entries}
    assert [name for number, name in enumerate(BAD, 1) if number not in found] == []
    assert len(found) == len(entries) == len(BAD) >= 40
    for number, (name, (_, reason)) in enumerate(BAD.items(), 1):
        entry = found[number]
        assert entry["outcome"] in ("failed", "dropped"), name
        assert reason in entry["reason"], (name, entry)
        assert "\n" not in entry["detail"], name
        assert len(entry["detail"]) < 400, name
    assert json.loads(Path("run/run.json").read_text(encoding="utf-8"))["ledger"]["kept"] == len(good)


@pytest.mark.parametrize("name", ["missing", "truncated jpeg", "outside, absolute", "this machine", "truncated video"])
def test_a_bad_medium_stops_a_run_in_one_line(
    name: str, model: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [_row("image", "good.png"), BAD[name][0]()]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert main(["sft", "--model", str(model), "--dataset", "rows.jsonl", "--output_dir", "run", *OPTIONS]) == 2
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "row 2 of rows.jsonl" in errors[0]


def test_a_file_that_was_mended_is_read_again(model: Path, folder: Path) -> None:
    """Cached tokens know the state of the files they were made of."""
    command = ["sft", "--model", str(model), "--dataset", "rows.jsonl", "--on_data_error", "drop", *OPTIONS]
    rows = [_row("image", "good.png"), _row("image", _write("later.png", b""))]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    kept = []
    for number, change in enumerate((None, lambda: _picture(64, 64), lambda: _picture(160, 120))):
        if change is not None:
            change().save("later.png")
        assert main([*command, "--output_dir", f"run{number}", "--data_cache_dir", "cache"]) == 0
        kept.append(json.loads(Path(f"run{number}/run.json").read_text(encoding="utf-8"))["ledger"]["kept"])
    assert kept == [1, 2, 2]


@pytest.mark.parametrize("extra", [[], ["--streaming", "true"], ["--packing", "true", "--max_length", "256"]])
def test_resuming_with_media_is_exact(extra: list[str], model: Path, folder: Path) -> None:
    rows = [_row("image", _saved(f"{n}.png", _picture(50 + n, 60))) for n in range(6)]
    rows += [_row("video", "good.mp4"), {"instruction": "hi", "output": "hello"}]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    command = ["sft", "--model", str(model), "--dataset", "rows.jsonl", "--device", "cpu", "--save_steps", "2", *extra]
    command += ["--tuner_type", "full", "--freeze_vit", "false", "--learning_rate", "1e-3", "--dataset_num_proc", "0"]
    command += ["--gradient_accumulation_steps", "2"]
    assert main([*command, "--output_dir", "whole", "--max_steps", "4", "--save_total_limit", "5"]) == 0
    straight = load_file("whole/checkpoint-4/model.safetensors")
    again = [*command, "--output_dir", "whole", "--max_steps", "4", "--resume_from_checkpoint", "whole/checkpoint-2"]
    assert main([*again, "--save_total_limit", "5"]) == 0
    resumed = load_file("whole/checkpoint-4/model.safetensors")
    assert all((straight[name] == resumed[name]).all() for name in straight)
