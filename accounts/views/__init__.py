"""Pages about an account: settings, invitations; and socket tickets."""
