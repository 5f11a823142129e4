"""The teachers' start page: what it shows, and what teachers do there."""
