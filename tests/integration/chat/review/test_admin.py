"""The review queue and the page of a case in the admin: who sees what, what is recorded, and how quick it is."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from chat.models import ModerationCase, ModerationDecision, ModerationRule
from chat.models.moderation import DecisionKind
from chat.review import decisions, queue
from chat.review.decisions import Outcome
from tests.fixtures.cases import SECRET, make_case, make_masked, make_moderator
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in, staff_client
from tests.integration.accounts.staff.test_list_reads import rows_read

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]
QUEUE = "/admin/chat/moderationcase/"


@pytest.fixture
def mo() -> User:
    return make_moderator()


@pytest.fixture
def desk(mo: User) -> Client:
    return logged_in(mo)


def page(client: Client, case: ModerationCase) -> str:
    return client.get(f"{QUEUE}{case.pk}/change/").content.decode()


def act(client: Client, case: ModerationCase, what: str, **fields: str) -> str:
    return client.post(f"{QUEUE}{case.pk}/{what}/", fields, follow=True).content.decode()


def verbs() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True))


def test_a_moderator_can_do_the_whole_path(desk: Client, alice: User) -> None:
    case, message = make_masked(alice)
    assert f"{QUEUE}{case.pk}/change/" in desk.get(QUEUE).content.decode()
    shown = page(desk, case)
    assert "<mark>badger</mark>" in shown
    assert "text 0" in shown
    assert "text 1" in shown
    assert "text 3" in shown
    act(desk, case, "claim")
    html = act(desk, case, "decide", text="release", note="A nickname")
    assert "The message is shown as it was." in html
    message.refresh_from_db()
    assert message.text == SECRET
    made = ModerationDecision.objects.get()
    assert (made.kind, made.note) == ("release", "A nickname")
    assert set(verbs()) == {"read_case", "claim_case", "decide_case"}
    assert not AuditEntry.objects.filter(details__contains="badger").exists()
    assert desk.get("/admin/moderation/").status_code == 200


def test_a_moderator_can_do_nothing_else(desk: Client, alice: User) -> None:
    """Every list of the admin and every form to add a row, as the role has it and no more."""
    rule = ModerationRule.objects.create(name="r", directions=["asked"], words="x")
    may_see = {
        model._meta.label_lower
        for model in admin.site._registry
        if desk.get(f"/admin/{model._meta.app_label}/{model._meta.model_name}/").status_code == 200
    }
    assert may_see == {
        "accounts.user", "accounts.apitoken",
        "chat.conversation", "chat.message", "chat.run", "chat.moderationcase", "chat.moderationrule",
        "chat.strike", "chat.rating", "chat.revision", "chat.queuedmessage", "chat.sharelink", "chat.joinlink",
        "chat.step", "chat.toolcall", "chat.knowntool", "chat.toolpolicy", "chat.file",
        "chat.collection",
    }  # fmt: skip
    may_add = [
        model._meta.label_lower
        for model in admin.site._registry
        if desk.get(f"/admin/{model._meta.app_label}/{model._meta.model_name}/add/").status_code == 200
    ]
    assert may_add == []
    page = f"/admin/chat/moderationrule/{rule.pk}/change/"
    assert "What people write" in desk.get(page).content.decode()  # in words, where others tick boxes
    assert desk.post(page, {"enabled": "on"}).status_code == 403
    assert desk.post("/admin/chat/moderationrule/starter/").status_code == 403


@pytest.mark.parametrize(
    ("permissions", "texts", "buttons"),
    [
        (("view_moderationcase",), False, False),
        (("view_moderationcase", "read_case"), True, False),
        (("view_moderationcase", "decide_case"), False, False),
        (("view_moderationcase", "read_case", "decide_case"), True, True),
    ],
)
def test_texts_only_by_permission(permissions: tuple[str, ...], texts: bool, buttons: bool, alice: User) -> None:
    case = make_case(alice, appeal="Because I say so")
    client = staff_client(*permissions)
    shown = page(client, case)
    assert ("<mark>badger</mark>" in shown) is texts
    assert ("Because I say so" in shown) is texts
    assert ('data-act="claim"' in shown) is buttons
    assert verbs() == ["read_case"] * texts
    assert SECRET not in client.get(QUEUE).content.decode()
    assert client.post(f"{QUEUE}{case.pk}/claim/").status_code == (302 if buttons else 403)


def test_nobody_without_permission() -> None:
    case = make_case(None)
    client = staff_client("view_user")
    for path in (QUEUE, f"{QUEUE}{case.pk}/change/", "/admin/moderation/"):
        assert client.get(path).status_code == 403
    User.objects.update(is_superuser=True)
    assert client.get(f"{QUEUE}{uuid.uuid4()}/change/").status_code == 404


def test_a_case_of_a_deleted_conversation_and_an_erased_person(desk: Client, alice: User) -> None:
    case, message = make_masked(alice)
    message.conversation.delete()
    alice.delete()
    shown = page(desk, case)
    assert "No account" in shown
    assert "<mark>badger</mark>" in shown
    ModerationCase.objects.update(original="")
    assert "The text is empty or was erased." in page(desk, case)


def test_a_refusal_leaves_no_trace_and_a_sentence(desk: Client, mo: User, alice: User) -> None:
    case = make_case(alice)
    other = make_moderator("Nora")
    decisions.claim(other, case.pk)
    assert f"{other} has claimed this case." in act(desk, case, "claim")
    assert "claim_case" not in verbs()
    assert "Choose a valid decision." in act(desk, case, "decide", text="burn")
    assert "Choose a valid decision." in act(desk, case, "decide", text="warn")


def test_the_next_case_follows(desk: Client, mo: User, alice: User) -> None:
    low, high = make_case(alice, severity=1), make_case(alice, severity=4)
    make_case(mo, severity=4)  # their own
    decisions.claim(mo, high.pk)
    answer = desk.post(f"{QUEUE}{high.pk}/decide/?severity=", {"text": "delete"})
    assert str(low.pk) in answer["Location"]
    decisions.claim(mo, low.pk)
    answer = desk.post(f"{QUEUE}{low.pk}/decide/", {"text": "delete", "person": "suspend", "hours": "72"})
    assert answer["Location"].startswith(f"{QUEUE}?")
    alice.refresh_from_db()
    assert alice.suspended_until is not None
    assert timedelta(hours=71) < alice.suspended_until - timezone.now() <= timedelta(hours=72)


def test_the_person_gets_the_reasons_by_mail(
    desk: Client, mo: User, alice: User, settings: Any, mailoutbox: list[Any]
) -> None:
    settings.EMAIL_HOST = "localhost"
    case = make_case(alice)
    decisions.claim(mo, case.pk)
    act(desk, case, "decide", text="delete", person="warn", note="Secret note")
    [sent] = mail.outbox
    assert sent.to == [alice.email]
    assert "removed your text" in sent.body
    assert "No badgers here." in sent.body
    assert "/cases/" in sent.body
    assert SECRET not in sent.body
    assert "Secret note" not in sent.body
    flagged = make_case(alice, action="flag")
    decisions.claim(mo, flagged.pk)
    act(desk, flagged, "decide", text="release")
    assert len(mail.outbox) == 1  # nobody told them of it
    blocked = make_case(alice)
    decisions.claim(mo, blocked.pk)
    act(desk, blocked, "decide", person="block")
    assert "You can no longer use the site." in mail.outbox[1].body
    assert "/accounts/login/" in mail.outbox[1].body


# --- the queue -------------------------------------------------------------------------------------------------------


def shown(client: Client, query: str = "") -> list[str]:
    html = client.get(f"{QUEUE}?{query}").content.decode()
    return re.findall(rf"{QUEUE}([0-9a-f-]+)/change/", html)


def test_filters(desk: Client, mo: User, alice: User, bob: User) -> None:
    now = timezone.now()
    old = make_case(alice, severity=4, category="hate", opened_at=now - timedelta(days=9))
    new = make_case(bob, direction="answered", origin="report", target="message")
    claimed = make_case(alice, status="claimed", claimed_by=mo, claimed_at=now)
    done = make_case(alice, status="decided", decided_at=now)
    wanted = {
        "": [old, new, claimed], "status=open": [old, new], "status=decided": [done], "status=claimed": [claimed],
        "severity=4": [old], "category=hate": [old], "direction=answered": [new], "origin=report": [new],
        "age=7d": [old], "claimed=me": [claimed], "claimed=nobody": [old, new], "claimed=other": [],
        f"person={bob.pk}": [new], "severity=nonsense&status=x": [old, new, claimed],
    }  # fmt: skip
    for query, cases in wanted.items():
        assert set(shown(desk, query)) == {str(case.pk) for case in cases}, query


def test_ten_thousand_open_cases(desk: Client, mo: User) -> None:
    """Pages follow each other without a gap, and each reads little more than it shows."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO chat_moderationcase (id, target, target_id, direction, origin, action, category, severity,
                status, rules, original, notice, appeal, opened_at)
            SELECT gen_random_uuid(), 'refused', gen_random_uuid(), 'asked', 'rule', 'block', 'other', 1 + n % 4,
                'open', '[]', 'x', '', '', now() - make_interval(secs => n % 5000) FROM generate_series(1, 10000) n"""
        )
        cursor.execute("ANALYZE chat_moderationcase")
    query = queue.parse_query({})
    seen: list[Any] = []
    for _ in range(3):
        rows, after = queue.read_page(mo, query)
        seen += [(-row.severity, row.opened_at, row.pk) for row in rows]
        query = queue.parse_query({"after": after})
    assert seen == sorted(seen)
    assert len(set(seen)) == 3 * queue.PAGE
    for start in ("", after):
        asked = queue.parse_query({"after": start})
        found = queue._ordered(queue._after(queue._filtered(mo, asked), asked), asked)
        sql, parameters = found[: queue.PAGE + 1].query.sql_with_params()
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
            [[[plan]]] = cursor.fetchall()
        assert rows_read(plan["Plan"], "chat_moderationcase") < 1000, plan
    assert len(shown(desk)) == queue.PAGE


def test_a_refused_message_shows_the_end_of_its_conversation(desk: Client, alice: User) -> None:
    case = make_case(alice, conversation=make_conversation(alice, 5))
    html = page(desk, case)
    assert "text 1" not in html
    assert all(f"text {number}" in html for number in (2, 3, 4))


def test_the_history_of_an_appeal(desk: Client, mo: User, alice: User) -> None:
    case = make_case(alice)
    nora = make_moderator("Nora")
    decisions.claim(nora, case.pk)
    decisions.decide(nora, case.pk, Outcome(DecisionKind.DELETE, note="Plain"))
    decisions.appeal(alice, case.pk, "Not plain")
    act(desk, case, "claim")
    html = page(desk, case)
    assert "Decide the appeal" in html
    assert "Not plain" in html
    assert "Plain" in html
    act(desk, case, "decide", text="release")
    assert verbs()[-1] in ("hear_appeal", "read_case")
    assert "hear_appeal" in verbs()
    assert "withdrawn" in page(desk, case)
