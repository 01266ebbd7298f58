"""The web process: server, WebSocket, pages, health, metrics, access log."""
