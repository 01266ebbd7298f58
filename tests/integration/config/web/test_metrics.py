"""`/metrics` of real processes: who may read it, what it counts, and that its series stay few."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import time
import uuid
from collections.abc import Callable, Generator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chat.telemetry import metrics
from chat.telemetry.histogram import FrameHistogram
from tests.client import session
from tests.fixtures.stacks import stack_with_model
from tests.stack import Stack

TOKEN = "a-token-for-scrapes"


@pytest.fixture(scope="module")
def stack() -> Generator[Stack, None, None]:
    """Nobody else's, for what is counted here; of one model, so that its label is in every figure."""
    env = {"CHAT_MODELS": "small", "WORKER_METRICS_PORT": "0", "WEB_METRICS_PORT": "0"}
    with stack_with_model(web=1, workers=1, env=env) as (running, _):
        yield running


def scrape(port: int, headers: dict[str, str] | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics", headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def values(port: int) -> dict[str, float]:
    """Samples by name and labels, as they stand in the page."""
    status, text = scrape(port)
    assert status == 200
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def port_beside(stack: Stack, index: int) -> int:
    """The port that a process printed for its metrics alone."""
    [line] = [line for line in stack.processes[index].output().splitlines() if '"event": "metrics_served"' in line]
    return int(json.loads(line)["port"])


async def until(is_so: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_an_answer_is_counted_where_it_passes(stack: Stack) -> None:
    web, worker = stack.webs[0].port, port_beside(stack, 1)
    before, before_worker = values(web), values(worker)
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        accepted = await client.say("Count me [[tokens=20 rate=40]]")
        await client.ended(accepted["run_id"])
        assert values(web)["antiphon_sockets"] == 1
        assert (await client.ask("message.send", text=""))["code"] == "invalid"
        await client.close()
    closed = "antiphon_sockets_closed_total{code=1000}"
    await until(lambda: values(web)[closed] == before[closed] + 1)
    now, now_worker = values(web), values(worker)

    def grew(name: str) -> float:
        return now[name] - before.get(name, 0)

    def grew_in_worker(name: str) -> float:
        return now_worker[name] - before_worker.get(name, 0)

    assert grew("antiphon_sockets_opened_total") == 1
    assert grew("antiphon_tickets_total{result=issued}") == 1
    assert grew("antiphon_commands_total{result=ok,type=MessageSend}") == 1
    assert grew("antiphon_command_seconds_count") == 1
    assert grew("antiphon_errors_sent_total{code=invalid}") == 1
    assert grew("antiphon_events_sent_total") >= 5
    assert grew("antiphon_frames_sent_total") >= grew("antiphon_events_sent_total") + 2  # hello, accepted
    assert grew("antiphon_sent_bytes_total") > 500
    assert grew("antiphon_frames_received_total") >= 3
    assert grew("antiphon_layer_dispatched_total") >= 5
    assert grew_in_worker("antiphon_runs_ended_total{outcome=done}") == 1
    assert grew_in_worker("antiphon_first_token_seconds_count") == 1
    assert grew_in_worker("antiphon_queue_wait_seconds_count") == 1
    assert grew_in_worker("antiphon_run_seconds_count") == 1
    assert grew_in_worker("antiphon_tokens_total{direction=output,model=small}") == 20
    assert 1 <= grew_in_worker("antiphon_token_gap_seconds_count") < 20
    assert 0 < grew_in_worker("antiphon_token_gap_seconds_sum") < 10
    assert grew("antiphon_event_lag_seconds_count") >= 2, "started and done; what came before is read from the log"
    assert now["antiphon_event_lag_seconds_bucket{le=5.0}"] == now["antiphon_event_lag_seconds_bucket{le=+Inf}"]
    assert now["antiphon_workers"] == 1
    assert now["antiphon_queue_jobs"] == 0
    assert now_worker["antiphon_run_slots"] > 0
    assert "antiphon_workers" not in now_worker


async def test_money_repeats_resumes_and_denials_are_counted(stack: Stack) -> None:
    stack.sql(
        "INSERT INTO accounts_price (endpoint, model, valid_from, input_per_million, output_per_million,"
        " audio_per_minute) VALUES ('', 'small', now() - interval '1 day', 0, 1000, 0)"
    )
    web, worker = stack.webs[0].port, port_beside(stack, 1)
    before, before_worker = values(web), values(worker)
    async with session(stack.url, "alice@example.org") as alice, session(stack.url, "bob@example.org") as bob:
        client, other = await alice.connect(), await bob.connect()
        again = str(uuid.uuid4())
        accepted = await client.say("What does it cost? [[tokens=20 rate=200]]", client_id=again)
        await client.ended(accepted["run_id"])
        assert (await client.say("What does it cost? [[tokens=20 rate=200]]", client_id=again))["duplicate"]
        place = {"conversation_id": accepted["conversation_id"]}
        snapshot = await client.ask("subscribe", **place)
        assert (await client.ask("subscribe", **place, position=snapshot["position"]))["recovered"]
        assert (await other.ask("subscribe", **place))["code"] == "not_found"
        await client.close()
        await other.close()
    now, now_worker = values(web), values(worker)
    resumes = [f"antiphon_resumes_total{{result={result}}}" for result in ("snapshot", "recovered", "denied")]
    assert [now[name] - before[name] for name in resumes] == [1, 1, 1]
    assert now["antiphon_repeats_total"] - before["antiphon_repeats_total"] == 1
    assert now["antiphon_denials_total{reason=frames}"] == 0
    cost = "antiphon_cost_total{model=small}"
    assert now_worker[cost] - before_worker.get(cost, 0) == pytest.approx(0.02)


def test_metrics_can_be_switched_off(live: Callable[..., Stack]) -> None:
    stack = live(workers=0, env={"METRICS": "0", "WEB_METRICS_PORT": "0"})
    assert scrape(stack.webs[0].port)[0] == 404
    assert '"event": "metrics"' not in stack.webs[0].output()


def test_labels_of_models_are_few_and_never_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_labels", set())
    monkeypatch.setattr(metrics, "_offered", {f"model-{n}" for n in range(100)})
    assert metrics.label_of("what I typed") == "other"
    found = [metrics.label_of(f"model-{n}") for n in range(100)]
    assert found == [f"model-{n}" for n in range(metrics.MODELS)] + ["other"] * (100 - metrics.MODELS)
    assert metrics.label_of("model-0") == "model-0"


def test_buckets_count_what_is_at_most_their_bound() -> None:
    buckets = FrameHistogram((0.1, 1.0))
    buckets.observe([0.05, 0.1, 0.5, 7])
    [family] = [buckets.family("antiphon_test_seconds", "A test.")]
    samples = {(sample.name, sample.labels.get("le")): sample.value for sample in family.samples}
    assert samples == {
        ("antiphon_test_seconds_bucket", "0.1"): 2,
        ("antiphon_test_seconds_bucket", "1.0"): 3,
        ("antiphon_test_seconds_bucket", "+Inf"): 4,
        ("antiphon_test_seconds_count", None): 4,
        ("antiphon_test_seconds_sum", None): pytest.approx(7.65),
    }


async def test_an_endpoint_that_fails_is_counted_by_code(stack: Stack) -> None:
    worker = port_beside(stack, 1)
    name = "antiphon_upstream_errors_total{code=upstream_unauthorized}"
    before = values(worker)
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        accepted = await client.say("[[status=401]]")
        run = await client.ended(accepted["run_id"])
        assert run["ended"] == "run.failed", run
        await client.close()
    after = values(worker)
    assert {key for key in after if "upstream_errors" in key and after[key] > before[key]} == {name}
    assert after["antiphon_runs_ended_total{outcome=failed}"] == before["antiphon_runs_ended_total{outcome=failed}"] + 1


def test_a_refused_handshake_is_counted(stack: Stack) -> None:
    web = stack.webs[0].port
    name = "antiphon_handshakes_refused_total{reason=origin}"
    before = values(web)[name]
    connection = http.client.HTTPConnection("127.0.0.1", web, timeout=5)
    connection.request(
        "GET", "/ws/",
        headers={
            "Connection": "Upgrade", "Upgrade": "websocket", "Origin": "https://evil.example",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    )  # fmt: skip
    assert connection.getresponse().status == 403
    connection.close()
    assert values(web)[name] == before + 1


def test_every_name_has_a_help_text_one_prefix_and_few_series(stack: Stack) -> None:
    for port in (stack.webs[0].port, port_beside(stack, 0), port_beside(stack, 1)):
        _, text = scrape(port)
        families = list(text_string_to_metric_families(text))
        assert families
        assert all(family.name.startswith("antiphon_") and family.documentation for family in families)
        assert sum(len(family.samples) for family in families) < 400
        labels = [value for family in families for sample in family.samples for value in sample.labels.values()]
        assert not [value for value in labels if re.search(r"[0-9a-f]{8}|@|/", value)], "an id, an address, a path"
        assert "example.org" not in text


def test_a_proxy_in_front_is_not_this_machine(stack: Stack) -> None:
    for port in (stack.webs[0].port, port_beside(stack, 1)):
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
            status, text = scrape(port, {name: "203.0.113.9"})
            assert status == 403
            assert "antiphon_" not in text


@pytest.mark.parametrize(
    ("token", "client", "headers", "expected"),
    [
        ("", "127.0.0.1", {}, True),
        ("", "::1", {}, True),
        ("", "::ffff:127.0.0.1", {}, True),
        ("", "10.0.0.7", {}, False),
        ("", "", {}, False),
        ("", "10.0.0.7", {"authorization": "Bearer "}, False),
        (TOKEN, "127.0.0.1", {}, False),
        (TOKEN, "10.0.0.7", {"authorization": f"Bearer {TOKEN}"}, True),
        (TOKEN, "10.0.0.7", {"authorization": f"Bearer {TOKEN}x"}, False),
        (TOKEN, "10.0.0.7", {"authorization": f"Basic {TOKEN}"}, False),
        (TOKEN, "10.0.0.7", {"authorization": "Bearer é"}, False),
    ],
)
def test_who_may_read(settings: Any, token: str, client: str, headers: dict[str, str], expected: bool) -> None:
    from config.web.metrics import may_read

    settings.METRICS_TOKEN = token
    assert may_read(client, headers) is expected


def test_without_redis_the_page_still_comes(live: Callable[..., Stack]) -> None:
    stack = live(workers=0)
    assert values(stack.webs[0].port)["antiphon_workers"] == 0
    stack.redis.kill()
    began = time.monotonic()
    found = values(stack.webs[0].port)
    assert time.monotonic() - began < 5
    assert "antiphon_workers" not in found, "an old figure would keep an alert quiet"
    assert found["antiphon_sockets"] == 0


def test_a_taken_port_does_not_stop_a_process(settings: Any) -> None:
    from config.web.metrics import serve_beside

    settings.METRICS_HOST, settings.METRICS_TOKEN = "127.0.0.1", ""
    port = serve_beside(0, shared=False)
    assert port is not None
    assert serve_beside(port, shared=False) is None
    assert serve_beside(None, shared=False) is None
    assert values(port)["antiphon_frames_sent_total"] == metrics.counted.frames_sent


def test_the_cost_per_frame_is_next_to_nothing() -> None:
    """400 streams are some 10,000 frames a second: a lock or a system call for each would cost far more than this."""
    rounds = 200_000
    counted, best, gaps = metrics.Counted(), 1.0, FrameHistogram(metrics.token_gap.bounds)
    some = [0.001 * n for n in range(100)]
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(rounds):
            counted.frames_sent += 1
            counted.bytes_sent += 100
            counted.events_sent += 1
        for _ in range(rounds // len(some)):
            gaps.observe(some)
        best = min(best, (time.perf_counter() - began) / rounds)
    assert best < 2e-5, f"{best * 1e9:.0f} ns"
