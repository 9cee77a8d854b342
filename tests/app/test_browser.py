"""The command and its page in a real browser."""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("gradio", reason="the extra app is not installed")

from PIL import Image

from swift.models.tiny import save_tiny, save_tiny_multimodal
from tests.app.browser import Visit, browsing
from tests.engines.support import save_adapter
from tests.serving.support import Running, launched, serving, until

pytestmark = pytest.mark.slow

EVIL = (
    '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script><a href="javascript:window.hacked=3">a</a>'
    '![x](http://evil.example/a.png)<iframe src="http://evil.example"></iframe><style>body{display:none}</style>bold'
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as found:
        yield found


@contextmanager
def app(*words: str) -> Iterator[Running]:
    """`swift app`, until the end of the block."""
    with launched("-m", "swift", "app", "--port", "0", *words) as running:
        running.url = running.wait_for(r"^the page is at (\S+)")[1]
        yield running


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("app")
    model = save_tiny(folder / "tiny-llama")
    return model, save_adapter(folder / "adapter", model, seed=1)


@pytest.fixture(scope="module")
def real(folders: tuple[Path, Path]) -> Iterator[Running]:
    """Over a server that is started for it, with a model and an adapter."""
    model, adapter = folders
    words = ["--model", str(model), "--adapters", f"tone={adapter}", "--torch_dtype", "float32"]
    with app(*words, "--temperature", "0", "--max_new_tokens", "16", "--max_upload_megabytes", "1") as running:
        yield running


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """A server over an engine that says what it is told to."""
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def scripted(server: Running) -> Iterator[Running]:
    """Over a server that runs already."""
    with app("--base_url", f"{server.url}/v1") as running:
        yield running


@contextmanager
def visiting(browser: Any, url: str, model: str = "tiny", **options: Any) -> Iterator[Visit]:
    visit = Visit(browser, url, **options)
    try:
        visit.ready(model)
        yield visit
    finally:
        visit.context.close()


def picture(folder: Path) -> Path:
    path = folder / "red.png"
    Image.new("RGB", (64, 64), (200, 30, 30)).save(path)
    return path


def test_a_real_model_answers_and_answers_again(browser: Any, real: Running) -> None:
    with visiting(browser, real.url, "tiny-llama") as visit:
        visit.type("What is 1 and 2?")
        first = visit.answered()
        assert re.search(r"^tiny-llama · \d+ \+ \d+ tokens · .*first after", visit.note())
        visit.page.click("#again")
        visit.until("() => document.querySelector('#note-first').innerText === ''")
        assert visit.answered() == first
        visit.type("And 3?")
        visit.answered(turns=2)
        assert visit.texts("user") == ["What is 1 and 2?", "And 3?"]
        visit.page.click("#undo")
        visit.until("() => document.querySelector('#message textarea').value === 'And 3?'")
        assert visit.texts("user") == ["What is 1 and 2?"]
        visit.page.click("#clear")
        visit.until("() => !document.querySelector('#chat-first .message')")
        assert visit.asked == {real.url.removeprefix("http://")}


def test_side_by_side(browser: Any, real: Running) -> None:
    with visiting(browser, real.url, "tiny-llama") as visit:
        visit.page.click("#compare input")
        visit.page.wait_for_selector("#chat-second", state="visible")
        assert visit.page.input_value("#model-second input") == "tone"
        visit.type("What is 1 and 2?")
        answers = {visit.answered(), visit.answered("second")}
        assert len(answers) == 2
        assert not any("Error" in answer for answer in answers)
        assert visit.note("second").startswith("tone · ")


def test_a_text_model_refuses_a_picture_in_one_line(browser: Any, real: Running, tmp_path: Path) -> None:
    with visiting(browser, real.url, "tiny-llama") as visit:
        visit.attach(picture(tmp_path))
        visit.page.wait_for_selector("#message img")
        visit.type("What is this?")
        assert re.fullmatch(r"Error\s+the server answers 400: the model takes text only.*", visit.answered())
        visit.type("And without?")
        assert "Error" not in visit.answered(turns=3)


def test_files_that_are_too_large_or_of_another_type_are_refused(browser: Any, real: Running, tmp_path: Path) -> None:
    large, other = tmp_path / "large.png", tmp_path / "notes.pdf"
    large.write_bytes(os.urandom(1_200_000))
    other.write_bytes(b"%PDF-1.4")
    with visiting(browser, real.url, "tiny-llama") as visit:
        for path in (large, other):
            visit.attach(path)
            visit.page.wait_for_selector(".toast-body", state="visible")
            told = visit.page.inner_text(".toast-body")
            assert "Traceback" not in told
            visit.page.click(".toast-close")
            visit.page.wait_for_selector(".toast-body", state="detached")
        visit.type("Hello?")
        assert "Error" not in visit.answered()
        assert visit.page.locator("#chat-first .message.user img").count() == 0


def test_a_model_that_sees_takes_a_picture(browser: Any, tmp_path: Path) -> None:
    model = save_tiny_multimodal(tmp_path / "tiny-vlm", "qwen2_vl")
    with (
        app("--model", str(model), "--torch_dtype", "float32", "--max_new_tokens", "8") as running,
        visiting(browser, running.url, "tiny-vlm") as visit,
    ):
        visit.attach(picture(tmp_path))
        visit.page.wait_for_selector("#message img")
        visit.type("What is this?")
        assert "Error" not in visit.answered()
        assert visit.page.locator("#chat-first .message.user img").count() == 1
        assert int(re.findall(r"(\d+) \+ \d+ tokens", visit.note())[0]) > 10


def test_it_ends_in_order(folders: tuple[Path, Path]) -> None:
    with app("--model", str(folders[0])) as running:
        running.wait_for("^tiny-llama: ")
        family = psutil.Process(running.process.pid).children(recursive=True)
        assert len(family) >= 3  # guard, server, engine
        temporary = next(word for child in family for word in child.cmdline() if word.endswith("server.json"))
        assert Path(temporary).stat().st_mode & 0o077 == 0
        assert running.end() == 0
        until(lambda: not any(child.is_running() for child in family), seconds=20)
        assert not Path(temporary).parent.exists()
        assert not any("Traceback" in line for line in running.lines)


def test_nothing_is_left_when_it_is_killed(folders: tuple[Path, Path]) -> None:
    with app("--model", str(folders[0])) as running:
        running.wait_for("^tiny-llama: ")
        family = psutil.Process(running.process.pid).children(recursive=True)
        running.process.kill()
        until(lambda: not any(child.is_running() for child in family), seconds=30)


def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with launched("-m", "swift", "app", "--port", "0", "--model", str(tmp_path)) as running:
        running.wait_for("^error: ")
        assert running.process.wait(60) == 2
        assert not any("Traceback" in line for line in running.lines)


def test_stop_stops_the_server(browser: Any, scripted: Running, server: Running) -> None:
    begin = len(server.lines)
    with visiting(browser, scripted.url) as visit, server.client() as http:
        visit.type("[pause 0.1]" + "word " * 900)
        visit.until("() => /word word/.test(document.querySelector('#chat-first .message.bot')?.innerText)")
        assert "swift_running 1.0" in http.get("/metrics").text
        visit.page.click("#stop")
        assert visit.answered() == "(stopped)"
        until(lambda: "swift_running 0.0" in http.get("/metrics").text, server, seconds=20)
        assert any('"gone":true' in line.replace(" ", "") for line in server.lines[begin:])
        visit.type("and on")
        assert visit.answered(turns=2) == "and on"


def test_a_page_that_is_loaded_again_stops_its_answer(browser: Any, scripted: Running, server: Running) -> None:
    with visiting(browser, scripted.url) as visit, server.client() as http:
        visit.type("[pause 0.1]" + "word " * 900)
        visit.until("() => /word word/.test(document.querySelector('#chat-first .message.bot')?.innerText)")
        visit.page.reload()
        until(lambda: "swift_running 0.0" in http.get("/metrics").text, server, seconds=60)
        visit.ready("tiny")
        visit.type("new")
        assert visit.answered() == "new"


def test_two_pages_at_once_do_not_mix(browser: Any, scripted: Running) -> None:
    with visiting(browser, scripted.url) as one, visiting(browser, scripted.url) as two:
        one.type("[pause 0.05]" + "eins " * 40)
        two.type("[pause 0.05]" + "two " * 40)
        assert set(one.answered().split()) == {"eins"}
        assert set(two.answered().split()) == {"two"}
        assert len(one.texts("user")) == len(two.texts("user")) == 1


def test_html_in_answers_and_messages_does_nothing(browser: Any, scripted: Running) -> None:
    with visiting(browser, scripted.url) as visit:
        visit.type(EVIL)
        visit.answered()
        assert visit.page.evaluate("window.hacked") is None
        said = visit.page.locator("#chat-first .message-content")
        assert said.count() == 2
        assert said.locator("script, iframe, style, [onerror], a[href^=javascript]").count() == 0
        assert visit.page.is_visible("#chat-first")
        assert visit.asked == {scripted.url.removeprefix("http://")}


def test_calls_and_what_the_fields_hold(browser: Any, scripted: Running) -> None:
    with visiting(browser, scripted.url) as visit:
        visit.option("tools", '[{"name": "look", "parameters": {"type": "object"}}]')
        visit.type('<tool_call>\n{"name": "look", "arguments": {"word": "sky"}}\n</tool_call>')
        visit.until("() => document.querySelector('#chat-first .message.bot')?.innerText.includes('\"word\": \"sky\"')")
        assert visit.texts("bot")[0].startswith("Calls look")
        visit.option("tools", "[")
        visit.type("x")
        visit.until("() => document.querySelector('#status').innerText.startsWith('tools: not JSON')")
        assert visit.page.input_value("#message textarea") == "x"


def test_a_very_long_message(browser: Any, scripted: Running) -> None:
    with visiting(browser, scripted.url) as visit:
        visit.option("max_tokens", "5")
        visit.type("word " * 20_000)
        visit.answered()
        assert len(visit.texts("user")[0]) > 99_000


def test_a_server_that_goes_and_comes_back(browser: Any) -> None:
    with serving() as first:
        port = first.url.rpartition(":")[2]
        with app("--base_url", first.url) as running, visiting(browser, running.url) as visit:
            visit.type("one")
            assert visit.answered() == "one"
            first.end()
            visit.type("two")
            assert re.fullmatch(r"Error\s+the server cannot be reached: .*", visit.answered(turns=2))
            with serving({"server": {"port": int(port)}}):
                visit.type("three")
                assert visit.answered(turns=3) == "three"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--base_url", "http://127.0.0.1:9/v1"], "the server cannot be reached: "),
        (["--base_url", "{page}"], "the server answers 404: "),
        (["--base_url", "{keyed}", "--api_key_env", "WRONG_KEY"], "the server answers 401: the key is wrong"),
    ],
    ids=["nobody", "another page", "wrong key"],
)
def test_a_server_that_cannot_be_used_is_one_line(
    browser: Any, scripted: Running, words: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRONG_KEY", "not-the-right-one")
    with serving({"server": {"api_keys": ["a=the-right-one"]}}) as keyed:
        filled = [word.format(page=scripted.url, keyed=keyed.url) for word in words]
        with app(*filled) as running:
            visit = Visit(browser, running.url)
            visit.until("told => document.querySelector('#status').innerText.startsWith(told)", told)
            assert "\n" not in visit.page.inner_text("#status").strip()
            visit.type("x")
            visit.until("() => document.querySelector('#status').innerText.includes('no model to ask')")
            visit.context.close()


def test_passwords(browser: Any, server: Running) -> None:
    words = ["--base_url", server.url, "--host", "0.0.0.0", "--auth", "alice=open-sesame"]
    with app(*words) as running:
        url = running.url.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(url)
        credentials = {"username": "alice", "password": "open-sesame"}
        with visiting(browser, url, http_credentials=credentials) as visit:
            visit.type("it is me")
            assert visit.answered() == "it is me"
