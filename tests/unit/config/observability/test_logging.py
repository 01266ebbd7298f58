"""Log lines, as a process writes them."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import logging, sys
import structlog
from config.observability.logging import configure
configure({"level": "INFO", "format": sys.argv[1]})
structlog.get_logger("ours").info("sent", user="u1", ticket="s3cret", input_tokens=7)
logging.getLogger("theirs").warning("came %s", "back", extra={"api_key": "s3cret", "place": "x"})
logging.getLogger("theirs").debug("not shown")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("ours").exception("failed")
"""


def run(form: str, **env: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, form], env=env, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == ""
    assert "s3cret" not in done.stderr
    return done.stderr.splitlines()


def test_json_has_one_object_a_line_with_name_level_time_and_process() -> None:
    sent, came, failed = (json.loads(line) for line in run("json", ANTIPHON_PROCESS="web1"))
    assert (sent["event"], sent["logger"], sent["level"], sent["process"]) == ("sent", "ours", "info", "web1")
    assert (sent["user"], sent["ticket"], sent["input_tokens"]) == ("u1", "…", 7)
    assert (came["event"], came["logger"], came["level"]) == ("came back", "theirs", "warning")
    assert (came["place"], came["api_key"]) == ("x", "…")
    assert "ZeroDivisionError" in failed["exception"]
    assert sent["timestamp"].endswith("Z")


def test_without_a_terminal_auto_means_json() -> None:
    assert json.loads(run("auto")[0])["event"] == "sent"
    assert "\x1b[" in run("auto", FORCE_COLOR="1")[0]


def test_human_lines_are_for_reading() -> None:
    line = run("human")[0]
    assert "sent" in line
    assert "user" in line
    assert not line.startswith("{")


ROWS = """
import logging, sys
import structlog
from django.db.utils import IntegrityError
from config.observability.logging import configure
configure({"level": "INFO", "format": sys.argv[1]})
def fail():
    try:
        # In two halves: from Python 3.13 on, a traceback shows this line, too.
        raise ValueError("null value in column x\\nDETAIL:  Failing row contains (1, s3" "cret\\nTraceback s3" "cret).")
    except ValueError as error:
        raise IntegrityError(*error.args) from error
for log in (structlog.get_logger("ours"), logging.getLogger("theirs")):
    try:
        fail()
    except IntegrityError:
        log.exception("failed")
"""


def test_the_values_of_a_row_are_not_in_a_traceback() -> None:
    for form in ("json", "human"):
        done = subprocess.run(
            [sys.executable, "-c", ROWS, form], capture_output=True, text=True, check=True, timeout=30
        )
        assert done.stderr.count("null value in column x") >= 4
        assert "s3cret" not in done.stderr


def test_a_value_from_outside_begins_no_line_and_reaches_no_terminal() -> None:
    sent = r"""structlog.get_logger("ours").info("came", name="a\nfake line\x1b[2J\x9b1m\u202e", place=["b\n"])"""
    code = CODE.partition("structlog.get_logger")[0] + sent
    done = subprocess.run([sys.executable, "-c", code, "human"], env={}, capture_output=True, text=True, check=True)
    [line] = done.stderr.splitlines()
    assert r"a\nfake line\x1b[2J\x9b1m\u202e" in line
