"""The data behind the pages beside the chat: lab, settings, statistics and lessons."""
