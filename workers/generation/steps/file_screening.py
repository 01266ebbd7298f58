"""What moderation lets a model have of the files of its branch: rules first, then the judges of files.

The answer waits for the verdict, for each file at most as long as the judgement of an answer may take. All that the
model would get of a file is judged: its name, its text or passages, and its images where the judge reads images. A
verdict that finds nothing is remembered by this worker, so that later answers with the same file wait for nobody.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import structlog
from cachetools import TTLCache

from accounts.lib.db import in_db
from chat.files.uses import UsedFile
from chat.models import FileUseKind
from chat.models.moderation import Action, Direction
from chat.moderation.attached_files import (
    MOST_QUOTED,
    NOTHING_KNOWN,
    ScreenedFile,
    Standing,
    as_file_finding,
    open_file_case,
    read_standings,
    screen_file,
)
from chat.moderation.cases import Finding
from chat.runs.context import ClaimedRun
from workers.files.giving import Given, not_at_all, saying
from workers.files.knowledge import Passages
from workers.generation.judging_costs import count_judgements, record_costs
from workers.generation.services import Services
from workers.generation.steps.stored import through_outages
from workers.moderation.base import PICTURE_TYPES, Picture
from workers.moderation.findings import finding_of_judgements
from workers.moderation.judge import Judge, Judgement

AT_ONCE: Final = 4  # files that are judged at the same time
REMEMBERED_SECONDS: Final = 24 * 3600.0
WITHHELD: Final = "This site's rules do not let you have its contents."
UNCHECKED: Final = "Its contents could not be checked just now, so you do not have them."

T = TypeVar("T")
Clean = tuple[str, int, bytes]  # a judge, its version, and the digest of what it has found nothing in

_clean: TTLCache[Clean, bool] = TTLCache(maxsize=20_000, ttl=REMEMBERED_SECONDS)
logger = structlog.get_logger(__name__)


async def screen_files(services: Services, run: ClaimedRun, given: Sequence[Given]) -> list[Given]:
    """The files as the model may get them, in their order; opens the cases of what is found. Raises a database error
    after a long outage.
    """
    if not any(one.said or one.images for one in given):
        return list(given)
    judges = services.judges.of(Direction.FILES)
    standings, screened = await through_outages(lambda: in_db(_by_rules, run, given))
    return await _some_at_once(
        _screened(services, run, judges, file, ruled, standings.get(file.file.id, NOTHING_KNOWN))
        for file, ruled in zip(given, screened, strict=True)
    )


async def screen_passages(services: Services, run: ClaimedRun, files: Sequence[Passages]) -> list[Passages]:
    """The passages of files of collections as the model may get them, file by file; opens the cases of what is found.
    Raises a database error after a long outage.
    """
    if not files:
        return []
    judges = services.judges.of(Direction.FILES)
    standings, screened = await through_outages(lambda: in_db(_passages_by_rules, run, files))
    return await _some_at_once(
        _screened_passages(services, run, judges, file, ruled, standings.get(file.file.id, NOTHING_KNOWN))
        for file, ruled in zip(files, screened, strict=True)
    )


async def _some_at_once(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in their order, of `AT_ONCE` files at the same time."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(work: Coroutine[Any, Any, T]) -> T:
        async with free:
            return await work

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(work)) for work in works]
    return [task.result() for task in tasks]


def _passages_by_rules(
    run: ClaimedRun, files: Sequence[Passages]
) -> tuple[dict[uuid.UUID, Standing], list[list[ScreenedFile]]]:
    standings = read_standings([one.file.id for one in files])
    return standings, [
        [
            screen_file(one.file.name, text, run.user_id, run.model, standings.get(one.file.id, NOTHING_KNOWN))
            for text in one.texts
        ]
        for one in files
    ]


async def _screened_passages(
    services: Services,
    run: ClaimedRun,
    judges: Sequence[Judge],
    passages: Passages,
    ruled: Sequence[ScreenedFile],
    standing: Standing,
) -> Passages:
    texts = [one.text for one in ruled if one.text is not None]
    said = "\n\n".join(texts)
    given = Given(passages.file, said, UsedFile(passages.file.id, FileUseKind.PASSAGES, 0, 0), said=said)
    # One case for a file: that of a passage for which it is withheld, if there is one.
    if found := sorted((one for one in ruled if one.finding is not None), key=lambda one: one.text is not None):
        assert found[0].finding is not None
        await _open_case(given, found[0].finding, found[0].original)
    asked = [one for one in judges if _key(one) not in standing.released]
    if len(texts) < len(ruled) or any(_key(one) in standing.withheld_by for one in asked):
        given = _withheld(given, run)
    elif asked:
        given = await _judged(services, run, asked, given)
    reason = given.used.reason if given.used.kind == FileUseKind.NONE else ""
    return Passages(passages.file, () if reason else texts, reason)


def _by_rules(run: ClaimedRun, given: Sequence[Given]) -> tuple[dict[uuid.UUID, Standing], list[ScreenedFile]]:
    standings = read_standings([one.file.id for one in given])
    return standings, [
        screen_file(one.file.name, one.said, run.user_id, run.model, standings.get(one.file.id, NOTHING_KNOWN))
        for one in given
    ]


async def _screened(
    services: Services,
    run: ClaimedRun,
    judges: Sequence[Judge],
    given: Given,
    ruled: ScreenedFile,
    standing: Standing,
) -> Given:
    if ruled.finding is not None:
        await _open_case(given, ruled.finding, ruled.original)
    if ruled.text is None:
        return _withheld(given, run)
    if not (given.said or given.images):
        return given
    shown = given if ruled.text == given.said else _masked(given, ruled.text)
    asked = [one for one in judges if _key(one) not in standing.released]
    if any(_key(one) in standing.withheld_by for one in asked):
        return _withheld(given, run)
    return await _judged(services, run, asked, shown) if asked else shown


async def _judged(services: Services, run: ClaimedRun, judges: Sequence[Judge], given: Given) -> Given:
    text = f"{given.file.name}\n\n{given.said}".strip()
    pictures = [Picture(one.media_type, one.content) for one in given.images if one.media_type in PICTURE_TYPES]
    digest = _digest(text, pictures)
    asked = [one for one in judges if (*_key(one), digest) not in _clean]
    if not asked:
        return given
    judgements = await services.judges.judge(asked, text, behind=True, pictures=pictures)
    _remember(judgements, digest)
    count_judgements(judgements)
    if spent := [one for judgement in judgements for one in judgement.spent]:
        services.spawn(record_costs(run.conversation_id, spent))
    found = finding_of_judgements(judgements, answered=False)
    if found.finding is not None:
        await _open_case(given, as_file_finding(found.finding), text[:MOST_QUOTED])
        if found.finding.action is not Action.FLAG:
            return _withheld(given, run)
    if found.refused:
        logger.info("file_not_checked", file=str(given.file.id), run=str(run.id))
        return not_at_all(given.file, "unchecked", UNCHECKED)
    return given


def _remember(judgements: Sequence[Judgement], digest: bytes) -> None:
    for one in judgements:
        if not one.away and not one.hits:
            _clean[one.judge.id, one.judge.version, digest] = True


def _digest(text: str, pictures: Sequence[Picture]) -> bytes:
    seen = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for picture in pictures:
        seen.update(hashlib.sha256(picture.content).digest())
    return seen.digest()


def _key(judge: Judge) -> tuple[str, int]:
    return judge.definition.id, judge.definition.version


async def _open_case(given: Given, finding: Finding, original: str) -> None:
    await through_outages(lambda: in_db(open_file_case, given.file.id, finding, original))


def _withheld(given: Given, run: ClaimedRun) -> Given:
    logger.info("file_withheld_from_model", file=str(given.file.id), run=str(run.id))
    return not_at_all(given.file, "moderated", WITHHELD)


def _masked(given: Given, text: str) -> Given:
    used = given.used
    return replace(saying(given, text), used=UsedFile(used.file_id, used.kind, used.given, used.total, "masked"))
