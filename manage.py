#!/usr/bin/env python
"""Antiphon's command line: `manage.py up` runs everything, `manage.py help` lists the rest."""

import gc
import os
import sys


def main() -> None:
    try:
        run_command()
    except BrokenPipeError:  # as of `manage.py usage | head`: whoever reads has seen enough
        drop_output()
        sys.exit(141)
    except KeyboardInterrupt:
        drop_output()
        sys.exit(130)


def run_command() -> None:
    os.umask(0o077)  # what is written is for this user only: messages, recordings, logs, keys
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    gc.disable()  # scanning what is being loaded takes a tenth of the time; config/apps.py enables it
    if sys.argv[1:2] == ["up"] and not {"-h", "--help"} & set(sys.argv):
        # As `config.stack.steps` writes it, but before anything is imported, which takes seconds on a small machine.
        sys.stdout.write("   0.0 s  Reading the settings\n")
        sys.stdout.flush()
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit("Django is not installed here: run `make up`, or use .venv/bin/python.")
    from config.env import read_settings

    read_settings()
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        reason = (str(error).strip().splitlines() or ["it does not answer"])[0]
        sys.exit(
            f"The database cannot be used: {reason}. Start `make up` in another terminal, or correct DATABASE_URL."
        )


def drop_output() -> None:
    """What is still in memory would be written at the end, to a reader who is gone or does not read."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
