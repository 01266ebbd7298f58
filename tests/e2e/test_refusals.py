"""What a person reads of a message that is refused or cannot be carried, in a real browser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.e2e.browsing import ended, reopen, send, shoot
from tests.e2e.wire import Wire, connected

pytestmark = pytest.mark.timeout(120)


NOTE = ".message-user .message-note"


class TestRefusals:
    def test_an_error_without_a_ref_finds_its_message(self, page: Page) -> None:
        def refuse(_frame: dict[str, Any], route: WebSocketRoute) -> bool:
            route.send(json.dumps({"type": "error", "ref": None, "code": "too_large", "message": "That is too long."}))
            return False

        reopen(page, Wire(refuse))
        connected(page)
        send(page, "Too long for it")
        expect(page.locator(NOTE)).to_contain_text("That is too long.")
        expect(page.locator(NOTE).get_by_role("button")).to_have_text(
            ["Send again", "Edit", "Delete"], use_inner_text=True
        )
        shoot(page, "refused")
        page.locator(NOTE).get_by_role("button", name="Delete").click()
        expect(page.locator(".message")).to_have_count(0)
        page.reload()
        connected(page)
        expect(page.locator(".message")).to_have_count(0)

    def test_what_no_frame_can_carry_is_refused_by_the_page(self, page: Page) -> None:
        """`hello` says how large a frame may be, as the page itself does before."""
        wire = Wire(lambda _frame, _route: True)

        def narrow(route: WebSocketRoute) -> None:
            server = route.connect_to_server()

            def from_server(data: str | bytes) -> None:
                frame = json.loads(data)
                if isinstance(frame, dict) and frame["type"] == "hello":
                    frame["limits"]["frame_bytes"] = 1_000
                route.send(json.dumps(frame))

            def from_page(data: str | bytes) -> None:
                wire.sent.append(json.loads(data))
                server.send(data)

            route.on_message(from_page)
            server.on_message(from_server)

        reopen(page, narrow)
        connected(page)
        send(page, '"1",' * 200)
        expect(page.locator(NOTE)).to_contain_text("too long to be sent")
        assert all(frame["type"] != "message.send" for frame in wire.sent)
        page.locator(NOTE).get_by_role("button", name="Edit").click()
        page.locator("#text").fill("Shorter [[tokens=2]]")
        page.locator("#text").press("Enter")
        ended(page)

    @pytest.mark.parametrize(("code", "times"), [(1009, 1), (1006, 3)])
    def test_a_message_that_closes_the_socket_is_not_sent_for_ever(self, page: Page, code: int, times: int) -> None:
        def close(_frame: dict[str, Any], route: WebSocketRoute) -> bool:
            route.close(code=code if code != 1006 else 3999)  # a close that does not say why
            return False

        wire = Wire(close)
        reopen(page, wire)
        connected(page)
        send(page, "The straw")
        expect(page.locator(".message-user[data-status=unsent]")).to_be_visible(timeout=30_000)
        connected(page)
        page.wait_for_timeout(1_500)
        assert len(wire.sent) == times
        expect(page.locator(NOTE).get_by_role("button", name="Delete")).to_be_visible()
        expect(page.get_by_role("button", name="Stop the answer")).to_be_hidden()

    def test_half_characters_and_control_characters_are_cleaned(self, page: Page) -> None:
        wire = Wire(lambda _frame, _route: True)
        reopen(page, wire)
        connected(page)
        page.evaluate("""() => {
            const field = document.getElementById("text");
            field.value = "a\\ud800b\\u0000c\\u0007\\td\\n\U0001f600 [[tokens=2]]";
            field.dispatchEvent(new Event("input"));
        }""")
        page.locator("#text").press("Enter")
        ended(page)
        assert wire.sent[0]["text"] == "a\ufffdbc\td\n\U0001f600 [[tokens=2]]"

    def test_the_longest_text_is_accepted_however_it_is_escaped(self, page: Page) -> None:
        """48,000 bytes, of which half are quotes: a frame of 72 KB."""
        text = '"1",' * 12_000
        connected(page)
        send(page, text)
        ended(page)
        page.reload()
        expect(page.locator(".message-user")).to_have_count(1)
        expect(page.locator(".message-user .message-body")).to_have_text(text)
        assert page.locator(".message-user .message-body").text_content() == text

    def test_every_refusal_reaches_the_message_with_a_way_on(self, page: Page) -> None:
        codes = ["invalid", "forbidden", "not_found", "quota_exceeded", "conflict", "too_large", "malformed",
                 "internal", "rate_limited", "unavailable", "busy"]  # fmt: skip
        refusing = iter(codes)

        def refuse(frame: dict[str, Any], route: WebSocketRoute) -> bool:
            code = next(refusing)
            error = {"type": "error", "ref": frame["ref"], "code": code, "message": f"No: {code}.", "retry_after": 60}
            route.send(json.dumps(error))
            return False

        reopen(page, Wire(refuse))
        connected(page)
        for code in codes:
            send(page, f"Refused as {code}")
            expect(page.locator(NOTE)).to_contain_text(f"No: {code}.")
            page.locator(NOTE).get_by_role("button", name="Delete").click()
            expect(page.locator(".message")).to_have_count(0)
