"""The page, laid out with gradio. What happens on it is in `handlers`."""

from __future__ import annotations

import gradio as gr

from swift.app.handlers import Columns, Fields, Handlers, Parts
from swift.config.app import AppConfig, PageSampling

TITLE = "swift"
_EMPTY = "the server's own"
CSS = """
footer {display: none !important}
.note {min-height: 1.4em; font-size: 0.85em; opacity: 0.75}
#status {min-height: 1.6em}
"""


def build(config: AppConfig, handlers: Handlers) -> gr.Blocks:
    """The page.

    Args:
        config: All of it.
        handlers: What happens.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_height=True) as page:
        status = gr.Markdown("", elem_id="status")
        with gr.Row(equal_height=True, scale=1):
            first = _column("first", visible=True)
            second = _column("second", visible=False)
        box = _message_box()
        with gr.Row():
            stop = gr.Button("Stop", variant="stop", elem_id="stop")
            again = gr.Button("Regenerate", elem_id="again")
            undo = gr.Button("Undo", elem_id="undo")
            clear = gr.Button("Clear", elem_id="clear")
            compare = gr.Checkbox(label="Side by side", value=False, elem_id="compare", container=False)
            refresh = gr.Button("Models again", elem_id="refresh", size="sm")
        fields = _sidebar(config.sampling, config.chat.system or "")
        handlers.wire(page, Parts(status, (first, second), box, compare, stop, again, undo, clear, refresh, fields))
    page.queue(max_size=config.page.waiting or None, default_concurrency_limit=config.page.running)
    return page


def _column(name: str, *, visible: bool) -> Columns:
    with gr.Column(visible=visible, elem_id=f"column-{name}", min_width=320) as column:
        model = gr.Dropdown([], label="Model", show_label=False, elem_id=f"model-{name}", interactive=True)
        chat = gr.Chatbot(
            elem_id=f"chat-{name}",
            show_label=False,
            height="58vh",
            buttons=["copy", "copy_all"],
            editable="user",
            sanitize_html=True,
            allow_file_downloads=False,
            group_consecutive_messages=False,
            feedback_options=None,
            layout="bubble",
        )
        note = gr.Markdown("", elem_id=f"note-{name}", elem_classes="note")
    return Columns(column, model, chat, note)


def _message_box() -> gr.MultimodalTextbox:
    return gr.MultimodalTextbox(
        elem_id="message",
        show_label=False,
        placeholder="Say something; pictures, sounds and videos can be attached",
        file_count="multiple",
        file_types=["image", "audio", "video"],
        sources=["upload", "microphone"],
        max_plain_text_length=10_000_000,  # longer texts would become files
        max_lines=12,
        autofocus=True,
    )


def _number(label: str, name: str, value: float | None, step: float, low: float, high: float | None) -> gr.Number:
    return gr.Number(
        value, label=label, step=step, minimum=low, maximum=high, placeholder=_EMPTY, elem_id=name, interactive=True
    )


def _sidebar(start: PageSampling, system: str) -> Fields:
    with gr.Sidebar(label="Options", open=False, position="right", elem_id="options"):
        system_box = gr.Textbox(system, label="System prompt", lines=3, elem_id="system")
        with gr.Accordion("Sampling", open=True):
            fields = Fields(
                system=system_box,
                temperature=_number("Temperature", "temperature", start.temperature, 0.1, 0, 2),
                top_p=_number("Top p", "top_p", start.top_p, 0.05, 0, 1),
                top_k=_number("Top k", "top_k", start.top_k, 1, 0, None),
                min_p=_number("Min p", "min_p", start.min_p, 0.01, 0, 1),
                max_tokens=_number("Longest answer (tokens)", "max_tokens", start.max_new_tokens, 1, 1, None),
                repetition_penalty=_number(
                    "Repetition penalty", "repetition_penalty", start.repetition_penalty, 0.05, 0, 10
                ),
                presence_penalty=_number("Presence penalty", "presence_penalty", None, 0.1, -2, 2),
                frequency_penalty=_number("Frequency penalty", "frequency_penalty", None, 0.1, -2, 2),
                seed=_number("Seed", "seed", start.seed, 1, 0, None),
                stop=gr.Textbox("", label="Stop texts, one a line", lines=2, elem_id="stop_texts"),
                thinking=gr.Radio(["default", "on", "off"], value="default", label="Thinking", elem_id="thinking"),
                tools=gr.Textbox("", label="Tools (JSON list of functions)", lines=4, elem_id="tools"),
            )
    return fields
