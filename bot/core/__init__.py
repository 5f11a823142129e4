"""Messages, errors, translations and background work: what every other room of the bot builds on."""
