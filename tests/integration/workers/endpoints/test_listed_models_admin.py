"""What staff see of the models that an endpoint lists."""

from __future__ import annotations

import msgspec
import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.lib.redis import sync_redis
from accounts.models import AuditEntry, User
from tests.integration.workers.endpoints.endpoint_pages import add, page_of
from tests.integration.workers.endpoints.endpoint_pages import keeper as keeper  # a fixture
from workers.endpoints.service import define
from workers.models import Endpoint, ModelFact
from workers.providers.base import ListedModel
from workers.providers.discovery import listed_key

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


class TestListedModels:
    """What an endpoint lists, what of it is hidden and why, and staff's switch."""

    def listed(self, client: Client) -> Endpoint:
        row = add(client)
        models = [ListedModel("gpt-5"), ListedModel("tts-1", hidden="its name is that of a model for speech")]
        sync_redis().set(listed_key(str(row.pk)), msgspec.json.encode(models))
        return row

    def test_staff_see_what_is_hidden_and_why(self, keeper: Client) -> None:
        page = keeper.get(page_of(self.listed(keeper))).content.decode()
        assert "No: its name is that of a model for speech" in page
        assert page.index("tts-1") < page.index("gpt-5"), "those that are hidden come first"

    def test_staff_decide(self, keeper: Client) -> None:
        row = self.listed(keeper)
        url = f"/admin/workers/endpoint/{row.pk}/models/"
        assert keeper.post(url, {"model": "tts-1", "shown": "1"}).status_code == 302
        assert keeper.post(url, {"model": "gpt-5", "shown": "0"}).status_code == 302
        row.refresh_from_db()
        assert (row.shown_models, row.hidden_models) == (["tts-1"], ["gpt-5"])
        assert "No: hidden by staff" in keeper.get(page_of(row)).content.decode()
        assert set(AuditEntry.objects.values_list("verb", flat=True)) >= {"show_model", "hide_model"}
        keeper.post(url, {"model": "gpt-5", "shown": "1"})
        row.refresh_from_db()
        assert (row.shown_models, row.hidden_models) == (["gpt-5", "tts-1"], [])

    def test_windows_are_shown_with_their_source_and_set(self, keeper: Client) -> None:
        row = self.listed(keeper)
        ModelFact.objects.create(
            endpoint=row.host, model="gpt-5", window=4096, window_at=timezone.now(),
            ratios={"ascii": [0.8, 0.9, 1.0], "tamil": [3.5]}, measured_at=timezone.now(),
        )  # fmt: skip
        page = keeper.get(page_of(row)).content.decode()
        for words in ("4,096", "learnt from a refusal on 20", "ascii 0.90, tamil 3.50 (20"):
            assert words in page
        url = f"/admin/workers/endpoint/{row.pk}/windows/"
        for wrong in ("12", "many", "-5", "99999999999"):
            keeper.post(url, {"model": "gpt-5", "window": wrong})
            row.refresh_from_db()
            assert row.model_windows == {}
        keeper.post(url, {"model": "gpt-5", "window": "32768"})
        row.refresh_from_db()
        assert row.model_windows == {"gpt-5": 32768}
        assert dict(define(row).windows) == {"gpt-5": 32768}
        page = keeper.get(page_of(row)).content.decode()
        assert "32,768" in page
        assert "set by staff" in page
        assert "set_window" in AuditEntry.objects.values_list("verb", flat=True)
        keeper.post(url, {"model": "gpt-5", "window": ""})
        row.refresh_from_db()
        assert row.model_windows == {}
        User.objects.get(email="sam@example.org").user_permissions.set(
            Permission.objects.filter(codename="view_endpoint")
        )
        assert keeper.post(url, {"model": "gpt-5", "window": "32768"}).status_code == 403

    def test_those_who_may_only_look_decide_nothing(self, keeper: Client) -> None:
        row = self.listed(keeper)
        assert 'aria-label="Offer tts-1"' in keeper.get(page_of(row)).content.decode()
        User.objects.get(email="sam@example.org").user_permissions.set(
            Permission.objects.filter(codename="view_endpoint")
        )
        assert 'aria-label="Offer tts-1"' not in keeper.get(page_of(row)).content.decode()
        url = f"/admin/workers/endpoint/{row.pk}/models/"
        assert keeper.post(url, {"model": "tts-1", "shown": "1"}).status_code == 403
        assert keeper.get(url).status_code == 405
