"""Every page of the admin: it asks the database little, keeps the rules of accessibility that axe checks, in the light
and in the dark, and does not scroll sideways, on a phone and at a desk.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Final

import pytest
from django.test import Client

from tests.e2e.axe import violations
from tests.fixtures.people import logged_in
from tests.integration.accounts.staff.admin_pages import Page, pages, superuser
from tests.integration.accounts.staff.shown_pages import PHONE, THEMES, shown, wide_parts

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(240), pytest.mark.usefixtures("clean_redis")]

MOST_QUERIES: Final = 12
# Pages that count table by table what a deletion takes along; a model's page reads four lists twice.
MORE_QUERIES: Final = {"/delete/": 20, "/erase/": 20, "/chat/knownmodel/": 14}
# The dashboard, users, a user, runs, conversations.
MOST_USED: Final = re.compile(r"/admin/(accounts/user/([^/]+/change/)?|chat/(run|conversation)/)?")

takes_minutes = pytest.mark.skipif("AXE" not in os.environ, reason="takes minutes of a browser: make test-axe")


def test_admin_pages_ask_the_database_little() -> None:
    made = pages(logged_in(superuser()))
    assert len(made) > 100, "the list of addresses is not read as it was"
    assert {path: page.queries for path, page in made.items() if len(page.queries) > _most(path)} == {}


def test_the_most_used_pages_keep_the_rules_of_accessibility() -> None:
    staff = logged_in(superuser())
    made = pages(staff, only=MOST_USED)
    assert len(made) == 5, sorted(made)
    assert _broken(made, staff) == {}
    assert _wide(made, staff) == {}


@pytest.mark.timeout(3600)
@takes_minutes
def test_admin_pages_keep_the_rules_of_accessibility() -> None:
    staff = logged_in(superuser())
    broken = _broken(pages(staff, only=_asked()), staff)
    assert not broken, json.dumps(broken, indent=1)


@pytest.mark.timeout(3600)
@takes_minutes
def test_no_admin_page_scrolls_sideways() -> None:
    staff = logged_in(superuser())
    wide = _wide(pages(staff, only=_asked()), staff)
    assert not wide, json.dumps(wide, indent=1)


def _asked() -> re.Pattern[str] | None:
    """Of the environment: 1 for all pages, or a pattern that addresses have in them."""
    only = os.environ["AXE"]
    return None if only == "1" else re.compile(f".*({only}).*")


def _broken(made: Mapping[str, Page], staff: Client) -> dict[str, list[str]]:
    """What axe finds, by address and theme."""
    broken: dict[str, list[str]] = {}
    with shown(made, staff) as open_page:
        for path in made:
            for theme in THEMES:
                if found := violations(open_page(path, theme)):
                    broken[f"{path} ({theme})"] = found
                    print(path, theme, *found, sep="\n  ")  # shown even if the time limit ends the test
    return broken


def _wide(made: Mapping[str, Page], staff: Client) -> dict[str, list[str]]:
    """What scrolls sideways, by address."""
    wide: dict[str, list[str]] = {}
    with shown(made, staff) as open_page:
        for path in made:
            if found := wide_parts(open_page(path, width=PHONE)):
                wide[path] = found
                print(path, *found, sep="\n  ")
    return wide


def _most(path: str) -> int:
    return next((most for part, most in MORE_QUERIES.items() if part in path), MOST_QUERIES)
