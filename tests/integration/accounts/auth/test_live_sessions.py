"""One rule says which sessions live, in two places: Django's query for requests, and prepared SQL for sockets."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.auth.sessions import live_sessions, still_valid
from accounts.models import Session, User
from tests.integration.accounts.auth.listening import Browser

IDLE = timedelta(hours=settings.SESSION_IDLE_HOURS)
STAFF_IDLE = timedelta(minutes=settings.SESSION_STAFF_IDLE_MINUTES)
STAFF_AGE = timedelta(hours=settings.SESSION_STAFF_HOURS)
BIT = timedelta(seconds=30)

AGES = [age + bit for age in (timedelta(0), STAFF_AGE) for bit in (-BIT, BIT) if age + bit >= timedelta(0)]
IDLES = [idle + bit for idle in (timedelta(0), STAFF_IDLE, IDLE) for bit in (-BIT, BIT) if idle + bit >= timedelta(0)]
LEFT = [BIT, -BIT]


@pytest.mark.django_db
def test_requests_and_sockets_agree(alice: User, bob: User) -> None:
    found = set()
    User.objects.filter(pk=bob.pk).update(is_staff=True)
    for user, is_staff in ((alice, False), (bob, True)):
        browser = Browser(user)
        rows = Session.objects.filter(pk=browser.key)
        for age, idle, left in itertools.product(AGES, IDLES, LEFT):
            now = timezone.now()
            rows.update(created_at=now - age, last_seen_at=now - idle, expire_date=now + left)
            lives = live_sessions().filter(pk__in=rows).exists()
            assert still_valid(user.pk, browser.hash) is lives, (is_staff, age, idle, left)
            found.add((is_staff, lives))
    assert len(found) == 4  # each kind of user has sessions that live and some that have ended
