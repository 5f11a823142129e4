"""/ask: a language model answers, and the temperature decides how boldly it draws each next token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import accumulate

from bot import (
    Attachment,
    Context,
    Delta,
    Plugin,
    Range,
    Reference,
    RemoteFile,
    Reply,
    Sentence,
    Setting,
    Step,
    Token,
    Turn,
    UserError,
    Waiting,
    add_texts,
    command,
    ellipsis,
    language_code,
    new_seed,
)
from plugins.shared.files import build_files_fact, describe_cuts, drop_unread_pictures, read_files
from plugins.shared.keys import person_key, place_key
from plugins.shared.sampling import MIN_P
from plugins.shared.upstreams import add_upstream_facts

INSTRUCTIONS = (
    "You are Tempera, a friendly assistant in a chat room. Answer briefly, in plain words, and in the language "
    "of the question. If you are not sure, say so."
)
LIKELY_TOKENS = 5
"""The number of likely tokens that are kept with each token of an answer."""
REPLACEMENT_CHARACTER = "\ufffd"


def add_lesson(prompt: str, lesson: Reference) -> str:
    """Return the prompt with the text of a lesson before it; small models follow what stands next to the question."""
    # Beside an English text, they answer a German question in English unless the language is named.
    language = f"in {lesson.language} and " if lesson.language else ""
    task = f"Answer {language}in your own words, by what the lesson says."
    return f"The lesson says:\n\n{lesson.text}\n\n{task}\n\nQuestion: {prompt}"


class AskPlugin(Plugin):
    """Conversations with the language model."""

    title = "Language model (/ask)"
    examples = (
        ("/ask temperature:0.2", Sentence("What is the capital of France?")),
        ("/ask temperature:1.2", Sentence("Tell me a story in three sentences.")),
    )

    settings = (
        Setting(
            name="ask.system_prompt",
            type=str,
            default=INSTRUCTIONS,
            description="What the language model is told before every conversation.",
            maximum=4000,
        ),
        Setting(
            name="ask.model",
            type=str,
            default="",
            task="chat",
            description=(
                "The language model of /ask, /dial, /odds and /compare; empty for the model server's first one."
            ),
            maximum=200,
        ),
        Setting(
            name="ask.keep_tokens",
            type=bool,
            default=True,
            description="Keep with each answer how probable its tokens were, so that the web chat can show it.",
        ),
        Setting(
            name="ask.use_lessons",
            type=bool,
            default=True,
            description="Give the language model what a lesson says about the question, where one does.",
        ),
    )

    @command(form=("prompt", "file", "temperature", "max_tokens", "seed"), threads=True, reads_history=True)
    async def ask(
        self,
        ctx: Context,
        prompt: Range[str, 1, 8000],
        file: Attachment | None = None,
        temperature: Range[float, 0, 2] = 0.7,
        max_tokens: Range[int, 1, 4096] = 512,
        seed: Range[int, 0, 2147483647] | None = None,
        min_p: Range[float, 0, 1] = MIN_P,
        fresh: bool | None = None,
    ) -> AsyncIterator[Reply]:
        """Ask the language model a question.

        prompt: What you want to know
        file: A text or a PDF to ask about; also a picture, where the model reads pictures
        temperature: 0 always takes the most probable word, 2 dares the wildest
        max_tokens: The longest answer, in tokens (a token is about three quarters of a word)
        seed: The same seed gives the same answer to the same conversation again
        min_p: Leaves out tokens less probable than this share of the most probable one; 0 leaves nothing out
        fresh: Read nothing said before; by default, only a question that repeats an earlier one does
        """
        given = ctx.request.message_files if file is None else (file,)
        async for reply in self._answer(ctx, prompt, given, (), temperature, min_p, max_tokens, seed, fresh):
            yield reply

    @command("ask-fork", hidden=True, reads_history=True)
    async def fork(
        self,
        ctx: Context,
        prompt: Range[str, 1, 8000],
        answer: int,
        at: Range[int, 0, None],
        choice: Range[int, 0, LIKELY_TOKENS],
        temperature: Range[float, 0, 2] = 0.7,
        max_tokens: Range[int, 1, 4096] = 512,
        seed: Range[int, 0, 2147483647] | None = None,
        min_p: Range[float, 0, 1] = MIN_P,
        fresh: bool | None = None,
    ) -> AsyncIterator[Reply]:
        """Go on from the middle of an answer, with another token in the place of one of its own.

        answer: The answer to go on from
        at: Which of its tokens to replace, counted from 0
        choice: Which of the tokens that were likely there to put in its place, counted from 0
        """
        beginning = fork_tokens(await ctx.history.tokens(answer), at, choice)
        async for reply in self._answer(ctx, prompt, (), beginning, temperature, min_p, max_tokens, seed, fresh):
            yield reply

    async def _answer(
        self,
        ctx: Context,
        prompt: str,
        given: Sequence[Attachment | RemoteFile],
        beginning: Sequence[Token],
        temperature: float,
        min_p: float,
        max_tokens: int,
        seed: int | None,
        fresh: bool | None,
    ) -> AsyncIterator[Reply]:
        """Answer the prompt and what it asks of the files `given` with it, going on from the tokens `beginning`."""
        text = "".join(token.text for token in beginning)
        tokens = tuple(beginning)
        status = ctx.translate("Reading the file …") if given else ctx.translate("Thinking …")
        yield Reply(text=text, status=status)
        model = await ctx.settings.model("ask.model")
        weakness = await self._tell_weakness(ctx, model)
        files = await read_files(ctx, given, model)
        # A question about a file is none that lessons answer.
        lesson = await ctx.known(prompt) if ctx.settings["ask.use_lessons"] and not files else None
        # The same words about another file are another question.
        before = await ctx.history.turns_unless_fresh(False if fresh is None and files else fresh)
        earlier = await drop_unread_pictures(ctx, before or [], model)
        pictures = tuple(file.picture for file in files if file.picture)
        turns = [
            Turn("system", ctx.settings["ask.system_prompt"]),
            *earlier,
            Turn("user", add_texts(prompt, files) if lesson is None else add_lesson(prompt, lesson), pictures),
            *([Turn("assistant", text)] if beginning else ()),
        ]
        async for event in ctx.models.chat(
            turns,
            temperature=temperature,
            seed=new_seed() if seed is None else seed,
            max_tokens=max_tokens,
            min_p=min_p,
            likely=LIKELY_TOKENS if ctx.settings["ask.keep_tokens"] else None,
            goes_on=bool(beginning),
            user=ctx.user.id,
            model=model,
        ):
            if isinstance(event, Delta):
                text += event.text
                tokens += event.tokens
                yield Reply(text=text, tokens=tokens)
            elif isinstance(event, Waiting):
                yield Reply(text=text, status=ctx.translate("Number {place} in the queue …", place=event.place))
            elif isinstance(event, Step):
                sentence = "Reading the conversation: {step} of {steps} …"
                yield Reply(text=text, status=ctx.translate(sentence, step=event.step, steps=event.steps))
            else:
                tokens = tokens_within(text, tokens)
                if event.finish_reason == "length":
                    text += ellipsis(text)
                card = {
                    "model": event.model,
                    "temperature": f"{temperature:g}",
                    "seed": str(event.seed),
                    # At temperature 0 the most probable token alone is drawn, whatever min_p says.
                    **({"min_p": f"{min_p:g}"} if min_p and temperature else {}),
                    "tokens": str(event.completion_tokens),
                    "seconds": f"{event.seconds:.1f}",
                }
                if lesson is not None:
                    card["lesson"] = lesson.source
                card |= build_files_fact(ctx, files)
                if before is None:
                    card[ctx.translate("with")] = ctx.translate("a fresh start, so that you can compare")
                elif (count := len(earlier) // 2 - event.dropped_turns) > 0:
                    earlier_turns = ctx.translate("1 earlier turn", "{count} earlier turns", count=count)
                    card[ctx.translate("with")] = earlier_turns
                if event.dropped_turns:
                    older_turns = ctx.translate("1 older turn", "{count} older turns", count=event.dropped_turns)
                    card[ctx.translate("left out")] = older_turns
                card = add_upstream_facts(ctx, card, event)
                told = " ".join(filter(None, (describe_cuts(ctx, files), weakness)))
                yield Reply(text=text, status=told, card=card, tokens=tokens, final=True)

    async def _tell_weakness(self, ctx: Context, model: str | None) -> str:
        """Return, once in a channel, a sentence that the model hardly knows the asker's language; "" otherwise."""
        language = language_code(ctx.user.locale)
        if not ctx.settings.has_weak_model(language):
            return ""
        # What a person alone was told is found by /privacy.
        here = person_key(ctx.place.platform, ctx.user.id) if ctx.request.alone else place_key(ctx.place)
        key, scope = f"weakness {model} {language}", here
        if await ctx.store.get(key, scope=scope):
            return ""
        await ctx.store.set(key, True, scope=scope)
        sentence = "The model {model} knows your language poorly, and makes more mistakes in it than in English."
        return ctx.translate(sentence, model=model)

    @command(free=True)
    async def new(self, ctx: Context) -> AsyncIterator[Reply]:
        """Start a new conversation: what was said here before is no longer read."""
        if ctx.history.begins_afresh:
            text = ctx.translate(
                "Here each question begins afresh anyway. To go on from an answer, reply to it, or press “{button}” "
                "where that stands below it.",
                button=ctx.translate("Continue"),
            )
        else:
            await ctx.history.restart()
            text = ctx.translate("A fresh start. For your questions, I no longer read what was said here before.")
        yield Reply(text=text, final=True)


def tokens_within(text: str, tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Return the tokens that begin inside `text`; those that ended it, such as the next speaker's label, do not."""
    starts = accumulate((len(token.text) for token in tokens), initial=0)
    return tuple(token for token, start in zip(tokens, starts, strict=False) if start < len(text))


def fork_tokens(tokens: Sequence[Token], at: int, choice: int) -> tuple[Token, ...]:
    """Return the first `at` tokens, and after them likely token number `choice` in the place of the next one.

    Raises UserError if there is no such token, or if the result cannot be the beginning of an answer.
    """
    if not tokens:
        raise UserError("Of that answer no tokens are kept, so it cannot be gone on from.")
    if at >= len(tokens) or choice >= len(tokens[at].likely):
        raise UserError("There is no such token in that answer.")
    chosen = tokens[at].likely[choice]
    if not chosen.text:
        raise UserError("That token would end the answer there; choose one to go on with.")
    if REPLACEMENT_CHARACTER in chosen.text or (at and not tokens[at - 1].text):
        raise UserError("That token is only a part of a character; choose another one.")
    beginning = (*tokens[:at], Token(chosen.text, chosen.probability, tokens[at].likely))
    if not "".join(token.text for token in beginning).strip():
        raise UserError("An answer cannot begin with blanks alone; choose another token.")
    return beginning
