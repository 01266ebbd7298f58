"""Presets: who is offered which, what a conversation takes from one, and what is left when it goes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from accounts.lib.db import in_db
from accounts.models import AuditEntry, User
from chat.catalog import offered_models
from chat.catalog.presets import clear_presets_cache, offered_presets, offers
from chat.models import Conversation, Preset, RunStatus
from chat.protocol.commands import MessageEdit, MessageRegenerate, MessageSend, parse_command
from chat.protocol.errors import ChatError, Invalid
from chat.runs.claims import Claim, claim
from chat.runs.ending import Ending, end_run
from chat.turns.accept import accept
from chat.turns.accepted import Accepted, fingerprint_of
from tests.fixtures.offered_models import forget_models
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import row, say

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "two_models")]


@pytest.fixture
def two_models(clean_redis: str) -> Iterator[None]:
    offered_models.publish_models([{"id": "one", "label": "One"}, {"id": "two", "label": "Two"}])
    forget_models()
    clear_presets_cache()
    yield
    forget_models()
    clear_presets_cache()


def make(name: str = "Pirate", **values: Any) -> Preset:
    fields = {"system_prompt": "Talk like a pirate.", "model": "two", "temperature": 0.3, "max_tokens": 50, **values}
    return Preset.objects.create(name=name, **fields)


def send(user: User, preset: Preset | None = None, conversation_id: uuid.UUID | None = None, **more: Any) -> Accepted:
    return say(user, "Ahoy", conversation_id, preset_id=preset.pk if preset else None, **more)


def claimed(run_id: uuid.UUID) -> Claim:
    found = claim(run_id, "w")
    assert found is not None
    return found


def answered(user: User, preset: Preset | None) -> Accepted:
    """A conversation with one answer."""
    accepted = send(user, preset)
    claimed(accepted.run_id)
    end_run(accepted.run_id, 1, RunStatus.DONE, Ending("Arr"))
    return accepted


def told(got: Claim) -> tuple[str, str, float | None, int | None]:
    return (got.run.model, got.system_prompt, got.temperature, got.max_tokens)


PIRATE = ("two", "Talk like a pirate.", 0.3, 50)


def test_a_conversation_takes_what_its_preset_says_and_keeps_it(alice: User) -> None:
    preset = make()
    first = answered(alice, preset)
    preset.system_prompt, preset.enabled = "Talk like a parrot.", False
    preset.save()
    second = send(alice, None, first.conversation_id)
    assert told(claimed(second.run_id)) == PIRATE, "it was changed and switched off meanwhile"
    end_run(second.run_id, 1, RunStatus.STOPPED, Ending("Arr"))
    preset.delete()
    assert Conversation.objects.get().preset_id is None
    answer = row(second.run_id).message_id
    again = accept(alice.pk, MessageRegenerate(message_id=answer, client_id=uuid.uuid4()))
    assert told(claimed(again.run_id)) == PIRATE, "it is deleted"
    edited = accept(alice.pk, MessageEdit(message_id=first.message_id, client_id=uuid.uuid4(), text="Ho"))
    assert told(claimed(edited.run_id)) == PIRATE


def test_another_model_may_be_chosen_with_it(alice: User) -> None:
    accepted = send(alice, make(), model="one")
    assert told(claimed(accepted.run_id)) == ("one", *PIRATE[1:])
    assert Conversation.objects.get().model == "one"


def test_an_empty_preset_changes_nothing(alice: User, settings: Any) -> None:
    settings.SYSTEM_PROMPT = "Be brief."
    accepted = send(alice, make(system_prompt="", model="", temperature=None, max_tokens=None))
    assert told(claimed(accepted.run_id)) == ("one", "Be brief.", None, None)
    assert Conversation.objects.get().model == ""


def test_a_preset_whose_model_is_gone_is_refused_with_a_sentence(alice: User) -> None:
    preset = make(model="gone")
    with pytest.raises(Invalid, match=r"The model of this preset \(gone\) is not available"):
        send(alice, preset)
    assert not Conversation.objects.exists()
    assert told(claimed(send(alice, preset, model="one").run_id))[0] == "one"


def test_it_is_for_new_conversations_only(alice: User) -> None:
    first = answered(alice, None)
    with pytest.raises(Invalid, match="Only a new conversation"):
        send(alice, make(), first.conversation_id)


def test_who_may_choose_it(alice: User, bob: User) -> None:
    crew = Group.objects.create(name="crew")
    alice.groups.add(crew)
    everyones, crews = make("Everyone's"), make("Crew's", position=1)
    crews.groups.add(crew)
    make("Off", enabled=False)
    assert [one["name"] for one in offered_presets(alice.pk)] == ["Crew's", "Everyone's"]
    assert [one["name"] for one in offered_presets(bob.pk)] == ["Everyone's"]
    send(alice, crews)
    send(bob, everyones)
    with pytest.raises(Invalid, match="no longer available"):
        send(bob, crews)
    with pytest.raises(Invalid, match="no longer available"):
        say(bob, preset_id=uuid.uuid4())


def test_hello_names_presets_only_where_there_are_some(alice: User) -> None:
    assert set(offers(alice.pk)) == {"models"}
    preset = make(description="Arr.")
    clear_presets_cache()
    shown = {"id": str(preset.pk), "name": "Pirate", "description": "Arr.", "model": "two"}
    assert offers(alice.pk)["presets"] == [shown]
    assert "pirate." not in json.dumps(offers(alice.pk)), "what it tells the model is staff's"


def test_the_same_command_has_the_same_fingerprint_as_before_there_were_presets() -> None:
    frame = {"type": "message.send", "conversation_id": None, "client_id": str(uuid.uuid4()), "text": "Hi"}
    plain = parse_command(json.dumps(frame))
    chosen = parse_command(json.dumps({**frame, "preset_id": str(uuid.uuid4())}))
    assert isinstance(plain, MessageSend)
    assert isinstance(chosen, MessageSend)
    assert fingerprint_of(plain) != fingerprint_of(chosen)
    assert "preset_id" not in str(fingerprint_of(plain))
    with pytest.raises(ChatError):
        parse_command(json.dumps({**frame, "preset_id": "pirate"}))


async def test_presets_cost_a_socket_nothing_without_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def away(_user_id: uuid.UUID, **_: object) -> None:
        raise OperationalError

    monkeypatch.setattr("chat.catalog.presets.offered_presets", away)
    assert await in_db(offers, uuid.uuid4()) == {"models": offered_models.offered_models()}


@pytest.mark.django_db(transaction=True)  # the page reads in threads of its own
def test_the_page_offers_them_and_shows_what_was_chosen(alice: User) -> None:
    preset = make()
    accepted = send(alice, preset)
    client = logged_in(alice)
    new = client.get("/").content.decode()
    assert '"name": "Pirate"' in new
    assert "Talk like" not in new
    shown = client.get(f"/c/{accepted.conversation_id}/").content.decode()
    assert ">Pirate</span>" in shown
    assert '"presets": []' in shown


@pytest.fixture
def keeper(db: None) -> Client:
    user = User.objects.create_user("keeper@example.org", "x", name="Keeper", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__endswith="_preset"))
    return logged_in(user)


FORM = {"name": "Poet", "system_prompt": "Rhyme.", "model": "two", "position": "1", "enabled": "on"}


def test_staff_make_them(keeper: Client, alice: User) -> None:
    assert keeper.post("/admin/chat/preset/add/", FORM).status_code == 302
    preset = Preset.objects.get()
    assert [one["name"] for one in offered_presets(alice.pk)] == ["Poet"], "in this process at once"
    offered_models.publish_models([{"id": "one", "label": "One"}])
    forget_models()
    assert "not currently offered" in keeper.get("/admin/chat/preset/").content.decode()
    page = f"/admin/chat/preset/{preset.pk}/change/"
    assert "two – not currently offered" in keeper.get(page).content.decode()
    assert keeper.post(page, {**FORM, "description": "In verse"}).status_code == 302, "its model stays"
    keeper.post(f"/admin/chat/preset/{preset.pk}/delete/", {"post": "yes"})
    verbs = AuditEntry.objects.filter(object_type="chat.preset").order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["add", "change", "delete"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"temperature": "2.1"}, "less than or equal to 2"),
        ({"temperature": "nan"}, "Enter a number."),
        ({"max_tokens": "0"}, "greater than or equal to 1"),
        ({"model": "nowhere"}, "not one of the available choices"),
        ({"system_prompt": "x" * 20_001}, "at most 20000 characters"),
        ({"name": "Pirate"}, "already exists"),
    ],
)
def test_what_cannot_be_is_refused(keeper: Client, values: dict[str, str], words: str) -> None:
    make()
    answer = keeper.post("/admin/chat/preset/add/", {**FORM, **values})
    assert answer.status_code == 200
    assert words in answer.content.decode()
