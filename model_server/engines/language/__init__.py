"""The language engine: decodes many sequences together, step by step, each as if it were alone."""
