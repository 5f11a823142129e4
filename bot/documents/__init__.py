"""Reads files of all formats: texts into blocks, which lessons are made of."""
