"""HTML is stored once, whoever ended the answer, and no request makes it."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.lib.db import in_db
from accounts.lib.ids import uuid7
from accounts.lib.redis import async_redis
from accounts.models import User
from chat.conversations.snapshot import read_snapshot
from chat.eventlog import events, html_requests, store
from chat.markdown.plain import NOTE
from chat.markdown.pool import RenderPool, shared_pool
from chat.models import Message, Run, RunStatus
from chat.recovery.reaper import reap
from chat.runs.claims import claim
from chat.runs.closing import close_in_log
from chat.runs.ending import Ending, end_run
from chat.turns.accepted import Accepted
from chat.turns.stop import request_stop
from chat.turns.submit import announce
from tests.fixtures.run_rows import row, say, shift
from workers.runtime import rendering
from workers.runtime.rendering import MissingHtml, render_missing
from workers.runtime.stops import StopListener

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = "**a** < b\nand `c`"
HTML = '<p dir="auto"><strong>a</strong> &lt; b<br>\nand <code dir="ltr">c</code></p>\n'


@pytest.fixture
async def turn(alice: User, layer: None) -> Accepted:
    """A run whose worker was lost after it had shown `TEXT`, and that the reaper has ended."""
    accepted = await in_db(say, alice)
    await announce(accepted)
    await in_db(claim, accepted.run_id, "w")
    await in_db(shift, accepted.run_id, lease_expires_at=-1)
    delta = events.run_delta(str(accepted.conversation_id), str(accepted.run_id), 1, 0, TEXT)
    await store.append(store.Append(accepted.conversation_id, [delta], accepted.run_id, 1, number=2))
    await reap()
    return accepted


async def updates(turn: Accepted) -> list[dict[str, Any]]:
    here, _ = await store.position(turn.conversation_id)
    entries = await store.entries(turn.conversation_id, after=0, until=here.seq)
    return [event for event in (json.loads(one.body) for one in entries) if event["type"] == "message.updated"]


def page(user: User, turn: Accepted) -> str:
    client = Client()
    client.force_login(user)
    response = client.get(f"/c/{turn.conversation_id}/")
    assert response.status_code == 200
    return response.content.decode()


async def test_an_answer_that_the_reaper_ended_is_rendered_once(turn: Accepted, alice: User) -> None:
    message = (await in_db(row, turn.run_id)).message
    assert (message.text, message.html) == (TEXT, "")
    assert '<div class="plain">**a** &lt; b\nand `c`</div>' in await in_db(page, alice, turn)
    await render_missing()
    message = (await in_db(row, turn.run_id)).message
    assert (message.html, message.status) == (HTML, "interrupted")
    [event] = await updates(turn)
    assert (event["message"]["html"], event["message"]["text"]) == (HTML, TEXT)
    assert event["message"]["run"]["code"] == "worker_lost"
    assert HTML in await in_db(page, alice, turn)
    await render_missing()
    assert len(await updates(turn)) == 1


async def test_pages_never_render(turn: Accepted, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise AssertionError("rendered in a request")

    monkeypatch.setattr(RenderPool, "render", fail)
    monkeypatch.setattr("chat.markdown.rendering.render", fail)
    for _ in range(2):
        assert "**a** &lt; b" in await in_db(page, alice, turn)


async def test_an_answer_cut_after_its_end_is_rendered_again(alice: User, layer: None) -> None:
    turn = await in_db(say, alice)
    await announce(turn)
    await in_db(claim, turn.run_id, "w")
    ending = Ending(
        "**One two** three", rendered={"**One two** three": "<p>whole</p>"}, input_tokens=1, output_tokens=4
    )
    ended = await in_db(end_run, turn.run_id, 1, RunStatus.DONE, ending, owner="w")
    assert ended is not None
    await close_in_log(ended)
    assert (await in_db(row, turn.run_id)).message.html == "<p>whole</p>"
    result = await in_db(request_stop, alice.pk, turn.run_id, 12)
    await render_missing()
    assert (await in_db(row, turn.run_id)).message.html == "", "its end is not in the log yet"
    assert result.ended is not None
    await close_in_log(result.ended)
    await render_missing()
    assert (await in_db(row, turn.run_id)).message.html == '<p dir="auto"><strong>One two</strong></p>\n'


async def test_one_without_a_run_and_one_that_is_too_costly(turn: Accepted) -> None:
    def make() -> Message:
        message: Message = Run.objects.get(pk=turn.run_id).message
        message.pk, message.text = None, "![" * 30_000
        message.id = type(message)._meta.pk.get_default()
        message.save(force_insert=True)
        return message

    made = await in_db(make)
    while await render_missing() is not None:
        pass
    html = await in_db(lambda: Message.objects.get(pk=made.pk).html)
    assert html == f'<div class="plain">{"![" * 30_000}</div><p class="plain-note">{NOTE}</p>'
    assert len(await updates(turn)) == 1


@pytest.mark.parametrize("text", ["[a]: http://b.example", " ", "\n\n"])
async def test_a_text_whose_markdown_shows_nothing_keeps_no_other_waiting(turn: Accepted, text: str) -> None:
    """Its HTML was '', so that it was rendered again for ever, and those before it never."""
    empty = await in_db(add_answer, turn, text)
    for _ in range(2):
        await render_missing()
    assert await in_db(html_of, empty) == f'<div class="plain">{text}</div>'
    assert (await in_db(row, turn.run_id)).message.html == HTML


async def test_what_somebody_opens_is_rendered_before_the_rest_of_an_import(
    turn: Accepted, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its page gets the HTML by an event. An import of 10,000 conversations must not keep it waiting."""
    await render_missing()
    other = (await in_db(say, alice)).conversation_id
    imported = [await in_db(add_answer, turn, f"**{number}**", version=5) for number in range(3)]
    backlog = [await in_db(add_answer, turn, f"*{number}*", conversation_id=other) for number in range(3)]
    monkeypatch.setattr(rendering, "BATCH", 3)
    await read_snapshot(turn.conversation_id)
    await render_missing()
    assert [await in_db(html_of, one) for one in imported] == [
        f'<p dir="auto"><strong>{n}</strong></p>\n' for n in range(3)
    ]
    assert [await in_db(html_of, one) for one in backlog] == [""] * 3
    sent = {event["message"]["id"]: event["message"] for event in await updates(turn)}
    assert [sent[str(one)]["html"] for one in imported] == [
        f'<p dir="auto"><strong>{n}</strong></p>\n' for n in range(3)
    ]
    assert {sent[str(one)]["run"] for one in imported} == {None}
    while await render_missing() is not None:
        pass
    assert [await in_db(html_of, one) for one in backlog] == [f'<p dir="auto"><em>{n}</em></p>\n' for n in range(3)]
    assert await html_requests.requested(10) == []


async def test_a_page_that_read_before_the_html_was_stored_is_sent_it(turn: Accepted) -> None:
    await render_missing()
    one = await in_db(add_answer, turn, "**x**")
    while await render_missing() is not None:
        pass
    before = len(await updates(turn))
    await html_requests.request_html([one])  # of a page that has read the row before
    await render_missing()
    [event] = (await updates(turn))[before:]
    assert (event["message"]["id"], event["message"]["html"]) == (str(one), '<p dir="auto"><strong>x</strong></p>\n')


async def test_the_end_of_an_answer_comes_before_the_rest_of_an_import(
    turn: Accepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "BATCH", 2)
    backlog = [await in_db(add_answer, turn, "old", version=5) for _ in range(4)]
    await render_missing()
    assert (await in_db(row, turn.run_id)).message.html == HTML
    assert {await in_db(html_of, one) for one in backlog} == {""}


async def test_the_rest_of_an_import_leaves_the_processes_to_answers_that_end(
    turn: Accepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    await render_missing()
    one = await in_db(add_answer, turn, "**x**")

    def fail(*_: object) -> str:
        raise AssertionError("rendered where answers end")

    monkeypatch.setattr(shared_pool(), "render", fail)
    while await render_missing() is not None:
        pass
    assert await in_db(html_of, one) == '<p dir="auto"><strong>x</strong></p>\n'


def add_answer(turn: Accepted, text: str, *, version: int = 7, conversation_id: uuid.UUID | None = None) -> uuid.UUID:
    """An answer without run and HTML, as imports make it. Most UUIDs of `version` 5 come after all of 7."""
    pk = uuid.UUID(f"f{uuid.uuid4().hex[1:]}") if version == 5 else uuid7()
    made = Message.objects.create(
        id=pk, conversation_id=conversation_id or turn.conversation_id, role="assistant", text=text, status="complete"
    )
    return made.pk


def html_of(message_id: uuid.UUID) -> str:
    return Message.objects.get(pk=message_id).html


async def test_answers_in_progress_are_left_alone(alice: User, layer: None) -> None:
    turn = await in_db(say, alice)
    await in_db(claim, turn.run_id, "w")
    await in_db(lambda: Message.objects.filter(runs__pk=turn.run_id).update(text="so far", status="streaming"))
    await render_missing()
    assert (await in_db(row, turn.run_id)).message.html == ""


async def wait_for(event: asyncio.Event) -> None:
    async with asyncio.timeout(30):
        await event.wait()
    event.clear()


async def test_the_end_of_an_answer_without_html_wakes_the_workers(alice: User, layer: None) -> None:
    woken = asyncio.Event()
    await StopListener({}, woken.set).subscribe()
    for text, rendered in (("Seen", {"Seen": "<p>Seen</p>"}), ("Unseen", {})):
        turn = await in_db(say, alice)
        await announce(turn)
        await in_db(claim, turn.run_id, "w")
        ended = await in_db(end_run, turn.run_id, 1, RunStatus.DONE, Ending(text, rendered=rendered), owner="w")
        assert ended is not None
        assert not woken.is_set(), text
        await close_in_log(ended)
    await wait_for(woken)


async def test_it_goes_on_while_answers_are_left(turn: Accepted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "BATCH", 1)
    missing = MissingHtml()
    await async_redis().set(rendering._CLAIM, "1")  # another worker renders
    await missing.render()
    await wait_for(missing.wake)
    await async_redis().delete(rendering._CLAIM)
    await missing.render()
    assert (await in_db(row, turn.run_id)).message.html == HTML
    await wait_for(missing.wake)  # the batch was full
    await missing.render()
    await asyncio.sleep(0)
    assert not missing.wake.is_set()


async def test_only_one_worker_renders_at_a_time(turn: Accepted) -> None:
    await async_redis().set(rendering._CLAIM, "1", ex=5)
    await render_missing()
    assert (await in_db(row, turn.run_id)).message.html == ""
    await async_redis().delete(rendering._CLAIM)
    await render_missing()
    assert (await in_db(row, turn.run_id)).message.html == HTML
