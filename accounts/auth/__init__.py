"""Authentication: sessions and their revocation, WebSocket tickets, origins, devices."""
