"""Tools for moderators: the audit, the log channel, refusals, statistics and actions on messages and people."""
