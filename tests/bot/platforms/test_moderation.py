"""Moderation on each platform: removed messages, timeouts, and the export and deletion of a user's data."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.core.requests import MODERATOR
from fakes.discord import FakeDiscord, FakeInteraction, FakeMessage
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import answered, begun, bot_with_plugins, finished, first_in_thread
from fakes.platforms.slack_bot import find_answers, run_command, wait_for_answer, wait_for_ephemeral
from fakes.platforms.web_page import Visitor
from fakes.slack import FakeSlack
from fakes.storage.database_dump import rows_holding

from bot.access.timeouts import TimeOuts
from bot.app import Bot
from bot.core.messages import Place, User
from bot.core.model_events import Token
from bot.platforms.discord.outgoing.targets import DEFAULT_MAX_FILE_BYTES
from bot.platforms.web.access.teachers import WebModerators
from bot.settings.setting import Scope
from bot.storage.audit import AuditFilter
from bot.storage.database import AttachmentRow, MessageRow, TokensRow, now
from bot.storage.tokens import pack

PARIS = "Paris is the capital of France."
TIMED_OUT = "Moderators have timed you out: you can use me again at "
REMOVED = "The message is removed."


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    names = ("ask", "face", "help", "moderation", "privacy")
    async with bot_with_plugins(models, tmp_path, names) as running:
        yield running


@pytest.fixture
async def toy_bot(bot: Bot) -> Bot:
    return bot


# Discord


async def wait_for(discord: FakeDiscord, used: FakeInteraction, begins: str) -> FakeMessage:
    """Wait until the answer to an interaction begins with these words, and return its message."""
    message = await used.message()
    await discord.until(lambda: message.content.startswith(begins))
    return message


async def test_on_discord_a_message_is_removed_from_its_menu_and_by_its_link(discord: FakeDiscord, bot: Bot) -> None:
    for how in ("menu", "link"):
        answer = await answered(discord, "ask", prompt="aubergine")
        if how == "menu":
            used = await discord.use_on_message(discord.mod, answer, "Remove")
        else:
            link = f"https://discord.com/channels/{discord.guild.id}/{discord.channel.id}/{answer.id}"
            used = await discord.slash(discord.mod, discord.channel, "mod remove", message=link)
        said = await wait_for(discord, used, REMOVED)
        assert said.ephemeral
        assert answer.deleted
        assert await rows_holding(bot.database, "aubergine") == []


async def test_on_discord_a_running_answer_is_removed(discord: FakeDiscord, bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    answer = await begun(discord, "ask", prompt="aubergine")
    await discord.until(lambda: "Paris" in answer.content)
    used = await discord.use_on_message(discord.mod, answer, "Remove")
    await wait_for(discord, used, REMOVED)
    assert answer.deleted
    assert await rows_holding(bot.database, "aubergine") == []


async def test_on_discord_a_missing_message_does_not_keep_others_from_removal(discord: FakeDiscord, bot: Bot) -> None:
    answer = await answered(discord, "ask", prompt="aubergine")
    [row] = await bot.messages.find_answers("discord", [answer.id])
    # The bot was not told that the first one was deleted, as while it was not running.
    await bot.messages.set_external_ids(row.id, ["100000000000000001", answer.id])
    used = await discord.use_on_message(discord.mod, answer, "Remove")
    await wait_for(discord, used, REMOVED)
    assert answer.deleted


async def test_on_discord_the_question_above_a_thread_is_removed_with_its_answer(
    discord: FakeDiscord, bot: Bot
) -> None:
    starter = await begun(discord, "ask", prompt="aubergine", thread=True)
    thread, answer = await first_in_thread(discord, starter)
    await finished(discord, answer)

    async def is_stored() -> bool:
        return bool(await bot.messages.find_answers("discord", [answer.id]))

    await eventually(is_stored)
    used = await discord.use_on_message(discord.mod, answer, "Remove")
    await wait_for(discord, used, REMOVED)
    assert (answer.deleted, starter.deleted, thread.name) == (True, True, "…")


async def test_on_discord_a_link_reaches_no_other_server_no_direct_messages_and_nobody_elses(
    discord: FakeDiscord, bot: Bot
) -> None:
    # Discord itself would let the bot delete messages of others then.
    discord.guild.set_permissions(discord.channel, allow=["manage_messages"])
    other = discord.add_guild("Other")
    elsewhere = next(iter(other.channels.values()))
    asked = await discord.slash(discord.ann, elsewhere, "ask", prompt="aubergine")
    stored = await finished(discord, await asked.message())
    thread = discord.add_thread(elsewhere, "Thread", discord.bot)
    there = [stored, await discord.say(discord.ben, discord.channel, "Not the bot's")]
    for channel in (elsewhere, thread, discord.dm(discord.ann)):
        there.append(FakeMessage(channel, discord.bot, "Hello!"))
        channel.messages.append(there[-1])
    for message in there:
        link = f"https://discord.com/channels/{discord.guild.id}/{message.channel.id}/{message.id}"
        used = await discord.slash(discord.mod, discord.channel, "mod remove", message=link)
        await wait_for(discord, used, "There is no message of mine there.")
        assert not message.deleted
    assert await bot.audit.find("discord", discord.guild.id, AuditFilter(kind="moderation")) == []


async def test_on_discord_a_message_that_is_not_stored_is_removed_in_its_own_server(discord: FakeDiscord) -> None:
    thread = discord.add_thread(discord.channel, "Thread", discord.bot)
    closed = discord.add_thread(discord.channel, "Closed", discord.bot)
    # A thread that discord.py does not know, as it was archived before the bot connected.
    discord.gateway.dispatch("THREAD_DELETE", closed.payload(), guild=discord.guild, intents=1)
    for channel in (discord.channel, thread, closed):
        greeting = FakeMessage(channel, discord.bot, "Hello!")
        channel.messages.append(greeting)
        link = f"https://discord.com/channels/{discord.guild.id}/{channel.id}/{greeting.id}"
        used = await discord.slash(discord.mod, discord.channel, "mod remove", message=link)
        await wait_for(discord, used, REMOVED)
        assert greeting.deleted


async def test_on_discord_a_member_is_timed_out_and_a_moderator_is_not(discord: FakeDiscord) -> None:
    answer = await answered(discord, "ask", prompt="aubergine")
    for whom, begins in ((discord.mod, "Moderators cannot be timed out."), (discord.ann, "Ann cannot use me until ")):
        used = await discord.slash(discord.mod, discord.channel, "timeout", user=whom, duration="10m")
        said = await wait_for(discord, used, begins)
        assert said.ephemeral
    for refused in (
        await discord.slash(discord.ann, discord.channel, "ask", prompt="again"),
        await discord.press(discord.ann, answer, "Warmer"),
    ):
        said = await wait_for(discord, refused, TIMED_OUT)
        assert said.ephemeral


async def test_on_discord_a_former_member_is_timed_out_and_a_stranger_is_not(discord: FakeDiscord, bot: Bot) -> None:
    await answered(discord, "ask", prompt="aubergine")
    asked = await discord.slash(discord.ben, discord.dm(discord.ben), "ask", prompt="aubergine")
    await finished(discord, await asked.message())
    for gone in (discord.ann, discord.ben):
        del discord.guild.members[gone.id]
    for whom, begins in (
        (discord.ann, "Ann cannot use me until "),
        (discord.ben, "Ben is no member of this server, and nothing of theirs is stored here"),
    ):
        used = await discord.slash(discord.mod, discord.channel, "timeout", user=whom, duration="10m")
        await wait_for(discord, used, begins)
    said = await discord.slash(discord.ben, discord.dm(discord.ben), "ask", prompt="again")
    answer = await finished(discord, await said.message())
    assert PARIS in answer.content


async def time_out(bot: Bot, discord: FakeDiscord, timeouts: TimeOuts) -> None:
    """Time Ann out, in this process or as another process does."""
    scope = Scope("discord", discord.guild.id)
    await timeouts.set(User(discord.ann.id, "Ann"), scope, now() + timedelta(hours=1), "Rudeness.", MODERATOR)


async def test_on_discord_a_mention_in_a_timeout_is_answered_privately(discord: FakeDiscord, bot: Bot) -> None:
    elsewhere = TimeOuts(bot.database)
    await elsewhere.start()
    for count, timeouts in enumerate((elsewhere, bot.timeouts), 1):
        await time_out(bot, discord, timeouts)
        await discord.say(discord.ann, discord.channel, "aubergine", mention=True)
        told = await discord.until(lambda count=count: discord.messages(discord.dm(discord.ann))[count - 1 :])
        assert told[0].content.startswith(TIMED_OUT)
        assert told[0].content.endswith("Their reason: Rudeness.")
        assert len(discord.messages(discord.channel)) == count


@pytest.mark.parametrize("is_known", [True, False])
async def test_on_discord_a_timeout_gives_no_reason_if_direct_messages_are_closed(
    discord: FakeDiscord, bot: Bot, is_known: bool
) -> None:
    elsewhere = TimeOuts(bot.database)
    await elsewhere.start()
    await time_out(bot, discord, bot.timeouts if is_known else elsewhere)
    discord.ann.dm_closed = True
    said = await discord.say(discord.ann, discord.channel, "aubergine", mention=True)
    [_, told] = await discord.until(
        lambda: len(discord.messages(discord.channel)) > 1 and discord.messages(said.channel)
    )
    assert told.content == "You take no direct messages from me. Use a slash command, and you alone see the answer."
    assert told.reference is said


async def test_on_discord_a_safety_refusal_is_private_and_can_be_appealed(discord: FakeDiscord, bot: Bot) -> None:
    plan = bot.settings.make_change("safety.words", "aubergine", Scope("discord", discord.guild.id))
    await bot.settings.write([plan], MODERATOR)
    await discord.say(discord.ann, discord.channel, "aubergine", mention=True)
    [told] = await discord.until(lambda: discord.messages(discord.dm(discord.ann)))
    appealed = await discord.press(discord.ann, told, "Appeal")
    await wait_for(discord, appealed, "The moderators can now see what you wrote and why it was refused.")
    assert len(discord.messages(discord.channel)) == 1


async def test_on_discord_the_rights_of_a_typed_user_are_looked_up(discord: FakeDiscord, bot: Bot) -> None:
    adapter = bot.adapters.get("discord")
    assert adapter is not None
    place = Place("discord", discord.channel.id, discord.guild.id)
    ann, mod = await adapter.find_user(discord.ann.id, place), await adapter.find_user(discord.mod.id, place)
    assert ann is not None
    assert mod is not None
    assert (ann.name, ann.is_moderator, mod.is_moderator) == ("Ann", False, True)
    assert await adapter.find_user("Ann", place) is None
    assert await adapter.find_user(discord.ann.id, Place("discord", "1")) is None


# Large exports: on Discord, messages take few files and no large ones.


ANSWERS = 12
REST = {
    **dict.fromkeys(("server", "channel", "thread", "external", "instance"), ""),
    "role": "assistant",
    "command": "ask",
    "state": "done",
    "private": False,
    "options": {},
    "card": {},
    "buttons": [],
    "resume": {},
}


async def store_answers(bot: Bot, author: str, *, tokens: int, picture: bytes) -> None:
    """Store answers with `tokens` tokens and a picture each."""
    packed = pack([Token("word ", 0.123456789, ())] * tokens)
    about = {"filename": "grid.png", "media_type": "image/png", "alt": "", "spoiler": False}
    async with bot.database.writing() as session:
        for _ in range(ANSWERS):
            row = MessageRow(platform="discord", author=author, author_name="Ann", text="hi", created=now(), **REST)
            session.add(row)
            await session.flush()
            session.add(TokensRow(message=row.id, data=packed))
            session.add(AttachmentRow(message=row.id, data=picture, **about))


async def test_exported_files_keep_to_discords_limit(discord: FakeDiscord, bot: Bot) -> None:
    await store_answers(bot, discord.ann.id, tokens=DEFAULT_MAX_FILE_BYTES // 40 // ANSWERS, picture=bytes(2**19))
    message = await begun(discord, "privacy export")
    await discord.until(lambda: message.attachments)
    assert len(message.attachments) > 1
    assert message.content == "This is all that I have stored about you. PRIVACY.md tells what each part is."
    told = [json.loads(file.data) for file in message.attachments]
    counts = [sum(len(one.get(name, [])) for one in told) for name in ("messages", "tokens", "files")]
    assert counts == [ANSWERS] * 3


# Slack


async def test_on_slack_a_message_is_removed_from_its_menu_and_by_its_link(slack: FakeSlack, bot: Bot) -> None:
    for count, how in enumerate(("menu", "link"), 1):
        await run_command(slack, "/ask", "aubergine")
        answer = await wait_for_answer(slack, PARIS)
        if how == "menu":
            await (await slack.shortcut(slack.admin, answer, "m:mod remove")).acknowledged()
        else:
            link = f"https://tempera.slack.com/archives/{answer.channel}/p{answer.ts.replace('.', '')}?thread_ts=1.2"
            await run_command(slack, "/tempera", f"mod remove <{link}>", user=slack.admin)
        await slack.until(lambda count=count: len(slack.ephemeral(slack.admin)) == count)
        assert (await wait_for_ephemeral(slack, slack.admin)).shown == REMOVED
        await slack.until(lambda: all(one.deleted or not one.shown for one in slack.messages(slack.channel)))
        assert answer.deleted
        assert await rows_holding(bot.database, "aubergine") == []


async def test_on_slack_the_question_goes_with_its_last_answer_whichever_that_is(slack: FakeSlack, bot: Bot) -> None:
    await run_command(slack, "/ask", "aubergine")
    first = await wait_for_answer(slack, PARIS)
    await (await slack.press(slack.ann, first, "Again")).acknowledged()
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)
    for answer in find_answers(slack, PARIS):
        assert not any(one.deleted for one in slack.workspace.messages if one.ts == first.thread_ts)
        await (await slack.shortcut(slack.admin, answer, "m:mod remove")).acknowledged()
        await slack.until(lambda answer=answer: answer.deleted)
    await slack.until(lambda: not [one for one in slack.messages(slack.channel) if one.shown])
    assert await rows_holding(bot.database, "aubergine") == []


async def test_on_slack_a_member_is_timed_out_and_an_admin_is_not(slack: FakeSlack, bot: Bot) -> None:
    await run_command(slack, "/tempera", f"timeout user:<@{slack.admin}|admin> 10m", user=slack.admin)
    assert (await wait_for_ephemeral(slack, slack.admin)).shown == "Moderators cannot be timed out."
    await run_command(slack, "/tempera", f"timeout user:<@{slack.ann}> 10m", user=slack.admin)
    await slack.until(lambda: len(slack.ephemeral(slack.admin)) == 2)
    assert (await wait_for_ephemeral(slack, slack.admin)).shown.startswith("Ann cannot use me until ")
    await run_command(slack, "/ask", "aubergine")
    assert (await wait_for_ephemeral(slack)).shown.startswith(TIMED_OUT)
    said = await slack.say(slack.ann, slack.dm(slack.ann), "aubergine")
    [told] = await slack.until(lambda: slack.thread(slack.dm(slack.ann), said.ts))
    assert told.shown.startswith(TIMED_OUT)


async def test_on_slack_everybody_gets_their_data_and_has_it_deleted(slack: FakeSlack, bot: Bot) -> None:
    await run_command(slack, "/ask", "aubergine")
    await wait_for_answer(slack, PARIS)
    await run_command(slack, "/tempera", "privacy export")
    file = await slack.until(lambda: next((one for one in slack.workspace.files.values() if one.data), None))
    assert b"aubergine" in file.data
    await run_command(slack, "/tempera", "privacy delete")
    asked = await slack.until(lambda: next((one for one in slack.ephemeral(slack.ann) if one.buttons), None))
    await (await slack.press(slack.ann, asked, "Delete all of it")).acknowledged()
    await slack.until(lambda: [one for one in slack.ephemeral(slack.ann) if "is deleted" in one.shown])
    assert await rows_holding(bot.database, slack.ann, "aubergine") == []


# The web chat


async def teacher(bot: Bot, who: Visitor) -> None:
    assert await who.sign_in(await WebModerators(bot.database).create_code()) == 303


async def test_in_the_web_chat_a_visitor_is_timed_out(ann: Visitor, ben: Visitor, bot: Bot) -> None:
    await teacher(bot, ann)
    async with ann.page("Ann") as hers, ben.page("Ben") as his:
        await his.say("/ask hi")
        await hers.final()
        me = his.received[0]["you"]
        await hers.say(f'/timeout user:"{hers.received[0]["you"]["id"]}|Ann" 10m')
        told = await hers.until("exchange", lambda message: message["private"] and message["reply"]["final"])
        assert told["reply"]["text"] == "Moderators cannot be timed out."
        for line in (f'/timeout user:"{me["id"]}|Ben" 10m', "/timeout user:Ben 20m"):
            await hers.say(line)
            told = await hers.until(
                "exchange", lambda message, line=line: message["question"] == line and message["reply"]["final"]
            )
            assert told["reply"]["text"].startswith("Ben cannot use me until ")
        await his.say("/ask again")
        refused = await his.until(
            "exchange", lambda message: message["question"] == "/ask again" and message["reply"]["final"]
        )
        assert refused["reply"]["text"].startswith(TIMED_OUT)
        assert refused["private"]


async def test_in_the_web_chat_a_deletion_clears_the_page(ann: Visitor, ben: Visitor, bot: Bot) -> None:
    async with ann.page("Ann") as hers, ben.page("Benedikt") as his:
        await his.say("/ask aubergine")
        answer = await his.final()
        await hers.final()
        await hers.send("submit", id=f"t:fork:{answer['row']}", fields={"at": "1", "choice": "0"}, files={})
        forked = await hers.until(
            "exchange", lambda message: message["row"] != answer["row"] and message["reply"]["final"]
        )
        await his.say("/privacy delete")
        asked = await his.until("exchange", lambda message: message["private"] and message["reply"]["final"])
        await his.press(asked, "Delete all of it")
        # What somebody else derived from it goes as well.
        for exchange in (answer, forked):
            await hers.until("gone", lambda message, exchange=exchange: message["id"] == exchange["id"])
        await his.until("exchange", lambda message: "is deleted" in message["reply"]["text"])
        assert await rows_holding(bot.database, his.received[0]["you"]["id"], "aubergine", "Benedikt") == []
        # Simultaneous changes may be sent in any order.
        while "/ask aubergine" in [exchange["question"] for exchange in his.exchanges.values()]:
            await his.read()
