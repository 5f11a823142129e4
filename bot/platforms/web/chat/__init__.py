"""The chat itself: WebSocket connections, rooms, exchanges, answers under way, files."""
