"""Model endpoints set up in the admin, and their connection test."""
