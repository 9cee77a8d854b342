"""The ChatML layout with typed parts, in a processor's own placeholder tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping

_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}PARTS{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def chat_template(placeholders: Mapping[str, str]) -> str:
    """A Jinja template that renders text and these kinds of media, in ChatML.

    Args:
        placeholders: Kind of media (`image`, `video`, `audio`) -> what stands for it in the text.
    """
    parts = [
        f"{{% elif part['type'] == '{kind}' %}}{{{{ {json.dumps(text)} }}}}" for kind, text in placeholders.items()
    ]
    return _TEMPLATE.replace("PARTS", "".join(parts))
