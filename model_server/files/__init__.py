"""Model files: found, downloaded, verified and kept in the cache."""
