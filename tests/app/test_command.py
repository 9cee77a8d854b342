"""What `swift app` refuses before there is a page."""

from __future__ import annotations

import socket

import pytest

pytest.importorskip("gradio", reason="the extra app is not installed")

from swift.app.run import run_app
from swift.config.app import AppConfig, PageConfig, RemoteConfig
from swift.errors import ConfigError, SwiftError


def config(**page: object) -> AppConfig:
    return AppConfig(remote=RemoteConfig(url="http://127.0.0.1:9"), page=PageConfig.model_validate(page))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_others_need_a_password(host: str) -> None:
    with pytest.raises(ConfigError, match="no password is asked for"):
        run_app(config(host=host))


@pytest.mark.parametrize("auth", ["alice", "alice=short", "=open-sesame", "al ice=open-sesame"])
def test_bad_passwords(auth: str) -> None:
    with pytest.raises(ConfigError, match="--auth: ") as refused:
        run_app(config(host="0.0.0.0", auth=(auth,)))
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("auth", ["alice=open-sesame requests=5", "alice=open-sesame tokens=5"])
def test_passwords_have_no_rates(auth: str) -> None:
    with pytest.raises(ConfigError, match="has a rate, and none are kept here"):
        run_app(config(host="0.0.0.0", auth=(auth,)))


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SwiftError, match=f"cannot listen on 127.0.0.1:{port}"):
            run_app(config(port=port))


@pytest.mark.parametrize("value", [None, "", "two\nlines", "schlüssel"])
def test_bad_keys(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv("SOME_KEY", raising=False)
    else:
        monkeypatch.setenv("SOME_KEY", value)
    remote = RemoteConfig(url="http://127.0.0.1:9", api_key_variable="SOME_KEY")
    with pytest.raises(ConfigError, match="--api_key_env") as refused:
        run_app(AppConfig(remote=remote))
    assert "\n" not in refused.value.message
