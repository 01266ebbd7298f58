"""The seed at scale, and the command that measures the admin's pages with it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Sum

from accounts.models import AuditEntry, DailyUsage, UsageEntry, User
from chat.management import scale_seed
from chat.models import Conversation, Member, Message, Run
from chat.search.everywhere import search_everywhere
from config.ops import admin_pages

OF_A_USER = 17  # queries of the page that has everything about somebody: state, quotas, usage, sessions, rights

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis"), pytest.mark.timeout(120)]


def test_a_small_scale_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_seed, "BATCH", 30)  # more than one
    out = io.StringIO()
    call_command("seed_demo", "--scale", "0.0005", stdout=out)
    assert (User.objects.count(), Conversation.objects.count()) == (10, 80)
    messages, runs = Message.objects.count(), Run.objects.count()
    assert 300 < messages < 500
    assert messages / 2 < runs < messages
    assert UsageEntry.objects.count() == 500 == DailyUsage.objects.aggregate(n=Sum("messages"))["n"]
    assert AuditEntry.objects.count() == 50
    assert Member.objects.count() == 80
    assert not Conversation.objects.filter(tip=None).exists()
    assert Message.objects.filter(parent=None).count() == 80, "one root in each"
    assert not Message.objects.filter(role="assistant", html="").exclude(text="").exists(), "nothing is left to render"
    assert not Run.objects.values("message").annotate(n=Count("pk", filter=None)).filter(n__gt=2).exists()
    assert search_everywhere("how along").messages, "indexed by the triggers"
    assert "conversations" in out.getvalue()
    with pytest.raises(CommandError, match="seeded already"):
        call_command("seed_demo", "--scale", "0.0005")


def test_a_database_of_people_is_not_filled() -> None:
    for number in range(5):
        User.objects.create(email=f"p{number}@example.org")
    with pytest.raises(CommandError, match="accounts of people"):
        call_command("seed_demo", "--scale", "0.0005")
    assert User.objects.count() == 5


def test_pages_are_measured_and_nothing_stays(tmp_path: Path) -> None:
    call_command("seed_demo", "--scale", "0.0005", stdout=io.StringIO())
    User.objects.create_superuser("root@example.org", "a good password 7")
    before = AuditEntry.objects.count()
    file = tmp_path / "performance.md"
    file.write_text(f"# P\n{admin_pages.BEGIN}\nold\n{admin_pages.END}\nrest\n")
    out = io.StringIO()
    with contextlib.suppress(SystemExit):  # a busy machine takes longer than 300 ms
        call_command("measure_admin", "--only", "chat/conversation", "--write", str(file), stdout=out)
    text = file.read_text()
    assert "old" not in text
    assert text.endswith("rest\n")
    assert "| `/admin/chat/conversation/` " in text
    assert "/admin/chat/conversation/…/read/" in text
    assert AuditEntry.objects.count() == before, "rolled back"


def test_every_page_answers_with_few_queries() -> None:
    call_command("seed_demo", "--scale", "0.0005", stdout=io.StringIO())
    root = User.objects.create_superuser("root@example.org", "a good password 7")
    wrong = []
    for one in admin_pages.measure(root):
        most = OF_A_USER if re.search("/accounts/user/.+/change/", one.path) else admin_pages.MOST_QUERIES
        if one.status != 200 or one.queries > most:
            wrong.append(one)
    assert not wrong, "\n".join(f"{one.path}: {one.status}, {one.queries} queries" for one in wrong)
