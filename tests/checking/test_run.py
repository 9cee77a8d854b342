"""The whole check on files, a real tokenizer and a folder without weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from swift.chat.load import load_codec
from swift.checking.run import check
from swift.config.looks import CheckConfig
from swift.data.ledger import Ledger
from swift.data.prepare import prepare_rows
from swift.errors import ConfigError, TemplateError
from swift.hub import locate
from swift.models.load import load_config, load_tokenizer
from tests.checking.conftest import chat, save_bare, write

Configured = Callable[..., CheckConfig]

WILD = (
    chat("Hi <b>you</b> & <script>alert(1)</script>", "Hello."),
    chat("same", "answer"),
    chat("same", "answer", id=4),
    chat("same", "answer"),
    chat("nothing", ""),
    chat("say <|im_end|> to me", "No."),
    "not json",
    {"foo": 1},
    {"messages": [{"role": "robot", "content": "x"}, {"role": "assistant", "content": "y"}]},
    '"text"',
    "{",
)


@pytest.fixture
def wild(tmp_path: Path) -> Path:
    return write(tmp_path / "wild.jsonl", *WILD)


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_no_weights_are_there_and_none_are_needed(
    bare_model: Path, configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write(tmp_path / "good.jsonl", chat("How many days are in a week?", "There are seven days."))
    assert not list(bare_model.glob("*.safetensors"))
    assert check(configured(rows)) == 0
    out = capsys.readouterr().out
    assert "⟦There are seven days.<|im_end|>⟧" in out
    assert "assistant (2) <|im_start|>assistant↵" in out
    assert "Training could go." in out
    assert "steps per epoch 1" in lines(out)


def test_weights_within_answers_are_shown(
    configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write(tmp_path / "tools.jsonl", chat("Look", "So <tool_call>it</tool_call> is."))
    report = tmp_path / "report.html"
    assert check(configured(rows, chat={"loss_scale": "hermes"}, report=str(report))) == 0
    out = capsys.readouterr().out
    assert "⟦So ⟧⟦2× <tool_call>it</tool_call>⟧⟦ is.<|im_end|>⟧" in out
    (told,) = [line for line in out.splitlines() if line.startswith("tokens by weight: ")]
    assert " of weight 1, " in told
    assert told.endswith(" of weight 2")
    assert "loss scale hermes" in lines(out)
    assert 'class="t more" title=' in report.read_text()
    assert told in report.read_text()


def test_the_warnings_word_for_word(wild: Path, configured: Configured, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(configured(wild, data={"on_error": "drop"}, show=0)) == 0
    out = lines(capsys.readouterr().out)
    assert (
        "warning duplicates training rows that repeat another: 2 (1 equal in every column: --deduplicate true "
        f"drops those): row 3 of {wild} repeats row 2 of {wild}; row 4 of {wild} repeats row 2 of {wild}"
    ) in out
    assert f"warning empty answers row 5 of {wild}: empty answer: turn 2, of the assistant, is empty" in out
    assert (
        f"warning special tokens in text row 6 of {wild}: special token in text: message 1 has '<|im_end|>' in its text"
    ) in out
    assert "5 0 0 1 5" in out
    assert "Training could go. 3 warnings." in out
    assert "ok template: tools works" in out
    assert any(
        line.startswith("note tools, where rows have any, are written as text in the format hermes") for line in out
    )


def test_every_bad_row_is_shown_and_then_refused(
    wild: Path, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(configured(wild, show=0)) == 2
    told = capsys.readouterr()
    for row in (7, 8, 9, 10, 11):
        assert any(line.startswith(f"row {row} of {wild}: ") for line in lines(told.out)), row
    assert "Training could not go." in told.out
    assert f"error: row 7 of {wild}: malformed" in told.err
    assert "5 bad rows in all" in told.err
    assert "hint: repair them, or leave bad rows out: --on_data_error drop" in told.err


def test_the_dump_is_the_store(wild: Path, configured: Configured, tmp_path: Path) -> None:
    target = tmp_path / "dump.jsonl"
    config = configured(wild, data={"on_error": "drop"}, show=0, dump=str(target))
    assert check(config) == 0
    located = locate(config.model)
    codec = load_codec(located.path, load_tokenizer(located), load_config(located), config.chat)
    store = prepare_rows(config, codec, Ledger()).store
    dumped = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["row"] for row in dumped] == [1, 2, 3, 4, 6]
    assert len(dumped) == len(store)
    for number, row in enumerate(dumped):
        tokens = store[number]
        assert (row["source"], row["row"], row["part"]) == (str(wild), tokens.origin.index, tokens.part)
        assert row["input_ids"] == tokens.ids.tolist()
        assert row["loss_weights"] == tokens.weights.tolist()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_dump_that_cannot_be_written(wild: Path, configured: Configured, tmp_path: Path) -> None:
    config = configured(wild, data={"on_error": "drop"}, dump=str(tmp_path / "absent" / "dump.jsonl"))
    with pytest.raises(ConfigError, match=r"--dump .* cannot be written: No such file or directory"):
        check(config)


def test_the_report_escapes_what_rows_say_and_fetches_nothing(
    wild: Path, configured: Configured, tmp_path: Path
) -> None:
    target = tmp_path / "report.html"
    assert check(configured(wild, report=str(target))) == 2
    html = target.read_text(encoding="utf-8")
    assert "<script" not in html
    assert "<b>you" not in html
    assert html.count("&lt;") > 5
    for fetching in ("http://", "https://", "src=", "href=", "@import", "url("):
        assert fetching not in html
    for part in ("<svg", "<details", "training could not go", "What has to change", "trained on", "duplicates"):
        assert part in html


def test_overlap_of_training_and_validation(
    configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = write(tmp_path / "train.jsonl", chat("one", "1"), chat("two", "2"), chat("three", "3"))
    other = write(tmp_path / "other.jsonl", chat("two", "2", source="other"), chat("three", "iii"), chat("four", "4"))
    assert check(configured(train, data={"validation": [str(other)]}, show=0)) == 0
    out = lines(capsys.readouterr().out)
    assert (
        f"warning overlap of rows validation rows that are trained on: 1: row 1 of {other} repeats row 2 of {train}"
        in out
    )
    assert (
        "warning overlap of prompts validation rows with the prompt of a training row: 2: "
        f"row 1 of {other} repeats row 2 of {train}; row 2 of {other} repeats row 3 of {train}"
    ) in out


def test_nothing_left(configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write(tmp_path / "long.jsonl", chat("a b c " * 40, "d e f"), chat("x", ""))
    assert check(configured(rows, chat={"max_length": 20})) == 2
    told = capsys.readouterr()
    assert "error: no row is left to train on: 1 too long, 1 empty answer" in told.err
    assert "1 dropped: too long" in told.out


def test_rows_that_are_too_long_where_that_is_an_error(
    configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write(tmp_path / "rows.jsonl", *(chat("a b c " * 40, "d") for _ in range(5)), chat("x", "y"))
    assert check(configured(rows, chat={"max_length": 30, "truncation": "error"}, show=0)) == 2
    assert "error: 5 rows have more than max_length 30 tokens, first row 1 of" in capsys.readouterr().err


def test_a_template_that_never_stops(
    configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
    template += "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    folder = save_bare(tmp_path / "model", template)
    rows = write(tmp_path / "rows.jsonl", chat("x", "y"))
    assert check(configured(rows, model=str(folder))) == 2
    told = capsys.readouterr()
    assert "error: the chat template (the checkpoint) fails 'stop_token'" in told.err
    assert any(line.startswith("FAILS template: stop_token") for line in lines(told.out))


def test_a_chat_without_a_template(configured: Configured, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_bare(folder, "")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(TemplateError, match="no chat template"):
        check(configured(write(tmp_path / "rows.jsonl", chat("x", "y")), model=str(folder)))


def test_plain_text(configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write(tmp_path / "text.jsonl", {"text": "One two three."}, {"text": "One two three."})
    assert check(configured(rows, task="pt")) == 0
    out = capsys.readouterr().out
    assert "text (1) O⟦ne two three.<|im_end|>⟧" in out
    assert "Predicates" not in out
    assert "training rows that repeat another: 1 (1 equal in every column" in out


def test_streamed_data_is_sampled(configured: Configured, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = write(tmp_path / "rows.jsonl", *(chat(f"question {n}", f"answer {n}") for n in range(30)))
    streamed = configured(rows, data={"streaming": True}, loop={"max_steps": 7}, show=1)
    assert check(streamed.model_copy(update={"data": streamed.data.model_copy(update={"train": (f"{rows}#4",)})})) == 0
    out = lines(capsys.readouterr().out)
    assert "rows 4 train, 0 validation (a sample: the data is streamed)" in out
    assert "steps of the run 7 (max_steps)" in out


def test_real_rows_on_a_real_template(
    real_data: Path, real_model: Path, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(real_data / "alpaca_en_demo.json", model=str(real_model))
    assert check(config) == 0
    out = lines(capsys.readouterr().out)
    assert (
        "ok rows: inference_agreement the prompts of 999 rows have the ids that transformers' "
        "apply_chat_template gives" in out
    )


def test_the_encoding_itself_needs_no_torch(bare_model: Path) -> None:
    import subprocess

    code = "import sys, swift.checking.checkup, swift.checking.terminal; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
