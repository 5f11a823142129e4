"""Events from Discord: commands, buttons, forms and messages, each acknowledged and handed on."""
