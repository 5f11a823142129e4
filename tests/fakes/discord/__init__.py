"""A fake of Discord: REST and gateway over real sockets, as strict as Discord where a bot can make mistakes.

async with FakeDiscord() as discord:
    ...  # a bot logs in at discord.api_base with discord.token
    await discord.connected()
    asked = await discord.slash(discord.ann, discord.channel, "ask", prompt="Why?")
    ack = await asked.acknowledged()
    message = await asked.message()
    await discord.until(lambda: "because" in message.content)
"""

from fakes.discord.interactions import Ack, FakeInteraction
from fakes.discord.server import FakeDiscord
from fakes.discord.state import FakeAttachment, FakeChannel, FakeGuild, FakeMessage, FakeUser

__all__ = [
    "Ack",
    "FakeAttachment",
    "FakeChannel",
    "FakeDiscord",
    "FakeGuild",
    "FakeInteraction",
    "FakeMessage",
    "FakeUser",
]
