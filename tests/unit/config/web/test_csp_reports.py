"""Reports of the Content-Security-Policy: logged, bounded, without what may be private."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings as configured
from django.test import RequestFactory
from structlog.testing import capture_logs

from config.web import csp_reports
from config.web.csp_reports import receive_report

REPORT = {
    "document-uri": "https://chat.example.org/c/7/?secret=1#s3cret",
    "effective-directive": "script-src-elem",
    "blocked-uri": "https://evil.example/x.js?secret=2",
    "source-file": "data",
    "line-number": 7,
    "script-sample": "alert('s3cret')",
}


def send(body: bytes) -> int:
    request = RequestFactory().post("/csp-report/", body, content_type="application/csp-report")
    return receive_report(request).status_code


@pytest.fixture(autouse=True)
def fresh() -> None:
    csp_reports._bucket.cache_clear()


def test_a_report_becomes_a_line_without_queries_and_samples() -> None:
    with capture_logs() as lines:
        assert send(json.dumps({"csp-report": REPORT}).encode()) == 204
    assert lines == [
        {"event": "csp_violated", "log_level": "warning", "directive": "script-src-elem", "page": "/c/7/",
         "blocked": "https://evil.example/x.js", "source": "data", "line": 7}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"[]", 400), (b'{"csp-report": 7}', 400), (b"[" * 15_000, 400), (b"x" * 20_000, 413)],
)
def test_what_is_not_a_report_is_refused(body: bytes, status: int) -> None:
    with capture_logs() as lines:
        assert send(body) == status
    assert not lines


def test_reports_are_limited(settings: Any) -> None:
    settings.RATE_CSP_REPORTS = "3/m"
    with capture_logs() as lines:
        statuses = [send(json.dumps({"csp-report": REPORT}).encode()) for _ in range(5)]
    assert statuses == [204, 204, 204, 429, 429]
    assert len(lines) == 3


def test_the_policy_names_the_place_that_receives_reports() -> None:
    assert configured.CONTENT_SECURITY_POLICY["DIRECTIVES"]["report-uri"] == ["/csp-report/"]
    assert configured.PERMISSIONS_POLICY["microphone"] == ["self"]
    assert configured.PERMISSIONS_POLICY["camera"] == []
