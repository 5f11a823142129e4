"""Checks of the web chat: what its start refuses, and for `tempera doctor` whether it can listen or answers already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.config.sections import random_join_code
from bot.core.errors import ConfigError
from bot.platforms.listening import check_port
from bot.platforms.web.access.origin_check import is_loopback

if TYPE_CHECKING:
    from bot.config.sections import WebSection

    Findings = list[tuple[bool, str]]

NAME, VARIABLES = "The web chat", "TEMPERA_WEB__"
OPEN_PAGE, OPEN_PAGE_TITLE = "/teacher", "· Tempera</title>".encode()
"""A page that everybody may read, also without a join code, and the end of its title."""


def check_exposure(section: WebSection) -> None:
    """Raise ConfigError if the chat would be open to the network without a join code."""
    if not is_loopback(section.host) and not section.join_code.get_secret_value().strip():
        raise ConfigError(
            f"The web chat would be open to the network on {section.host}. Set a join code in "
            f"TEMPERA_WEB__JOIN_CODE, such as {random_join_code()}, or web.host to 127.0.0.1."
        )


async def examine(section: WebSection, timeout_seconds: float) -> Findings:
    """Return a finding for each part of the set-up: whether it is right, and a sentence about it."""
    if not section.enabled:
        return [(True, "The web chat is switched off.")]
    findings: Findings = []
    try:
        check_exposure(section)
    except ConfigError as error:
        findings.append((False, str(error)))
    port = await check_port(
        NAME, VARIABLES, section.host, section.port, OPEN_PAGE, lambda page: OPEN_PAGE_TITLE in page, timeout_seconds
    )
    return [*findings, port]
