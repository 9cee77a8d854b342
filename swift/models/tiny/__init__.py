"""Tiny random models of any architecture that transformers ships, with a tiny real tokenizer or processor.

For tests and dry runs: a model takes some hundredths of a second to build and well under a MB.
"""

from swift.models.tiny.causal import save_tiny, tiny_config, tiny_model
from swift.models.tiny.multimodal import TinyMultimodal, save_tiny_multimodal, tiny_multimodal
from swift.models.tiny.tokenizer import CHATML, VOCABULARY, tiny_tokenizer

__all__ = [
    "CHATML",
    "VOCABULARY",
    "TinyMultimodal",
    "save_tiny",
    "save_tiny_multimodal",
    "tiny_config",
    "tiny_model",
    "tiny_multimodal",
    "tiny_tokenizer",
]
