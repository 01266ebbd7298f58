"""Staff's dashboard and usage page."""
