"""Give a small language model eyes or ears: its own weights, and a new tower that has seen and heard nothing yet.

    python examples/senses/build.py image smollm2 eyes

The first argument is the sense (image, video or audio), the second a folder with a Llama-like model (or what
`--model` takes), the third where the result goes.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    LlavaProcessor,
    Qwen2AudioConfig,
    Qwen2AudioEncoderConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    SiglipVisionConfig,
    WhisperFeatureExtractor,
)

from swift.config.model import ModelConfig
from swift.hub import locate
from swift.models.gguf import as_folder

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}"
    "{% if p.type == 'text' %}{{ p.text }}{% else %}<PLACE>{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIDE = 32
PATCH = 16
TOWER = {
    "hidden_size": 192,
    "intermediate_size": 384,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": SIDE,
    "patch_size": PATCH,
}


def main(sense: str, language_model: str, target: str) -> None:
    """Build and save model and processor."""
    folder = as_folder(locate(ModelConfig(id=language_model)))
    text = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    place = f"<{sense}>"
    tokenizer.add_special_tokens({"additional_special_tokens": [place]})
    text.resize_token_embeddings(len(tokenizer))
    torch.manual_seed(0)
    build = {"image": _eyes, "video": _moving_eyes, "audio": _ears}[sense]
    model, processor = build(text, tokenizer, place)
    processor.chat_template = TEMPLATE.replace("<PLACE>", _around(sense).format(place))
    model.model.language_model.load_state_dict(text.model.state_dict())
    model.lm_head.load_state_dict(text.lm_head.state_dict())
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(target)
    processor.save_pretrained(target)
    tower = sum(p.numel() for name, p in model.named_parameters() if "tower" in name or "projector" in name)
    print(
        f"{target}: {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M weights, {tower / 1e6:.2f} M of them new"
    )


def _around(sense: str) -> str:
    return "<|audio_bos|>{}<|audio_eos|>" if sense == "audio" else "{}"


def _eyes(text: Any, tokenizer: Any, place: str) -> tuple[Any, Any]:
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**TOWER),
        text_config=text.config,
        image_token_id=tokenizer.convert_tokens_to_ids(place),
        vision_feature_layer=-1,
        image_seq_length=(SIDE // PATCH) ** 2,
        tie_word_embeddings=True,
    )
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=place,
    )
    return LlavaForConditionalGeneration(config), processor


def _moving_eyes(text: Any, tokenizer: Any, place: str) -> tuple[Any, Any]:
    number = tokenizer.convert_tokens_to_ids(place)
    tokenizer.add_special_tokens({"additional_special_tokens": [place, "<image>"]}, replace_extra_special_tokens=False)
    text.resize_token_embeddings(len(tokenizer))
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(**TOWER),
        text_config=text.config,
        video_token_id=number,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=[[SIDE, SIDE]],
        tie_word_embeddings=True,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessorPil(size=size, image_grid_pinpoints=[[SIDE, SIDE]]),
        video_processor=LlavaOnevisionVideoProcessor(size=size),
        tokenizer=tokenizer,
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        video_token=place,
    )
    return LlavaOnevisionForConditionalGeneration(config), processor


def _ears(text: Any, tokenizer: Any, place: str) -> tuple[Any, Any]:
    marks = ["<|audio_bos|>", "<|audio_eos|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": [place, *marks]})
    text.resize_token_embeddings(len(tokenizer))
    audio = Qwen2AudioEncoderConfig(
        num_mel_bins=64,
        d_model=192,
        encoder_layers=3,
        encoder_attention_heads=4,
        encoder_ffn_dim=384,
        max_source_positions=25,
    )
    config = Qwen2AudioConfig(
        audio_config=audio,
        text_config=text.config,
        audio_token_id=tokenizer.convert_tokens_to_ids(place),
    )
    processor = Qwen2AudioProcessor(
        feature_extractor=WhisperFeatureExtractor(feature_size=64, sampling_rate=8_000, chunk_length=1),
        tokenizer=tokenizer,
        audio_token=place,
        audio_bos_token=marks[0],
        audio_eos_token=marks[1],
    )
    return Qwen2AudioForConditionalGeneration(config), processor


if __name__ == "__main__":
    main(*sys.argv[1:])
