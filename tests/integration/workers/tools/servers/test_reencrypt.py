"""`manage.py reencrypt` includes every encrypted field there is."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from accounts.models import User
from chat.models import ToolConnection, ToolServer
from workers.models import SearchProvider


@pytest.mark.django_db
def test_secrets_of_servers_and_log_ins(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = ["the first key, which is long enough"]
    server = ToolServer(slug="s", title="S")
    server.set_headers({"A": "b"})
    server.set_client_secret("c")
    server.save()
    row = ToolConnection(user=User.objects.create_user("ann@example.com"), server=server)
    for name in ("tokens", "client", "pending"):
        row.write(name, {"is": name})
    row.save()
    provider = SearchProvider(name="Searches", kind="brave")
    provider.set_key("the key")
    provider.save()
    settings.ENCRYPTION_KEYS = ["the second key, which is long, too", "the first key, which is long enough"]
    call_command("reencrypt")
    settings.ENCRYPTION_KEYS = ["the second key, which is long, too"]
    server.refresh_from_db()
    row.refresh_from_db()
    provider.refresh_from_db()
    assert provider.read_key() == "the key"
    assert (server.read_headers(), server.read_client_secret()) == ({"A": "b"}, "c")
    assert [row.read(name)["is"] for name in ("tokens", "client", "pending")] == ["tokens", "client", "pending"]
