"""Environments of their own for engines and tools whose libraries do not fit beside ours. No torch here."""

from __future__ import annotations

from pathlib import Path


def llama_server_file() -> Path:
    """The program that the environment `llamacpp` runs; it is never imported here."""
    return Path(__file__).with_name("llama_server.py")


def compressor_file() -> Path:
    """The program that the environment `llmcompressor` runs; it is never imported here."""
    return Path(__file__).with_name("compressor.py")


def llama_measure_file() -> Path:
    """The program that measures GGUF files; it is never imported here."""
    return Path(__file__).with_name("llama_measure.py")


def scope_file() -> Path:
    """The program that the environment `evalscope` runs; it is never imported here."""
    return Path(__file__).with_name("scope.py")
