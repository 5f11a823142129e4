"""Which browser on what kind of machine a visitor uses, as the browser itself says; anybody can make that up."""

from __future__ import annotations

from bot.core.i18n import Sentence

# The first that is found counts: most browsers also name those that they descend from.
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
MACHINES = (
    ("iPad", Sentence("an iPad")),
    ("iPhone", Sentence("an iPhone")),
    ("Android", Sentence("an Android device")),
    ("CrOS", Sentence("a Chromebook")),
    ("Windows", Sentence("a Windows computer")),
    ("Mac OS", Sentence("a Mac")),
    ("Linux", Sentence("a Linux computer")),
)


def describe_device(agent: str) -> Sentence:
    """Return a visitor's device in a few words, made from the header User-Agent."""
    browser = next((name for part, name in BROWSERS if part in agent), "")
    machine = next((name for part, name in MACHINES if part in agent), None)
    if machine is None:
        return Sentence("{browser}", {"browser": browser}) if browser else Sentence("an unknown device")
    return Sentence("{browser} on {machine}", {"browser": browser or "?", "machine": machine})
