"""Which text is trained on: what the assistant must write after each prompt. Derived by rendering, never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from swift.chat import reasons
from swift.chat.codec import Codec
from swift.chat.continuation import continuation, realigned
from swift.chat.loss_scale import Stretch
from swift.chat.said import count_stops, nth_stop, require_said, said_pieces
from swift.chat.template import WireMessage, wire_messages, wire_tools
from swift.errors import RowError, TemplateError
from swift.types import Conversation, Message


@dataclass(frozen=True, slots=True)
class Turn:
    """One assistant turn to be trained on.

    Attributes:
        index: Which message it is.
        prompt: What inference is given: the messages before it, with the generation prompt.
        span: What the model must write, up to and including the stop token.
        weight: Multiplies the loss of the span.
        scales: Where its weight is multiplied by something else than 1: stretches of the span's characters.
    """

    index: int
    prompt: str
    span: str
    weight: float
    scales: tuple[Stretch, ...] = ()

    @property
    def text(self) -> str:
        """Prompt and span."""
        return self.prompt + self.span


class Rendering:
    """One prepared conversation, rendered piece by piece.

    Args:
        sample: A conversation that went through `swift.chat.messages.prepare`.
        codec: The model's codec.
    """

    def __init__(self, sample: Conversation, codec: Codec) -> None:
        self.sample = sample
        self.codec = codec
        self._wire = wire_messages(sample.messages, codec.template.dialect)
        self._tools = wire_tools(sample.tools)
        if self._tools and not codec.template.dialect.tools:
            raise RowError(
                reasons.TOOLS_UNSUPPORTED, "the chat template has no place for tools; --agent_template names a format"
            )

    def prompt(self, count: int) -> str:
        """The first `count` messages and what the template puts before the assistant's next words."""
        return self._render(self._wire[:count], generate=True)

    def upto(self, count: int) -> str:
        """The first `count` messages, finished."""
        return self._render(self._wire[:count], generate=False)

    def turn(self, index: int, weight: float) -> Turn:
        """The assistant turn at `index`.

        Raises:
            RowError: The template refuses the messages, contradicts the prompt, loses what was said, or does not
                end the turn with a stop token.
        """
        message = self.sample.messages[index]
        if not (message.content.strip() or message.tool_calls or (message.reasoning or "").strip()):
            raise RowError(reasons.EMPTY_ANSWER, f"message {index + 1} says nothing")
        prompt, full = self.prompt(index), self.upto(index + 1)
        written = continuation(prompt, full, message.reasoning)
        if written is None:
            written = self._realigned(index, prompt, full)
        if written is None:
            raise RowError(
                reasons.NOT_A_PREFIX,
                f"message {index + 1}: the prompt ends {prompt[-40:]!r}, but the "
                f"turn is written {_after_common(prompt, full)!r}",
            )
        span = self._ended(index, written)
        require_said(span, message, index)
        return Turn(index, prompt, span, weight, self._scales(index, span))

    def _scales(self, index: int, span: str) -> tuple[Stretch, ...]:
        """Weights within a span; its stop token counts as ever."""
        stop = next(stop for stop in self.codec.stops if span.endswith(stop))
        before = reversed(self.sample.messages[:index])
        question = next((message.content for message in before if message.role != "assistant"), "")
        return self.codec.loss_scale.stretches(span.removesuffix(stop), question)

    def _ended(self, index: int, written: str) -> str:
        """`written` up to and including its stop token."""
        inside = sum(count_stops(piece, self.codec.stops) for piece in said_pieces(self.sample.messages[index]))
        end = nth_stop(written, self.codec.stops, inside)
        if end is not None:
            return written[:end]
        stop = self._stop_of_next(index)
        if stop is None:
            raise RowError(
                reasons.NO_STOP,
                f"message {index + 1} ends {written[-30:]!r}, and generation stops at {', '.join(self.codec.stops)}",
            )
        return written + stop

    def _stop_of_next(self, index: int) -> str | None:
        """The stop token with which the next turn begins, in templates that end a turn so (GLM: `<|user|>`)."""
        turns = self._wire[: index + 1]
        # The next turn may make the template drop thinking; what follows the turn is the same without.
        bare = [{k: v for k, v in turn.items() if k not in ("reasoning_content", "thinking")} for turn in turns]
        for follower in self._followers(index):
            for shown in (turns, bare):
                try:
                    full = self._render(shown, generate=False)
                    longer = self._render([*shown, follower], generate=False)
                except RowError:
                    continue  # this template takes no such message here; the next kind is tried
                rest = longer[len(full) :] if longer.startswith(full) else ""
                gap = len(rest) - len(rest.lstrip())
                stop = next((stop for stop in self.codec.stops if rest.startswith(stop, gap)), None)
                if stop is not None:
                    return rest[:gap] + stop
        return None

    def _realigned(self, index: int, prompt: str, full: str) -> str | None:
        before = self.upto(index) if index else ""
        if not index or not prompt.startswith(before):
            return None
        return realigned(prompt, full, prompt[len(before) :], self.sample.messages[index - 1].content)

    def _followers(self, index: int) -> Iterator[WireMessage]:
        yield from self._wire[index + 1 : index + 2]
        message = self.sample.messages[index]
        probes = [Message("user", "x")]
        if message.tool_calls:
            probes.insert(
                0, Message("tool", "x", name=message.tool_calls[0].name, tool_call_id=message.tool_calls[0].id)
            )
        for probe in probes:
            yield from wire_messages([probe], self.codec.template.dialect)

    def _render(self, wire: list[WireMessage], *, generate: bool) -> str:
        try:
            return self.codec.template.render_wire(
                wire, tools=self._tools, add_generation_prompt=generate, template_kwargs=self.sample.template_kwargs
            )
        except TemplateError as error:
            raise RowError(reasons.TEMPLATE_REFUSED, error.message) from error


def chains(turns: Sequence[Turn]) -> list[list[Turn]]:
    """The fewest sequences in which every turn is seen exactly as inference sees it.

    A turn continues a chain when the chain's text so far is how the turn's prompt begins. Where the template
    rewrites history (it strips earlier thinking, or ends the last turn differently), a new chain begins.
    """
    found: list[list[Turn]] = []
    for turn in turns:
        for chain in reversed(found):
            if turn.prompt.startswith(chain[-1].prompt) and turn.prompt.startswith(
                chain[-1].span, len(chain[-1].prompt)
            ):
                chain.append(turn)
                break
        else:
            found.append([turn])
    return found


def keep_thinking(turns: Sequence[Turn], messages: Sequence[Message]) -> list[Turn]:
    """The turns with the thinking of earlier turns put back where the template stripped it (`thinking: keep`).

    A turn whose history cannot be matched piece by piece stays as the template shows it.
    """
    kept: list[Turn] = []
    for turn in turns:
        if kept and not turn.prompt.startswith(kept[-1].text):
            turn = _put_back(turns[len(kept) - 1], kept[-1], turn, messages[kept[-1].index])
        kept.append(turn)
    return kept


def _put_back(shown: Turn, kept: Turn, turn: Turn, message: Message) -> Turn:
    answer = message.content.strip() or (message.tool_calls[0].name if message.tool_calls else "")
    at = shown.text.rfind(answer, len(shown.prompt))
    tail = shown.text[at:]  # the part of the earlier turn that history shows too
    common = _common(shown.text, turn.prompt)
    for start in range(common, max(len(_trimmed(shown.prompt)) - 1, -1), -1):
        if answer and turn.prompt.startswith(tail, start):
            return replace(turn, prompt=kept.text + turn.prompt[start + len(tail) :])
    return turn


def _trimmed(prompt: str) -> str:
    return prompt.rsplit("<think>", 1)[0].rstrip()


def _common(left: str, right: str) -> int:
    size = min(len(left), len(right))
    return next((number for number in range(size) if left[number] != right[number]), size)


def _after_common(prompt: str, full: str) -> str:
    start = max(_common(prompt, full) - 10, 0)
    return full[start : start + 40]
