"""Places that answers name: in the result file, and drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from swift.api import sft
from swift.chat.codec import Codec
from swift.chat.load import load_codec
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.config.runs import InferConfig
from swift.config.sft import SftConfig
from swift.engines.folders import plan_model
from swift.errors import ConfigError
from swift.hub import locate
from swift.inference.answerers import Answerer
from swift.inference.batch import answer_data
from swift.inference.chat import Chat
from swift.inference.found import found_in, spots_json
from swift.inference.run import infer
from swift.media import as_media
from swift.models.load import load_config, load_tokenizer
from swift.models.locate import template_hint
from swift.models.tiny import save_tiny_multimodal
from swift.types import Completion, Conversation, Message, Origin, Placed, Request, Sampling, Spot, Text

SIZE = (320, 200)
GRAY = (120, 120, 120)
ANSWER = '[{"bbox_2d": [250, 500, 500, 1000], "label": "cat"}, {"point_2d": [0, 1000]}]'
BOX = (80, 100, 160, 200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_multimodal(tmp_path_factory.mktemp("models") / "qwen3_vl", "qwen3_vl")


def codec_of(folder: Path, **options: Any) -> Codec:
    model = ModelConfig(id=str(folder))
    config, tokenizer = load_config(locate(model)), load_tokenizer(locate(model))
    known = template_hint(model, config, tokenizer)
    chat, media = ChatConfig.model_validate(options), MediaConfig(root="/")
    return load_codec(folder, tokenizer, config, chat, media=media, recommended=known)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", SIZE, GRAY).save(tmp_path / "a.png")
    return tmp_path / "a.png"


class Saying:
    """An engine that gives prepared answers."""

    def __init__(self, codec: Codec, *answers: str) -> None:
        self.codec = codec
        self.adapters = ()
        self._answers = list(answers)

    def generate(self, requests: Sequence[Request], *, on_done: Any) -> list[Completion]:
        made = [Completion(self._answers[n % len(self._answers)], (1,), 3, "stop") for n in range(len(requests))]
        for number, completion in enumerate(made):
            on_done(number, completion)
        return made

    def stream(self, request: Request, *, on_done: Any = None) -> Iterator[str]:
        yield self._answers[0]
        on_done(0, Completion(self._answers[0], (1,), 3, "stop"))


def question(*pictures: Path | None, text: str = "Where?") -> Message:
    return Message("user", text, media=tuple(Placed(0, as_media("image", str(path))) for path in pictures))


def asked(*messages: Message) -> Conversation:
    return Conversation(messages, Origin("a", 1))


def test_places_are_in_pixels_of_the_file(folder: Path, picture: Path) -> None:
    found = found_in(ANSWER, asked(question(picture)), codec_of(folder))
    assert found == [Spot(BOX, "cat"), Spot((0, 200))]
    assert spots_json(found) == [{"ref": "cat", "bbox": [80, 100, 160, 200]}, {"bbox": [0, 200]}]


def test_pixels_of_the_resized_picture_are_brought_back(folder: Path, picture: Path) -> None:
    codec = codec_of(folder, grounding="qwen2_5_vl")
    assert codec.media is not None
    wide, high = codec.media.shown_size(as_media("image", str(picture)))
    assert (wide, high) != SIZE
    found = found_in(f"[0, 0, {wide}, {high}]", asked(question(picture)), codec)
    assert found == [Spot((0, 0, 320, 200))]


def test_which_picture(folder: Path, picture: Path) -> None:
    codec = codec_of(folder)
    messages = [question(picture), Message("assistant", "There."), question(picture, picture), Message("assistant", "")]
    assert {spot.image for spot in found_in(ANSWER, asked(*messages), codec)} == {1}
    assert spots_json([Spot((1, 2), "a", 1)]) == [{"ref": "a", "bbox": [1, 2], "image_id": 1}]


def test_nothing_without_a_picture(folder: Path, picture: Path) -> None:
    codec = codec_of(folder)
    assert found_in(ANSWER, asked(question()), codec) == []
    assert found_in(ANSWER, Text("text", Origin("a", 1)), codec) == []
    assert found_in("No idea.", asked(question(picture)), codec) == []
    gone = asked(question(picture))
    picture.unlink()
    assert found_in(ANSWER, gone, codec) == []


def rows(tmp_path: Path) -> Path:
    shown = {"images": [str(tmp_path / "a.png")], "objects": {"ref": ["cat"], "bbox": [list(BOX)]}}
    content = [
        {"query": "<image>Find <ref-object>.", "response": "At <bbox>.", **shown},
        {"query": "Hello", "response": "Hi."},
        {"query": "<image>Find <ref-object>.", "response": "At <bbox>.", **shown},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    return tmp_path / "rows.jsonl"


def drawn_box(path: Path) -> tuple[int, int, int, int] | None:
    return ImageChops.difference(Image.open(path), Image.new("RGB", SIZE, GRAY)).getbbox()


def run_batch(folder: Path, tmp_path: Path, answers: Sequence[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """A data set through the real code around the engine."""
    config = InferConfig.model_validate(
        {
            "model": {"id": str(folder)},
            "data": {"validation": [str(rows(tmp_path))]},
            "result_path": str(tmp_path / "out.jsonl"),
        }
    )
    plan = plan_model(config.model, (), config.chat, config.media)
    engine: Any = Saying(codec_of(folder), *answers)
    ready = nullcontext((engine, tuple(Answerer(name, engine) for name in names)))
    answer_data(config, plan, lambda: ready, draw_folder=tmp_path / "drawn")
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def test_the_result_file_and_the_drawn_pictures(folder: Path, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "drawn").mkdir()
    lines = run_batch(folder, tmp_path, [ANSWER, ANSWER, "Nowhere."], ["base"])
    assert lines[0]["objects"] == [{"ref": "cat", "bbox": [80, 100, 160, 200]}, {"bbox": [0, 200]}]
    assert "objects" not in lines[1], "it shows no picture"
    assert "objects" not in lines[2]
    assert lines[0]["messages"][0]["content"][1]["text"] == "Find cat."
    assert lines[0]["label"] == "At [250, 500, 500, 1000]."
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["000001.png"]
    found = drawn_box(tmp_path / "drawn" / "000001.png")
    assert found is not None
    assert found[2:] == (160, 200)


def test_several_answers_are_drawn_apart(folder: Path, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "drawn").mkdir()
    lines = run_batch(folder, tmp_path, [ANSWER, "[500, 500, 1000, 1000]"], ["tuned", "base"])
    assert lines[0]["responses"]["base"]["objects"] == [{"bbox": [160, 100, 320, 200]}]
    names = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert names == [f"00000{row}-{name}.png" for row in (1, 3) for name in ("base", "tuned")]
    assert drawn_box(tmp_path / "drawn" / "000003-base.png") == (160, 100, 320, 200)


def test_a_prompt_with_a_picture(
    folder: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine: Any = Saying(codec_of(folder), "[500, 500, 1000, 1000]")
    chat = Chat([Answerer("base", engine)], Sampling(), draw_folder=tmp_path)
    assert chat.once("Where?", question(picture).media) == 0
    assert drawn_box(tmp_path / "001.png") == (160, 100, 320, 200)
    assert f"(drawn: {tmp_path / '001.png'})" in capsys.readouterr().err
    assert chat.once("And now?") == 0
    assert drawn_box(tmp_path / "002.png") == (160, 100, 320, 200), "the picture is still what is talked about"
    assert Chat([Answerer("base", engine)], Sampling(), draw_folder=tmp_path / "no").once("Hello?") == 0


def test_a_folder_that_cannot_be_made(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = InferConfig(model=ModelConfig(id=str(folder)), prompt="x", draw_dir=str(tmp_path / "file" / "drawn"))
    with pytest.raises(ConfigError, match=r"--draw_dir .* cannot be made: Not a directory"):
        infer(config)


@pytest.mark.slow
def test_a_model_that_learned_a_box_names_it(folder: Path, picture: Path, tmp_path: Path) -> None:
    data = rows(tmp_path)
    values = {
        "model": {"id": str(folder), "dtype": "float32", "device": "cpu"},
        "data": {"train": [f"{data}#1"], "cache": False},
        "batch": {"size": 1, "accumulation": 1},
        "tuner": {"type": "full"},
        "optimizer": {"learning_rate": 1e-2},
        "loop": {"max_steps": 60},
        "output_dir": str(tmp_path / "run"),
    }
    run = sft(SftConfig.model_validate(values))
    config = {
        "model": {"id": str(run), "device": "cpu"},
        "data": {"validation": [f"{data}#1"]},
        "generation": {"max_new_tokens": 64},
        "result_path": str(tmp_path / "out.jsonl"),
        "draw_dir": str(tmp_path / "drawn"),
    }
    assert infer(InferConfig.model_validate(config)) == 0
    (line,) = [json.loads(text) for text in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert line["response"] == "At [250, 500, 500, 1000]."
    assert line["objects"] == [{"bbox": [80, 100, 160, 200]}]
    assert drawn_box(tmp_path / "drawn" / "000001.png") == BOX
