"""Passwords are hashed beside everything else, one at a time."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2.exceptions import HashingError
from django.contrib.auth.hashers import Argon2PasswordHasher, check_password, make_password

from accounts.auth.password_hashing import NICE, Argon2

PASSWORD = "correct horse battery staple"


def test_what_is_stored_is_django_s() -> None:
    ours, theirs = make_password(PASSWORD), Argon2PasswordHasher().encode(PASSWORD, "s" * 22)
    assert ours.startswith("argon2$argon2id$")
    assert Argon2PasswordHasher().verify(PASSWORD, ours)
    assert Argon2().verify(PASSWORD, theirs)
    assert not Argon2().must_update(ours)
    assert check_password(PASSWORD, ours)
    assert not check_password("another", ours)


def test_one_at_a_time_and_with_low_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = threading.Lock()
    priorities: list[int] = []

    def verify(*_: object) -> bool:
        assert hashing.acquire(blocking=False), "another one is being hashed"
        priorities.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        hashing.release()
        return True

    monkeypatch.setattr(Argon2PasswordHasher, "verify", verify)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda _: Argon2().verify(PASSWORD, ""), range(64)))
    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert set(priorities) == {min(19, usual + NICE)}


def test_in_a_forked_process() -> None:
    """Its parent's thread is not there."""
    encoded = make_password(PASSWORD)
    child = os.fork()
    if child == 0:
        os._exit(0 if check_password(PASSWORD, encoded) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_goes_wrong_reaches_the_caller() -> None:
    with pytest.raises(HashingError, match="Salt"):
        Argon2().encode(PASSWORD, "")
