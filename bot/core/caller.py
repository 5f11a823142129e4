"""The user who calls a privileged service, and the place of the call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.errors import PermissionDenied
from bot.core.i18n import Sentence

if TYPE_CHECKING:
    from bot.core.messages import Place, User

NOT_ALLOWED = Sentence("Only moderators can do that.")


@dataclass(frozen=True, slots=True)
class Caller:
    """A user with the rights that they have in `place`, as `Admission.resolve_user` gives them."""

    user: User
    place: Place

    @property
    def is_moderator(self) -> bool:
        """True for moderators of the place and for the operator."""
        return self.user.is_moderator or self.user.is_operator

    def require_moderator(self, sentence: str = NOT_ALLOWED.text) -> None:
        """Raise PermissionDenied with `sentence` unless the caller is a moderator."""
        if not self.is_moderator:
            raise PermissionDenied(sentence, code="moderators")
