"""Claims → groups, plan and staff access at each log-in, and back when the claim goes."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import AuditEntry, Plan, User
from tests.integration.accounts.sso.conftest import Idp, use
from tests.integration.accounts.sso.test_log_in import LogIn, confirm

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]


@pytest.fixture
def mapped(idp: Idp, settings: Any, alice: User) -> Idp:
    Group.objects.create(name="Engineering")
    Plan.objects.create(name="Pro")
    confirm(alice)
    use(
        settings, idp.provider, claim="realm_access.roles", groups=(("eng", "Engineering"), ("helpdesk", "support")),
        plans=(("paid", "Pro"),), staff=frozenset({"helpdesk"}),
    )  # fmt: skip
    return idp


def state(user: User) -> tuple[set[str], str | None, bool]:
    user.refresh_from_db()
    return set(user.groups.values_list("name", flat=True)), user.plan.name if user.plan else None, user.is_staff


def test_they_come_and_go(mapped: Idp, alice: User, log_in: LogIn) -> None:
    own = Group.objects.create(name="staff's own choice")
    alice.groups.add(own)

    def come(*roles: str) -> tuple[set[str], str | None, bool]:
        mapped.person("m", email=alice.email, email_verified=True, realm_access={"roles": list(roles)})
        log_in(Client(), "m")
        return state(alice)

    assert come("eng", "helpdesk", "paid", "unmapped") == ({own.name, "Engineering", "support"}, "Pro", True)
    assert come("eng") == ({own.name, "Engineering"}, None, False)
    assert come() == ({own.name}, None, False)
    details = list(
        AuditEntry.objects.filter(verb="sso_claims_applied").order_by("id").values_list("details", flat=True)
    )
    assert details == [
        "acme: added to Engineering, added to support, plan Pro, staff",
        "acme: removed from support, default plan, no longer staff",
        "acme: removed from Engineering",
    ]


def test_a_superuser_keeps_access_and_a_plan_of_staff_s_stays(mapped: Idp, alice: User, log_in: LogIn) -> None:
    given = Plan.objects.create(name="Given by staff")
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True, plan=given)
    mapped.person("m", email=alice.email, email_verified=True)
    log_in(Client(), "m")
    assert state(alice) == (set(), "Given by staff", True)


def test_names_that_do_not_exist_are_logged_and_left_out(
    idp: Idp, alice: User, log_in: LogIn, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    confirm(alice)
    use(settings, idp.provider, groups=(("eng", "No such group"),), plans=(("eng", "No such plan"),))
    idp.person("m", email=alice.email, email_verified=True, groups=["eng"])
    log_in(Client(), "m")
    assert state(alice) == (set(), None, False)
    assert "sso_group_unknown" in caplog.text
    assert "sso_plan_unknown" in caplog.text
