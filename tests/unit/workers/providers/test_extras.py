"""What staff may add to requests, and which API an address is of."""

from __future__ import annotations

import json

import pytest

from workers.providers.config import Extras, merge_fields
from workers.providers.extras import check_body, check_query, read_extras, read_headers
from workers.providers.http.errors import scrub
from workers.providers.http.transport import _secrets_of
from workers.providers.kinds import detect_kind, resolve_kind


def test_what_is_allowed() -> None:
    assert read_headers('{"X-Title": "Antiphon", "api-key": "s3cret"}') == {"X-Title": "Antiphon", "api-key": "s3cret"}
    assert read_headers("") == {}
    assert check_query({"api-version": "2024-10-21", "n": 1}) == {"api-version": "2024-10-21", "n": "1"}
    assert check_body({"options": {"num_ctx": 8192}, "keep_alive": -1}) == {
        "options": {"num_ctx": 8192},
        "keep_alive": -1,
    }


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ('{"Authorization": "Bearer s3cret"}', "Use the field for the API key."),
        ('{"content-length": "7"}', "is set by the program"),
        ('{"X Title": "s3cret"}', "is not a name of a header"),
        ('{"X-Title": "s3cret\\r\\nHost: evil"}', "one line of ASCII"),
        ('{"X-Title": ["s3cret"]}', "must be a text"),
        ('["s3cret"]', "must be a JSON object"),
        ("s3cret", "must be a JSON object"),
        ("[" * 5000, "must be a JSON object"),
        (json.dumps({f"X-{number}": "s3cret" for number in range(41)}), "at most 40 names"),
    ],
)
def test_headers_that_are_refused(headers: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_headers(headers)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["model", "messages", "stream", "input", "contents", "system", "instructions", "n"])
def test_fields_of_the_program_cannot_be_replaced(name: str) -> None:
    with pytest.raises(ValueError, match=f"The field {name} of the body is set by the program"):
        check_body({name: "x"})


def test_a_key_in_the_query_is_refused() -> None:
    with pytest.raises(ValueError, match="Use a header"):
        check_query({"api_key": "s3cret"})


def test_the_setting_for_an_endpoint_and_its_models() -> None:
    own, models = read_extras('{"headers": {"X-A": "1"}, "models": {"qwen3": {"body": {"think": false}}}}')
    assert own == Extras({"X-A": "1"})
    assert models == {"qwen3": Extras(body={"think": False})}
    for wrong in ('{"header": {}}', '{"models": []}', '{"models": {"a": 7}}', '{"models": {"a": {"bodies": {}}}}'):
        with pytest.raises(ValueError, match=r".+"):
            read_extras(wrong)
    assert "s3cret" not in repr(Extras({"X-A": "s3cret"}))


def test_a_models_fields_count_more_and_the_programs_most() -> None:
    endpoint = Extras({"X-A": "1", "X-B": "1"}, {"q": "1"}, {"options": {"num_ctx": 1, "seed": 2}, "keep_alive": 1})
    both = endpoint.with_model(Extras({"X-A": "2"}, {}, {"options": {"num_ctx": 3}}))
    assert both.headers == {"X-A": "2", "X-B": "1"}
    assert both.query == {"q": "1"}
    assert both.body == {"options": {"num_ctx": 3, "seed": 2}, "keep_alive": 1}
    assert merge_fields(both.body, {"options": {"temperature": 0.1}, "keep_alive": 5}) == {
        "options": {"num_ctx": 3, "seed": 2, "temperature": 0.1},
        "keep_alive": 5,
    }


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("", "openai_chat"),
        ("https://api.openai.com/v1", "openai_chat"),
        ("http://127.0.0.1:8000/v1", "openai_chat"),
        ("https://openrouter.ai/api/v1", "openai_chat"),
        ("https://api.anthropic.com", "anthropic"),
        ("https://api.anthropic.com/v1", "anthropic"),
        ("https://generativelanguage.googleapis.com", "gemini"),
        ("https://generativelanguage.googleapis.com/v1beta", "gemini"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "openai_chat"),
        ("https://ours.openai.azure.com", "azure"),
        ("https://ours.openai.azure.com/openai/v1", "azure"),
        ("https://ours.services.ai.azure.com/openai/deployments/gpt", "azure"),
        ("http://127.0.0.1:11434", "ollama"),
        ("http://gpu.lan:11434/api", "ollama"),
        ("http://127.0.0.1:11434/v1", "openai_chat"),
        ("https://api.anthropic.com.evil.example", "openai_chat"),
        ("http://[::1", "openai_chat"),
        ("http://host:99999999", "openai_chat"),
    ],
)
def test_the_kind_of_an_address(address: str, kind: str) -> None:
    assert detect_kind(address) == kind
    assert resolve_kind("auto", address) == kind
    assert resolve_kind("gemini", address) == "gemini"


@pytest.mark.parametrize(
    ("header", "repeated"),
    [
        (("Helicone-Auth", "Bearer pk-canary-123456"), "pk-canary-123456"),
        (("X-Proxy", "Basic dXNlcjpjYW5hcnktcGFzcw=="), "canary-pass"),
        (("X-Proxy", "Basic dXNlcjpjYW5hcnktcGFzcw=="), "dXNlcjpjYW5hcnktcGFzcw=="),
        (("Cookie", "lang=en; session=canary0123456789"), "canary0123456789"),
        (("api-key", "abc7"), "abc7"),
    ],
)
def test_a_part_of_a_header_is_a_secret_too(header: tuple[str, str], repeated: str) -> None:
    """Servers repeat a token without the word before it, and staff are shown their words."""
    name, value = header
    said = scrub(f"Invalid credentials: {repeated}.", _secrets_of(name, value))
    assert repeated not in said
    assert said.startswith("Invalid credentials")


def test_a_short_word_in_a_header_is_none() -> None:
    assert _secrets_of("X-Title", "Antiphon") == ()
