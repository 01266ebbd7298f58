"""Roles: what `migrate` makes, and who may do what on which staff page, asked over HTTP."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission

from accounts import roles
from accounts.models import User
from tests.conftest import make_user

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


def permission(name: str) -> Permission:
    app, _dot, codename = name.partition(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


def member(role: str, name: str = "Sam") -> User:
    """Somebody on the staff in this role; "" is staff without any."""
    user = make_user(name)
    user.is_staff = True
    user.save()
    if role:
        user.groups.add(Group.objects.get(name=role))
    return User.objects.get(pk=user.pk)  # permissions are remembered by the instance


def names(role: str) -> set[str]:
    return set(member(role, f"{role}{User.objects.count()}").get_all_permissions())


class TestMaking:
    def test_what_they_may(self) -> None:
        assert {"accounts.top_up", "accounts.end_sessions", "accounts.view_user"} <= names("support")
        assert not {"accounts.change_user", "accounts.change_plan", roles.READ_TEXT} & names("support")
        assert roles.READ_TEXT in names("moderator")
        assert roles.READ_TEXT not in names("billing")
        assert {"accounts.view_usageentry", "accounts.change_price"} <= names("billing")
        assert {"accounts.assign_roles", roles.READ_TEXT, "chat.operate_run"} <= names("administrator")
        assert not {name for name in names("administrator") if name.startswith("auth.")}

    def test_every_name_exists(self) -> None:
        """A slip in a name would leave a role without the right, in silence."""
        named = set().union(*((role.has or set()) | role.never for role in roles.ROLES))
        known = {
            f"{one.content_type.app_label}.{one.codename}" for one in Permission.objects.select_related("content_type")
        }
        assert named <= known

    def test_no_role_has_what_it_never_may(self) -> None:
        for role in roles.ROLES:
            assert not (role.has or set()) & role.never, role.name

    def test_repeating_keeps_a_sites_own(self, caplog: pytest.LogCaptureFixture) -> None:
        group = Group.objects.get(name="support")
        group.permissions.add(permission("accounts.view_dailyusage"), permission(roles.READ_TEXT))
        group.permissions.remove(permission("accounts.top_up"))
        count = Group.objects.count()
        roles.make_roles()
        assert Group.objects.count() == count
        held = names("support")
        assert "accounts.view_dailyusage" in held  # the site's own
        assert "accounts.top_up" in held  # given back
        assert roles.READ_TEXT not in held  # never, and said
        assert "role_corrected" in caplog.text


class TestAuthority:
    def test_over_others(self) -> None:
        root = User.objects.create_superuser("root@example.org", "x")
        administrator, other = member("administrator", "Ada"), member("administrator", "Ben")
        support, moderator = member("support", "Cleo"), member("moderator", "Dan")
        person = make_user("Eve")
        may = {
            (a, b)
            for a in (root, administrator, support)
            for b in (root, other, moderator, person)
            if roles.may_manage(a, b)
        }
        assert may == {
            (root, root), (root, other), (root, moderator), (root, person),
            (administrator, other), (administrator, moderator), (administrator, person),
            (support, person),
        }  # fmt: skip

    def test_rights_of_who_is_switched_off_count(self) -> None:
        administrator = member("administrator", "Ada")
        strong = make_user("Strong")
        strong.user_permissions.add(permission("auth.change_group"))
        strong.is_active = False
        strong.save()
        assert strong.get_all_permissions() == set()
        assert not roles.may_manage(administrator, strong)

    def test_granting(self) -> None:
        Group.objects.create(name="gardeners").permissions.add(permission("auth.change_group"))
        Group.objects.create(name="plain")
        made = {role.name for role in roles.ROLES}

        def may_give(role: str) -> set[str]:
            return set(roles.grantable(member(role, f"{role}-giver")).values_list("name", flat=True))

        assert may_give("administrator") == {*made, "plain"}
        assert may_give("support") == may_give("moderator") == may_give("billing") == set()
