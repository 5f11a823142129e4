"""Settings that moderators change in chat, and the option limits and defaults that follow from them."""
