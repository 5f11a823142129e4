"""Turns a task into the tokens that the model reads: applies the chat template, and fits the context."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

import jinja2

from model_server.engines.common.refusal import JobRefused, check_encodable
from model_server.engines.language.detokenize import SPLIT_MARK
from model_server.engines.language.kv_slots import common_prefix_length
from model_server.jobs import Chat, ChatTurn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

    from model_server.engines.language.detokenize import TokenBytes
    from model_server.jobs import Completion

PLAIN_LABELS = {"system": "", "user": "User: ", "assistant": "Assistant: "}
PLAIN_STOP = "\nUser:"
CHARACTERS_PER_TOKEN = 8
"""About twice as many as in ordinary text: only a text that is longer may be too long to be read as a whole."""
HISTORY_EIGHTHS = 5
"""How many eighths of the context earlier turns may take; a last turn that needs much takes whole eighths of that."""
COUNTED_CHARACTERS = 16
"""How many characters for each token of the context are counted, twice at most, to find out where a chat is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The tokens that the model reads, and how it ends: `len(ids) + max_tokens` never exceeds the context."""

    ids: tuple[int, ...]
    max_tokens: int
    stop: tuple[str, ...]
    dropped_turns: int = 0
    opens_text: bool = False
    """True if the answer is a text of its own, as in a chat; False if it continues a text."""


class PromptBuilder:
    """Builds prompts for one model of `size` token ids. `context` and `default_max_tokens` are in tokens."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        vocabulary: TokenBytes,
        *,
        size: int,
        context: int,
        default_max_tokens: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._size = size
        self._context = context
        self._default_max_tokens = default_max_tokens

    def build(self, task: Chat | Completion) -> Prompt:
        """Return the prompt for a task. Raises JobRefused if it is empty, too long, or refused by the template."""
        limit = task.sampling.max_tokens
        if limit is not None and limit < 1:
            raise JobRefused(f"max_tokens is {limit}; it must be at least 1.", param="max_tokens")
        return self._chat(task) if isinstance(task, Chat) else self._completion(task)

    def _completion(self, task: Completion) -> Prompt:
        if not task.prompt:
            raise JobRefused("The prompt is empty; write what the model should continue.", param="prompt")
        if isinstance(task.prompt, str):
            check_encodable(task.prompt, "prompt")
            # Only token ids can name a special token, so that nobody's text is read as one.
            text = self._vocabulary.break_special_tokens(task.prompt)
            ids = self._encode(text, add_special_tokens=True)
        else:
            ids = task.prompt
            if unknown := [token for token in ids if not 0 <= token < self._size]:
                last = self._size - 1
                raise JobRefused(f"There is no token {unknown[0]}; this model's go from 0 to {last:,}.", param="prompt")
        free = self._count_free(len(ids), "prompt")
        max_tokens = self._choose_max_tokens(free, task.sampling.max_tokens)
        return Prompt(ids=ids, max_tokens=max_tokens, stop=task.sampling.stop)

    def _chat(self, task: Chat) -> Prompt:
        check_turns(task)
        task = self._break_special_tokens(task)
        may_truncate = task.truncation == "auto"
        dropped = self._turns_to_drop(task) if may_truncate else 0
        ids = self._render(_drop_oldest_turns(task.messages, dropped), continue_final=task.continue_final)
        limit, free = task.sampling.max_tokens, self._count_free(len(ids), "messages")
        return Prompt(
            ids=ids,
            max_tokens=self._choose_max_tokens(free, min(limit, free) if limit and may_truncate else limit),
            stop=task.sampling.stop if self._tokenizer.chat_template else (*task.sampling.stop, PLAIN_STOP),
            dropped_turns=dropped,
            opens_text=not task.continue_final,
        )

    def next_beginning(self, task: Chat, answer: str, dropped_turns: int) -> tuple[int, ...]:
        """Return the tokens with which one of a chat's next two prompts begins after `answer`, if it drops more turns.

        `dropped_turns`: those of the present prompt. Prompts that drop as many begin as the present one, whose tokens
        are cached, and nothing is returned for them. Two prompts are foreseen, because few people leave enough time
        before the next one to read half a context. Turns to come are taken to be as long as the present one.
        """
        if task.truncation != "auto" or task.continue_final:
            return ()
        turn = (ChatTurn("assistant", answer), task.messages[-1])
        following = self._break_special_tokens(replace(task, messages=(*task.messages, *turn)))
        for later in (following, replace(following, messages=(*following.messages, *turn))):
            dropped = self._turns_to_drop(later)
            if dropped != dropped_turns:
                kept = _drop_oldest_turns(following.messages, dropped)[:-1]
                one, other = (
                    self._render([*kept, ChatTurn("user", text)], continue_final=False) for text in ("a", "1")
                )
                return one[: common_prefix_length(one, other)]
        return ()

    def _break_special_tokens(self, task: Chat) -> Chat:
        """Return the chat with texts that never become special tokens: only the template marks where a turn begins."""
        turns = [
            replace(message, content=self._vocabulary.break_special_tokens(message.content))
            for message in task.messages
        ]
        return replace(task, messages=tuple(turns))

    def _turns_to_drop(self, task: Chat) -> int:
        """Return how many of the oldest turns are left out.

        Where the rest begins depends on the earlier turns alone as long as the last one needs about as much room, and
        changes seldom, since half is dropped at once. So the next prompt begins as this one, and most of it is cached.
        """
        turns = _droppable_turns(task.messages)
        # At most a quarter of the context, because answers seldom reach their limit, and turns are valuable.
        reserved = max(1, min(task.sampling.max_tokens or self._default_max_tokens, self._context // 4))

        def left(dropped: int) -> int:
            messages = _drop_oldest_turns(task.messages, dropped)
            return self._context - reserved - len(self._render(messages, continue_final=task.continue_final))

        if not turns or left(len(turns)) <= 0:
            return len(turns)
        step = max(1, self._context // 8)
        budget = min(left(len(turns)) // step, HISTORY_EIGHTHS) * step
        start = _first_counted(
            [sum(len(task.messages[place].content) for place in turn) for turn in turns],
            COUNTED_CHARACTERS * self._context,
        )
        counts = self._count_tokens([task.messages[place].content for turn in turns[start:] for place in turn])
        places = iter(counts)
        sizes = [sum(next(places) + self._tokens_around for _ in turn) for turn in turns[start:]]
        first = start + first_kept(sizes, budget)
        if left(first) >= 0:
            return first
        # The sizes are those of the texts one by one, and a template may change them.
        return bisect_left(range(len(turns)), True, lo=first, key=lambda dropped: left(dropped) >= 0)

    def _count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, of a very long one that of its beginning."""
        beginnings = [text[: CHARACTERS_PER_TOKEN * self._context].replace(SPLIT_MARK, "") for text in texts]
        return [len(ids) for ids in self._tokenizer(beginnings, add_special_tokens=False).input_ids] if texts else []

    @cached_property
    def _tokens_around(self) -> int:
        """The number of tokens that the template puts around the text of each message, rounded up."""
        roles: Sequence[Literal["user", "assistant"]] = ("user", "assistant", "user")
        lengths = [
            len(self._render([ChatTurn(role, "a") for role in roles[:count]], continue_final=False)) for count in (1, 3)
        ]
        return max(1, -(-(lengths[1] - lengths[0]) // 2))

    def _count_free(self, length: int, param: str) -> int:
        """Return the number of tokens that a prompt of `length` leaves for the answer."""
        if not length:
            raise JobRefused("The prompt is empty; write what the model should continue.", param=param)
        if length >= self._context:
            # Of a longer text nothing more is known.
            told = f"more than {length - 1:,}" if length == 2 * self._context + 1 else f"{length:,}"
            raise JobRefused(
                f"The prompt is {told} tokens long; this model reads at most {self._context:,}, "
                "of which at least one is for the answer.",
                code="context_length_exceeded",
                param=param,
            )
        return self._context - length

    def _choose_max_tokens(self, free: int, limit: int | None) -> int:
        if limit is not None and limit > free:
            raise JobRefused(
                f"The prompt is {self._context - free:,} tokens long and max_tokens asks for {limit:,} more; this "
                f"model takes {self._context:,} in all, which leaves at most {free:,} for the answer.",
                code="context_length_exceeded",
                param="max_tokens",
            )
        return limit or min(self._default_max_tokens, free)

    def _render(self, messages: Sequence[ChatTurn], *, continue_final: bool) -> tuple[int, ...]:
        if not self._tokenizer.chat_template:
            return self._encode(render_plain_chat(messages, continue_final=continue_final), add_special_tokens=True)
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=not continue_final, continue_final_message=continue_final
            )
        except jinja2.TemplateError as error:
            reason = str(error).rstrip(".")
            raise JobRefused(f"This model does not take such a conversation: {reason}.", param="messages") from error
        except ValueError as error:
            # The template changed the text so much that transformers cannot find its end again.
            raise JobRefused(
                "This model cannot go on with such an answer; begin it otherwise.", param="messages"
            ) from error
        return self._encode(str(text), add_special_tokens=False)

    def _encode(self, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
        """Return the tokens of a text; of one that is far too long, those of a beginning that is too long as well."""
        if (beginning := self._too_long_beginning(text)) is not None:
            return beginning
        first, *others = text.split(SPLIT_MARK)
        ids: list[int] = list(self._tokenizer(first, add_special_tokens=add_special_tokens).input_ids)
        for part in others:
            ids += self._tokenizer(part, add_special_tokens=False).input_ids
        return tuple(ids)

    def _too_long_beginning(self, text: str) -> tuple[int, ...] | None:
        """Return the first tokens of a text that has more than two contexts of them, one more than these, else None.

        Everybody waits while a text is read, and a million characters would take seconds.
        """
        stride = CHARACTERS_PER_TOKEN * self._context
        if len(text) <= stride:
            return None
        ids: list[int] = []
        for start in range(0, len(text), stride):
            part = text[start : start + stride].replace(SPLIT_MARK, "")
            ids += self._tokenizer(part, add_special_tokens=False).input_ids
            if len(ids) > 2 * self._context:
                return tuple(ids[: 2 * self._context + 1])
        return None


def render_plain_chat(messages: Sequence[ChatTurn], *, continue_final: bool = False) -> str:
    """Return the prompt for a model without a chat template: labelled paragraphs, the last one for the answer.

    `continue_final`: the last message is the beginning of the answer.
    """
    paragraphs = [PLAIN_LABELS[message.role] + message.content for message in messages]
    return "\n\n".join(paragraphs if continue_final else [*paragraphs, PLAIN_LABELS["assistant"].rstrip()])


def check_turns(task: Chat) -> None:
    """Raise JobRefused if the last message is empty, a text cannot be encoded, or the end cannot be continued."""
    if not task.messages or not task.messages[-1].content.replace(SPLIT_MARK, "").strip():
        raise JobRefused("The prompt is empty; write what the model should answer.", param="messages")
    for message in task.messages:
        check_encodable(message.content, "messages")
    if task.continue_final and task.messages[-1].role != "assistant":
        raise JobRefused(
            f"The last message is the {task.messages[-1].role}'s; only an assistant's can be continued.",
            param="messages",
        )


def first_kept(sizes: Sequence[int], budget: int) -> int:
    """Return from which place on `sizes` are kept, so that together they are at most `budget`.

    Whenever the sum exceeds the budget, so many of the oldest are dropped that what comes before the newest is at most
    half of it, and that a quarter of it is free. So the place changes seldom while more is added, and can be told
    before the newest is known, unless that one is very long.
    """
    first = total = 0
    for place, size in enumerate(sizes):
        total += size
        if total <= budget:
            continue
        while first < place and (total - size > budget // 2 or total > budget * 3 // 4):
            total -= sizes[first]
            first += 1
        if total > budget:
            first, total = place + 1, 0
    return first


def _first_counted(lengths: Sequence[int], block: int) -> int:
    """Return from which place on more than one `block` and at most about two blocks of `lengths` remain.

    It moves by whole blocks, counted from the beginning, so that it changes seldom.
    """
    begin = (sum(lengths) // block - 1) * block
    return bisect_right(list(accumulate(lengths, initial=0)), begin - 1) if begin > 0 else 0


def _droppable_turns(messages: Sequence[ChatTurn]) -> list[list[int]]:
    """Return the places of the messages that may be dropped, turn by turn: a user's and all until the next user's.

    System messages belong to no turn, and the last turn is never dropped.
    """
    turns: list[list[int]] = []
    for place, message in enumerate(messages):
        if message.role == "user" or not turns:
            turns.append([])
        if message.role != "system":
            turns[-1].append(place)
    return [turn for turn in turns if turn][:-1]


def _drop_oldest_turns(messages: Sequence[ChatTurn], turns: int) -> list[ChatTurn]:
    dropped = {place for turn in _droppable_turns(messages)[:turns] for place in turn}
    return [message for place, message in enumerate(messages) if place not in dropped]
