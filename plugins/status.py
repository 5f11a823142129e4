"""/status: which models there are, and how many requests they have."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot import Context, Plugin, QueueState, Reply, command


class StatusPlugin(Plugin):
    """Shows the models and their queues."""

    @command(private=True, free=True)
    async def status(self, ctx: Context) -> AsyncIterator[Reply]:
        """Show which models there are, whether they are ready, and how many requests wait for them."""
        names = {
            "chat": ctx.translate("Text"),
            "images": ctx.translate("Pictures"),
            "faces": ctx.translate("Faces"),
            "embeddings": ctx.translate("Search in lessons"),
            "moderations": ctx.translate("Safety checks"),
        }
        listed = await ctx.models.listed(*names)
        queues = {queue.model: queue for queue in await ctx.models.queues()}
        lines = []
        for task, name in names.items():
            for model, about in listed[task].items():
                state = _describe_load(ctx, queues.get(model))
                if about.get("ready") is False:
                    state = ctx.translate("not ready: {state}", state=about.get("state") or ctx.translate("loading"))
                if ctx.models.is_remote(model):
                    state = f"{ctx.translate('remote')}; {state}"
                lines.append(f"- {name}: {model} ({state})")
        if alternatives := await ctx.models.alternatives():
            lines += ["", ctx.translate("Whoever runs the bot can choose between these with `tempera-models choose`:")]
            lines += [f"- {one.describe().in_language(ctx.user.locale)}" for one in alternatives]
        yield Reply(text="\n".join(lines) or ctx.translate("There are no models."), final=True)


def _describe_load(ctx: Context, queue: QueueState | None) -> str:
    if queue is None or not (queue.running or queue.waiting):
        return ctx.translate("ready")
    load = ctx.translate("{running} running, {waiting} waiting", running=queue.running, waiting=queue.waiting)
    if not queue.tokens_per_second:
        return load
    return ctx.translate("{load}; {speed} tokens a second", load=load, speed=round(queue.tokens_per_second))
