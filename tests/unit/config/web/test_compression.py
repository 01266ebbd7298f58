"""Which responses are compressed, and that their length says little of what is in them (BREACH)."""

from __future__ import annotations

import gzip

import pytest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from config.web.compression import CompressionMiddleware

TEXT = b"<p>A page of the site.</p>" * 100


def respond(response: HttpResponseBase, encodings: str = "gzip, br") -> HttpResponseBase:
    request = HttpRequest()
    request.META["HTTP_ACCEPT_ENCODING"] = encodings
    found = CompressionMiddleware(lambda _request: response)(request)
    assert isinstance(found, HttpResponseBase)
    return found


def test_pages_are_compressed_for_those_who_accept_it() -> None:
    found = respond(HttpResponse(TEXT))
    assert isinstance(found, HttpResponse)
    assert found["Content-Encoding"] == "gzip"
    assert found["Content-Length"] == str(len(found.content))
    assert gzip.decompress(found.content) == TEXT
    assert not respond(HttpResponse(TEXT), "br").has_header("Content-Encoding")


def test_the_same_page_has_another_length_each_time() -> None:
    lengths = {respond(HttpResponse(TEXT))["Content-Length"] for _ in range(40)}
    assert len(lengths) > 10


@pytest.mark.parametrize("kind", ["application/json", "text/csv", "image/png", "application/zip", "text/event-stream"])
def test_nothing_else_is(kind: str) -> None:
    assert not respond(HttpResponse(TEXT, content_type=kind)).has_header("Content-Encoding")


def test_what_is_streamed_goes_on_at_the_pace_of_its_reader() -> None:
    assert not respond(StreamingHttpResponse([TEXT], content_type="text/html")).has_header("Content-Encoding")
