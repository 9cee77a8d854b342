"""Modelfiles: the template in Go's language renders what the model's own does, or is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from swift.chat.codec import Codec, make_codec
from swift.config.chat import ChatConfig
from swift.errors import ModelError
from swift.exporting.ollama import layout_of, require_same, write_modelfile
from swift.models.tiny import CHATML, tiny_tokenizer
from swift.types import Message

DEFAULT_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou help {{people}}.<|im_end|>\\n' }}{% endif %}"
    + CHATML
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|head|>' + m['role'] + '<|tail|>\\n\\n' + m['content'] }}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|head|>assistant<|tail|>\\n\\n' }}{% endif %}"
)
COUNTED = (
    "{% for m in messages %}{{ '[' ~ loop.index ~ '] ' ~ m['role'] ~ ': ' ~ m['content'] ~ '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
SYSTEM_IN_USER = (
    "{% set first = messages[0]['content'] + '\\n' if messages[0]['role'] == 'system' else '' %}"
    "{% for m in messages if m['role'] != 'system' %}{{ '<|im_start|>' + m['role'] + '\\n' }}"
    "{{ (first if loop.first else '') + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TALKS = (
    [Message("user", "Hello")],
    [
        Message("system", "Be short."),
        Message("user", "Hello"),
        Message("assistant", "Hi."),
        Message("user", "{{ .X }}"),
    ],
)
GO = """
package main
import ("encoding/json"; "os"; "text/template")
type Message struct { Role, Content string }
func main() {
  var job struct { Template, System string; Messages []Message }
  if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil { panic(err) }
  if err := template.Must(template.New("").Parse(job.Template)).Execute(os.Stdout, job); err != nil { panic(err) }
}
"""


def codec_of(template: str) -> Codec:
    return make_codec(tiny_tokenizer(chat_template=template), ChatConfig())


@pytest.mark.parametrize("template", [CHATML, DEFAULT_SYSTEM, LLAMA3], ids=["chatml", "default", "llama3"])
def test_layouts_are_found_and_proved(template):
    codec = codec_of(template)
    layout = layout_of(codec, ChatConfig())
    assert require_same(layout, codec, ChatConfig(), ()) == 6
    for talk in TALKS:
        assert layout.render(talk) == codec.template.render(talk, add_generation_prompt=True)


@pytest.mark.parametrize("template", [COUNTED, SYSTEM_IN_USER], ids=["counted", "system in user"])
def test_what_is_more_than_a_layout_is_refused(template):
    codec = codec_of(template)
    with pytest.raises(ModelError, match="cannot be proved") as error:
        require_same(layout_of(codec, ChatConfig()), codec, ChatConfig(), ())
    assert "--to gguf" in error.value.hint


def test_the_file(tmp_path: Path):
    codec = codec_of(CHATML)
    values = {"temperature": 0.2, "repetition_penalty": 1.1, "do_sample": True}
    told = write_modelfile(tmp_path, tmp_path / "model.gguf", codec, ChatConfig(), (), values)
    assert "6 conversations" in told
    lines = (tmp_path / "Modelfile").read_text()
    assert lines.startswith('FROM ./model.gguf\nTEMPLATE """')
    assert 'PARAMETER stop "<|im_end|>"\n' in lines
    assert "PARAMETER temperature 0.2\nPARAMETER repeat_penalty 1.1\n" in lines


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed")
@pytest.mark.parametrize("template", [CHATML, DEFAULT_SYSTEM, LLAMA3], ids=["chatml", "default", "llama3"])
def test_go_renders_the_same(template, tmp_path):
    """By Go's own text/template, over the values that Ollama hands to it."""
    codec = codec_of(template)
    text = layout_of(codec, ChatConfig()).template()
    (tmp_path / "main.go").write_text(GO)
    for talk in TALKS:
        system = "\n\n".join(message.content for message in talk if message.role == "system")
        messages = [{"Role": message.role, "Content": message.content} for message in talk]
        job = json.dumps({"Template": text, "System": system, "Messages": messages})
        done = subprocess.run(
            ["go", "run", str(tmp_path / "main.go")], input=job, capture_output=True, text=True, check=True
        )
        assert done.stdout == codec.template.render(talk, add_generation_prompt=True)
