"""Architectures that tests go through: dense, mixtures of experts, latent attention, state spaces, hybrids."""

from __future__ import annotations

import torch
from torch import Tensor

ARCHITECTURES = (
    "llama qwen2 qwen3 qwen2_moe qwen3_moe qwen3_next qwen3_5_text mistral ministral3 mixtral gemma gemma2 gemma3_text "
    "phi phi3 phimoe granite granitemoe granitemoehybrid cohere cohere2 olmo olmo2 olmo3 olmoe gpt2 gpt_neo gpt_neox "
    "gptj falcon opt bloom mpt stablelm starcoder2 deepseek_v2 deepseek_v3 glm glm4 glm4_moe smollm3 gpt_oss ernie4_5 "
    "exaone4 hunyuan_v1_dense nemotron seed_oss minimax lfm2 nanochat bamba jamba mamba mamba2 falcon_mamba falcon_h1 "
    "recurrent_gemma zamba2 llama4_text gemma3"
).split()


def ids() -> Tensor:
    """int64 [2, 9], no padding."""
    return torch.randint(3, 380, (2, 9), generator=torch.Generator().manual_seed(0))
