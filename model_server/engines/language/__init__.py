"""The language engine: many sequences decoded together, one packed step after the other."""
