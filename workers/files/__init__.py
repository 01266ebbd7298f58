"""Reading attached files, in child processes, and choosing what of them a model gets."""
