"""Says in picture files that a model made them, and reads such files."""
