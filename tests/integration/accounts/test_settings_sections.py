"""The sections of the settings and the pages below them, as the server shows them without any script."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import NoReverseMatch, get_resolver, reverse

from accounts.models import User
from accounts.settings_sections import ORDER, section_of, settings_sections
from tests.fixtures.people import logged_in

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


def test_the_sections_are_those_that_are_promised() -> None:
    assert tuple(one.name for one in settings_sections()) == ORDER


def test_each_has_an_address_of_its_own(alice: User) -> None:
    page = logged_in(alice)
    for section in settings_sections():
        response = page.get(reverse(section.view))
        html = response.content.decode()
        assert response.status_code == 200
        [current] = re.findall(r'<a href="([^"]+)" aria-current="page">', html)
        assert current == reverse(section.view)
        assert html.count("<h1>") == 1
        assert 'class="settings-above"' not in html
        for other in settings_sections():
            assert f'href="{reverse(other.view)}"' in html


def test_pages_below_a_section_lead_back_to_it(alice: User) -> None:
    """Those that have an address without ids; the others have the same template."""
    page, seen = logged_in(alice), 0
    for section in settings_sections():
        for name in section.pages:
            assert section_of(name) is section
            known = name.removeprefix("chat:")
            assert known in get_resolver().reverse_dict or name.startswith("chat:")
            try:
                address = reverse(name)
            except NoReverseMatch:
                continue
            response = page.get(address)
            if response.status_code != 200 or "settings-nav" not in response.content.decode():
                assert response.status_code in (302, 403, 404, 405), name  # needs a choice, a password or a right
                continue
            seen += 1
            above = re.search(r'class="settings-above"><a href="([^"]+)"', response.content.decode())
            assert above is not None, name
            assert above[1] == reverse(section.view)
    assert seen >= 12


def test_they_need_a_log_in() -> None:
    for section in settings_sections():
        assert Client().get(reverse(section.view))["Location"].startswith("/accounts/login/")
