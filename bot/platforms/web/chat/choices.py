"""Shows the choices behind a button to the visitor who pressed it, in an exchange that nobody else sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.errors import UserError

if TYPE_CHECKING:
    from bot.core.messages import Reply, User
    from bot.platforms.web.chat.room import Exchange, Room


def show_choices(user: User, room: Room, pressed: Exchange, reply: Reply, *, replaces: bool) -> None:
    """Show the reply to a press of a button that leads to choices, or of a choice.

    With `replaces`, it takes the place of the exchange with the button if its author alone sees that.
    Raises UserError if the reply is an error, so that it is shown at the button.
    """
    if reply.error:
        raise UserError("{text}", text=reply.text)
    shown = pressed
    if not (pressed.private and replaces):
        ids = {button.id for button in reply.buttons}
        for earlier in room.exchanges:
            if any(button.id in ids for button in earlier.reply.buttons):
                room.dismiss(earlier.id, user)
        shown = room.open_exchange(user, "", private=True, thread=pressed.thread)
    room.show(shown, reply)
