"""The parameters of conversations: who sees and changes them, from when they count, and what leaves with an export."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from accounts.models import User
from chat.eventlog import store
from chat.models import Conversation, Member, Preset, Role, RunStatus
from chat.portability.export import conversation_data, export_user_data
from chat.portability.import_file import read_file
from chat.portability.importer import import_conversations
from chat.protocol.commands import MessageContinue, MessageEdit, MessageRegenerate, TurnOptions, parse_command
from chat.protocol.errors import ChatError, Invalid, TooLarge
from chat.runs.ending import Ending, end_run
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.continuing import accept_continue
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in, staff_client
from tests.fixtures.run_rows import row, say
from tests.integration.chat.conversations.parameters import answered, claimed, post, shown

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "one_model_offered")]


SECRET = "You are a pirate."


OWN: dict[str, Any] = {"temperature": 0.25, "max_tokens": 300, "effort": "low", "system_prompt": SECRET}


def begin(user: User, **more: Any) -> Accepted:
    return say(user, "Ahoy", options=TurnOptions(**OWN), **more)


class TestWhenTheyCount:
    @pytest.mark.parametrize("temporary", [False, True])
    def test_the_first_message_brings_them(self, alice: User, temporary: bool) -> None:
        first = begin(alice, temporary=temporary)
        assert answered(first) == OWN
        conversation = Conversation.objects.get()
        assert (conversation.temperature, conversation.max_tokens, conversation.effort) == (0.25, 300, "low")
        assert conversation.system_prompt == SECRET
        assert conversation.temporary is temporary
        assert (row(first.run_id).effort, row(first.run_id).parameters) == ("", {}), "they are the conversation's"

    def test_a_change_counts_from_the_next_answer_on(self, alice: User, settings: Any) -> None:
        settings.SYSTEM_PROMPT = "Be brief."
        first = begin(alice)
        answered(first)
        changed = {"temperature": "1.5", "max_tokens": "", "effort": "", "system_prompt": " Sing.\r\nLoud. "}
        assert post(alice, first.conversation_id, **changed).status_code == 200
        new = {"temperature": 1.5, "max_tokens": None, "effort": "", "system_prompt": "Sing.\nLoud."}
        answer = row(first.run_id).message_id
        assert answered(accept_continue(alice.pk, MessageContinue(message_id=answer, client_id=uuid.uuid4()))) == new
        again = accept(alice.pk, MessageRegenerate(message_id=answer, client_id=uuid.uuid4()))
        assert answered(again) == new
        edited = accept(alice.pk, MessageEdit(message_id=first.message_id, client_id=uuid.uuid4(), text="Ho"))
        assert answered(edited) == new
        assert answered(say(alice, "And?", first.conversation_id)) == new
        assert post(alice, first.conversation_id, system_prompt="").status_code == 200
        assert answered(say(alice, "And?", first.conversation_id))["system_prompt"] == "Be brief."

    def test_options_of_a_later_message_are_for_its_answer_alone(self, alice: User) -> None:
        first = begin(alice)
        answered(first)
        once = say(alice, "And?", first.conversation_id, options=TurnOptions(temperature=0, effort="high"))
        assert answered(once) == {**OWN, "temperature": 0.0, "effort": "high"}
        answer = row(once.run_id).message_id
        goes_on = accept_continue(alice.pk, MessageContinue(message_id=answer, client_id=uuid.uuid4()))
        assert answered(goes_on) == {**OWN, "temperature": 0.0, "effort": "high"}, "it is the same answer"
        assert answered(say(alice, "And?", first.conversation_id)) == OWN
        with pytest.raises(Invalid, match="Change it in its parameters"):
            say(alice, "And?", first.conversation_id, options=TurnOptions(system_prompt="No."))

    def test_what_was_sent_is_kept_with_what_was_asked(self, alice: User) -> None:
        first = begin(alice)
        answered(first)
        once = say(alice, "And?", first.conversation_id, options=TurnOptions(temperature=0.5))
        assert row(once.run_id).parameters == {"asked": {"temperature": 0.5}}
        assert claimed(once.run_id).asked == {"temperature": 0.5}
        sent = {"asked": {"temperature": 0.5}, "sent": {"max_tokens": 300}, "dropped": ["temperature"]}
        ended = end_run(once.run_id, 1, RunStatus.DONE, Ending("Arr", parameters=sent))
        assert ended is not None
        assert row(once.run_id).parameters == sent
        event = json.loads(ended.event[0])
        assert event["parameters"] == {"max_tokens": 300, "dropped": ["temperature"]}


class TestBounds:
    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"temperature": 2.1}, "The temperature must be a number from 0 to 2."),
            ({"temperature": -0.1}, "The temperature must be a number from 0 to 2."),
            ({"max_tokens": 0}, "The longest answer must be a whole number of tokens from 1 to 1,000,000."),
            ({"max_tokens": 1_000_001}, "The longest answer must be a whole number of tokens from 1 to 1,000,000."),
            ({"system_prompt": "x" * 20_001}, "The system prompt can have at most 20,000 characters"),
        ],
    )
    def test_a_message_with_others_is_refused_whole(self, alice: User, options: Any, sentence: str) -> None:
        with pytest.raises((Invalid, TooLarge), match=sentence):
            say(alice, options=TurnOptions(**options))
        assert not Conversation.objects.exists()

    @pytest.mark.parametrize(
        "fields",
        [
            {"temperature": "hot"}, {"temperature": "nan"}, {"temperature": "1e400"}, {"temperature": "2.01"},
            {"max_tokens": "1.5"}, {"max_tokens": "-3"}, {"max_tokens": "9" * 50}, {"effort": "extreme"},
            {"system_prompt": "x" * 20_001}, {"top_p": "1"}, {},
        ],
    )  # fmt: skip
    def test_a_form_with_others_changes_nothing_and_says_why(self, alice: User, fields: dict[str, str]) -> None:
        conversation = make_conversation(alice)
        response = post(alice, conversation.pk, **{"temperature": "0.5", **fields} if fields else {})
        assert response.status_code == 400
        assert response.json()["message"].endswith(".")
        assert Conversation.objects.get().temperature is None

    def test_the_bounds_themselves_and_other_ways_to_write_a_number(self, alice: User) -> None:
        conversation = make_conversation(alice)
        for text, value in (("0", 0.0), ("2", 2.0), ("0,7", 0.7), (" .5 ", 0.5)):
            assert post(alice, conversation.pk, temperature=text).json()["values"]["temperature"] == value
        assert post(alice, conversation.pk, max_tokens="1000000").json()["values"]["max_tokens"] == 1_000_000
        prompt = "\x00a\x07b" + "é" * 19_998
        assert post(alice, conversation.pk, system_prompt=prompt).json()["values"]["system_prompt"][:3] == "abé"

    def test_the_frame_may_have_them_all(self) -> None:
        frame = {"type": "message.send", "conversation_id": None, "client_id": str(uuid.uuid4()), "text": "Hi"}
        command: Any = parse_command(json.dumps({**frame, "options": {**OWN, "effort": "none"}}))
        assert command.options == TurnOptions(**{**OWN, "effort": "none"})
        with pytest.raises(ChatError, match="temperature"):
            parse_command(json.dumps({**frame, "options": {"temperature": "warm"}}))


class TestMembers:
    def test_editors_change_and_viewers_see_all_but_the_prompt(self, alice: User, bob: User, mallory: User) -> None:
        first = begin(alice)
        member = Member.objects.create(conversation_id=first.conversation_id, user=bob, role=Role.EDITOR)
        assert post(bob, first.conversation_id, temperature="1").status_code == 200
        assert shown(bob, first.conversation_id)["values"]["system_prompt"] == SECRET
        member.role = Role.VIEWER
        member.save()
        refused = post(bob, first.conversation_id, temperature="0")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        found = shown(bob, first.conversation_id)
        assert (found["may_change"], found["has_system_prompt"]) == (False, True)
        assert found["values"] == {"temperature": 1.0, "max_tokens": 300, "effort": "low", "system_prompt": None}
        assert SECRET not in json.dumps(found)
        assert post(mallory, first.conversation_id, temperature="0").status_code == 404
        assert logged_in(mallory).get(f"/c/{first.conversation_id}/parameters/").status_code == 404
        assert Conversation.objects.get().temperature == 1.0

    def test_a_viewer_is_not_shown_the_prompt_of_a_preset(self, alice: User, bob: User) -> None:
        preset = Preset.objects.create(name="Poet", system_prompt=SECRET)
        first = say(alice, preset_id=preset.pk)
        Member.objects.create(conversation_id=first.conversation_id, user=bob, role=Role.VIEWER)
        assert SECRET not in json.dumps(shown(bob, first.conversation_id))
        assert SECRET in json.dumps(shown(alice, first.conversation_id))

    def test_every_open_tab_is_told_without_the_prompt(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        first = begin(alice)
        appended: list[bytes] = []

        async def append(*appends: store.Append) -> list[store.Appended]:
            appended.extend(encoded for one in appends for encoded, _ in one.events)
            return []

        monkeypatch.setattr(store, "append", append)
        post(alice, first.conversation_id, temperature="0.75", system_prompt="Another secret")
        [event] = map(json.loads, appended)
        assert event["parameters"] == {
            "temperature": 0.75, "max_tokens": 300, "effort": "low", "has_system_prompt": True
        }  # fmt: skip
        assert "Another secret" not in json.dumps(event)


class TestExports:
    def test_an_export_has_them_and_an_import_reads_them(self, alice: User, bob: User, tmp_path: Any) -> None:
        first = begin(alice)
        answered(first)
        file = tmp_path / "export.json"
        file.write_text("".join(export_user_data(alice)))
        assert [one.kind for one in import_conversations(bob, read_file(file))] == ["new"]
        theirs = Conversation.objects.get(memberships__user=bob)
        kept = {name: getattr(theirs, name) for name in OWN}
        assert kept == OWN

    def test_values_out_of_bounds_are_left_out(self, alice: User, tmp_path: Any) -> None:
        conversation = make_conversation(alice)
        data = conversation_data(Member.objects.get())
        conversation.delete()
        data |= {"temperature": 9, "max_tokens": -1, "effort": "extreme", "system_prompt": "x" * 30_000}
        file = tmp_path / "export.json"
        file.write_text(json.dumps({"format": "antiphon.export", "version": 1, "conversations": [data]}))
        assert [one.kind for one in import_conversations(alice, read_file(file))] == ["new"]
        found = Conversation.objects.get()
        assert (found.temperature, found.max_tokens, found.effort, found.system_prompt) == (None, None, "", "")

    def test_a_viewers_export_has_no_prompt(self, alice: User, bob: User) -> None:
        first = begin(alice)
        member = Member.objects.create(conversation_id=first.conversation_id, user=bob, role=Role.VIEWER)
        data = conversation_data(member)
        assert (data["system_prompt"], data["temperature"]) == ("", 0.25)
        assert SECRET not in "".join(export_user_data(bob))


def test_staff_see_them_on_the_conversation_and_the_run(alice: User) -> None:
    first = begin(alice)
    claimed(first.run_id)
    sent = {"sent": {"max_tokens": 300, "effort": "low"}, "dropped": ["temperature"], "system_chars": 1017}
    sent |= {"instructions_chars": 40}
    end_run(first.run_id, 1, RunStatus.DONE, Ending("Arr", parameters=sent))
    client = staff_client("view_conversation", "view_run")
    page = client.get(f"/admin/chat/run/{first.run_id}/change/").content.decode()
    assert "max output tokens 300, effort low" in page
    assert "Omitted because the model does not accept it" in page
    assert "40 of them the user’s own instructions" in page
    page = client.get(f"/admin/chat/conversation/{first.conversation_id}/change/").content.decode()
    assert "0.25" in page
    assert SECRET not in page
