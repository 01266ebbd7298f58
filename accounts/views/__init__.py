"""Pages of an account: settings and invitations; and WebSocket tickets."""
