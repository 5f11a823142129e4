"""Worker processes: one engine each, started, watched and restarted by a supervisor."""
