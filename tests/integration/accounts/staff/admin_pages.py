"""Every page of the admin that a superuser can open, from the admin's own list of addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLResolver, get_resolver

from accounts.models import User
from tests.integration.accounts.staff.test_lists import MAKERS
from tests.integration.accounts.world import World

PARAMETER: Final = re.compile(r"<(?:\w+:)?(\w+)>")
# Frames of transactions, the planner's estimate, and what a process asks once and remembers.
NOT_COUNTED: Final = re.compile(
    r"SAVEPOINT|RELEASE|SET|SELECT set_config|EXPLAIN|SELECT .* FROM .(django_content_type|accounts_sitesettings)\W"
)
# Parameters that are no row of the page's model.
VALUES: Final = {"to": "off", "hash_": "0" * 32, "app_label": "accounts", "content_type_id": "1"}


@dataclass(frozen=True, slots=True)
class Page:
    html: str
    queries: list[str]  # without those whose answers a process remembers


def pages(browser: Client, only: re.Pattern[str] | None = None) -> dict[str, Page]:
    """Each page by its address, with at least one row of each model; `only` those whose whole address it matches.
    Fragments, redirects and files are left out.
    """
    with connection.cursor() as cursor:  # the test's transaction is idle while a slow machine loads all pages' code
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    rows = rows_of_each()
    found: dict[str, Page] = {}
    for path in addresses(rows):
        if only is not None and not only.fullmatch(path):
            continue
        with CaptureQueriesContext(connection) as asked:
            answer = browser.get(path)
        if answer.status_code == 200 and not answer.streaming and b"<html" in answer.content:
            queries = [one["sql"] for one in asked.captured_queries if not NOT_COUNTED.match(one["sql"])]
            found[path] = Page(answer.content.decode(), queries)
    return found


def rows_of_each() -> dict[str, Any]:
    """A row of each model of the admin, by app.model."""
    rows = dict(World().rows)
    for number, model in enumerate(admin.site._registry):
        label = model._meta.label_lower
        if label not in rows:
            MAKERS[model](number)
            rows[label] = model._default_manager.order_by("-pk").first()
    return rows


def addresses(rows: dict[str, Any]) -> Iterator[str]:
    """The addresses, with the ids of these rows. A page without a row of its own that wants an id is left out."""
    for _name, address in named_addresses(rows):
        yield address


def named_addresses(rows: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The same, each with the name of its pattern; that of a model's first address, which has none, is empty."""
    [site] = [one for one in get_resolver().url_patterns if getattr(one, "app_name", "") == "admin"]
    assert isinstance(site, URLResolver)
    yield from _below(site, "/", rows, None)


def _below(node: URLResolver, prefix: str, rows: dict[str, Any], row: Any) -> Iterator[tuple[str, str]]:
    prefix += str(node.pattern)
    parts = prefix.strip("/").split("/")[-2:]
    row = rows.get(".".join(parts), row)
    for one in node.url_patterns:
        if isinstance(one, URLResolver):
            yield from _below(one, prefix, rows, row)
        elif "(?P" not in str(one.pattern):
            route = f"{prefix}{one.pattern}"
            names = PARAMETER.findall(route)
            if names and row is None and not set(names) <= VALUES.keys():
                continue
            yield one.name or "", PARAMETER.sub(lambda found: str(_value(found[1], row, rows)), route)


def _value(name: str, row: Any, rows: dict[str, Any]) -> Any:
    if name in VALUES:
        return VALUES[name]
    if name == "quota":
        return rows["accounts.quota"].pk
    return row.pk


def superuser() -> User:
    return User.objects.create_superuser("axe@example.org", "x", name="Axe")
