"""A person at a browser of a class that plays a lesson: what they do, and what their browser complained of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import expect

PATIENCE_MS = 600_000


@dataclass
class Seat:
    """One person's browser, and what it complained of."""

    name: str
    page: Any
    problems: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Note errors and whatever could not be fetched."""
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("console", lambda one: self._complain(one.text) if one.type == "error" else None)
        self.page.on("requestfailed", lambda one: self.problems.append(f"{one.url}: {one.failure}"))
        self.page.on(
            "response", lambda one: self.problems.append(f"{one.status} {one.url}") if one.status > 399 else None
        )

    def _complain(self, text: str) -> None:
        # Chromium says on each page without HTTPS, as of most schools, that this header does nothing there.
        if "Cross-Origin-Opener-Policy" not in text:
            self.problems.append(text)

    async def type(self, line: str) -> None:
        """Send a line."""
        await self.page.locator("#input").fill(line)
        await self.page.locator("#input").press("Enter")

    async def say(self, line: str) -> Any:
        """Send a line and wait until its answer is whole."""
        await self.type(line)
        return await self.ended(self.page.locator(".question", has_text=line))

    async def ended(self, part: Any) -> Any:
        """The newest exchange that has this part, once its answer is whole."""
        answer = self.page.locator(".exchange", has=part).last
        await expect(answer).to_have_attribute("aria-busy", "false", timeout=PATIENCE_MS)
        return answer

    async def choose(self, answer: Any, name: str) -> None:
        """Choose from the menu under an answer."""
        await answer.get_by_role("button", name="More actions").click()
        await answer.locator(".menu-of-actions").get_by_role("button", name=name).click()

    async def call(self, name: str) -> None:
        """Take a name, as pupils do who have just come in."""
        await self.page.locator("#who").click()
        await self.page.locator("#form input").fill(name)
        await self.page.locator("#form button[type=submit]").click()
        await expect(self.page.locator("#who b")).to_have_text(name)
