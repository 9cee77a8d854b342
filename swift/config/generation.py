"""How tokens are chosen when the model talks."""

from swift.config.option import Config, option


class GenerationConfig(Config):
    """Sampling."""

    max_new_tokens: int = option(2048, "Longest answer in tokens.", "max_new_tokens", ge=1)
    temperature: float = option(0.0, "0 takes the likeliest token.", "temperature", ge=0)
    top_p: float = option(1.0, "Sample from the likeliest tokens that make up this probability.", "top_p", gt=0, le=1)
    top_k: int = option(0, "Sample from this many likeliest tokens; 0 is all.", "top_k", ge=0)
    min_p: float = option(0.0, "Drop tokens less likely than this share of the likeliest.", "min_p", ge=0, le=1)
    repetition_penalty: float = option(1.0, "Above 1 discourages repeats.", "repetition_penalty", gt=0)
    stop: tuple[str, ...] = option((), "Texts at which an answer ends.", "stop_words")
    stream: bool = option(True, "Show the answer as it is made.", "stream")
