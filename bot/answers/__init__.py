"""Turns a decided request into an answer: runs the handler, stores the answer and serves its buttons."""
