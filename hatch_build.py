"""Compiles the catalogues while a wheel is built, which has them without their sources."""

from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileCatalogues(BuildHookInterface):
    """Hatchling's hook for this."""

    def initialize(self, version: str, build_data: dict[str, object]) -> None:
        """Compile each catalogue beside its source."""
        for source in Path(self.root, "bot/core/languages").glob("*.po"):
            with source.open("rb") as text, source.with_suffix(".mo").open("wb") as compiled:
                write_mo(compiled, read_po(text))
