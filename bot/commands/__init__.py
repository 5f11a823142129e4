"""Commands and their options: declared by signatures, parsed from what people type, and bound to values."""
