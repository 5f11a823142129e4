"""/ask: a language model answers, and the temperature decides how boldly it draws each next token."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot import Context, Delta, Plugin, Range, Reply, Setting, Step, Turn, Waiting, command, message_command, new_seed

INSTRUCTIONS = (
    "You are Tempera, a friendly assistant in a chat room. Answer briefly, in plain words, and in the language "
    "of the question. If you are not sure, say so."
)


class Ask(Plugin):
    """Questions to the language model."""

    settings = (
        Setting(
            name="ask.system_prompt",
            type=str,
            default=INSTRUCTIONS,
            description="What the language model is told before every conversation.",
            maximum=4000,
        ),
    )

    @message_command("Explain this", text="Explain this in simple words:\n\n{text}")
    @command(form=("prompt", "temperature", "max_tokens", "seed"), threads=True)
    async def ask(
        self,
        ctx: Context,
        prompt: Range[str, 1, 8000],
        temperature: Range[float, 0, 2] = 0.7,
        max_tokens: Range[int, 1, 4096] = 512,
        seed: Range[int, 0, 2147483647] | None = None,
    ) -> AsyncIterator[Reply]:
        """Ask the language model a question.

        prompt: What you want to know
        temperature: 0 always takes the most probable word, 2 dares the wildest
        max_tokens: The longest answer, in tokens (a token is about three quarters of a word)
        seed: The same seed gives the same answer to the same conversation again
        """
        turns = [
            Turn("system", ctx.settings["ask.system_prompt"]),
            *await ctx.history.turns(),
            Turn("user", prompt),
        ]
        text = ""
        yield Reply(status=ctx.translate("Thinking …"))
        async for event in ctx.models.chat(
            turns,
            temperature=temperature,
            seed=new_seed() if seed is None else seed,
            max_tokens=max_tokens,
            user=ctx.user.id,
        ):
            if isinstance(event, Delta):
                text += event.text
                yield Reply(text=text)
            elif isinstance(event, Waiting):
                yield Reply(text=text, status=ctx.translate("Number {place} in the queue …", place=event.place))
            elif isinstance(event, Step):
                part = {"step": event.step, "steps": event.steps}
                yield Reply(text=text, status=ctx.translate("Reading the conversation: {step} of {steps} …", **part))
            else:
                if event.finish_reason == "length":
                    text += " …"
                card = {
                    "model": event.model,
                    "temperature": f"{temperature:g}",
                    "seed": str(event.seed),
                    "tokens": str(event.completion_tokens),
                    "seconds": f"{event.seconds:.1f}",
                }
                if event.dropped_turns:
                    card[ctx.translate("left out")] = ctx.translate("{count} older turns", count=event.dropped_turns)
                yield Reply(text=text, card=card, final=True)

    @command()
    async def new(self, ctx: Context) -> AsyncIterator[Reply]:
        """Start a new conversation: what was said here before is no longer read."""
        await ctx.history.restart()
        yield Reply(text=ctx.translate("A fresh start. I no longer read what was said here before."), final=True)
