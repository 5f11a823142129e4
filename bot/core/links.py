"""Links in Markdown that others wrote: each shows the address that it leads to."""

from __future__ import annotations

import re

CODE = re.compile(
    r"(```.*?```|(?m:^)[ \t]*(?:[-*+]|\d{1,9}[.)])?[ \t]*```.*\Z|(?<!\\)`[^`\n]*`)",
    re.DOTALL,
)
"""Code in Markdown: a block, a block that is open to the end of the text, or code within a line."""
_LINK = re.compile(
    r"!?\[(?P<label>[^\]\n]{0,300}+)\]"
    r"\(\s*<?(?P<address>(?:[^\s()<>]|\([^\s()]*\)){1,2000})>?(?:\s+[\"'(][^\n]{0,300}?[\"')])?\s*\)"
)


def show_addresses(markdown: str) -> str:
    """Return `markdown` with the address beside each link that has another text. Code stays as it is."""
    parts = CODE.split(markdown)
    parts[::2] = [_LINK.sub(reveal_address, part) for part in parts[::2]]
    return "".join(parts)


def reveal_address(link: re.Match[str]) -> str:
    """Return the text that takes the place of a link with a `label` and an `address`."""
    label, address = link["label"].strip(), link["address"]
    bare = re.sub(r"^(?:https?://|mailto:|tel:)", "", address).rstrip("/")
    return address if label.rstrip("/") in ("", address.rstrip("/"), bare) else f"{label} ({address})"
