"""Shows answers on Slack: in threads, as streams, and privately."""
