"""Roles: what `migrate` makes, and who may do what on which staff page, asked over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts import roles
from accounts.models import AuditEntry, Quota, User
from chat.models.messages import READ_TEXT
from tests.conftest import make_user
from tests.fixtures.people import logged_in
from tests.integration.accounts.world import SECRET, World

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
        assert not {"accounts.change_user", "accounts.change_plan", READ_TEXT} & names("support")
        assert READ_TEXT in names("moderator")
        assert READ_TEXT not in names("billing")
        assert {"accounts.view_usageentry", "accounts.change_price"} <= names("billing")
        assert {"accounts.assign_roles", READ_TEXT, "chat.operate_run"} <= names("administrator")
        assert not {name for name in names("administrator") if name.startswith("auth.")}

    def test_every_name_exists(self) -> None:
        """A slip in a name would leave a role without the right, in silence."""
        named = set().union(*((role.has or set()) | role.never for role in roles.all_roles()))
        known = {
            f"{one.content_type.app_label}.{one.codename}" for one in Permission.objects.select_related("content_type")
        }
        assert named <= known

    def test_no_role_has_what_it_never_may(self) -> None:
        for role in roles.all_roles():
            assert not (role.has or set()) & role.never, role.name

    def test_repeating_keeps_a_sites_own(self, caplog: pytest.LogCaptureFixture) -> None:
        group = Group.objects.get(name="support")
        group.permissions.add(permission("accounts.view_dailyusage"), permission(READ_TEXT))
        group.permissions.remove(permission("accounts.top_up"))
        count = Group.objects.count()
        roles.create_roles()
        assert Group.objects.count() == count
        held = names("support")
        assert "accounts.view_dailyusage" in held  # the site's own
        assert "accounts.top_up" in held  # given back
        assert READ_TEXT not in held  # never, and said
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
        made = {role.name for role in roles.all_roles()}

        def may_give(role: str) -> set[str]:
            return set(roles.grantable(member(role, f"{role}-giver")).values_list("name", flat=True))

        assert may_give("administrator") == {*made, "plain"}
        assert may_give("support") == may_give("moderator") == may_give("billing") == set()


# --- the grid -----------------------------------------------------------------------------------------------------

VIEW, EDIT = "view", "view add change delete"
GRID: dict[str, dict[str, str]] = {
    "": {},
    "support": {
        "accounts.user": VIEW, "accounts.plan": VIEW, "accounts.quota": VIEW, "accounts.allowance": VIEW,
        "accounts.topup": VIEW, "accounts.invitation": "view add", "chat.run": VIEW, "accounts.apitoken": VIEW,
        "chat.toolcall": VIEW, "chat.step": VIEW,
    },
    "moderator": {
        "accounts.user": VIEW, "chat.conversation": VIEW, "chat.message": VIEW, "chat.run": VIEW,
        "accounts.apitoken": VIEW, "chat.moderationcase": VIEW, "chat.moderationrule": VIEW, "chat.strike": VIEW,
        "chat.rating": VIEW, "chat.revision": VIEW,
        "chat.sharelink": VIEW, "chat.joinlink": VIEW, "chat.file": "view delete", "chat.collection": "view delete",
        "chat.queuedmessage": "view delete",
        "chat.toolcall": VIEW, "chat.step": VIEW, "chat.knowntool": VIEW, "chat.toolpolicy": VIEW,
    },
    "billing": {
        "accounts.user": "view change", "accounts.plan": EDIT, "accounts.quota": EDIT, "accounts.price": EDIT,
        "accounts.allowance": VIEW, "accounts.topup": VIEW, "accounts.usageentry": VIEW, "accounts.dailyusage": VIEW,
        "accounts.budget": EDIT, "accounts.usagereport": EDIT,
    },
    "administrator": {
        "accounts.user": "view add change", "accounts.plan": EDIT, "accounts.quota": EDIT, "accounts.price": EDIT,
        "accounts.allowance": VIEW, "accounts.topup": VIEW, "accounts.usageentry": VIEW, "accounts.dailyusage": VIEW,
        "accounts.auditentry": VIEW, "accounts.invitation": "view add", "accounts.apitoken": VIEW,
        "accounts.scimtoken": "view add change", "accounts.pendingact": VIEW,
        "accounts.budget": EDIT, "accounts.usagereport": EDIT,
        "chat.conversation": VIEW, "chat.message": VIEW, "chat.run": VIEW,
        "chat.moderationcase": VIEW, "chat.moderationrule": EDIT, "chat.strike": VIEW,
        "chat.rating": VIEW, "chat.revision": VIEW,
        "chat.sharelink": VIEW, "chat.joinlink": VIEW, "chat.file": "view delete",
        "chat.collection": "view change delete", "chat.queuedmessage": "view delete",
        "chat.toolcall": VIEW, "chat.step": VIEW, "chat.knowntool": "view change", "chat.toolpolicy": EDIT,
    },
}  # fmt: skip
KNOWN = {model for row in GRID.values() for model in row}
DEEDS: dict[str, set[str]] = {
    "": set(),
    "support": {"top-up", "reset", "end-sessions", "end-session"},
    "moderator": {"switch", "suspend", "end-sessions", "end-session"},
    "billing": {"top-up", "reset"},
    "administrator": {
        "top-up", "reset", "end-sessions", "end-session", "switch", "suspend", "export", "erase", "keep", "password",
        "view-as", "merge",
    },
}  # fmt: skip


def may(client: Client, model: str, row: Any) -> str:
    """The verbs that the pages of a model allow."""
    found = []
    path = f"/admin/{model.replace('.', '/')}/"
    if client.get(path).status_code == 200:
        found.append("view")
    if client.get(f"{path}add/").status_code == 200:
        found.append("add")
    if row is not None:
        if client.post(f"{path}{row.pk}/change/", {"x": ""}).status_code != 403:  # saved, or a form with errors
            found.append("change")
        if client.get(f"{path}{row.pk}/delete/").status_code == 200:
            found.append("delete")
    return " ".join(found)


def do(client: Client, person: User, quota: Quota) -> set[str]:
    """The deeds that somebody may do to a person, by asking for each without the words that make it happen."""
    path = f"/admin/accounts/user/{person.pk}"
    statuses = {
        "top-up": client.get(f"{path}/top-up/"),
        "reset": client.post(f"{path}/reset/{quota.pk}/"),
        "end-sessions": client.post(f"{path}/end-sessions/"),
        "end-session": client.post(f"{path}/end-session/{'0' * 32}/"),
        "switch": client.post(f"{path}/switch/on/"),
        "export": client.post(f"{path}/export/"),
        "suspend": client.get(f"{path}/suspend/"),
        "erase": client.get(f"{path}/erase/"),
        "keep": client.post(f"{path}/keep/"),
        "merge": client.get(f"{path}/merge/"),
        "password": client.get(f"{path}/password/"),
        "view-as": client.get(f"{path}/view-as/"),
    }
    allowed = {deed for deed, answer in statuses.items() if answer.status_code in (200, 302)}
    assert {answer.status_code for answer in statuses.values()} <= {200, 302, 403}
    return allowed


class TestGrid:
    @pytest.mark.parametrize("role", GRID)
    def test_role_by_verb_by_object(self, role: str) -> None:
        world, client = World(), logged_in(member(role))
        found = {}
        for model in admin.site._registry:
            label = model._meta.label_lower
            if verbs := may(client, label, world.rows.get(label)):
                found[label] = verbs
        unknown = {label: verbs for label, verbs in found.items() if label not in KNOWN}
        assert {label: verbs for label, verbs in found.items() if label in KNOWN} == GRID[role]
        assert role == "administrator" or not unknown, "name it in the grid"

    @pytest.mark.parametrize("role", GRID)
    def test_role_by_deed(self, role: str) -> None:
        world, client = World(), logged_in(member(role))
        assert do(client, world.alice, world.quota) == DEEDS[role]
        colleague = member("moderator", "Colleague")
        assert do(client, colleague, world.quota) == (DEEDS[role] if role == "administrator" else set())
        root = User.objects.create_superuser("root@example.org", "x")
        assert do(client, root, world.quota) == set()

    def test_whoever_is_not_staff(self) -> None:
        world = World()
        strong = make_user("Strong")
        strong.groups.add(Group.objects.get(name="administrator"))  # rights without being staff
        for client, status in ((Client(), {302}), (logged_in(strong), {302, 403})):
            for label, row in world.rows.items():
                path = f"/admin/{label.replace('.', '/')}/"
                for page in (path, f"{path}add/", f"{path}{row.pk}/change/"):
                    answer = client.get(page)
                    assert answer.status_code in status, page
                    assert answer.status_code == 403 or answer["Location"].startswith("/admin/login/"), page
            path = f"/admin/accounts/user/{world.alice.pk}"
            for deed in ("top-up", "switch/off", "end-sessions", "export", "erase", "keep"):
                assert client.post(f"{path}/{deed}/").status_code in status

    @pytest.mark.parametrize("role", ["support", "billing"])
    def test_no_message_text(self, role: str) -> None:
        world, client = World(), logged_in(member(role))
        for label, row in world.rows.items():
            for page in ("", f"{row.pk}/change/"):
                shown = client.get(f"/admin/{label.replace('.', '/')}/{page}").content.decode()
                assert SECRET not in shown, (label, page)
        assert not AuditEntry.objects.filter(verb="read_body").exists()

    def test_a_moderator_reads_and_it_is_written_down(self) -> None:
        world, client = World(), logged_in(member("moderator"))
        row = world.rows["chat.message"]
        assert SECRET in client.get(f"/admin/chat/message/{row.pk}/change/").content.decode()
        assert AuditEntry.objects.get(verb="read_body").object_id == str(row.pk)
