"""Compares the language engine with llama.cpp: the same file, the same number of threads, the same prompts."""
