"""Who is let into the web chat: origin checks, join code, visitor cookies, teacher links."""
