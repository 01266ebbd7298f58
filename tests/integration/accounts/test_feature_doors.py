"""Each feature that staff switch off, at each door that it has: page, socket, `/v1`, REST, SCIM and commands.

Where a feature is on, the same request is let through or fails for another reason.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import Mock

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from accounts import site as site_module
from accounts.auth.api_tokens import create_token
from accounts.models import SiteSettings, User
from accounts.models.site import Feature
from chat.api import endpoint
from chat.api.images import store_images
from chat.protocol.commands import AudioStart, MessageSend
from chat.protocol.errors import ChatError
from chat.protocol.options import TurnOptions
from chat.protocol.speaking import SpeechStart
from chat.realtime.microphone import Microphone
from chat.realtime.speaking import Speaking
from chat.shares.links import Wanted, create_share
from chat.turns.places import find_place
from config.web.rest import RestApi
from tests.fixtures.attached import PNG
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in
from tests.integration.accounts.scim.conftest import Directory, make_token

COMMUNICATOR: Any = ApplicationCommunicator  # asgiref does not say its types
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("clean_redis", "one_model", "media"),
    pytest.mark.filterwarnings("ignore:Returning tuple:DeprecationWarning"),  # Ninja's, since 1.5
]
Said = tuple[Any, Any]  # the status and the code of an answer; of a socket's command "" and the code


@dataclass
class Doors:
    """What Alice has before anything is switched off, and each way in that she has."""

    alice: User
    conversation: uuid.UUID
    share: str
    token: str

    def page(self, method: str, path: str, **form: Any) -> Said:
        answer = getattr(logged_in(self.alice), method)(path, form, headers={"accept": "application/json"})
        is_json = answer.get("Content-Type", "").startswith("application/json")
        return answer.status_code, answer.json().get("code") if is_json else None

    def rest(self, method: str, path: str, body: Any = None) -> Said:
        return self._ask(RestApi(), method, f"/api/v1/{path}", body)

    def v1(self, method: str, path: str, body: Any = None) -> Said:
        return self._ask(endpoint.application, method, f"/v1/{path}", body)

    def _ask(self, application: Any, method: str, path: str, body: Any) -> Said:
        return async_to_sync(self._exchange)(application, method, path, body)

    async def _exchange(self, application: Any, method: str, path: str, body: Any) -> Said:
        headers = [(b"authorization", f"Bearer {self.token}".encode()), (b"content-type", b"application/json")]
        asked = COMMUNICATOR(application, {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [*headers, (b"host", b"testserver")], "server": ("testserver", 80), "client": ("127.0.0.1", 9),
        })  # fmt: skip
        await asked.send_input({"type": "http.request", "body": json.dumps(body).encode() if body else b""})
        status = (await asked.receive_output(30))["status"]
        found = json.loads((await asked.receive_output(30))["body"] or b"{}")
        await asked.wait(30)
        return status, found.get("error", {}).get("code")

    def sends(self, **fields: Any) -> Said:
        """`message.send` of a socket, as far as to where its message would be."""
        command = MessageSend(client_id=uuid.uuid4(), conversation_id=None, text="Hello", **fields)
        return refusal(lambda: find_place(self.alice.pk, command))

    def sends_image(self) -> Said:
        """A request with an image, as far as to where it would be stored."""
        return refusal(lambda: store_images(self.alice.pk, uuid.uuid4(), {0: [PNG]}))

    def records(self) -> Said:
        connection = Mock(spawn=lambda work: work.close())  # nothing is heard
        microphone = Microphone(connection, self.alice.pk, "", reply=Mock(), fail=Mock())
        command = AudioStart(
            ref="1", conversation_id=None, client_id=uuid.uuid4(), encoding="pcm_s16le", sample_rate=16000,
            mode="auto", auto_send=False,
        )  # fmt: skip
        return refusal(lambda: async_to_sync(microphone.start)(command))

    def hears(self) -> Said:
        speaking = Speaking(Mock(user_id=self.alice.pk), reply=Mock(), fail=Mock())
        return refusal(lambda: async_to_sync(speaking.start)(SpeechStart(ref="1", message_id=uuid.uuid4())))


def refusal(act: Callable[[], Any]) -> Said:
    try:
        act()
    except ChatError as error:
        return "", error.code
    return "", None


def signs_up(_doors: Doors) -> Said:
    Client().post("/accounts/signup/", {"email": "new@example.org", "password1": "quite another battery", "name": "N"})
    return User.objects.filter(email="new@example.org").count(), None


def provisions(_doors: Doors) -> Said:
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "new@example.org"}
    return Directory(make_token()[1]).ask("post", "Users", user).status_code, None


def invites(_doors: Doors) -> Said:
    User.objects.get_or_create(email="root@example.org", defaults={"is_staff": True, "is_superuser": True})
    call_command("invite", "new@example.org", "--url=https://chat.example.org", verbosity=0)
    return "", None


FIRST: Final = {"text": "Hello", "model": "small"}
OFF: Final = (404, "api_disabled")
# What is switched off, where it is asked for, what is asked, and the answer.
TABLE: Final[list[tuple[Feature, str, Callable[[Doors], Said], Said]]] = [
    (Feature.SIGN_UP, "page", signs_up, (0, None)),
    (Feature.UPLOADS, "page", lambda x: x.page("post", "/uploads/new/", name="a.txt", size="3"), (413, "too_large")),
    (Feature.UPLOADS, "REST", lambda x: x.rest("POST", "uploads", {"name": "a.txt", "size": 3}), (400, "too_large")),
    (Feature.UPLOADS, "/v1", Doors.sends_image, ("", "too_large")),
    (Feature.VOICE, "socket", Doors.records, ("", "asr_unavailable")),
    (Feature.SPEECH, "socket", Doors.hears, ("", "speech_unavailable")),
    (Feature.SHARING, "page", lambda x: x.page(
        "post", f"/c/{x.conversation}/shares/new/", kind="live", audience="users"), (403, "forbidden")),
    (Feature.SHARING, "link", lambda x: x.page("get", f"/s/{x.share}"), (404, None)),
    (Feature.API, "page", lambda x: x.page("get", "/accounts/tokens/"), (404, None)),
    (Feature.API, "/v1", lambda x: x.v1("GET", "models"), OFF),
    (Feature.API, "REST", lambda x: x.rest("GET", "me"), OFF),
    (Feature.API, "REST document", lambda x: x.rest("GET", "openapi.json"), OFF),
    (Feature.API, "socket of a token", lambda x: x.rest("POST", "ticket"), OFF),
    (Feature.WEB_SEARCH, "page", lambda x: x.page("post", f"/c/{x.conversation}/web-search/", on="1"),
     (403, "forbidden")),
    (Feature.WEB_SEARCH, "socket", lambda x: x.sends(options=TurnOptions(web_search=True)), ("", "forbidden")),
    (Feature.WEB_SEARCH, "REST", lambda x: x.rest("POST", "conversations", {**FIRST, "options": {"web_search": True}}),
     (403, "forbidden")),
    (Feature.TEMPORARY, "socket", lambda x: x.sends(temporary=True), ("", "forbidden")),
    (Feature.TEMPORARY, "REST", lambda x: x.rest("POST", "conversations", {**FIRST, "temporary": True}),
     (403, "forbidden")),
]  # fmt: skip
STAY_OPEN: Final[list[tuple[Feature, str, Callable[[Doors], Said], Said]]] = [
    (Feature.SIGN_UP, "SCIM", provisions, (201, None)),  # a directory decides, as an invitation does
    (Feature.SIGN_UP, "command", invites, ("", None)),
]


@pytest.fixture
def doors(alice: User, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Doors:
    monkeypatch.setattr(site_module, "_known", None)
    settings.SIGN_UP, settings.ASR_BACKENDS, settings.SPEECH_BACKENDS = "open", ["replay"], ["tone"]
    conversation = make_conversation(alice).pk
    _, share = create_share(alice.pk, conversation, Wanted())
    _, token = create_token(alice, "test", ["models.read", "chat", "conversations"], days=None)
    return Doors(alice, conversation, share, token)


def name(row: Any) -> str:
    return f"{row[0].value} at {row[1]}"


@pytest.mark.parametrize("row", [*TABLE, *STAY_OPEN], ids=name)
def test_a_feature_at_a_door(doors: Doors, row: Any) -> None:
    feature, _, ask, said = row
    if row not in STAY_OPEN:
        assert ask(doors) != said, "it is refused for another reason"
    User.objects.filter(email="new@example.org").delete()
    SiteSettings.objects.update_or_create(pk=1, defaults={"off": [feature.value]})
    assert ask(doors) == said


def test_every_feature_is_in_the_table() -> None:
    assert {row[0] for row in TABLE} == set(Feature)
