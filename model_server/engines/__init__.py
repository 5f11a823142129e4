"""Engines: each runs one kind of model in steps. They know jobs, and nothing of HTTP or queues."""
