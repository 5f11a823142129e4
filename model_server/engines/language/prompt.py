"""From a task to the tokens that the model reads: the chat template, and making it fit the context."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import jinja2

from model_server.engines.common.refusal import JobRefused, check_encodable
from model_server.engines.language.detokenize import BREAK
from model_server.jobs import Chat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

    from model_server.engines.language.detokenize import TokenBytes
    from model_server.jobs import ChatTurn, Completion

PLAIN_LABELS = {"system": "", "user": "User: ", "assistant": "Assistant: "}
PLAIN_STOP = "\nUser:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What the model reads and how far it may write: `len(ids) + max_tokens` never exceeds the context."""

    ids: tuple[int, ...]
    max_tokens: int
    stop: tuple[str, ...]
    dropped_turns: int = 0
    opens_text: bool = False
    """Whether the answer is a text of its own (a chat's), instead of going on in the middle of one."""


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
        """Raises Refused for an empty prompt, one that is too long, and one that the template does not take."""
        limit = task.sampling.max_tokens
        if limit is not None and limit < 1:
            raise JobRefused(f"max_tokens is {limit}; it must be at least 1.", param="max_tokens")
        return self._chat(task) if isinstance(task, Chat) else self._completion(task)

    def _completion(self, task: Completion) -> Prompt:
        if not task.prompt:
            raise JobRefused("The prompt is empty; write what the model should continue.", param="prompt")
        if isinstance(task.prompt, str):
            check_encodable(task.prompt, "prompt")
            ids = self._encode(task.prompt, add_special_tokens=True)
        else:
            ids = task.prompt
            if foreign := [token for token in ids if not 0 <= token < self._size]:
                last = self._size - 1
                raise JobRefused(f"There is no token {foreign[0]}; this model's go from 0 to {last:,}.", param="prompt")
        free = self._free(len(ids), "prompt")
        room = self._room(free, task.sampling.max_tokens)
        return Prompt(ids=ids, max_tokens=room, stop=task.sampling.stop)

    def _chat(self, task: Chat) -> Prompt:
        check_turns(task)
        # What people write never becomes a special token: only the template says where a turn begins and ends.
        turns = [replace(message, content=self._vocabulary.broken(message.content)) for message in task.messages]
        task = replace(task, messages=tuple(turns))
        cuts = task.truncation == "auto"
        dropped = self._turns_to_drop(task) if cuts else 0
        ids = self._render(_without_oldest(task.messages, dropped), going_on=task.continue_final)
        limit, free = task.sampling.max_tokens, self._free(len(ids), "messages")
        return Prompt(
            ids=ids,
            max_tokens=self._room(free, min(limit, free) if limit and cuts else limit),
            stop=task.sampling.stop if self._tokenizer.chat_template else (*task.sampling.stop, PLAIN_STOP),
            dropped_turns=dropped,
            opens_text=not task.continue_final,
        )

    def _turns_to_drop(self, task: Chat) -> int:
        # An answer that just fits would end at once; one that may be long seldom is, and turns are dear.
        wanted = max(1, min(task.sampling.max_tokens or self._default_max_tokens, self._context // 4))
        most = len(_old_turns(task.messages))

        def fits(dropped: int) -> bool:
            messages = _without_oldest(task.messages, dropped)
            return len(self._render(messages, going_on=task.continue_final)) + wanted <= self._context

        return bisect_left(range(most), True, key=fits)

    def _free(self, length: int, param: str) -> int:
        """How many tokens a prompt of `length` leaves for the answer."""
        if not length:
            raise JobRefused("The prompt is empty; write what the model should continue.", param=param)
        if length >= self._context:
            raise JobRefused(
                f"The prompt is {length:,} tokens long; this model reads at most {self._context:,}, "
                "of which at least one is for the answer.",
                code="context_length_exceeded",
                param=param,
            )
        return self._context - length

    def _room(self, free: int, limit: int | None) -> int:
        if limit is not None and limit > free:
            raise JobRefused(
                f"The prompt is {self._context - free:,} tokens long and max_tokens asks for {limit:,} more; this "
                f"model takes {self._context:,} in all, which leaves at most {free:,} for the answer.",
                code="context_length_exceeded",
                param="max_tokens",
            )
        return limit or min(self._default_max_tokens, free)

    def _render(self, messages: Sequence[ChatTurn], *, going_on: bool) -> tuple[int, ...]:
        if not self._tokenizer.chat_template:
            return self._encode(plain_chat(messages, going_on=going_on), add_special_tokens=True)
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=not going_on, continue_final_message=going_on
            )
        except jinja2.TemplateError as error:
            reason = str(error).rstrip(".")
            raise JobRefused(f"This model does not take such a conversation: {reason}.", param="messages") from error
        except ValueError as error:
            # The template changes what was written so much that its end cannot be found again.
            raise JobRefused(
                "This model cannot go on with such an answer; begin it otherwise.", param="messages"
            ) from error
        return self._encode(str(text), add_special_tokens=False)

    def _encode(self, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
        first, *others = text.split(BREAK)
        ids: list[int] = list(self._tokenizer(first, add_special_tokens=add_special_tokens).input_ids)
        for part in others:
            ids += self._tokenizer(part, add_special_tokens=False).input_ids
        return tuple(ids)


def plain_chat(messages: Sequence[ChatTurn], *, going_on: bool = False) -> str:
    """The prompt for a model without a chat template: labelled paragraphs, the last one left for the answer.

    `going_on`: the last message is an answer that was begun.
    """
    paragraphs = [PLAIN_LABELS[message.role] + message.content for message in messages]
    return "\n\n".join(paragraphs if going_on else [*paragraphs, PLAIN_LABELS["assistant"].rstrip()])


def check_turns(task: Chat) -> None:
    """Refuses a conversation whose last message says nothing, and what cannot be read or gone on with."""
    if not task.messages or not task.messages[-1].content.replace(BREAK, "").strip():
        raise JobRefused("The prompt is empty; write what the model should answer.", param="messages")
    for message in task.messages:
        check_encodable(message.content, "messages")
    if task.continue_final and task.messages[-1].role != "assistant":
        raise JobRefused(
            f"The last message is the {task.messages[-1].role}'s; only an assistant's can be continued.",
            param="messages",
        )


def _old_turns(messages: Sequence[ChatTurn]) -> list[list[int]]:
    """Places of the messages that may go, turn by turn: what a user says and all until a user speaks again.

    System messages belong to no turn, and the last turn may not go.
    """
    turns: list[list[int]] = []
    for place, message in enumerate(messages):
        if message.role == "user" or not turns:
            turns.append([])
        if message.role != "system":
            turns[-1].append(place)
    return [turn for turn in turns if turn][:-1]


def _without_oldest(messages: Sequence[ChatTurn], turns: int) -> list[ChatTurn]:
    gone = {place for turn in _old_turns(messages)[:turns] for place in turn}
    return [message for place, message in enumerate(messages) if place not in gone]
