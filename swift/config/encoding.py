"""What a model is used for besides talking: vectors, labels and scores."""

from typing import Literal

from swift.config.option import Config, option

INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


class EncodingConfig(Config):
    """What the model does, and how vectors, labels and scores are made."""

    task: Literal["auto", "generate", "embed", "rerank", "classify", "reward"] = option(
        "auto",
        "generate: answers. embed: vectors. rerank: how well documents suit queries. classify: labels. reward: how "
        "good answers are. auto: what the checkpoint's architecture and files say.",
        "task",
    )
    pooling: Literal["auto", "last", "mean", "cls"] = option(
        "auto",
        "Which states of tokens become the vector: the last one, their mean, or the first one. auto: as the "
        "checkpoint's sentence-transformers files say; without them last where tokens see only what is before them, "
        "else mean.",
        "pooling",
    )
    normalize: bool | None = option(
        None, "Make vectors one long. Default: as the checkpoint's files say; without them yes.", "embed_normalize"
    )
    activation: Literal["auto", "none", "sigmoid", "softmax"] = option(
        "auto",
        "What makes scores of a classifier's outputs. auto: as the checkpoint says; else softmax over labels that "
        "exclude each other, sigmoid for others and for rerank, none for reward.",
        "activation",
    )
    pair_form: Literal["auto", "pair", "chat"] = option(
        "auto",
        "How a reranker is shown query and document: as the tokenizer's pair of texts, or as a chat that asks for yes "
        "or no. auto: chat where the model generates, else pair.",
        "pair_form",
    )
    instruction: str = option(
        INSTRUCTION, "What a reranker that is shown a chat is told to judge by.", "rerank_instruction"
    )
    yes: str = option("yes", "The token by which a generating reranker says that a document suits.", "yes_token")
    no: str = option("no", "The token by which it says that it does not.", "no_token")
