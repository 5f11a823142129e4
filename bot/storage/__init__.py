"""The database: messages, the audit, counters, and what plugins keep."""
