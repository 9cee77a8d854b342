"""A real browser for tests: Debian's chromium, driven by playwright. Every request that it makes is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 180_000
"""Milliseconds that the page may take for anything: machines that run tests are busy."""


@contextmanager
def browsing() -> Iterator[Any]:
    """A browser, until the end of the block; the test is skipped where there is none."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with driver.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page that is open.

    Args:
        browser: Where.
        url: Of the page.
        options: Of the browser's context, such as a name and a password.

    Attributes:
        page: It, as playwright has it.
        asked: Hosts that have answered it.
        said: What its console says.
    """

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 860}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.asked: set[str] = set()
        self.said: list[str] = []
        self.page.on("response", lambda answer: self.asked.add(urlsplit(answer.url).netloc))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.goto(url)
        self.page.wait_for_selector("#message textarea")

    def ready(self, model: str = "") -> None:
        """Wait until there is a model to ask."""
        self.page.wait_for_function(
            "name => { const box = document.querySelector('#model-first input');"
            " return box && box.value && (!name || box.value === name); }",
            arg=model,
        )

    def type(self, text: str) -> None:
        """Send a message."""
        self.page.fill("#message textarea", text)
        self.page.press("#message textarea", "Enter")

    def option(self, name: str, value: str) -> None:
        """Fill a field of the options."""
        if not self.page.locator("#options.open").count():
            self.page.click("#options .toggle-button")
        field = f"#{name} textarea, #{name} input"
        self.page.fill(field, value)
        self.page.press(field, "Tab")

    def texts(self, who: str, column: str = "first") -> list[str]:
        """What `user` or `bot` has said in a column."""
        found: list[str] = self.page.locator(f"#chat-{column} .message.{who}").all_inner_texts()
        return [text.strip() for text in found]

    def note(self, column: str = "first") -> str:
        """The line of tokens and speed."""
        return str(self.page.inner_text(f"#note-{column}")).strip()

    def until(self, script: str, arg: Any = None) -> None:
        """Wait until JavaScript gives something true."""
        self.page.wait_for_function(script, arg=arg)

    def attach(self, path: object) -> None:
        """Upload a file."""
        self.page.set_input_files("#message input[type=file]", str(path))

    def answered(self, column: str = "first", *, turns: int = 1) -> str:
        """Wait until the answer to the last of so many messages is whole, and give its last box."""
        self.until(
            "([column, turns]) => { const chat = document.querySelector(`#chat-${column}`);"
            " const asked = chat.querySelectorAll('.message.user').length >= turns;"
            " const boxes = [...chat.querySelectorAll('.message')];"
            " const told = document.querySelector(`#note-${column}`).innerText.includes(' tokens ·');"
            " return asked && boxes.length && boxes.at(-1).classList.contains('bot')"
            " && (told || /^(Error|\\(stopped|\\(an empty)/.test(boxes.at(-1).innerText.trim())); }",
            [column, turns],
        )
        return self.texts("bot", column)[-1]
