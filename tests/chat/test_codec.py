from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from swift.chat.codec import make_codec
from swift.chat.encode import encode
from swift.config.chat import ChatConfig
from swift.errors import ConfigError, TemplateError
from tests.chat.support import CHATML, CONVERSATIONS, byte_level, codec_for, wrap

MARKS = ("<|begin|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>")


def base(**fields: str) -> object:
    return wrap(byte_level(MARKS), fields.get("template"), eos=fields.get("eos", "<|endoftext|>"))


def test_stop_tokens_come_from_the_tokenizer_and_the_generation_config() -> None:
    codec = make_codec(base(template=CHATML), ChatConfig(), stop_ids=[2])
    assert codec.eos_ids == {2, 3}
    assert codec.stops == ("<|im_end|>", "<|endoftext|>")
    assert codec.end_id == 3
    assert codec.pad_id == 3
    assert codec.bos_id == 0


def test_it_survives_pickling_and_gives_the_same_tokens() -> None:
    codec = codec_for(CHATML)
    again = pickle.loads(pickle.dumps(codec))
    ours, theirs = (encode(CONVERSATIONS["emoji"], c, ChatConfig()).sequences[0] for c in (codec, again))
    assert ours.ids.tolist() == theirs.ids.tolist()
    assert again.fingerprint == codec.fingerprint


def test_the_fingerprint_changes_with_template_stops_and_options() -> None:
    one = make_codec(base(template=CHATML), ChatConfig(), stop_ids=[2])
    others = [
        make_codec(base(template=CHATML + " "), ChatConfig(), stop_ids=[2]),
        make_codec(base(template=CHATML), ChatConfig()),
        make_codec(base(template=CHATML), ChatConfig(train_on="last"), stop_ids=[2]),
        make_codec(base(template=CHATML, eos="<|begin|>"), ChatConfig(), stop_ids=[2]),
    ]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert make_codec(base(template=CHATML), ChatConfig(), stop_ids=[2]).fingerprint == one.fingerprint


@pytest.mark.parametrize(
    ("options", "positions", "length"),
    [({}, None, 8192), ({}, 512, 512), ({}, 10**6, 8192), ({"max_length": 77}, 5, 77)],
)
def test_the_longest_sequence(options: dict[str, int], positions: int | None, length: int) -> None:
    assert make_codec(base(template=CHATML), ChatConfig(**options), positions=positions).max_length == length


def test_a_template_file_wins_over_the_checkpoints_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(CHATML.replace("user", "human"), encoding="utf-8")
    codec = make_codec(base(template="nothing {{ messages }}", eos="<|im_end|>"), ChatConfig(template=str(file)))
    assert codec.template_source == f"the file {file}"


@pytest.mark.parametrize("name", ["chatml", "plain"])
def test_fallbacks_are_said_aloud(name: str) -> None:
    codec = make_codec(base(), ChatConfig(template=name))
    assert codec.template_source == f"the built-in {name}, not the checkpoint's"
    (tokens,) = encode(CONVERSATIONS["multi_turn"], codec, ChatConfig()).sequences
    assert int(tokens.ids[-1]) == 3, "answers end with the token at which this tokenizer's model stops"


def test_an_unknown_template_name_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="chatmll") as caught:
        make_codec(base(), ChatConfig(template="chatmll"))
    assert "chatml" in caught.value.hint


def test_broken_jinja_is_an_error_with_its_line() -> None:
    with pytest.raises(TemplateError, match="line 1"):
        make_codec(base(template="{% for %}"), ChatConfig())


def test_a_template_that_ignores_messages_is_refused() -> None:
    with pytest.raises(TemplateError, match="renders"):
        make_codec(base(template="hello"), ChatConfig())


def test_two_templates_of_a_checkpoint_are_both_used() -> None:
    tools = "{{ tools | tojson }}" + CHATML
    tokenizer = base(template=CHATML, eos="<|im_end|>")
    tokenizer.chat_template = {"default": CHATML, "tool_use": tools}
    codec = make_codec(tokenizer, ChatConfig())
    assert codec.template.dialect.tools
    text = codec.template.render(CONVERSATIONS["single"].messages, tools=CONVERSATIONS["tools"].tools)
    assert text.startswith('[{"type": "function"')
    assert codec.template.render(CONVERSATIONS["single"].messages).startswith("<|im_start|>user")


def test_bytes_that_the_vocabulary_lacks_are_noticed() -> None:
    vocabulary = {character: n for n, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    lacking = {c: n for c, n in vocabulary.items() if c != "Ã"}  # the first byte of é
    full = byte_level(MARKS)
    poor = Tokenizer(models.BPE(vocab=lacking, merges=[]))
    poor.pre_tokenizer, poor.decoder = full.pre_tokenizer, full.decoder
    poor.add_special_tokens(list(MARKS))
    codec = make_codec(wrap(poor, CHATML, eos="<|im_end|>"), ChatConfig())
    assert codec.known_bytes is not None
    assert codec.keeps("plain", codec.encode("plain"))
    assert not codec.keeps("café", codec.encode("café"))
    assert codec_for(CHATML).keeps("café", [])


def test_encoding_adds_nothing_and_batches_agree() -> None:
    codec = codec_for(CHATML)
    texts = ["", "Paris", " <|im_end|>x", "你好\n\n"]
    assert codec.encode_batch(texts) == [codec.encode(text) for text in texts]
    assert [codec.decode(codec.encode(text)) for text in texts] == texts
    assert codec.encode_middle("Paris") == codec.encode("Paris")
