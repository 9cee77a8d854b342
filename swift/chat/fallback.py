"""Templates of our own for base models that have none. Used only where the user names one."""

from __future__ import annotations

from collections.abc import Callable

from swift.errors import UnknownNameError


def chatml(*, bos: bool, end_token: str | None) -> str:
    """ChatML: `<|im_start|>role`, a line break, the text, `<|im_end|>`.

    An assistant turn ends with the tokenizer's own end token, since that is where every engine stops; the two are
    the same where the tokenizer's end token is `<|im_end|>`.

    Args:
        bos: Whether the tokenizer begins its texts with a begin token.
        end_token: Text of the tokenizer's end token; None where it has none.
    """
    end = "'<|im_end|>'" if end_token is None else "eos_token"
    return (
        ("{{ bos_token }}" if bos else "")
        + "{% if tools %}{{ '<|im_start|>system\\nYou may call these functions, each call as a JSON object with "
        "name and arguments inside <tool_call></tool_call>:' }}"
        "{% for tool in tools %}{{ '\\n' + tool | tojson }}{% endfor %}{{ '<|im_end|>\\n' }}{% endif %}"
        "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content }}"
        "{% for call in message.tool_calls or [] %}{{ '\\n<tool_call>\\n' + "
        "{'name': call.function.name, 'arguments': call.function.arguments} | tojson + '\\n</tool_call>' }}{% endfor %}"
        "{{ (" + end + " if message.role == 'assistant' else '<|im_end|>') + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )


def plain(*, bos: bool, end_token: str | None) -> str:
    """No markers: prompts end with a line break, answers with the tokenizer's end token.

    Args:
        bos: Whether the tokenizer begins its texts with a begin token.
        end_token: Unused; an answer ends with `eos_token`, whatever it is.
    """
    del end_token
    return (
        ("{{ bos_token }}" if bos else "") + "{% for message in messages %}{{ message.content }}"
        "{% if message.role == 'assistant' %}{{ eos_token }}{% else %}{{ '\\n' }}{% endif %}{% endfor %}"
    )


def llama3(*, bos: bool, end_token: str | None) -> str:
    """Llama 3: the role between header marks, a blank line, the text, `<|eot_id|>`; no tools.

    As in ChatML, an assistant turn ends with the tokenizer's own end token. Text is trimmed, as Meta's template does.

    Args:
        bos: Whether the tokenizer begins its texts with a begin token.
        end_token: Text of the tokenizer's end token; None where it has none.
    """
    return _filled(_LLAMA3, "<|eot_id|>", bos=bos, end_token=end_token)


def gemma(*, bos: bool, end_token: str | None) -> str:
    """Gemma 1 to 3: turns of `user` and `model` between marks; a system message opens the first question; no tools.

    As in ChatML, an assistant turn ends with the tokenizer's own end token. Text is trimmed, as Google's template does.

    Args:
        bos: Whether the tokenizer begins its texts with a begin token.
        end_token: Text of the tokenizer's end token; None where it has none.
    """
    return _filled(_GEMMA, "<end_of_turn>", bos=bos, end_token=end_token)


# BOS and END are filled in.
_LLAMA3 = (
    "BOS{% for message in messages %}"
    "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim }}"
    "{{ END if message.role == 'assistant' else '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
_GEMMA = (
    "BOS{% set said = namespace(first='') %}{% for message in messages %}"
    "{% if message.role == 'system' %}{% set said.first = message.content | trim + '\\n\\n' %}{% else %}"
    "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' }}"
    "{{ said.first + message.content | trim }}{% set said.first = '' %}"
    "{{ (END if message.role == 'assistant' else '<end_of_turn>') + '\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)


def _filled(template: str, mark: str, *, bos: bool, end_token: str | None) -> str:
    end = f"'{mark}'" if end_token is None else "eos_token"
    return template.replace("BOS", "{{ bos_token }}" if bos else "").replace("END", end)


FALLBACKS: dict[str, Callable[..., str]] = {"chatml": chatml, "gemma": gemma, "llama3": llama3, "plain": plain}


def fallback(name: str, *, bos: bool, end_token: str | None) -> str:
    """The Jinja source of the fallback called `name`.

    Raises:
        UnknownNameError: There is none of that name, and no such file either.
    """
    if name not in FALLBACKS:
        names = sorted(FALLBACKS)
        raise UnknownNameError("chat template", name, names, hint=f"give {', '.join(names)}, or an existing Jinja file")
    return FALLBACKS[name](bos=bos, end_token=end_token)
