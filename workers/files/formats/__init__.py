"""One module for each kind of file. They run in the child process only: no Django, no settings, no network."""
