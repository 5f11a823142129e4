"""Worker processes: each runs one engine and is started, watched and restarted by a supervisor."""
