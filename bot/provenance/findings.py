"""`PictureFindings`: what is known of a picture that anybody may have made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.core.messages import Provenance
    from bot.provenance.manifest import Manifest
    from bot.provenance.metadata import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFindings:
    """What each check found in a picture file.

    `made` is how the stored answer was made whose picture looks the same, without author and options if the asker may
    not see that answer; `is_stored` says that the file is byte for byte a file of it. `manifest` and `label` are the
    file's own C2PA manifest and metadata. `is_vouched_for` says that this bot signs with a certificate that somebody
    else has issued.
    """

    made: Provenance | None
    is_stored: bool
    manifest: Manifest | None
    label: Label | None
    is_vouched_for: bool

    @property
    def is_empty(self) -> bool:
        """True if no check found anything."""
        return self.made is None and self.manifest is None and self.label is None
