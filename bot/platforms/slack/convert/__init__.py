"""Turns Slack payloads into requests, and our command names into those of Slack."""
