"""Access to the web chat: origin checks, the join code, visitors' cookies and teachers' links."""
