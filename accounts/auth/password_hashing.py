"""Django's Argon2, on a thread of low priority: one password at a time in each process.

A hash takes a tenth of a second on eight threads. Strangers who guess passwords choose how many are made; with an
ordinary priority they would take the processor from sockets and answers. What is stored does not differ from Django's.
"""

from __future__ import annotations

import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from django.contrib.auth.hashers import Argon2PasswordHasher

NICE: Final = 10  # beside other threads of the machine; those that Argon2 starts have it, too


def _lower_priority() -> None:
    """Of the calling thread alone: Linux has a priority for each."""
    own = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, own, min(19, os.getpriority(os.PRIO_PROCESS, own) + NICE))


@functools.cache
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="password-hash", initializer=_lower_priority)


os.register_at_fork(after_in_child=_executor.cache_clear)  # threads are not forked


class Argon2(Argon2PasswordHasher):
    def encode(self, password: str, salt: str) -> str:
        return _executor().submit(super().encode, password, salt).result()

    def verify(self, password: str, encoded: str) -> bool:
        return _executor().submit(super().verify, password, encoded).result()
