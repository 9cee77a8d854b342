"""One of our engines as a model of lm-eval. Importing this imports lm-eval."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from swift.chat.encode import prompt_text
from swift.config.chat import ChatConfig
from swift.data.progress import row_progress
from swift.engines.base import Engine
from swift.errors import ConfigError, EngineError, RowError
from swift.evaluation.harness.kept import Done, Kept, keys_of
from swift.types import Completion, Conversation, Given, Ids, Message, Origin, Prompt, Request, Sampling, Text

_LONGEST = 2048
"""Tokens of a sequence, where the model sets no limit; as in lm-eval."""
_NEW_TOKENS = 256
"""Longest answer, where a task says nothing; as in lm-eval."""
_ORIGIN = Origin("lm-eval", 1)
_RULES = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
_IGNORED = ("do_sample", "until", "max_gen_toks")


class EngineModel(TemplateLM):  # type: ignore[misc]
    """Answers lm-eval's requests with an engine.

    Args:
        engine: It.
        kept: Answers that are there already, and those that come.
        chat: How chats are rendered.
        seed: Of sampling.
        messages: The engine renders chats itself, so it is given messages and no text.
    """

    def __init__(self, engine: Engine, kept: Kept, chat: ChatConfig, seed: int, *, messages: bool) -> None:
        super().__init__()
        self._engine = engine
        self._kept = kept
        self._chat = chat
        self._seed = seed
        self._messages = messages
        self._ids = lru_cache(maxsize=4096)(self._encode)

    @property
    def eot_token_id(self) -> int:
        """Ends a text."""
        return self._engine.codec.end_id

    @property
    def prefix_token_id(self) -> int:
        """Stands before a text that nothing stands before."""
        codec = self._engine.codec
        return codec.end_id if codec.bos_id is None else codec.bos_id

    @property
    def max_length(self) -> int:
        """Tokens that the model takes."""
        return self._engine.ability.longest or _LONGEST

    @property
    def tokenizer_name(self) -> str:
        """Names the rendering of chats."""
        return self._engine.codec.fingerprint

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Ids of a text, as lm-eval has them of transformers' tokenizers: what these add to a text is added, but for a
        begin token that stands there already."""
        return list(self._ids(string, add_special_tokens))

    def _encode(self, text: str, special: bool | None) -> tuple[int, ...]:
        codec = self._engine.codec
        if special is None:
            special = not text.startswith(codec.decode([self.prefix_token_id]))
        return tuple(codec.tokenizer.encode(text, add_special_tokens=special).ids)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A chat as the model's own template renders it; as JSON, where the engine renders it."""
        if self._messages:
            return json.dumps(chat_history, ensure_ascii=False)
        messages = tuple(Message(turn["role"], turn["content"]) for turn in chat_history)  # type: ignore[arg-type]
        begun = "" if add_generation_prompt else messages[-1].content
        shown = messages if add_generation_prompt else messages[:-1]
        return prompt_text(Conversation(shown, _ORIGIN), self._engine.codec, self._chat) + begun

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template that is used."""
        return self._engine.codec.template.source

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-likelihood, whether it is greedy) of each (context, continuation)."""
        keys = keys_of("loglikelihood", [request.args for request in requests])

        def ask(numbers: list[int], done: Done) -> None:
            pairs = [_pair(self, *requests[number].args) for number in numbers]
            self._judge(pairs, lambda place, answer: done(numbers[place], answer), "likelihoods")

        return [(logprob, greedy) for logprob, greedy in self._kept.answers(keys, ask)]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each text, in windows that the model takes, each token once."""
        keys = keys_of("loglikelihood_rolling", [request.args for request in requests])

        def ask(numbers: list[int], done: Done) -> None:
            pairs, owners = [], []
            for number in numbers:
                windows = get_rolling_token_windows(
                    token_list=self.tok_encode(requests[number].args[0]),
                    prefix_token=self.prefix_token_id,
                    max_seq_len=self.max_length,
                    context_len=1,
                )
                some = [make_disjoint_window(window) for window in windows]
                pairs += some
                owners += [number] * len(some)
            left = Counter(owners)
            sums = dict.fromkeys(numbers, 0.0)

            def part(place: int, answer: tuple[float, bool]) -> None:
                owner = owners[place]
                sums[owner] += answer[0]
                left[owner] -= 1
                if not left[owner]:
                    done(owner, sums[owner])

            self._judge(pairs, part, "windows")
            for number in set(numbers) - set(owners):  # empty texts
                done(number, 0.0)

        return [float(answer) for answer in self._kept.answers(keys, ask)]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """An answer to each (context, how)."""
        sampled = [normalize_gen_kwargs(request.args[1])["do_sample"] for request in requests]
        plain = keys_of("generate", [request.args for request in requests])
        apart = keys_of("generate", [[*request.args, self._seed] for request in requests], repeats=True)
        keys = [one if random else other for one, other, random in zip(apart, plain, sampled, strict=True)]

        def ask(numbers: list[int], done: Done) -> None:
            asked, ends = [], []
            for number in numbers:
                context, how = requests[number].args
                rules, until = self._rules(how, seed=int(keys[number][:8], 16))
                asked.append(Request(self._prompt(context, rules.max_new_tokens), rules))
                ends.append(until)

            with row_progress("answers", total=len(asked), shown=True) as on:

                def answered(place: int, completion: Completion) -> None:
                    done(numbers[place], postprocess_generated_text(self._said(completion), ends[place], None))
                    on(1)

                results = self._engine.generate(asked, on_done=answered)
            wrong = next((result for result in results if isinstance(result, RowError)), None)
            if wrong is not None:
                raise EngineError(f"a request cannot be answered: {wrong}")

        return [str(answer) for answer in self._kept.answers(keys, ask)]

    def _loglikelihood_tokens(self, requests: Any, **kwargs: Any) -> list[tuple[float, bool]]:
        raise AssertionError("likelihoods are asked for by `loglikelihood`")

    def _judge(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], done: Done, title: str) -> None:
        """Tell (log-likelihood, whether it is greedy) of each (context, continuation)."""
        samples = []
        for context, continuation in pairs:
            ids = [*context, *continuation][-(self.max_length + 1) :]
            samples.append(Given(ids, range(len(ids) - len(continuation), len(ids))))
        with row_progress(title, total=len(samples), shown=True) as on:

            def scored(number: int, found: Any) -> None:
                done(number, (found.logprob, bool(found.greedy)))
                on(1)

            try:
                self._engine.score_ids(samples, scored)
            except RowError as error:
                raise EngineError(f"likelihoods cannot be had: {error}") from error

    def _prompt(self, context: str, room: int) -> Prompt:
        """What the engine is given: no more than fits in front of an answer."""
        if self._messages:
            return _chat(context)
        most = self.max_length - room
        if most < 1:
            raise ConfigError(
                f"a task asks for {room} new tokens, and the model takes {self.max_length}",
                hint="lower max_gen_toks in the task's generation_kwargs",
            )
        return Ids(tuple(self.tok_encode(context)[-most:]))

    def _rules(self, how: dict[str, Any], seed: int) -> tuple[Sampling, list[str]]:
        """How tokens are chosen, and texts that end an answer."""
        values = dict(normalize_gen_kwargs(how, _NEW_TOKENS))
        unknown = sorted(set(values) - {*_RULES, *_IGNORED})
        if unknown:
            raise ConfigError(
                f"a task asks for {unknown[0]} in its generation_kwargs", hint=f"known are {', '.join(_RULES)}"
            )
        stops = list(values.get("until") or ())
        until = handle_stop_sequences(list(stops), eos=None if self._messages else self._end)
        rules = {name: values[name] for name in _RULES if name in values}
        if values["do_sample"]:
            rules.setdefault("temperature", 1.0)
        else:
            rules = {name: rules[name] for name in rules if name == "repetition_penalty"}
        stop = tuple(text for text in stops if text and text != self._end)
        return Sampling(max_new_tokens=int(values["max_gen_toks"]), stop=stop, seed=seed, **rules), until

    @property
    def _end(self) -> str:
        return "" if self._messages else self._engine.codec.decode([self.eot_token_id])

    def _said(self, completion: Completion) -> str:
        if self._messages or not completion.token_ids:
            return completion.text
        return str(self._engine.codec.tokenizer.decode(list(completion.token_ids), skip_special_tokens=True))


def _pair(model: EngineModel, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """Ids of a context and what follows it, split as lm-eval does."""
    if context:
        before, after = model._encode_pair(context, continuation)
        return list(before), list(after)
    after = model.tok_encode(continuation, add_special_tokens=False)
    if after[0] == model.prefix_token_id:
        return after[:1], after[1:]
    return [model.prefix_token_id], after


def _chat(context: str) -> Conversation | Text:
    """The messages that `apply_chat_template` wrote; a bare text where it was not asked."""
    try:
        turns = json.loads(context)
        messages = tuple(Message(turn["role"], turn["content"]) for turn in turns)
    except (ValueError, TypeError, KeyError):
        return Text(context, _ORIGIN)
    return Conversation(messages, _ORIGIN)
