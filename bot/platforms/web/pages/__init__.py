"""The pages beside the chat, with their data: the dial of the lab, settings, statistics and lessons."""
