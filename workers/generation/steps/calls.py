"""Makes the calls of one step side by side, each exactly once where it writes, and stores the results.

That a call is under way is committed before it is made, and its result after it. Whoever finds a call under way in the
rows of an earlier attempt knows that it may have happened.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from django.conf import settings

from chat.eventlog import tool_events
from chat.models import CallStatus, Step, ToolCall
from chat.runs.context import ClaimedRun
from chat.runs.questions import usable_question
from chat.runs.step_rows import Begun, CallEnd, EndedCall, begin_calls
from chat.telemetry.tool_metrics import count_tool_call
from workers.generation.run_log import RunLog
from workers.generation.steps.checks import read_arguments, tool_of, writes
from workers.generation.steps.screened_rows import end_call, open_question_case
from workers.generation.steps.screening import CallScreen, CallWithheld, ScreenedEnd, without_result
from workers.generation.steps.stored import stored
from workers.generation.tool_use.outputs import clean, clean_output
from workers.tools.base import Question, QuestionAskedError, Tool, ToolContext, ToolError, ToolResult

STILL_SECONDS: Final = 0.2
CANCEL_SECONDS: Final = 0.5  # how long a cancelled call may take to end; then it is left to itself
MOST_FILES: Final = 10  # of one call
MOST_FILE_BYTES: Final = 16 * 1024 * 1024  # of all of them together
MOST_PICTURES: Final = 8  # of one call
MOST_PICTURE_BYTES: Final = 10 * 1024 * 1024  # of all of them together
MOST_SOURCES: Final = 50
PROGRESS_SECONDS: Final = 0.25  # between two events of one call's progress
MOST_QUESTIONS: Final = 10  # of one call
ALWAYS_ASKS: Final = f"This call was ended because its tool asked more than {MOST_QUESTIONS} questions."
LATE: Final = "This call was not made: the time for tools in this answer is used up."
BROKEN: Final = "This tool failed because of an internal error."

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Asked:
    """A call that asks the person something before it can go on."""

    call: ToolCall
    sentence: str
    schema: Mapping[str, object]


@dataclass(slots=True)
class Calls:
    """The calls of one run in this worker."""

    run: ClaimedRun
    owner: str
    log: RunLog
    tools: Mapping[str, Tool]
    at_once: int
    screen: CallScreen
    asked: list[Asked] = field(default_factory=list)
    _unlogged: int = 0  # results that are stored, or about to be, and not in the log yet
    _ended_step: Step | None = None  # its end is logged after them

    async def make(self, calls: Sequence[ToolCall], seconds: float) -> None:
        """Makes these calls and stores their results. They have so many seconds together. Raises `Gone` if the run is
        not this worker's any more or was stopped. If it is cancelled, so are the calls.
        """
        if not calls:
            return
        slots = asyncio.Semaphore(self.at_once)
        deadline = time.monotonic() + seconds
        tasks = [asyncio.create_task(self._make(call, slots, deadline)) for call in calls]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            await cancel_all(tasks)

    async def _make(self, call: ToolCall, slots: asyncio.Semaphore, deadline: float) -> None:
        async with slots:
            if time.monotonic() >= deadline:
                await self.end(call, CallEnd(CallStatus.ERROR.value, LATE, len(LATE)))
                return
            begun: Begun = await stored(begin_calls, self.run, self.owner, [call.pk])
            while begun.calls and time.monotonic() >= begun.until:
                # This process stood still. Whose run it is, is asked again: another worker may have it by now.
                await asyncio.sleep(STILL_SECONDS)
                begun = await stored(begin_calls, self.run, self.owner, [call.pk])
            if begun.stopped:
                await self.end(call, CallEnd(CallStatus.ERROR.value, begun.stopped, len(begun.stopped)))
                return
            if not begun.calls:
                return  # it has ended meanwhile
            [row] = begun.calls
            until = min(time.monotonic() + settings.TOOL_CALL_SECONDS, deadline)
            try:
                end = await self._run(row, until)
            except QuestionAskedError as error:
                try:
                    question = await self._question(row, error.question)
                except ValueError as wrong:
                    end = CallEnd(CallStatus.ERROR.value, str(wrong), len(str(wrong)))
                else:
                    self.asked.append(Asked(row, question["sentence"], question["schema"]))
                    return
            await self.end(row, end)

    async def _question(self, call: ToolCall, asked: Question) -> dict[str, Any]:
        """A question as it may be asked. Raises `ValueError` for one that cannot be, and `CallWithheld`."""
        if len(call.answers) >= MOST_QUESTIONS:  # a server may ask for ever
            raise ValueError(ALWAYS_ASKS)
        usable = usable_question(clean(asked.sentence)[:1_000], asked.schema)
        sentence, schema, found = await self.screen.question(usable["sentence"], usable["schema"])
        if found is None:
            return usable
        if found.withholds:
            await self._store(call, without_result(ScreenedEnd(CallEnd(CallStatus.ERROR.value), found)))
        await stored(open_question_case, self.run, call.pk, found)
        return usable_question(sentence, schema)

    async def _run(self, call: ToolCall, until: float) -> CallEnd:
        """How a call ends. Raises `QuestionAskedError`."""
        tool = tool_of(call, self.tools)
        assert tool is not None  # it was checked, as were the arguments
        arguments = read_arguments(call.sent_arguments)
        assert isinstance(arguments, dict)
        seconds = max(until - time.monotonic(), 0.0)
        try:
            async with asyncio.timeout(seconds):
                result = await tool.run(arguments, self._context(call, until))
            return end_of(result, outside=tool.outside)
        except QuestionAskedError:
            raise
        except ToolError as error:
            detail = self.screen.plain(error.detail)
            logger.info("tool_call_failed", run=str(self.run.id), tool=call.name, detail=detail)
            sentence = clean(error.sentence)[:4_000]
            status = CallStatus.UNKNOWN if error.uncertain and writes(call, tool) else CallStatus.ERROR
            return CallEnd(status.value, sentence, len(sentence), outside=tool.outside)
        except TimeoutError:
            return _broken_off(f"This call was ended because it took longer than {seconds:.0f} seconds.", call, tool)
        except Exception:
            logger.exception("tool_call_crashed", run=str(self.run.id), tool=call.name)
            return _broken_off(BROKEN, call, tool)

    def _context(self, call: ToolCall, until: float) -> ToolContext:
        return ToolContext(
            self.run.user_id, self.run.conversation_id, self.run.id, call.pk, until,
            report=self._reporter(call), answers=tuple(call.answers),
        )  # fmt: skip

    def _reporter(self, call: ToolCall) -> Callable[[str], None]:
        """Shows the progress of a call: not more often than readers can follow."""
        said_at = float("-inf")

        def report(sentence: str) -> None:
            nonlocal said_at
            if time.monotonic() - said_at >= PROGRESS_SECONDS and sentence:
                said_at = time.monotonic()
                self.log.event(tool_events.tool_progress(self.run, call, self.screen.plain(clean(sentence))))

        return report

    async def end(self, call: ToolCall, end: CallEnd) -> None:
        """Stores the result of a call and shows it, screened. Raises `CallWithheld` if a rule withholds it."""
        await self._store(call, await self.screen.end(end))

    async def _store(self, call: ToolCall, screened: ScreenedEnd) -> None:
        self._unlogged += 1
        try:
            ended: EndedCall = await stored(end_call, self.run, self.owner, call.pk, screened)
            self.log.event(await _event_of(self.run, ended))
        finally:
            self._unlogged -= 1
        self._count(ended.call)
        if ended.step.ended_at is not None:
            self._ended_step = ended.step
        if self._ended_step is not None and not self._unlogged:  # the last one stored may be the first one logged
            self.log.event(tool_events.run_step(self.run, self._ended_step))
            self._ended_step = None
        if (withheld := screened.withholds) is not None:
            raise CallWithheld(withheld.finding.notice)

    def _count(self, call: ToolCall) -> None:
        """Counts a call for the metrics. A name that no tool has is the model's, and may be any."""
        seconds = None
        if call.started_at is not None and call.ended_at is not None:
            seconds = max(0.0, (call.ended_at - call.started_at).total_seconds())
        name = call.name if tool_of(call, self.tools) is not None else "other"
        count_tool_call(call.server, name, call.status, seconds)


async def _event_of(run: ClaimedRun, ended: EndedCall) -> tuple[bytes, bool]:
    if ended.call.status == CallStatus.OK:  # its files are read
        return await stored(tool_events.tool_result, run, ended.call, ended.step.number)
    return tool_events.tool_result(run, ended.call, ended.step.number)


def _broken_off(sentence: str, call: ToolCall, tool: Tool) -> CallEnd:
    """How a call ends of which nobody knows how far it came."""
    if not writes(call, tool):
        return CallEnd(CallStatus.ERROR.value, sentence, len(sentence))
    sentence += " It is not known whether it happened."
    return CallEnd(CallStatus.UNKNOWN.value, sentence, len(sentence))


def end_of(result: ToolResult, *, outside: bool) -> CallEnd:
    """A result as it is stored: cleaned and bounded."""
    output, chars = clean_output(result.text)
    sources = [
        {"title": clean(one.title)[:300], "url": clean(one.url)[:2_000], "passage": clean(one.passage)[:2_000]}
        for one in result.sources[:MOST_SOURCES]
    ]
    files: list[tuple[str, str, bytes]] = []
    size = 0
    for one in result.files:
        if len(files) < MOST_FILES and size + len(one.content) <= MOST_FILE_BYTES:
            files.append((clean(one.name)[:200] or "file", one.media_type[:100], one.content))
            size += len(one.content)
    if len(files) < len(result.files):
        output += f"\n[{len(result.files) - len(files)} files were left out: too many, or too large.]"
    files += _pictures(result)
    return CallEnd(
        CallStatus.ERROR.value if result.failed else CallStatus.OK.value,
        output,
        max(chars, len(output)),
        sources,
        [clean(one)[:500] for one in result.queries[:20]],
        files,
        result.cost,
        outside,
    )


def _pictures(result: ToolResult) -> list[tuple[str, str, bytes]]:
    """The pictures of a result as files, so that people see them under the permission that files have."""
    kept: list[tuple[str, str, bytes]] = []
    size = 0
    for picture in result.pictures[:MOST_PICTURES]:
        size += len(picture.content)
        if size > MOST_PICTURE_BYTES:
            break
        number = f"-{len(kept) + 1}" if len(result.pictures) > 1 else ""
        kept.append(
            (f"picture{number}.{picture.media_type.removeprefix('image/')}", picture.media_type, picture.content)
        )
    return kept


async def cancel_all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancels tasks and waits a moment for them. One that does not end is left to itself: it can store nothing."""
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    if pending:
        _, stuck = await asyncio.wait(pending, timeout=CANCEL_SECONDS)
        for task in stuck:
            task.add_done_callback(_look_at_end)
        if stuck:
            logger.warning("tool_calls_not_cancelled", calls=len(stuck))


def _look_at_end(task: asyncio.Task[None]) -> None:
    """Its error concerns nobody any more."""
    if not task.cancelled():
        task.exception()
