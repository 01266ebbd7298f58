"""The worker process: its event loop, liveness, unwatched runs, clean-up."""
