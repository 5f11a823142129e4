"""What the HTTP servers of both programs share: they listen, and limit what a stranger can hold open."""
