"""Members of staff and their pages of the admin."""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.test import Client

from tests.fixtures.people import staff_client


def viewer(*permissions: str, superuser: bool = False) -> Client:
    """A browser of a member of staff who may view everything, and has these permissions besides."""
    views = Permission.objects.filter(codename__startswith="view_").values_list("codename", flat=True)
    return staff_client(*views, *permissions, superuser=superuser)


def page(client: Client, path: str, **query: str) -> str:
    response = client.get(f"/admin/{path}/", query)
    assert response.status_code == 200, (path, response.status_code)
    return response.content.decode()
