"""Pages of an account: settings, deletion, language, terms, invitations, resets of passwords; and WebSocket tickets."""
