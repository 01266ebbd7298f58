"""Traces: one of a message's whole way, none where nobody collects them, and no harm from a collector that is away."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import format_span_id

from chat.protocol.errors import Busy
from chat.telemetry import tracing as tracing_module
from config.observability import tracing
from tests.client import session
from tests.fakes.collector import Collector, Seen
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import ROOT, Stack, run_stack

KEY = "sk-not-in-any-trace"
WORDS = "words-not-in-any-trace"
PAGE = "00f067aa0ba902b7"  # the client's span


def traceparent(digit: str, flags: str = "01") -> str:
    return f"00-{digit * 32}-{PAGE}-{flags}"


@pytest.fixture
def black_hole() -> Generator[str, None, None]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(autouse=True)
def off_again() -> Generator[None, None, None]:
    yield
    tracing.stop()


def model_env(upstream: FakeOpenAI, endpoint: str) -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": upstream.url,
        "OPENAI_API_KEY": KEY,
        "CHAT_MODELS": "small",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


async def say(stack: Stack, text: str, trace: str, collector: Collector | None = None) -> str:
    """Sends one message under a trace and waits for the answer, and for both ends of its trace; the run's id."""
    async with session(stack.url, "alice@example.org") as alice:
        client = await alice.connect()
        accepted = await client.say(text, traceparent=trace)
        await client.ended(accepted["run_id"])
        if collector is not None:
            await asyncio.to_thread(collector.until, whole(tracing_module.trace_id(trace)))
        await client.close()
    return str(accepted["run_id"])


def whole(trace: str) -> Any:
    """Whether both ends of a trace have come in."""

    def look(spans: list[Seen]) -> bool:
        return {"message.send", "run", "deliver"} <= {span.name for span in spans if span.trace == trace}

    return look


async def test_one_trace_from_the_client_to_the_model_and_back() -> None:
    with FakeOpenAI() as upstream, Collector() as collector:
        env = model_env(upstream, collector.url)
        with run_stack(web=1, workers=1, env=env) as stack:
            few, many, failed = (digit * 32 for digit in "abc")
            await say(stack, f"{WORDS} [[tokens=5 rate=200]]", traceparent("a"), collector)
            run_id = await say(stack, f"{WORDS} [[tokens=300 rate=400]]", traceparent("b"), collector)
            await say(stack, f"{WORDS} [[status=401]]", traceparent("c"), collector)
            await asyncio.to_thread(
                collector.until, lambda spans: len([span for span in spans if span.name == "socket"]) == 3
            )
            [row] = stack.sql("SELECT trace_id FROM chat_run WHERE id = %s", run_id)
            assert row["trace_id"] == many
            told = [json.loads(line) for line in stack.workers[0].output().splitlines() if '"run_ended"' in line]
            assert [line["trace"] for line in told] == [few, many, failed]
            assert all({"user", "conversation", "run"} <= set(line) for line in told)
    spans = {span.name: span for span in collector.of(many)}
    parents = {
        "message.send": PAGE,
        "turn": "message.send",
        "send generate": "message.send",
        "announce": "message.send",
        "run": "send generate",
        "claim": "run",
        "context": "run",
        "chat small": "run",
        "flush": "run",
        "render": "run",
        "commit": "run",
        "deliver": "run",
    }
    assert {name: span.parent for name, span in spans.items()} == {
        name: spans[parent].id if parent in spans else parent for name, parent in parents.items()
    }
    assert len(collector.of(many)) == len(parents), "each once"
    assert {span.name for span in collector.of(few)} == set(parents), "no more for 300 tokens than for five"
    web = {"message.send", "turn", "send generate", "announce", "deliver"}
    assert {name for name, span in spans.items() if span.service == "antiphon-web"} == web
    assert {span.service for name, span in spans.items() if name not in web} == {"antiphon-worker"}
    assert [spans[name].kind for name in ("message.send", "send generate", "run", "chat small")] == [
        "server", "producer", "consumer", "client",
    ]  # fmt: skip
    call = spans["chat small"]
    assert call.events == ["request", "first_token"]
    assert {
        name: call.attributes[name] for name in call.attributes if "time_to" not in name and "cache" not in name
    } == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "small",
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": spans["run"].attributes["gen_ai.conversation.id"],
        "gen_ai.usage.input_tokens": call.attributes["gen_ai.usage.input_tokens"],
        "gen_ai.usage.output_tokens": 300,
        "server.address": "127.0.0.1",
        "server.port": call.attributes["server.port"],
    }
    assert 0 < call.attributes["gen_ai.response.time_to_first_chunk"] < 10
    assert spans["run"].events == ["first_words_in_log"]
    assert spans["deliver"].events == ["last_frame_sent", "acknowledged"]
    refused = {span.name: span for span in collector.of(failed)}
    assert refused["chat small"].attributes["error.type"] == "upstream_unauthorized"
    assert (refused["chat small"].failed, refused["run"].failed) == (True, True)
    sockets = [span for span in collector.spans if span.name == "socket"]
    assert [set(span.links) for span in sockets] == [{few}, {many}, {failed}]
    assert len({span.trace for span in sockets} | {few, many, failed}) == 6, "a socket's life is a trace of its own"
    assert [span.attributes["antiphon.close.code"] for span in sockets] == [1000] * 3
    for body in collector.raw:
        for secret in (WORDS, "tok7", KEY, "alice@example.org"):
            assert secret.encode() not in body


async def test_a_collector_that_never_answers_is_not_waited_for(black_hole: str) -> None:
    with FakeOpenAI() as upstream, run_stack(env=model_env(upstream, black_hole)) as stack:
        for _ in range(2):
            await say(stack, "Hello [[tokens=5]]", traceparent("d"))
        for process in stack.processes:
            process.kill(signal.SIGTERM)
        began = time.monotonic()
        assert [process.wait(15) for process in stack.processes] == [0, 0]
        assert time.monotonic() - began < 12
        assert "traces_dropped" in stack.workers[0].output()


def settled(settings: Any, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    settings.TRACES_ENDPOINT = endpoint
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)


@pytest.mark.parametrize("away", ["refuses", "silent"])
def test_what_nobody_takes_is_dropped(
    settings: Any, monkeypatch: pytest.MonkeyPatch, black_hole: str, away: str
) -> None:
    settled(settings, monkeypatch, black_hole if away == "silent" else "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "600")
    tracing.start("test")
    began = time.perf_counter()
    for _ in range(5_000):
        tracing_module.start_span("one of many", parent=traceparent("e")).end()
    assert time.perf_counter() - began < 30, "somebody waited: ten queues, each for 10 s"
    assert tracing._provider is not None
    [processor] = tracing._provider._active_span_processor._span_processors
    assert len(processor._batch_processor._queue) <= 600  # type: ignore[attr-defined]  # of BatchSpanProcessor
    began = time.perf_counter()
    tracing.stop()
    assert time.perf_counter() - began < tracing.STOP_SECONDS + 1
    assert tracing_module.start_span("after") is tracing_module.NO_SPAN


def test_without_an_endpoint_there_is_nothing() -> None:
    tracing.start("test")
    assert not tracing_module.is_enabled()
    assert tracing_module.start_span("any", attributes={"a": 1}) is tracing_module.NO_SPAN
    with tracing_module.span("any", attributes={"a": 1}) as span:
        assert span is tracing_module.NO_SPAN
        assert tracing_module.traceparent_of(span) == ""
    loaded = (
        "import sys, django; django.setup(); import config.asgi, config.observability.tracing, chat.realtime.consumer; "
        "config.observability.tracing.start('web'); "
        "sys.exit('opentelemetry.sdk.trace' in sys.modules or 'opentelemetry.exporter' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", loaded], cwd=ROOT, env=dict(os.environ), check=True)


def test_missing_packages_are_told(
    settings: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settled(settings, monkeypatch, "http://127.0.0.1:9")
    said: list[str] = []
    monkeypatch.setattr(tracing, "PACKAGES", ("opentelemetry.no_such_thing",))
    monkeypatch.setattr(tracing.logger, "warning", lambda event, **fields: said.append(f"{event} {fields['note']}"))
    tracing.start("test")
    assert not tracing_module.is_enabled()
    assert said == [f"tracing_not_started {tracing.MISSING}"]
    assert tracing.check_collector() == (
        False,
        "Traces are configured, but their packages are missing.",
        tracing.MISSING,
    )
    monkeypatch.setattr(tracing, "PACKAGES", ("no_such_thing.at_all",))
    assert not tracing.is_installed()


def test_the_doctor_looks_at_the_collector(settings: Any, monkeypatch: pytest.MonkeyPatch, black_hole: str) -> None:
    assert tracing.check_collector() == (True, "Traces are not collected.", "")
    settled(settings, monkeypatch, "http://127.0.0.1:9")
    well, said, _ = tracing.check_collector()
    assert not well
    assert "Cannot connect to the trace collector at 127.0.0.1:9" in said
    settled(settings, monkeypatch, black_hole)
    assert tracing.check_collector()[0]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert not tracing.check_collector()[0]
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not tracing.is_configured()


class Memory:
    """Spans made in this process, with a sampler."""

    def __init__(self, sampler: Sampler) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=tracing._ignoring_client_flags(sampler), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        tracing_module.install(provider.get_tracer("test"))

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.exporter.get_finished_spans()]


@pytest.mark.parametrize(
    ("sampler", "flags", "expected"),
    [
        (ParentBased(ALWAYS_ON), "00", ["command", "job"]),
        (ParentBased(ALWAYS_OFF), "01", []),
    ],
)
def test_a_client_does_not_say_what_is_recorded(sampler: Sampler, flags: str, expected: list[str]) -> None:
    memory = Memory(sampler)
    kind = tracing_module.SpanKind
    command = tracing_module.start_span("command", kind.SERVER, parent=traceparent("f", flags), by_client=True)
    parent = tracing_module.traceparent_of(command)
    tracing_module.start_span("job", kind.CONSUMER, parent=parent).end()  # ours: its flags count
    command.end()
    assert sorted(memory.names) == expected
    assert tracing_module.trace_id(parent) == "f" * 32


def test_what_begins_within_belongs_to_it_and_failures_are_named_without_their_words() -> None:
    memory = Memory(ParentBased(ALWAYS_ON))
    outer = tracing_module.start_span("outer", parent="")

    def fail() -> None:
        with tracing_module.use_span(outer):
            tracing_module.start_span("inner").end()
            raise Busy(WORDS)

    with pytest.raises(Busy):
        fail()
    inner, ended = memory.exporter.get_finished_spans()
    assert inner.parent is not None
    assert format_span_id(inner.parent.span_id) == tracing_module.traceparent_of(outer)[36:52]
    assert ended.parent is None
    assert dict(ended.attributes or {}) == {"error.type": "busy"}
    assert WORDS not in ended.to_json()
