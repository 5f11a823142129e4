"""/dial, /odds and /compare: where the ideas behind generative AI can be seen, and measured."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated

from bot import Context, Plugin, Range, Reply, SerialExecutor, UserError, command, new_seed
from plugins.lab import compare, dial, odds
from plugins.lab.chart import draw_chart
from plugins.lab.odds import DrawnToken, OddsRequest
from plugins.shared.sampling import MIN_P

TOKEN_IDS = re.compile(r"(\d+( \d+)*)?")


class LabPlugin(Plugin):
    """Experiments with temperature, odds, and the three families of models."""

    name = "lab"
    title = "Experiments (/dial, /odds, /compare)"

    async def start(self) -> None:
        self._drawing_thread = SerialExecutor("chart")

    async def stop(self) -> None:
        self._drawing_thread.leave()

    @command(form=("prompt", "temperatures", "seed"))
    async def dial(
        self,
        ctx: Context,
        prompt: Range[str, 1, 2000],
        temperatures: Annotated[Range[str, 1, 60], dial.TEMPERATURES] = dial.EXAMPLE,
        seed: Range[int, 0, 2147483647] | None = None,
        max_tokens: Range[int, 1, 400] = 80,
        min_p: Range[float, 0, 1] = MIN_P,
    ) -> AsyncIterator[Reply]:
        """See one prompt answered at several temperatures, side by side.

        prompt: What all of them are asked
        temperatures: Up to five temperatures, with commas between
        seed: The same seed gives the same answers again
        max_tokens: The longest answer, in tokens
        min_p: Leaves out tokens less probable than this share of the most probable one; 0 leaves nothing out
        """
        values = dial.TEMPERATURES.parse(temperatures)
        seed = new_seed() if seed is None else seed
        async for reply in dial.compare_temperatures(ctx, prompt, values, seed, max_tokens, min_p):
            yield reply

    @command(form=("text", "temperature", "top_p", "seed"))
    async def odds(
        self,
        ctx: Context,
        text: Range[str, 1, 1000],
        temperature: Range[float, 0, 2] = 0.7,
        top_p: Range[float, 0, 1] = 1.0,
        seed: Range[int, 0, 2147483647] | None = None,
    ) -> AsyncIterator[Reply]:
        """See which token may come next, and write a text by hand the way a language model does.

        text: The beginning of a text, such as The cat sat on the
        temperature: 0 leaves the most probable token alone, 2 gives the others a chance
        top_p: Only the most probable tokens that together have this much of the odds can be drawn
        seed: With the same seed, the same tokens are drawn again
        """
        model = await ctx.settings.model("ask.model")
        async for reply in self._show_odds(ctx, OddsRequest(text, temperature, top_p, seed, model=model)):
            yield reply

    @command("odds-next", hidden=True)
    async def odds_next(
        self,
        ctx: Context,
        text: Range[str, 1, 1000],
        ids: str = "",
        draw: bool = False,
        ended: bool = False,
        temperature: Range[float, 0, 2] = 0.7,
        top_p: Range[float, 0, 1] = 1.0,
        seed: Range[int, 0, 2147483647] | None = None,
        model: str | None = None,
        fixed: bool = True,
    ) -> AsyncIterator[Reply]:
        """Go on with a token.

        ids: The tokens of the text so far
        draw: Whether to draw one more first
        ended: Whether the text ends there
        fixed: Whether whoever asked gave the seed, so that later draws have it, too
        """
        if not TOKEN_IDS.fullmatch(ids):
            raise UserError("This button has expired.")
        present = await ctx.settings.model("ask.model", earlier=model or "") or model
        if model and present != model:
            # The ids are tokens of another vocabulary, so the present model begins with the text again.
            ids, draw, ended = "", False, False
        request = OddsRequest(text, temperature, top_p, seed, tuple(map(int, ids.split())), present, fixed)
        if ended:
            yield odds.build_last_reply(ctx, await request.fetch_odds(ctx), request)
            return
        async for reply in self._show_odds(ctx, request, draw=draw):
            yield reply

    @command(form=("prompt", "seed"), draws=True)
    async def compare(
        self,
        ctx: Context,
        prompt: Range[str, 1, 1000],
        seed: Range[int, 0, 2147483647] | None = None,
    ) -> AsyncIterator[Reply]:
        """Give one prompt to all three families: a language model, a diffusion model and a GAN.

        prompt: What to write about and to draw
        seed: The same seed gives the same results again
        """
        async for reply in compare.compare_families(ctx, prompt, new_seed() if seed is None else seed):
            yield reply

    async def _show_odds(self, ctx: Context, request: OddsRequest, *, draw: bool = False) -> AsyncIterator[Reply]:
        yield Reply(status=ctx.translate("Asking the model for its odds …"))
        drawn: DrawnToken | None = None
        if draw:
            distribution, drawn = await request.draw_token(ctx)
            if drawn.token.ends:
                yield odds.build_last_reply(ctx, distribution, request, drawn)
                return
            request = request.after(distribution, drawn.token)
        distribution = await request.fetch_odds(ctx)
        picture = await self._drawing_thread.run(draw_chart, odds.build_chart(ctx, distribution, request))
        yield odds.build_reply(ctx, distribution, request, picture, drawn)
