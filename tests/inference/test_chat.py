"""The chat, from lines typed to lines shown."""

from __future__ import annotations

import io

import pytest

from swift.config.runs import InferConfig
from swift.errors import ConfigError
from swift.inference.answerers import Answerer
from swift.inference.chat import Chat
from swift.inference.run import infer
from swift.types import Completion, Sampling
from tests.engines.support import save_adapter

TINY = {"dtype": "float32", "device": "cpu"}


def _config(model, **values):
    return InferConfig.model_validate(
        {"model": {"id": str(model), **TINY}, "generation": {"max_new_tokens": 6}, **values}
    )


class Recording:
    """An engine that answers with what it was asked, and notes it."""

    def __init__(self, codec):
        self.codec = codec
        self.adapters = ()
        self.asked = []

    def stream(self, request, *, on_done=None):
        self.asked.append(request)
        text = f"answer {len(self.asked)}"
        for piece in text.split(" "):
            if request.prompt.messages[-1].content == "slow" and piece != "answer":
                raise KeyboardInterrupt
            yield piece + ("" if piece.isdigit() else " ")
        on_done(0, Completion(text, (1,), 3, "stop"))


@pytest.fixture
def recording():
    from swift.chat.codec import make_codec
    from swift.config.chat import ChatConfig
    from swift.models.tiny import tiny_tokenizer

    return Recording(make_codec(tiny_tokenizer(), ChatConfig(), positions=100))


def _said(request):
    return [(message.role, message.content) for message in request.prompt.messages]


def _talk(monkeypatch, engines, text, **options):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    names = [f"m{number}" for number in range(len(engines))]
    chat = Chat([Answerer(n, e) for n, e in zip(names, engines, strict=True)], Sampling(seed=5), **options)
    return chat.run()


def test_turns_remember_each_other(monkeypatch, recording, capsys):
    assert _talk(monkeypatch, [recording], "hi\nmore\n/exit\nnever\n", system="be brief") == 0
    assert [_said(request) for request in recording.asked] == [
        [("system", "be brief"), ("user", "hi")],
        [("system", "be brief"), ("user", "hi"), ("assistant", "answer 1"), ("user", "more")],
    ]
    assert [request.sampling.seed for request in recording.asked] == [5, 6]
    assert capsys.readouterr().out == "answer 1\nanswer 2\n"


def test_commands(monkeypatch, recording, capsys):
    _talk(monkeypatch, [recording], "hi\n/system you rhyme\nagain\n/clear\n/system\n/help\n/nope\n\nlast\nquit\n")
    assert [_said(request) for request in recording.asked] == [
        [("user", "hi")],
        [("system", "you rhyme"), ("user", "again")],
        [("user", "last")],
    ]
    shown = capsys.readouterr()
    assert "/clear " in shown.err
    assert "unknown command /nope" in shown.err
    assert shown.out == "answer 1\nanswer 2\nanswer 3\n"


def test_ctrl_c_stops_the_answer_and_not_the_chat(monkeypatch, recording, capsys):
    _talk(monkeypatch, [recording], "slow\nnext\n")
    assert _said(recording.asked[1])[:2] == [("user", "slow"), ("assistant", "answer")]
    shown = capsys.readouterr()
    assert shown.out == "answer \nanswer 2\n"
    assert "(stopped)" in shown.err


def test_several_answer_side_by_side_each_with_its_own_history(monkeypatch, recording, capsys):
    other = Recording(recording.codec)
    other.asked.append(None)
    _talk(monkeypatch, [recording, other], "hi\nmore\n", stream=False)
    assert capsys.readouterr().out == "[m0]\nanswer 1\n[m1]\nanswer 2\n[m0]\nanswer 2\n[m1]\nanswer 3\n"
    assert ("assistant", "answer 1") in _said(recording.asked[1])
    assert ("assistant", "answer 2") in _said(other.asked[2])


def test_one_prompt_is_answered_and_that_is_all(model, capsys):
    assert infer(_config(model, prompt="the capital of France")) == 0
    first = capsys.readouterr()
    assert infer(_config(model, prompt="the capital of France", generation={"max_new_tokens": 6, "stream": False})) == 0
    assert first.out == capsys.readouterr().out
    assert first.out.strip()
    assert "own batched loop" in first.err
    assert "chat template: the checkpoint" in first.err


def test_a_prompt_that_is_too_long_is_an_error_line(model, capsys):
    assert infer(_config(model, prompt="a b c " * 800)) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "error: too_long" in shown.err


def test_base_and_adapter_answer_side_by_side(model, tmp_path, capsys):
    folder = save_adapter(tmp_path / "tuned", model, seed=1)
    infer(_config(model, adapters=[str(folder)], compare_base=True, prompt="the capital"))
    both = capsys.readouterr().out
    infer(_config(model, prompt="the capital"))
    bare = capsys.readouterr().out
    head, _, tail = both.partition("[base]\n")
    assert head.startswith("[tuned]\n")
    assert tail == bare
    assert head.removeprefix("[tuned]\n") != bare


def test_piped_lines_are_turns(model, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n"))
    assert infer(_config(model)) == 0
    shown = capsys.readouterr()
    assert ">>>" not in shown.out
    assert shown.err.count("(cut at the length limit") == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prompt": "x", "data": {"validation": ["a.jsonl"]}}, "both"),
        ({"data": {"validation": ["a.jsonl"]}}, "no place to go"),
        ({"result_path": "r.jsonl"}, "answers of a data set"),
        ({"merge_lora": True, "compare_base": True}, "merged adapter"),
    ],
)
def test_options_that_do_not_go_together(values, words, model):
    with pytest.raises(ConfigError, match=words):
        infer(_config(model, **values))
