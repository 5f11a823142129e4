"""The moderators' part of the App Home: the settings of the workspace, and the form that changes one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.answers.buttons import make_field
from bot.core.caller import Caller
from bot.core.i18n import translate
from bot.core.messages import Form
from bot.core.text import cut, format_number
from bot.platforms.slack.api.blocks import button, plain_text, section
from bot.platforms.slack.convert.commands import ROOT
from bot.platforms.slack.incoming import modal
from bot.settings.editor import SettingsEditor, SettingsView
from bot.settings.scopes import server_scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.app import Bot
    from bot.core.messages import Place, User
    from bot.settings.setting import Setting

    Json = dict[str, Any]

PICK, EDIT, SAVE = "home:setting:pick", "home:setting:edit:", "home:setting:save:"
MAX_GROUP, MAX_OPTION, MAX_LISTED = 100, 75, 12
"""Settings in one group of the menu, characters of their names, and changed settings that are listed."""
MAX_LINE = 150


def moderator_view(bot: Bot, user: User, place: Place) -> SettingsView | None:
    """Return the settings as `user` sees them; None if `user` is not a moderator there."""
    caller = Caller(bot.admission.resolve_user(user, place), place)
    return SettingsView(bot.settings, caller) if caller.is_moderator else None


def blocks(settings: SettingsView, locale: str) -> list[Json]:
    """Return the blocks that list the changed settings, and a menu of all settings."""
    sentence = "What is set for this workspace. For a single channel, use {command} there."
    about = translate(sentence, locale, command=f"{ROOT} config set")
    parts: list[Json] = [section(about)]
    for setting in list(_changed_settings(settings))[:MAX_LISTED]:
        change = button(translate("Change", locale), f"{EDIT}{setting.name}")
        value = settings.levels(setting.name, settings.scope())[-1].value
        parts.append(section(f"{setting.name}: {format_value(value, locale)}") | {"accessory": change})
    menu = {
        "type": "static_select",
        "action_id": PICK,
        "placeholder": plain_text(translate("Choose a setting", locale)),
        "option_groups": list(_groups(settings)),
    }
    return [*parts, {"type": "actions", "elements": [menu]}]


async def form(settings: SettingsView, name: str, locale: str) -> Json:
    """Return the modal that changes one setting of the workspace, filled in with its value."""
    setting = settings.find(name)
    level = settings.levels(name, settings.scope())[-1]
    option = replace(setting.option, choices=await settings.choices(setting))
    only = replace(make_field(option, level.value), label=setting.about(locale), required=False)
    sentence = "Leave the field empty to take back what was set. The default is {value}."
    note = translate(sentence, locale, value=format_value(setting.default, locale))
    return modal.build(Form(f"{SAVE}{name}", name, (only,)), private_metadata=locale, locale=locale, note=note)


async def save(bot: Bot, user: User, place: Place, name: str, typed: str) -> None:
    """Save a typed value; an empty one goes back to the default. Raises UserError if the value is not allowed."""
    caller = Caller(bot.admission.resolve_user(user, place), place)
    await SettingsEditor(bot.settings).set(caller, name, typed if typed.strip() else None, server_scope(place))


def format_value(value: object, locale: str) -> str:
    """Return a value in one line."""
    if isinstance(value, bool):
        return translate("yes", locale) if value else translate("no", locale)
    if isinstance(value, (int, float)):
        return format_number(value)
    return "–" if value in (None, "") else cut(" ".join(str(value).split()), MAX_LINE)


def _changed_settings(settings: SettingsView) -> Iterator[Setting]:
    values = settings.within(settings.scope()).get(settings.scope(), {})
    return (setting for setting in settings.declared if setting.name in values)


def _groups(settings: SettingsView) -> Iterator[Json]:
    groups: dict[str, list[Json]] = {}
    for setting in settings.declared:
        if setting.takes_server and len(setting.name) <= MAX_OPTION:
            option = {"text": plain_text(setting.name), "value": setting.name}
            groups.setdefault(settings.group(setting.name), []).append(option)
    return (
        {"label": plain_text(cut(label, MAX_OPTION)), "options": options[:MAX_GROUP]}
        for label, options in groups.items()
    )
