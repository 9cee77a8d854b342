"""From requests to rows of token ids, as the model saw them in training."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tokenizers import Encoding

from swift.chat.codec import Codec
from swift.chat.encode import conversation_ids, prompt_ids
from swift.config.chat import ChatConfig
from swift.errors import RowError
from swift.types import Conversation, EncodeRequest, Ids, Message, Origin, Task, Text, TextPair

TOO_LONG = "too_long"
EMPTY = "empty_prompt"
NO_PAIR = "no_pair"

_JUDGE = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)
"""What Qwen3-Reranker (arXiv 2506.05176) was trained to be told."""


@dataclass(frozen=True, slots=True)
class InputRow:
    """One prompt.

    Attributes:
        ids: Its tokens.
        types: To which of two texts each belongs; None where the model is not told.
    """

    ids: list[int]
    types: list[int] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Inputs:
    """Makes rows of requests.

    Attributes:
        task: What the model does.
        codec: Its text side.
        chat: How conversations are rendered.
        longest: Tokens that it takes; None where there is no limit.
        vocabulary: Token ids that it knows.
        types: Whether its tokenizer tells to which of two texts a token belongs.
        judge: Whether pairs are shown as a chat that asks for yes or no.
        instruction: What suiting means there, where a request does not say.
        prefix: What stands in front of every text.
        lower: Whether texts are put into lower case.
        strict: Whether pairs with special tokens in them are refused where they are shown as a chat.
    """

    task: Task
    codec: Codec
    chat: ChatConfig
    longest: int | None
    vocabulary: int
    types: bool = False
    judge: bool = False
    instruction: str = ""
    prefix: str = ""
    lower: bool = False
    strict: bool = False

    def row(self, request: EncodeRequest) -> InputRow:
        """The row of a request.

        Raises:
            RowError: It is too long, empty, of another kind than the model takes, or the template refuses it.
            TemplateError: A chat, and there is no template.
        """
        prompt = request.prompt
        if isinstance(prompt, TextPair) != (self.task == "rerank") and not self._labels_pair(prompt):
            wanted = "a query and a document" if self.task == "rerank" else "a text or a chat, and no pair"
            raise RowError(NO_PAIR, f"a model for the task {self.task} takes {wanted}")
        if isinstance(prompt, TextPair):
            row = self._judged(prompt, request) if self.judge else self._pair(prompt, request)
        elif isinstance(prompt, Text):
            row = self._text(prompt, request)
        else:
            row = self._ids(prompt, request)
        if not row.ids:
            raise RowError(EMPTY, "the prompt has no tokens")
        if not 0 <= min(row.ids) <= max(row.ids) < self.vocabulary:
            raise RowError("unknown_token", f"the model has {self.vocabulary} embeddings, and the prompt other tokens")
        return row

    def _labels_pair(self, prompt: object) -> bool:
        return self.task == "classify" and isinstance(prompt, TextPair)

    def _text(self, prompt: Text, request: EncodeRequest) -> InputRow:
        if prompt.media:
            raise RowError("media_unsupported", "pictures, videos and sounds are for models that answer")
        found = self._tokens(self.prefix + prompt.text)
        room = self._room(len(found), request, self.codec.tokenizer.num_special_tokens_to_add(False))
        if room is not None:
            found.truncate(room)
        return self._row(self.codec.tokenizer.post_process(found, None, True))

    def _pair(self, pair: TextPair, request: EncodeRequest) -> InputRow:
        first, second = self._tokens(pair.query), self._tokens(pair.document)
        special = self.codec.tokenizer.num_special_tokens_to_add(True)
        room = self._room(len(first) + len(second), request, special)
        if room is not None:
            lengths = _shares(len(first), len(second), room)
            first.truncate(lengths[0])
            second.truncate(lengths[1])
        return self._row(self.codec.tokenizer.post_process(first, second, True))

    def _judged(self, pair: TextPair, request: EncodeRequest) -> InputRow:
        """A chat that asks for yes or no. Where it is too long, the document is cut."""
        found = next((f for t in (pair.query, pair.document) if (f := self.codec.special.search(t))), None)
        if self.strict and found is not None:
            raise RowError("special_token_in_text", f"a text holds {found[0]!r}, which the model does not read as text")
        ids = self._question(pair)
        document = self.codec.encode(pair.document)
        while (room := self._room(len(ids), request, 0)) is not None:
            if not document:
                raise RowError(TOO_LONG, f"without any document the prompt has {len(ids)} tokens, and may have {room}")
            document = document[: -(len(ids) - room)]
            ids = self._question(replace(pair, document=self.codec.decode(document)))
        return InputRow(ids)

    def _question(self, pair: TextPair) -> list[int]:
        instruction = self.instruction if pair.instruction is None else pair.instruction
        asked = f"<Instruct>: {instruction}\n<Query>: {pair.query}\n<Document>: {pair.document}"
        chat = Conversation(
            (Message("system", _JUDGE), Message("user", asked)),
            Origin("a pair", 1),
            template_kwargs={"enable_thinking": False},
        )
        return prompt_ids(chat, self.codec, self.chat.model_copy(update={"system": None}))

    def _ids(self, prompt: Conversation | Ids, request: EncodeRequest) -> InputRow:
        chat = isinstance(prompt, Conversation)
        ids = conversation_ids(prompt, self.codec, self.chat) if isinstance(prompt, Conversation) else list(prompt.ids)
        room = self._room(len(ids), request, 0)
        if room is not None:
            ids = ids[len(ids) - room :] if chat else ids[:room]
        return InputRow(ids, [0] * len(ids) if self.types else None)

    def _tokens(self, text: str) -> Encoding:
        return self.codec.tokenizer.encode(text.lower() if self.lower else text, add_special_tokens=False)

    def _row(self, found: Encoding) -> InputRow:
        return InputRow(found.ids, found.type_ids if self.types else None)

    def _room(self, length: int, request: EncodeRequest, special: int) -> int | None:
        """To how many tokens texts must be cut; None where nothing has to be cut.

        Raises:
            RowError: They would have to be, and the request does not allow it; or nothing would be left.
        """
        asked = request.truncate
        if asked is not None and (asked == 0 or asked < -1):
            raise RowError("bad_truncation", f"prompts cannot be cut to {asked} tokens")
        limit = self.longest if asked is None or asked == -1 else min(asked, self.longest or asked)
        if limit is None or length + special <= limit:
            return None
        if asked is None:
            raise RowError(TOO_LONG, f"the prompt has {length + special} tokens, the model takes {limit}")
        if special >= limit:
            raise RowError(TOO_LONG, f"{limit} tokens leave no room beside {special} that every prompt has")
        return limit - special


def _shares(first: int, second: int, room: int) -> tuple[int, int]:
    """Lengths of two texts that together fill `room`: the longer is cut first, as tokenizers do it."""
    short = min(first, second)
    long = room - short
    if long < short:
        short, long = room // 2, room // 2 + room % 2
    return (short, long) if first <= second else (long, short)
