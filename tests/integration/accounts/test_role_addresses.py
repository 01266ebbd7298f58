"""Who gets to the addresses of the admin that have a permission of their own: identity by address, over GET and POST.

Lists, forms and histories of models are in the grid of `test_roles`. Here are all others; a new one must be named.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from django.db import connection, transaction
from django.template.base import Template
from django.test import Client

from tests.fixtures.people import logged_in
from tests.integration.accounts.staff.admin_pages import named_addresses, rows_of_each
from tests.integration.accounts.test_roles import member

pytestmark = [pytest.mark.usefixtures("clean_redis", "db", "media"), pytest.mark.timeout(400)]

OF_MODELS: Final = re.compile(r"_(changelist|add|change|delete|history)$|^(login|logout)$")
GRID: Final[dict[str, str]] = {
    "administrator": (
        "accounts_auditentry_export accounts_user_erase accounts_user_import accounts_user_keep "
        "accounts_user_merge accounts_user_process_import accounts_user_reset_link "
        "accounts_user_reset_second_factor accounts_user_view_as chat_conversation_restore "
        "chat_knownmodel_accept chat_moderationcase_export chat_moderationrule_starter chat_periodicjob_run "
        "chat_toolserver_test chat_toolserver_tools chat_webhook_secret queues workers_embedder_test "
        "workers_endpoint_model workers_endpoint_test workers_endpoint_window workers_judge_test "
        "workers_searchprovider_test "
    ),
    "billing administrator": (
        "accounts_plan_export accounts_plan_import accounts_plan_process_import accounts_price_export "
        "accounts_price_import accounts_price_process_import accounts_quota_export accounts_quota_import "
        "accounts_quota_process_import accounts_usageentry_export accounts_user_export usage "
    ),
    "moderator administrator": (
        "accounts_user_lift_suspension accounts_user_suspend accounts_user_switch "
        "chat_conversation_members chat_conversation_read chat_moderationcase_claim "
        "chat_moderationcase_decide chat_moderationcase_unclaim chat_moderationrule_try chat_run_retry "
        "chat_run_stop moderation search_texts tools_start tools_stop "
    ),
    "support administrator": ("accounts_user_invite "),
    "support billing administrator": (
        "accounts_user_raise accounts_user_raise_quotas_of_list accounts_user_reset accounts_user_top_up people speed "
    ),
    "support moderator administrator": ("accounts_user_end_session accounts_user_end_sessions tools "),
    "staff support moderator billing administrator": ("index search "),
}
"""The names of addresses by the roles that get there; "staff": whoever is staff, in any role or none."""
ELSEWHERE: Final = frozenset(
    {"accounts_user_approve", "chat_file_content", "chat_recording_audio",  # of rows in a state that these are not in
     "autocomplete", "jsi18n", "password_change_done"}  # Django's own
)  # fmt: skip
ROLES: Final = ("staff", "support", "moderator", "billing", "administrator")


@pytest.fixture(autouse=True)
def without_pages(db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Who is let in is decided before a page is made of it; making them all would take minutes."""
    settings.RATE_HTTP_COMMANDS = "off"  # else the last of so many would be answered with 429
    monkeypatch.setattr(Template, "render", lambda *_: "")
    with connection.cursor() as cursor:  # a busy machine may be longer at one page
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")


def let_in(client: Client, path: str) -> bool:
    """Whether a request is refused neither for who asks nor as if nothing were there; nothing of it stays."""
    for ask in (client.get, client.post):
        with transaction.atomic():
            answer = ask(path)
            transaction.set_rollback(True)
        if answer.status_code not in (403, 404, 405) and not answer.get("Location", "").startswith("/admin/login/"):
            return True
    return False


def tried(rows: dict[str, Any]) -> list[tuple[str, str]]:
    """The name and the address of each that is not of a model alone."""
    every = [(name, path) for name, path in named_addresses(rows) if name and not OF_MODELS.search(name)]
    return [(name, path) for name, path in every if name not in ELSEWHERE]


@pytest.mark.parametrize("role", ROLES)
def test_role_by_address(role: str) -> None:
    rows = rows_of_each()
    client = logged_in(member("" if role == "staff" else role))
    wanted = {name for who, names in GRID.items() if role in who.split() for name in names.split()}
    assert {name for name, path in tried(rows) if let_in(client, path)} == wanted


def test_every_address_is_in_the_grid() -> None:
    named = {name for names in GRID.values() for name in names.split()}
    assert {name for name, _ in tried(rows_of_each())} == named
