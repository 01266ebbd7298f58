"""The web process: server, WebSocket protocol, pages, health checks, metrics, access log."""
