"""The page, laid out with gradio. What happens on it is in `handlers`."""

from __future__ import annotations

import gradio as gr

from swift.app.handlers import Columns, Fields, Handlers, Parts
from swift.config.app import AppConfig, PageSampling

TITLE = "swift"
_EMPTY = "server's"
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
    page = gr.Blocks(title=TITLE, analytics_enabled=False, fill_height=True)
    with page:
        status = gr.Markdown("", elem_id="status")
        with gr.Row(equal_height=True, scale=1):
            first = _column("first", visible=True)
            second = _column("second", visible=False)
        box = _message_box()
        with gr.Row():
            stop = gr.Button("Stop", variant="stop", size="sm", elem_id="stop")
            again = gr.Button("Regenerate", size="sm", elem_id="again")
            undo = gr.Button("Undo", size="sm", elem_id="undo")
            clear = gr.Button("Clear", size="sm", elem_id="clear")
            compare = gr.Checkbox(label="Side by side", value=False, elem_id="compare", container=False)
        with gr.Sidebar(label="Options", open=False, position="right", elem_id="options"):
            refresh = gr.Button("Ask for the models again", size="sm", elem_id="refresh")
            fields = _fields(config.sampling, config.chat.system or "")
        handlers.wire(page, Parts(status, (first, second), box, compare, stop, again, undo, clear, refresh, fields))
    page.queue(max_size=config.page.waiting or None, default_concurrency_limit=config.page.running)
    return page


def _column(name: str, *, visible: bool) -> Columns:
    with gr.Column(visible=visible, elem_id=f"column-{name}", min_width=320) as column:
        model = gr.Dropdown(
            [], label="Model", show_label=False, container=False, elem_id=f"model-{name}", interactive=True
        )
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


def _number(label: str, name: str, value: float | None) -> gr.Textbox:
    # gradio's own field for numbers cannot be empty: it sends 0.
    text = "" if value is None else str(value)
    return gr.Textbox(text, label=label, placeholder=_EMPTY, elem_id=name, max_lines=1, min_width=110)


def _fields(start: PageSampling, system: str) -> Fields:
    system_box = gr.Textbox(system, label="System prompt", lines=3, elem_id="system")
    with gr.Row():
        temperature = _number("Temperature", "temperature", start.temperature)
        max_tokens = _number("Longest answer", "max_tokens", start.max_new_tokens)
        top_p = _number("Top p", "top_p", start.top_p)
        top_k = _number("Top k", "top_k", start.top_k)
        min_p = _number("Min p", "min_p", start.min_p)
        seed = _number("Seed", "seed", start.seed)
        repetition = _number("Repetition penalty", "repetition_penalty", start.repetition_penalty)
        presence = _number("Presence penalty", "presence_penalty", None)
        frequency = _number("Frequency penalty", "frequency_penalty", None)
    return Fields(
        system=system_box,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        min_p=min_p,
        max_tokens=max_tokens,
        repetition_penalty=repetition,
        presence_penalty=presence,
        frequency_penalty=frequency,
        seed=seed,
        stop=gr.Textbox("", label="Stop texts, one a line", lines=2, elem_id="stop_texts"),
        thinking=gr.Radio(["default", "on", "off"], value="default", label="Thinking", elem_id="thinking"),
        tools=gr.Textbox("", label="Tools (JSON list of functions)", lines=4, elem_id="tools"),
    )
