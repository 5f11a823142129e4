"""The moderators' part of the App Home: what is set in the workspace, and a form that changes it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.answers.buttons import field
from bot.commands.option import format_number
from bot.core.caller import Caller
from bot.core.i18n import translate
from bot.core.messages import Form
from bot.core.text import cut
from bot.platforms.slack.convert.commands import ROOT
from bot.platforms.slack.incoming import modal
from bot.platforms.slack.incoming.modal import plain
from bot.settings.editor import SettingsEditor, SettingsView
from bot.settings.scopes import home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.app import Bot
    from bot.core.messages import Place, User
    from bot.settings.setting import Setting

    Json = dict[str, Any]

PICK, EDIT, SAVE = "home:setting:pick", "home:setting:edit:", "home:setting:save:"
GROUP, OPTION, LISTED = 100, 75, 12
"""How many settings one group of the menu holds, how long their names may be, and how many set ones are listed."""
LINE = 150


def moderated(bot: Bot, user: User, place: Place) -> SettingsView | None:
    """Return the settings as `user` sees them; None for whoever is no moderator there."""
    caller = Caller(bot.recognised(user, place), place)
    return SettingsView(bot.settings, caller) if caller.is_moderator else None


def blocks(settings: SettingsView, locale: str) -> list[Json]:
    """What is set, and a menu of all that can be."""
    sentence = "What is set for this workspace. For a single channel, use {command} there."
    about = translate(sentence, locale, command=f"{ROOT} config set")
    found: list[Json] = [_section(about)]
    for setting in list(_set_here(settings))[:LISTED]:
        button = {"type": "button", "text": plain(translate("Change", locale)), "action_id": f"{EDIT}{setting.name}"}
        value = settings.levels(setting.name, settings.scope())[-1].value
        found.append(_section(f"{setting.name}: {shown(value, locale)}") | {"accessory": button})
    menu = {
        "type": "static_select",
        "action_id": PICK,
        "placeholder": plain(translate("Choose a setting", locale)),
        "option_groups": list(_groups(settings)),
    }
    return [*found, {"type": "actions", "elements": [menu]}]


async def form(settings: SettingsView, name: str, locale: str) -> Json:
    """The modal that changes one setting of the workspace, filled in with what it is."""
    setting = settings.find(name)
    level = settings.levels(name, settings.scope())[-1]
    option = replace(setting.option, choices=await settings.choices(setting))
    only = replace(field(option, level.value), label=setting.about(locale), required=False)
    made = modal.build(Form(f"{SAVE}{name}", name, (only,)), private_metadata=locale, locale=locale)
    sentence = "Leave the field empty to take back what was set. The default is {value}."
    note = translate(sentence, locale, value=shown(setting.default, locale))
    made["blocks"].append({"type": "context", "elements": [plain(cut(note, modal.LABEL))]})
    return made


async def save(bot: Bot, user: User, place: Place, name: str, typed: str) -> None:
    """Set what was typed; nothing takes back what was set. Raises UserError for what it cannot be."""
    caller = Caller(bot.recognised(user, place), place)
    await SettingsEditor(bot.settings).set(caller, name, typed if typed.strip() else None, home(place))


def shown(value: object, locale: str) -> str:
    """A value in one line."""
    if isinstance(value, bool):
        return translate("yes", locale) if value else translate("no", locale)
    if isinstance(value, (int, float)):
        return format_number(value)
    return "–" if value in (None, "") else cut(" ".join(str(value).split()), LINE)


def _set_here(settings: SettingsView) -> Iterator[Setting]:
    values = settings.within(settings.scope()).get(settings.scope(), {})
    return (setting for setting in settings.declared if setting.name in values)


def _groups(settings: SettingsView) -> Iterator[Json]:
    groups: dict[str, list[Json]] = {}
    for setting in settings.declared:
        if setting.takes_server and len(setting.name) <= OPTION:
            option = {"text": plain(setting.name), "value": setting.name}
            groups.setdefault(settings.group(setting.name), []).append(option)
    return ({"label": plain(cut(label, OPTION)), "options": some[:GROUP]} for label, some in groups.items())


def _section(text: str) -> Json:
    return {"type": "section", "text": plain(text)}
