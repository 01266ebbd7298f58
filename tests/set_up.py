"""Sets Django up when it is imported, as `manage.py` does before it runs a command (tests/forking.py).

What is forked afterwards goes on with the command: setting up takes each process of a stack half a second otherwise.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import django
from django.core.management import execute_from_command_line

from config.env import read_settings
from tests.password_cost import reduce_password_cost

os.umask(0o077)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
read_settings()
django.setup()
reduce_password_cost()


def run(command: Sequence[str]) -> None:
    """Runs `manage.py <command>`. Returns or raises what the command does."""
    sys.argv = ["manage.py", *command]
    execute_from_command_line(sys.argv)
