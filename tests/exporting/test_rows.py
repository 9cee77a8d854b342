"""Rows that calibrate and measure: as many as are asked for, where there are as many that can be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swift.chat.codec import Codec
from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.config.model import ModelConfig
from swift.engines.folders import plan_model
from swift.engines.merged import text_side
from swift.errors import DataError
from swift.exporting.rows import ExportRows, export_rows
from swift.models.tiny import save_tiny

CHAT = ChatConfig(max_length=64)


@pytest.fixture(scope="module")
def codec(tmp_path_factory) -> Codec:
    model = save_tiny(tmp_path_factory.mktemp("tiny") / "model")
    return text_side(plan_model(ModelConfig(id=str(model), device="cpu"), [], CHAT)).codec


def chosen(codec: Codec, place: Path, *, short: int, long: int, calibrate: int) -> ExportRows:
    answers = ["yes"] * short + ["yes " * 200] * long
    talks = [
        [{"role": "user", "content": str(number)}, {"role": "assistant", "content": answer}]
        for number, answer in enumerate(answers)
    ]
    place.write_text("".join(json.dumps({"messages": talk}) + "\n" for talk in talks))
    return export_rows(DataConfig(train=(str(place),)), CHAT, codec, calibrate=calibrate, measure=0)


@pytest.mark.parametrize(("short", "wanted"), [(20, 16), (16, 16), (9, 16), (400, 200)])
def test_rows_that_cannot_be_used_are_made_up_for(short, wanted, codec, tmp_path, capsys):
    rows = chosen(codec, tmp_path / "rows.jsonl", short=short, long=300, calibrate=wanted).calibration
    assert len(rows) == min(short, wanted)
    assert len({row.origin.index for row in rows}) == len(rows), "no row twice"
    assert "too_long" in capsys.readouterr().err
    again = chosen(codec, tmp_path / "rows.jsonl", short=short, long=300, calibrate=wanted).calibration
    assert [row.origin.index for row in again] == [row.origin.index for row in rows]


def test_every_part_of_every_data_set_is_drawn_from(codec, tmp_path):
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for file in files:
        chosen(codec, file, short=1000, long=0, calibrate=0)
    both = tuple(map(str, files))
    rows = export_rows(DataConfig(train=both, validation=both), CHAT, codec, calibrate=16, measure=32)
    for drawn in (rows.calibration, [sample.tokens for sample in rows.held_out]):
        places = [(row.origin.source, row.origin.index) for row in drawn]
        assert len({source for source, _ in places}) == 2
        assert places == sorted(places), "in the order of the files"
        for source in both:
            assert max(index for of, index in places if of.endswith(Path(source).name)) > 500


def test_no_row_that_can_be_used(codec, tmp_path):
    with pytest.raises(DataError, match="no row can be calibrated with"):
        chosen(codec, tmp_path / "rows.jsonl", short=0, long=70, calibrate=4)


def test_rows_that_calibrate_and_are_measured_by_are_told(codec, tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    chosen(codec, file, short=6, long=0, calibrate=4)
    rows = export_rows(DataConfig(train=(str(file),), validation=(str(file),)), CHAT, codec, calibrate=4, measure=6)
    assert (len(rows.held_out), rows.seen) == (6, 4)
    assert rows.about == "6 rows, held out by the user, of which 4 calibrated it, too"
    assert "4 of 6 held-out rows calibrate, too" in capsys.readouterr().err
