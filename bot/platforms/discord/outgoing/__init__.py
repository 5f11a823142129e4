"""Shows answers on Discord: sends, edits and deletes the messages of each answer."""
