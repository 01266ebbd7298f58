"""The numbers in docs/security.md and docs/reliability.md are those of the code, and so are their lists."""

from __future__ import annotations

import ast
import contextlib
import functools
import re
from pathlib import Path
from typing import Any, Final

import pytest

from accounts.auth.counters import SECURITY_EVENTS
from config.stack.postgres import QUIET

ROOT = Path(__file__).parents[3]
# A sentence with a group for each number (also where it is written as a word), and where the number stands in the code:
# `file:expression` of the constants of that file.
SECURITY: Final = {
    r"valid for (\d+) s, stored": ["accounts/auth/tickets.py:LIFETIME"],
    r"re-check PostgreSQL every (\d+) minutes anyway": ["chat/realtime/upkeep.py:CHECK_SECONDS / 60"],
    r"(\d+) KiB per frame \(so": ["chat/protocol/limits.py:MAX_FRAME_BYTES / 1024"],
    r"(\d+) malformed frames within a minute": ["chat/realtime/command_runner.py:MALFORMED_LIMIT"],
    r"above (\d+) KiB the connection ends unread": ["chat/protocol/limits.py:HARD_FRAME_BYTES / 1024"],
    r"at most (\d+) terms, however": ["chat/search/queries.py:MAX_TERMS"],
    r"ends after (\d+) s, the search for typing errors after ([\d.]+) s": [
        "chat/search/finding.py:SEARCH_SECONDS", "chat/search/finding.py:TYPO_SECONDS",
    ],
    r"headers within (\d+) s, a body within (\d+) s and at (\d+) KiB/s": [
        "config/web/deadlines.py:HEAD_SECONDS", "config/web/deadlines.py:BODY_SECONDS",
        "config/web/deadlines.py:BODY_BYTES_PER_SECOND / 1024",
    ],
    r"at most (\d+) MB and (\d+) values an entry, (\d+) entries, (\d+) GB unpacked": [
        "chat/portability/json_stream.py:MAX_ENTRY / 1048576", "chat/portability/json_stream.py:MAX_VALUES",
        "chat/portability/json_stream.py:MAX_ENTRIES", "chat/portability/archive.py:MAX_BYTES / 1073741824",
    ],
    r"(\d+) answers are spoken to one user at a time, (\d+) sentences ahead": [
        "chat/realtime/speaking.py:OF_A_USER", "chat/realtime/speaking.py:AHEAD",
    ],
    r"after (\d+) s without any reading": ["config/web/deadlines.py:READ_SECONDS"],
    r"one per user and (\d+) per web process at a time, for at most (\d+) s": [
        "chat/jobs/worker_replies.py:MOST_WAITING", "chat/jobs/worker_replies.py:WAIT_SECONDS",
    ],
    r"(\d+) KiB of unacknowledged events, (\d+) KiB in the server's buffer": [
        "chat/protocol/limits.py:WINDOW_BYTES / 1024", "config/web/websocket.py:MAX_BUFFERED_BYTES / 1024",
    ],
    r"killed after (\d+) s, with limits of CPU time \((\d+) s\) and memory \((\d+) MiB\)": [
        "chat/markdown/pool.py:RENDER_SECONDS", "chat/markdown/pool.py:CPU_SECONDS",
        "chat/markdown/pool.py:MEMORY_BYTES / 1048576",
    ],
    r"at most (\d+) combining marks": ["chat/protocol/marks.py:MOST_MARKS"],
    r"have (\d+) threads of their own in each web process, and wait in a line for them: (\d+) of them, (\d+) of one": [
        "config/web/password_line.py:THREADS", "config/web/password_line.py:MOST",
        "config/web/password_line.py:MOST_OF_NETWORK",
    ],
    r"at most (\d+) tools, (\d+) KiB a schema, (\d+) values in all schemas": [
        "workers/tools/servers/listing.py:MAX_TOOLS", "workers/tools/servers/schemas.py:MAX_SCHEMA_CHARS / 1024",
        "workers/tools/servers/schemas.py:MAX_DOCUMENT_NODES",
    ],
    r"bodies of at most (\d+) MB, never decompressed": ["workers/tools/servers/http.py:MAX_BODY_BYTES / 1048576"],
    r"at most (\d+) sessions with tool servers in use in a worker process, of .* and one server at most (\d+)": [
        "workers/tools/servers/pool.py:SESSIONS_OF_A_USER", "workers/tools/servers/pool.py:SESSIONS_AT_ONCE",
    ],
    r"with (\d+) GiB of address space, (\d+) s of CPU time, (\d+) s in all": [
        "workers/files/recognising.py:MEMORY_BYTES / 1073741824", "workers/files/recognising.py:CPU_SECONDS",
        "workers/files/recognising.py:SECONDS",
    ],
    r"Each worker process has (\d+) child processes for it": ["chat/markdown/pool.py:PROCESSES"],
    r"(\d+) characters, (\d+) lines, (\d+) levels of nesting, .* (\d+) opening brackets and (\d+) marks": [
        "chat/markdown/limits.py:MAX_RICH_CHARS", "chat/markdown/limits.py:MAX_LINES",
        "chat/markdown/limits.py:MAX_NESTING", "chat/markdown/limits.py:MAX_BRACKETS",
        "chat/markdown/limits.py:MAX_MARKS",
    ],
    r"up to (\d+) characters a block and (\d+) a line": [
        "chat/markdown/lexers.py:MAX_HIGHLIGHT_CHARS", "chat/markdown/lexers.py:MAX_LINE_CHARS",
    ],
    r"a block of more than (\d+) parts": ["chat/markdown/dialect.py:_MANY"],
    r"child processes were busy for more than (\d+) s": ["chat/markdown/pool.py:WAIT_SECONDS"],
    r"Up to (\d+) characters and \d+ expansions of macros": ["chat/markdown/formulas.py:MAX_CHARS"],
    r"(\d+) wrong passwords for one account within a day, from all networks together, lock it for (\d+) s": [
        "accounts/auth/guessing.py:FREE", "accounts/auth/guessing.py:FIRST_SECONDS",
    ],
    r"doubles that, up to (\d+) minutes": ["accounts/auth/guessing.py:LONGEST_SECONDS / 60"],
    r"logged in from in the last (\d+) days are not locked": ["accounts/auth/guessing.py:KNOWN_DAYS"],
    r"if the last proof is more than (\d+) minutes old": ["accounts/auth/proof.py:RECENT / 60"],
    r"At most (\d+) characters": ["accounts/sso/saml.py:LARGEST"],
    r"For (\d+) minutes they see": ["accounts/view_as.py:SECONDS / 60"],
    r"under Users → \*Approvals\*, within (\d+) days": ["accounts/four_eyes.py:WAITING_DAYS"],
}  # fmt: skip
RELIABILITY: Final = {
    r"each web and worker process checks every (\d+) s": ["chat/recovery/reaper.py:EVERY_SECONDS"],
    r"After (\d+) s if no job waits in the broker": ["chat/recovery/reaper.py:LOST_JOB_SECONDS"],
    r"not in the event log (\d+) s after its commit": ["chat/recovery/reaper.py:UNCLOSED_SECONDS"],
    r"the reaper waits (\d+) s, so that workers that live": ["chat/recovery/reaper.py:GRACE_SECONDS"],
    r"a job that kills its worker ends after (\d+)": ["chat/runs/claims.py:MAX_ATTEMPTS"],
    r"Workers look every (\d+) s whether their models": ["workers/runtime/in_step.py:ENDPOINTS_SECONDS"],
    r"is checked (\d+) times a second": ["accounts/lib/streaming.py:1 / CHECK_SECONDS"],
    r"Commands are answered within (\d+) s, with `unavailable`": ["chat/realtime/command_time.py:COMMAND_SECONDS"],
    r"each may take up to (\d+) s": ["chat/realtime/command_time.py:BUSY_SECONDS"],
    r"No statement waits longer than (\d+) s for a lock": ["config/env.py:LOCK_MS / 1000"],
    r"a transaction that is idle for (\d+) s": ["config/env.py:IDLE_TRANSACTION_MS / 1000"],
    r"a reader who takes nothing for (\d+) s is disconnected": ["config/web/deadlines.py:READ_SECONDS"],
    r"waits at most (\d+) s, and at most (\d+) do in one web process": [
        "chat/jobs/worker_replies.py:WAIT_SECONDS", "chat/jobs/worker_replies.py:MOST_WAITING",
    ],
    r"A client has (\d+) s to answer the close frame": ["config/web/websocket.py:CLOSE_SECONDS"],
    r"After (\d+) failures of a model within (\d+) s": [
        "workers/providers/circuit_breaker.py:FAILURES", "workers/providers/circuit_breaker.py:WINDOW_SECONDS",
    ],
    r"asks after ([\d.]+) s of silence .* gives the connection up after another ([\d.]+) s": [
        "chat/static/chat/js/wire/socket.js:QUIET_MS / 1000", "chat/static/chat/js/wire/socket.js:REPLY_MS / 1000",
    ],
}  # fmt: skip
CLAIMS: Final = [
    *(("docs/security.md", sentence, places) for sentence, places in SECURITY.items()),
    *(("docs/reliability.md", sentence, places) for sentence, places in RELIABILITY.items()),
]
WORDS: Final = {"two": 2, "three": 3, "four": 4, "five": 5, "seven": 7, "eight": 8, "ten": 10, "Ten": 10}


@pytest.mark.parametrize(("document", "sentence", "places"), CLAIMS, ids=lambda value: str(value)[:40])
def test_a_number_is_that_of_the_code(document: str, sentence: str, places: list[str]) -> None:
    found = re.search(sentence.replace(r"(\d+)", rf"(\d+|{'|'.join(WORDS)})"), _plain(document))
    assert found, f"{document} has no such sentence any more: change it here, too"
    assert [float(WORDS.get(number, number)) for number in found.groups()] == [_evaluate(place) for place in places]


def test_security_events_are_counted_from_the_start_and_documented() -> None:
    """A counter that is missing until the first event hides that event from `rate()`."""
    text = (ROOT / "docs/security.md").read_text().partition("## Security events")[2]
    documented = re.findall(r"`(\w+)`", text.partition(" are each an entry of the audit log")[0])
    reported = set()
    for path in (
        file for folder in ("accounts", "chat", "config", "workers") for file in (ROOT / folder).rglob("*.py")
    ):
        reported |= set(re.findall(r"\breport\(\s*request,\s*\"(\w+)\"", path.read_text()))
    assert sorted(documented) == sorted(reported)
    assert sorted(SECURITY_EVENTS) == sorted(reported)


def test_the_quiet_settings_of_postgresql_are_documented() -> None:
    text = (ROOT / "docs/security.md").read_text().partition("## Your own PostgreSQL")[2].partition("\n## ")[0]
    assert dict(re.findall(r"`(log_\w+)=(\S+?)`", text)) == QUIET


@functools.cache
def _plain(document: str) -> str:
    """The text in one line, with numbers without commas."""
    text = " ".join((ROOT / document).read_text().split())
    return re.sub(r"(?<=\d)[, ](?=\d{3}\b)", "", text)


def _evaluate(place: str) -> float:
    file, _, expression = place.partition(":")
    return float(eval(expression, {}, _constants(file)))  # noqa: S307 -- of this file


@functools.cache
def _constants(file: str) -> dict[str, Any]:
    """The constants of a file whose values it computes from numbers and its other constants. Nothing is imported."""
    text = (ROOT / file).read_text()
    if file.endswith(".js"):
        return {name: int(value) for name, value in re.findall(r"^const (\w+) = ([\d_]+);", text, re.MULTILINE)}
    found: dict[str, Any] = {}
    for node in ast.parse(text).body:
        target: ast.expr
        if isinstance(node, ast.AnnAssign):
            target, value = node.target, node.value
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        else:
            continue
        if isinstance(target, ast.Name) and value is not None:
            with contextlib.suppress(Exception):
                found[target.id] = eval(ast.unparse(value), {"__builtins__": {}}, found)  # noqa: S307
    return found
