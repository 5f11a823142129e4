"""The queue of each model: decides which job is next and tells waiting requests their place."""
