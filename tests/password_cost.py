"""The password hash with less work.

It is the real one, and is asked for hundreds of times: by tests in their own process, and by processes of stacks, which
are forked from one that has set Django up (tests/set_up.py). With the cost of production each takes 0.2 s of CPU time.
"""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


def reduce_password_cost() -> None:
    """For this process and those that it forks."""
    Argon2PasswordHasher.time_cost, Argon2PasswordHasher.memory_cost, Argon2PasswordHasher.parallelism = 1, 64, 1
