"""Values that no page sends are refused with a sentence, and fail nowhere."""

from __future__ import annotations

import pytest
from allauth.core.context import request_context
from django.test import RequestFactory

from accounts.auth.adapter import AccountAdapter
from chat.models.tool_servers import check_headers
from chat.protocol.errors import Invalid
from chat.protocol.limits import MAX_TOOL_NAME, MAX_TOOLS
from chat.protocol.options import TurnOptions
from chat.protocol.parameters import check_options


@pytest.mark.parametrize("tools", [["a\0"], [""], ["x" * (MAX_TOOL_NAME + 1)], ["x"] * (MAX_TOOLS + 1), ["\ud800"]])
def test_what_cannot_be_the_name_of_a_tool(tools: list[str]) -> None:
    """The REST API makes options without the decoder of frames; PostgreSQL stores no NUL in JSON."""
    with pytest.raises(Invalid, match="list of names"):
        check_options(TurnOptions(tools=tools))


def test_names_of_tools_stay() -> None:
    assert check_options(TurnOptions(tools=["b", "a", "b"])).tools == ["b", "a"]


def test_headers_of_a_tool_server_that_are_nested_too_deeply() -> None:
    with pytest.raises(ValueError, match="JSON object"):
        check_headers("[" * 3_000)


def test_an_address_to_go_on_to_that_is_none() -> None:
    """`?next=http://[::1` made every page of the log-in fail."""
    with request_context(RequestFactory().get("/")):
        assert not AccountAdapter().is_safe_url("http://[::1")
        assert AccountAdapter().is_safe_url("/c/")
