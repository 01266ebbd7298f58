"""Cases of attached files in the admin: who reads the name and the passage, and what decisions do."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from accounts.models import AuditEntry, User
from chat.models import File, ModerationCase
from chat.protocol.errors import Conflict
from tests.fixtures.attached import stored
from tests.fixtures.cases import make_case
from tests.fixtures.people import logged_in
from tests.integration.chat.review.deciding import DELETE, MASK, RELEASE, decided, refused
from tests.integration.chat.review.deciding import mo as mo  # a fixture

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "media", "reading"),
]  # fmt: skip
SAID = "plans.txt\n\nThe badger waits."


@pytest.fixture
def file(alice: User) -> File:
    return stored(alice, "plans.txt", b"The badger waits.")


@pytest.fixture
def case(file: File, alice: User) -> ModerationCase:
    return of(file, alice)


def of(file: File, alice: User, **fields: object) -> ModerationCase:
    rules = [{"rule": "r", "name": "Badgers", "version": 1, "places": [[15, 21]]}]
    made = {"target": "file", "target_id": file.pk, "direction": "files", "original": SAID, "rules": rules}
    return make_case(alice, **made | fields)


def test_a_moderator_finds_it_with_its_name_and_passage(case: ModerationCase, file: File, mo: User) -> None:
    desk = logged_in(mo)
    listed = desk.get("/admin/chat/moderationcase/?direction=files").content.decode()
    assert f"/admin/chat/moderationcase/{case.pk}/change/" in listed
    assert "plans.txt" not in listed
    shown = desk.get(f"/admin/chat/moderationcase/{case.pk}/change/").content.decode()
    assert "plans.txt" in shown
    assert "<mark>badger</mark>" in shown
    assert f"/admin/chat/file/{file.pk}/change/" in shown
    assert AuditEntry.objects.filter(verb="read_case").count() == 1


def test_staff_who_may_not_read_cases_see_neither(case: ModerationCase, bob: User) -> None:
    bob.is_staff = True
    bob.save()
    bob.user_permissions.add(Permission.objects.get(codename="view_moderationcase"))
    shown = logged_in(bob).get(f"/admin/chat/moderationcase/{case.pk}/change/").content.decode()
    assert "plans.txt" not in shown
    assert "waits" not in shown


def test_what_can_be_decided(case: ModerationCase, file: File, alice: User, mo: User) -> None:
    assert decided(case, mo, RELEASE).effects == ["Models get the file from the next answer on."]
    assert decided(of(file, alice), mo, DELETE).effects == ["The file was deleted."]
    assert not File.objects.filter(pk=file.pk).exists()
    assert decided(of(file, alice), mo, RELEASE).effects == [
        "The file was never stored, or was deleted; the decision is recorded."
    ]


def test_nothing_is_masked_where_nothing_was_marked(file: File, alice: User, mo: User) -> None:
    judged = of(file, alice, origin="judge", rules=[{"judge": "j", "name": "Judge", "version": 1}])
    assert "nothing to mask" in refused(Conflict, decided, judged, mo, MASK)


def test_a_name_stays_whatever_is_decided(file: File, alice: User, mo: User) -> None:
    named = of(file, alice, direction="named", original="badger.txt")
    assert decided(named, mo, DELETE).effects == ["The name stays as it is."]
    assert File.objects.filter(pk=file.pk, name="plans.txt").exists()
