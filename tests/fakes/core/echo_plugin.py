"""A plugin that echoes its options, for tests of how the core handles answers."""

import asyncio
from collections.abc import AsyncIterator

from bot import Attachment, Button, Context, Plugin, Range, Reply, UserError, command


class Echo(Plugin):
    """Echoes its options; `begin` holds back the first reply, `gate` the second one."""

    name = "echo"

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.begin = asyncio.Event()
        self.begin.set()
        self.ended: list[str] = []
        self.over = asyncio.Event()
        self.more = ""
        """What follows after “done”."""

    @command(form=("prompt", "temperature"))
    async def ask(
        self,
        ctx: Context,
        prompt: str,
        temperature: Range[float, 0, 2] = 0.7,
        seed: int | None = None,
    ) -> AsyncIterator[Reply]:
        """Echo."""
        turns = [f"{turn.role}:{turn.content}" for turn in await ctx.history.turns()]
        await self.begin.wait()
        try:
            yield Reply(text=f"<{prompt}>")
            await self.gate.wait()
            card = {"temperature": str(temperature), "seed": str(seed or 1000 + len(turns)), "turns": "|".join(turns)}
            yield Reply(text=f"<{prompt}> done{self.more}", card=card, final=True)
        finally:
            self.ended.append(prompt)
            self.over.set()

    @command(private=True)
    async def whisper(self, ctx: Context, text: str) -> AsyncIterator[Reply]:
        """Whisper."""
        yield Reply(text=text)

    @command(moderator=True)
    async def rule(self, ctx: Context) -> AsyncIterator[Reply]:
        """Rule."""
        yield Reply(text="ruled")

    @command()
    async def fail(self, ctx: Context, how: str) -> AsyncIterator[Reply]:
        """Fail."""
        if how.startswith("late"):
            yield Reply(text="so far")
        if how.endswith("user"):
            raise UserError("No {thing} today.", thing="bananas")
        raise RuntimeError("secret /path")

    @command()
    async def offer(self, ctx: Context) -> AsyncIterator[Reply]:
        """Offer."""
        picture = Attachment("a.png", b"png", "image/png", alt="a dot")
        yield Reply(text="choose", buttons=(Button("Go on", "ask", {"prompt": "pressed"}),), attachments=(picture,))

    @command()
    async def stairs(self, ctx: Context) -> AsyncIterator[Reply]:
        """Show a button to a hidden command."""
        yield Reply(text="down?", buttons=(Button("Down", "cellar", {"depth": 2}),))

    @command(hidden=True, form=("depth",))
    async def cellar(self, ctx: Context, depth: int, seed: int | None = None) -> AsyncIterator[Reply]:
        """Go down."""
        deeper = Button("Deeper", "cellar", {"depth": depth + 1})
        yield Reply(text=f"{depth} m", card={"seed": "7"}, buttons=(deeper,))

    @command()
    async def new(self, ctx: Context) -> AsyncIterator[Reply]:
        """Begin anew."""
        await ctx.history.restart()
        yield Reply(text="new")


def names(reply: Reply) -> list[str]:
    """Return the actions of an answer's buttons."""
    return [button.id.split(":")[1] for button in reply.buttons]
