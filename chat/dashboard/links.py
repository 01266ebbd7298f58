"""Addresses of the lists behind the dashboard's figures."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse


class Links:
    """Addresses of admin pages that this visitor may open; empty for the others."""

    def __init__(self, request: HttpRequest) -> None:
        self._has_perm = request.user.has_perm

    def list(self, app: str, model: str, /, **query: str) -> str:
        if not self._has_perm(f"{app}.view_{model}"):
            return ""
        return reverse(f"admin:{app}_{model}_changelist") + (f"?{urlencode(query)}" if query else "")

    def page(self, app: str, model: str, id_: str | None) -> str:
        allowed = id_ is not None and self._has_perm(f"{app}.view_{model}")
        return reverse(f"admin:{app}_{model}_change", args=[id_]) if allowed else ""

    def runs(self, since: datetime | None = None, until: datetime | None = None, **query: str) -> str:
        if since is not None:
            query["period"] = "/".join(f"{one:%Y-%m-%dT%H:%M:%SZ}" if one else "" for one in (since, until))
        return self.list("chat", "run", **query)
