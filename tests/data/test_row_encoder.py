import json
import pickle

import pytest

from swift.chat.codec import make_codec
from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.data.encode import RowEncoder, encode_sources
from swift.data.ledger import Ledger
from swift.data.select import select
from swift.models.tiny import tiny_tokenizer
from swift.types import Origin, Row

CHAT = ChatConfig(max_length=64)
ROW = Row({"query": "What is red?", "response": "A colour."}, Origin("a.jsonl", 1))


@pytest.fixture(scope="module")
def codec():
    return make_codec(tiny_tokenizer(), CHAT)


def test_a_row_becomes_what_its_chat_becomes_in_any_process(codec):
    encoder = RowEncoder(codec, DataConfig(), CHAT)
    tokens = encoder(ROW).sequences[0]
    assert codec.decode(tokens.ids[tokens.weights > 0]) == "A colour.<|im_end|>"
    again = pickle.loads(pickle.dumps(encoder))
    assert again(ROW).sequences[0].ids.tolist() == tokens.ids.tolist()
    assert again.fingerprint == encoder.fingerprint


def test_the_fingerprint_follows_what_changes_a_row(codec, tmp_path):
    plugin = tmp_path / "shapes.py"
    plugin.write_text("pass")
    base = RowEncoder(codec, DataConfig(), CHAT)
    changed = [
        RowEncoder(codec, DataConfig(columns={"q": "query"}), CHAT),
        RowEncoder(codec, DataConfig(model_name=("Ada",)), CHAT),
        RowEncoder(codec, DataConfig(), CHAT, "pt"),
        RowEncoder(codec, DataConfig(), ChatConfig(max_length=64, system="Be brief.")),
        RowEncoder(codec, DataConfig(), CHAT, plugins=(str(plugin),)),
        RowEncoder(make_codec(tiny_tokenizer(), ChatConfig(max_length=32)), DataConfig(), CHAT),
    ]
    names = [encoder.fingerprint for encoder in (base, *changed)]
    plugin.write_text("x = 1")
    assert len({*names, changed[4].fingerprint}) == len(changed) + 2
    same = DataConfig(train=("b.jsonl",), seed=7, shuffle=False, workers=3, cache_dir="x", on_error="drop")
    assert RowEncoder(codec, same, CHAT).fingerprint == base.fingerprint


def test_a_plugin_shape_works_in_worker_processes(codec, tmp_path):
    plugin = tmp_path / "shapes.py"
    plugin.write_text(
        "from swift.data.columns import data_shapes\n"
        "from swift.types import Conversation, Message\n"
        "@data_shapes.register('riddle')\n"
        "def riddle(row):\n"
        "    if 'riddle' not in row.values:\n"
        "        return None\n"
        "    asked, said = Message('user', row.values['riddle']), Message('assistant', row.values['solution'])\n"
        "    return Conversation((asked, said), row.origin)\n"
    )
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps({"riddle": "red?", "solution": f"{n}"}) + "\n" for n in range(5)))
    data = DataConfig(train=(str(file),))
    encoder = RowEncoder(codec, data, CHAT, plugins=(str(plugin),))
    store = encode_sources(select(data), encoder, workers=1, cache_dir=None, ledger=Ledger(), progress=False)
    assert [codec.decode(t.ids[t.weights > 0]) for t in store] == [f"{n}<|im_end|>" for n in range(5)]
