"""What every tool of our own does, whatever it is for. A new tool needs an example here, and passes the rest."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator, ValidationError

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import Conversation, Member, Role
from tests.fakes.web_pages import WebPages, serve_pages
from workers.models import SearchProvider
from workers.tools.base import MAX_OUTPUT_CHARS, QuestionAskedError, ToolContext, ToolError, ToolResult
from workers.tools.own import OWN_TOOLS
from workers.tools.own_tool import TOO_SLOW, OwnTool
from workers.tools.registry import name_uniquely

pytestmark = pytest.mark.usefixtures("transactional_db")

EXAMPLES: dict[str, dict[str, Any]] = {
    "current_time": {"time_zone": "Asia/Tokyo"},
    "calculate": {"expression": "6 * 7"},
    "search_conversations": {"query": "trains"},
    "search_web": {"query": "trains to Rome"},
    "read_page": {"url": "PAGE"},
    "ask_person": {"question": "When?", "fields": [{"name": "day", "label": "Day", "kind": "date"}]},
    "make_file": {"name": "list.csv", "content": "a,b\n1,2\n"},
}
VALUES: tuple[Any, ...] = (
    None, True, 3, -1, 1e308, "", "x", "\x00\ud800\u202e", "x" * 1_000_000, [], ["x"], {}, {"a": {"b": []}}, [[[]]],
    "../../etc/passwd", "<script>alert(1)</script>", "\x1b[31m", "http://169.254.169.254/",
)  # fmt: skip
every_tool = pytest.mark.parametrize("tool", OWN_TOOLS, ids=lambda tool: tool.name)


@pytest.fixture
async def pages(settings: Any) -> AsyncIterator[WebPages]:
    settings.FETCH_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    async with serve_pages() as serving:
        serving.show("/page", "<title>Trains</title><p>" + "Trains to Rome leave at nine. " * 20, "text/html")
        serving.show("/search", '{"results": [{"title": "Trains", "url": "https://example.org/"}]}', "application/json")
        await in_db(SearchProvider.objects.create, name="Ours", address=serving.url(""))
        yield serving


@pytest.fixture
def context(transactional_db: None) -> ToolContext:
    user = User.objects.create_user("alice@example.org")
    conversation = Conversation.objects.create(title="Here")
    Member.objects.create(conversation=conversation, user=user, role=Role.OWNER)
    return ToolContext(user.pk, conversation.pk, uuid.uuid4(), uuid.uuid4(), time.monotonic() + 50)


def example(tool: OwnTool, pages: WebPages) -> dict[str, Any]:
    return {name: pages.url("/page") if value == "PAGE" else value for name, value in EXAMPLES[tool.name].items()}


async def outcome(tool: OwnTool, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult | ToolError | None:
    """A result, an error with a sentence, or (None) a question. Everything else fails the test."""
    try:
        return await tool.run(arguments, context)
    except ToolError as error:
        return error
    except QuestionAskedError:
        return None


def test_every_tool_has_a_name_of_its_own_and_an_example() -> None:
    assert {tool.name for tool in OWN_TOOLS} == set(EXAMPLES)
    assert list(name_uniquely(OWN_TOOLS)) == [tool.name for tool in OWN_TOOLS]


@every_tool
def test_what_the_model_is_told(tool: OwnTool) -> None:
    assert re.fullmatch(r"[a-z][a-z_]{2,40}", tool.name)
    assert tool.title
    assert 20 <= len(tool.description) <= 1000
    assert tool.server == ""
    assert tool.effect == "reads" or tool.approval != "never", "what writes asks first"
    Draft202012Validator.check_schema(tool.parameters)
    assert tool.parameters["type"] == "object"
    assert "$ref" not in str(tool.parameters)
    assert all(one.get("description") for one in tool.parameters["properties"].values()), "a parameter is not explained"


@every_tool
async def test_its_calls(tool: OwnTool, pages: WebPages, context: ToolContext) -> None:
    """One test, because each one that commits takes a while."""
    await check_example(tool, pages, context)
    await check_wrong_arguments(tool, pages, context)
    release = await silence(pages)
    await check_cancellation(tool, pages, context)
    await check_deadline(tool, pages, context)
    release.set()


async def check_example(tool: OwnTool, pages: WebPages, context: ToolContext) -> None:
    arguments = example(tool, pages)
    schema = Draft202012Validator(tool.parameters)
    schema.validate(arguments)
    with pytest.raises(ValidationError):
        schema.validate({**arguments, "no_such_parameter": 1})
    found = await outcome(tool, arguments, context)
    assert not isinstance(found, ToolError), found
    if found is not None:
        assert found.text
        assert len(found.text) <= MAX_OUTPUT_CHARS


async def check_wrong_arguments(tool: OwnTool, pages: WebPages, context: ToolContext) -> None:
    """They give sentences that tell the model what is wrong, and never another error."""
    usual = example(tool, pages)
    wrong = [{}, {"no_such_parameter": 1}, {**usual, "no_such_parameter": 1}, {"\ud800": ""}]
    wrong += [{**usual, name: value} for name in tool.parameters["properties"] for value in VALUES]
    for arguments in wrong:
        found = await outcome(tool, arguments, context)
        if isinstance(found, ToolError):
            assert re.fullmatch(r"\S.{5,700}[.?]", found.sentence, re.DOTALL), found.sentence
            found.sentence.encode()
            assert "Traceback" not in found.sentence
        elif found is not None:
            assert len(found.text) <= MAX_OUTPUT_CHARS
            assert "\x00" not in found.text
            found.text.encode()
    for name in tool.parameters["required"]:
        with pytest.raises(ToolError, match=name):
            await tool.run({key: value for key, value in usual.items() if key != name}, context)


async def check_cancellation(tool: OwnTool, pages: WebPages, context: ToolContext) -> None:
    call = asyncio.ensure_future(outcome(tool, example(tool, pages), context))
    await asyncio.sleep(0.05)
    call.cancel()
    done, _ = await asyncio.wait({call}, timeout=20)
    assert done
    assert call.cancelled() or not isinstance(call.result(), ToolError)


async def check_deadline(tool: OwnTool, pages: WebPages, context: ToolContext) -> None:
    late = ToolContext(context.user_id, context.conversation_id, uuid.uuid4(), uuid.uuid4(), time.monotonic() + 0.3)
    found = await asyncio.wait_for(outcome(tool, example(tool, pages), late), 20)
    assert not isinstance(found, ToolError) or found.sentence == TOO_SLOW


async def silence(pages: WebPages) -> asyncio.Event:
    """No page answers before the event."""
    release = asyncio.Event()

    async def wait(request: web.Request) -> web.Response:
        await release.wait()
        return web.Response(text="late")

    for path in list(pages.pages):
        pages.pages[path] = wait
    return release
