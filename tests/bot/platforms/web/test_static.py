"""Static files: vendored libraries are listed."""

import hashlib
import re

from bot.platforms.web.templates import STATIC

VENDOR = STATIC / "vendor"


def test_every_vendored_library_is_listed_with_its_hash() -> None:
    table = (VENDOR / "README.md").read_text("utf-8")
    listed = dict(re.findall(r"\| ([\w./-]+) \| [\w./-]+ \| ([0-9a-f]{64}) \|", table))
    there = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.suffix in (".js", ".mjs")
    }
    assert listed == there
    for licence in re.findall(r"LICENSE[\w.-]*\w", table):
        assert (VENDOR / licence).stat().st_size > 500
