"""Nobody gets more rights than a superuser has given."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group

from accounts import roles
from accounts.models import Plan, User
from chat.models.messages import READ_TEXT
from tests.conftest import make_user
from tests.fixtures.people import logged_in
from tests.integration.accounts.test_roles import member, permission

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


class TestEscalation:
    """Nobody raises their own rights, nor through somebody else's account."""

    def change(self, actor: User, person: User, **fields: Any) -> int:
        form = {"email": person.email, "name": person.name, **fields}
        status = logged_in(actor).post(f"/admin/accounts/user/{person.pk}/change/", form).status_code
        return int(status)

    def rights(self, person: User) -> tuple[bool, bool, set[str], int]:
        person = User.objects.get(pk=person.pk)
        groups = set(person.groups.values_list("name", flat=True))
        return person.is_staff, person.is_superuser, groups, person.user_permissions.count()

    def test_an_administrator_is_no_superuser(self) -> None:
        ada, person = member("administrator", "Ada"), make_user("Person")
        power = permission("auth.change_group").pk
        own = Group.objects.get(name="administrator").pk
        for whom in (person, ada):
            wanted = {
                "is_staff": "on",
                "is_superuser": "on",
                "user_permissions": [power],
                "groups": [own],
                "reason": "x",
            }
            assert self.change(ada, whom, **wanted) == 302
            assert self.rights(whom) == (True, False, {"administrator"}, 0)

    def test_no_role_above_ones_own(self) -> None:
        ada, person = member("administrator", "Ada"), make_user("Person")
        strong = Group.objects.create(name="gardeners")
        strong.permissions.add(permission("auth.change_group"))
        assert self.change(ada, person, is_staff="on", groups=[strong.pk]) == 200  # refused in the form
        assert self.rights(person) == (False, False, set(), 0)
        fine = Group.objects.get(name="moderator")
        assert self.change(ada, person, is_staff="on", groups=[fine.pk]) == 200, "asks why"
        assert self.change(ada, person, is_staff="on", groups=[fine.pk], reason="new colleague") == 302
        assert self.rights(person) == (True, False, {"moderator"}, 0)

    @pytest.mark.parametrize("role", ["support", "moderator", "billing", ""])
    def test_others_grant_nothing(self, role: str) -> None:
        sam, person = member(role), make_user("Person")
        group = Group.objects.get(name="administrator")
        for whom in (sam, person):
            before = self.rights(whom)
            self.change(sam, whom, is_staff="on", is_superuser="on", groups=[group.pk])
            assert self.rights(whom) == before

    def test_a_superuser_is_out_of_reach(self) -> None:
        ada, root = member("administrator", "Ada"), User.objects.create_superuser("root@example.org", "x")
        assert self.change(ada, root, email="mine@example.org") == 403
        new = {"password1": "quite another battery", "password2": "quite another battery"}
        assert logged_in(ada).post(f"/admin/accounts/user/{root.pk}/password/", new).status_code == 403
        chosen = {"_selected_action": [str(root.pk)]}
        for action in ("switch_off", "end_sessions", "reset_periods"):
            logged_in(ada).post("/admin/accounts/user/", {"action": action, "confirmed": "1", "reason": "x", **chosen})
        root.refresh_from_db()
        assert (root.email, root.is_active, root.check_password("x")) == ("root@example.org", True, True)

    def test_billing_changes_the_plan_and_nothing_else(self) -> None:
        sam, person, gold = member("billing"), make_user("Person"), Plan.objects.create(name="Gold")
        assert self.change(sam, person, email="mine@example.org", plan=gold.pk, is_staff="on") == 302
        person.refresh_from_db()
        assert (person.email, person.plan, person.is_staff) == ("person@example.org", gold, False)

    def test_groups_are_superusers_and_roles_keep_their_promise(self) -> None:
        group = Group.objects.get(name="billing")
        assert logged_in(member("administrator", "Ada")).get(f"/admin/auth/group/{group.pk}/change/").status_code == 403
        root = logged_in(User.objects.create_superuser("root@example.org", "x"))
        form = {"name": "billing", "permissions": [permission(READ_TEXT).pk]}
        answer = root.post(f"/admin/auth/group/{group.pk}/change/", form)
        assert "must never have the permissions chat.read_message_body" in answer.content.decode()
        assert not roles.forbidden("billing", group.permissions.all())
