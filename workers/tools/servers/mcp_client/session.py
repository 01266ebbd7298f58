"""A session with an MCP server, for one call at a time, so that what the server asks belongs to that call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import mcp_types as types
import structlog
from mcp.client.client import Client
from mcp.client.session import ClientRequestContext, IncomingMessage
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from chat.models import ServerKind
from workers.tools.base import Question, QuestionAskedError
from workers.tools.servers.credentials import Bearer, LastRefusal
from workers.tools.servers.http import guarded_client
from workers.tools.servers.mcp_client.changes import listen_for_changes
from workers.tools.servers.mcp_client.elicitation import answer_of, question_of
from workers.tools.servers.mcp_client.failures import explain
from workers.tools.servers.mcp_client.raw_results import bound_results
from workers.tools.servers.stored import StoredServer

OPEN_SECONDS: Final = 20.0
CLOSE_SECONDS: Final = 5.0
NOTICE_SECONDS: Final = 0.5  # for the notice of a cancelled call to go out before its session is closed
IDENTITY: Final = types.Implementation(name="antiphon", version="1")
CHILD: Final = Path(__file__).parent.parent / "stdio_child.py"

logger = structlog.get_logger(__name__)


class McpSession:
    """An open session. The package's task groups belong to one task, so a task of its own opens and closes it.

    `usable`: another call may be made. `list_changed`: the server has said that its lists changed. `skipped` are
    sentences about entries of its lists that were left out.
    """

    def __init__(self, server: StoredServer, auth: Bearer) -> None:
        self.server = server
        self.auth = auth
        self.refusal = LastRefusal()
        self.list_changed = False
        self.skipped: list[str] = []
        self.spoiled = False
        self._closing = asyncio.Event()
        self._opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._answers: Sequence[Mapping[str, Any]] = ()
        self._answered = 0
        self._question: asyncio.Future[Question] | None = None

    @property
    def usable(self) -> bool:
        return self._task is not None and not self._task.done() and not self.spoiled

    @property
    def client(self) -> Client:
        opened: Client = self._opened.result()
        return opened

    async def open(self, seconds: float = OPEN_SECONDS) -> None:
        """Connects and agrees on a protocol version. Raises `ToolError`."""
        self._task = asyncio.create_task(self._run())
        try:
            waiting: set[asyncio.Future[Any]] = {self._task, self._opened}
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if self._opened.done() and self._opened.exception() is None:
            return
        failure = self._opened.exception() if self._opened.done() else TimeoutError()
        self._task.cancel()
        assert failure is not None
        raise explain(failure, self.server.title, self.refusal, sent=False)

    async def close(self, *, notice: float = 0.0) -> None:
        """Ends the session, after `notice` seconds. Raises nothing."""
        await asyncio.sleep(notice)
        self.spoiled = True
        self._closing.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=CLOSE_SECONDS)
            self._task.cancel()

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        seconds: float,
        key: str,
        answers: Sequence[Mapping[str, Any]] = (),
        report: Callable[[str], None] = lambda sentence: None,
    ) -> types.CallToolResult:
        """The result of a call. `key` is its idempotency key. Raises `ToolError` and `QuestionAskedError`."""
        self._answers, self._answered = answers, 0

        async def show(progress: float, total: float | None, message: str | None) -> None:
            report(message or (f"{progress:g} of {total:g}" if total else f"{progress:g}"))

        meta: Any = {"idempotencyKey": key}  # the protocol allows any names here

        result: types.CallToolResult = await self.request(
            lambda client: client.call_tool(
                name, dict(arguments), read_timeout_seconds=seconds, progress_callback=show,
                meta=meta,
            ),
            seconds=seconds,
        )  # fmt: skip
        return result

    async def request(self, send: Callable[[Client], Any], *, seconds: float) -> Any:
        """What the server answers to a request. Raises `ToolError`, and `QuestionAskedError` if it asks something.

        A request that ends in any other way than with an answer is cancelled at the server, and spoils the session.
        """
        assert self._task is not None
        self.refusal.forget()
        asked: asyncio.Future[Question] = asyncio.get_running_loop().create_future()
        self._question = asked
        sending = asyncio.ensure_future(send(self.client))
        try:
            await asyncio.wait({sending, asked, self._task}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                raise QuestionAskedError(asked.result())
            if sending.done():
                return sending.result()
            raise TimeoutError if not self._task.done() else ConnectionError
        except (QuestionAskedError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 -- whatever the package lets through
            failure = explain(error, self.server.title, self.refusal, sent=True)
            if not sending.done() or self.refusal.status or failure.uncertain:
                self.spoiled = True
        finally:
            self._question = None
            if not sending.done():
                self.spoiled = True
                sending.cancel()
                await asyncio.wait({sending}, timeout=CLOSE_SECONDS)
            if sending.done() and not sending.cancelled():
                sending.exception()  # it is read, so that nothing logs it
        raise failure

    # --- the task that has it open --------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                legacy = self.server.kind == ServerKind.MCP_SSE or self.server.protocol in HANDSHAKE_PROTOCOL_VERSIONS
                client = Client(
                    self._connect(),
                    elicitation_callback=self._elicit,
                    message_handler=self._notice,
                    client_info=IDENTITY,
                    mode="legacy" if legacy else "auto",
                    cache=None,
                )
                await stack.enter_async_context(client)
                bound_results(client, self.skipped.append)
                client.session.validate_tool_result = _accept_any  # type: ignore[method-assign]  # a server may lie
                stack.callback(asyncio.create_task(listen_for_changes(client, self._note_change)).cancel)
                self._opened.set_result(client)
                await self._closing.wait()
        except asyncio.CancelledError as error:
            self._fail(error.__cause__ or ConnectionError())
        except BaseException as error:  # noqa: BLE001 -- reported by who waits for it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._opened.done():
            self._opened.set_exception(error)
            self._opened.exception()

    def _connect(self) -> Any:
        server = self.server
        if server.kind == ServerKind.MCP_STDIO:
            return stdio_client(stdio_parameters(server))
        if server.kind == ServerKind.MCP_SSE:
            return sse_client(server.address, httpx_client_factory=self._make_client, sse_read_timeout=server.timeout)
        return self._streamable()

    @asynccontextmanager
    async def _streamable(self) -> AsyncGenerator[Any, None]:
        async with self._make_client() as client, streamable_http_client(self.server.address, http_client=client) as it:
            yield it

    def _make_client(self, *_: Any, **__: Any) -> httpx2.AsyncClient:
        client = guarded_client(
            allow_private=self.server.allow_private, headers=dict(self.server.headers), auth=self.auth,
            timeout=self.server.timeout + 5,
        )  # fmt: skip
        client.event_hooks = {"request": [], "response": [self.refusal.note]}
        return client

    async def _elicit(
        self, context: ClientRequestContext, params: types.ElicitRequestParams
    ) -> types.ElicitResult | types.ErrorData:
        if self._answered < len(self._answers):
            self._answered += 1
            return answer_of(params, self._answers[self._answered - 1])
        question = question_of(params, self.server.title)
        if question is None or self._question is None:
            return types.ElicitResult(action="decline")
        if not self._question.done():
            self._question.set_result(question)
        await asyncio.Event().wait()  # until the session is closed: the call is made again with the answer
        raise AssertionError

    async def _notice(self, message: IncomingMessage) -> None:
        if isinstance(message, types.ToolListChangedNotification | types.PromptListChangedNotification):
            self._note_change()

    def _note_change(self) -> None:
        self.list_changed = True


async def _accept_any(name: str, result: types.CallToolResult) -> None:
    """A result counts, whatever its server's schema of results says."""


def stdio_parameters(server: StoredServer) -> StdioServerParameters:
    """The child process of a server of the settings: started by a program of ours that sets its limits."""
    found = server.stdio
    limits = [str(found.get("memory_mb", 1024))]
    return StdioServerParameters(
        command=sys.executable,
        args=["-I", str(CHILD), *limits, found["command"], *found.get("args", [])],
        env=found.get("env") or None,
        cwd=found.get("cwd") or None,
        encoding_error_handler="replace",
    )


def close_soon(session: McpSession) -> None:
    """Closes a session in a task of its own, after the notice of what was cancelled."""
    task = asyncio.get_running_loop().create_task(session.close(notice=NOTICE_SECONDS))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def wait_closing() -> None:
    """Returns when the sessions of this loop that are being closed are closed."""
    loop = asyncio.get_running_loop()
    while tasks := [task for task in _closing if task.get_loop() is loop]:
        await asyncio.wait(tasks)


_closing: set[asyncio.Task[None]] = set()
