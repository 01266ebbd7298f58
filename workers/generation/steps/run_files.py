"""The files of one run: read once for all of its requests, and placed in the turns of each."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog
from django.conf import settings

from accounts.lib.db import in_db
from chat.catalog.access import said_of
from chat.files.sources import StoredSource
from chat.files.uses import UsedFile
from chat.models import FileState, FileUseKind, RecognitionState
from chat.runs.branch_files import BranchFile
from chat.runs.claims import Claim
from workers.files.choosing import choose_passages, choose_whole
from workers.files.giving import SHARE, Given, Sight
from workers.files.knowledge import Draft, Knowledge, number_knowledge, read_chosen
from workers.files.knowledge_pictures import find_pictures
from workers.files.loading import load_given, plan_given, refresh
from workers.generation.request_context import KnownModels, request_budget, usable_window
from workers.generation.services import Services
from workers.generation.steps.file_screening import screen_files, screen_passages
from workers.generation.steps.question_meaning import QuestionMeaning
from workers.generation.steps.stored import through_outages
from workers.providers.base import SentOptions, ToolImage

LEAST_SHARE: Final = 0.1  # of a request's tokens are for collections, however large the attached files are
LOOK_SECONDS: Final = 0.5  # between two looks at files that are still being read
EARLIER: Final = "[Files from earlier in this conversation:]"

logger = structlog.get_logger(__name__)

Path = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Source:
    """What the files are read from, as often as it takes."""

    claim: Claim
    services: Services
    files: Sequence[BranchFile]
    sight: Sight
    meaning: QuestionMeaning


@dataclass(slots=True)
class RunFiles:
    """What of the files the model gets; nothing before `load`."""

    given: list[Given] = field(default_factory=list)
    knowledge: Knowledge = field(default_factory=Knowledge)
    _source: _Source | None = None  # once it is loaded

    @property
    def is_empty(self) -> bool:
        return not self.given and not self.knowledge.text

    @property
    def sources(self) -> Sequence[StoredSource]:
        """The passages of collections that the model gets."""
        return self.knowledge.sources

    async def load(self, claim: Claim, services: Services, on_waiting: Callable[[], None]) -> None:
        """Waits for files that are still being read, up to `FILE_WAIT_SECONDS`, reads what the model gets, and has
        moderation read it.
        """
        models = services.models
        files = list(claim.files)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + settings.FILE_WAIT_SECONDS
        window = models.window_of(claim.run.model)
        sight = await self._sight(claim, models, window.endpoint)
        while any(_is_awaited(one, sight) for one in files):
            files = await _look_again(files)
            if not any(_is_awaited(one, sight) for one in files) or loop.time() > deadline:
                break
            on_waiting()
            await asyncio.sleep(LOOK_SECONDS)
        meaning = QuestionMeaning(services.embedders.current, claim.run, _question(claim), on_waiting)
        self._source = _Source(claim, services, files, sight, meaning)
        await self._read(self._source, request_budget(usable_window(window), claim.max_tokens))

    async def shrink(self, budget: int) -> None:
        """Reads less of the files and collections: for a request of at most `budget` tokens, after a model has refused
        a longer one. Of what it then gets less, the transcript says why.
        """
        if self._source is None:
            return
        before = {one.file.id: len(one.said) for one in self.given}
        await self._read(self._source, budget)
        self.given = [
            _cut(one) if len(one.said) < before.get(one.file.id, 0) and not one.used.reason else one
            for one in self.given
        ]

    async def _read(self, source: _Source, budget: int) -> None:
        claim, services = source.claim, source.services
        count = services.models.window_of(claim.run.model).count.text
        question = _question(claim)
        if source.files:
            planned = await through_outages(
                lambda: in_db(
                    plan_given, source.files, budget, source.sight, count, conversation_id=claim.run.conversation_id
                )
            )
            meaning = await source.meaning.among(planned.long)
            loaded = await through_outages(
                lambda: in_db(load_given, planned, question, budget, source.sight, count, meaning)
            )
            self.given = await screen_files(services, claim.run, loaded)
        attached = [one for one in self.given if not one.of_collection]
        if claim.has_collections:
            taken = sum(count(one.text) for one in self.given)
            room = int(max(budget * SHARE - taken, budget * LEAST_SHARE))
            self.knowledge = await self._look_up(source, question, room, count)
            pictures = await through_outages(
                lambda: in_db(find_pictures, claim.run, question, source.sight, attached)
            )  # fmt: skip
            self.given = [*attached, *await screen_files(services, claim.run, pictures)]
        used = {kind.value: sum(one.used.kind == kind for one in self.given) for kind in FileUseKind}
        logger.info("files_given", run=str(claim.run.id), **used)

    async def _look_up(
        self, source: _Source, question: Sequence[str], room: int, count: Callable[[str], int]
    ) -> Knowledge:  # fmt: skip
        """What the model gets of the conversation's collections. Waits for PostgreSQL and for the embedding model."""
        claim, services = source.claim, source.services
        chosen = await through_outages(lambda: in_db(read_chosen, claim.run))
        if chosen is None:
            return Knowledge()
        found = await through_outages(lambda: in_db(choose_whole, chosen.files, room, count))
        if found is None:
            asked, reason = await source.meaning.vector()
            found = await through_outages(lambda: in_db(choose_passages, chosen.files, question, room, count, asked))
            found.reason = reason
        draft = Draft(chosen, found)
        screened = await screen_passages(services, claim.run, draft.passages())
        return await through_outages(lambda: in_db(number_knowledge, claim.run, draft, screened))

    async def _sight(self, claim: Claim, models: KnownModels, endpoint: str) -> Sight:
        """Whether the model sees: as staff say, else as it has refused images lately, else as its endpoint lists it."""
        model = claim.run.model
        said = await through_outages(lambda: in_db(said_of, model, "sees"))
        if models.facts.refuses(endpoint, model, "images"):
            return Sight(shown=False, why="refused_images")
        seen = models.sees(model) if said is None else said
        return Sight(seen is not False, "" if seen is not False else "no_vision")

    def place(
        self, path: Path, ids: Sequence[object], first: int = 0
    ) -> tuple[Path, Mapping[int, Sequence[ToolImage]]]:
        """The path with the files in it, and the images by the place of their message. `ids` are the path's messages;
        what was attached before the place `first`, or before the path, goes with the question.
        """
        if self.is_empty:
            return path, {}
        asked = next((at for at in range(len(path) - 1, -1, -1) if path[at][0] == "user"), len(path) - 1)
        places = {pk: at for at, pk in enumerate(ids) if at >= first}
        texts: dict[int, list[str]] = {}
        earlier: list[str] = []
        images: dict[int, list[ToolImage]] = {}
        for one in self.given:
            own = places.get(one.file.message_id)
            at = asked if one.beside or own is None else own
            is_earlier = own is None and not one.of_collection
            (earlier if is_earlier else texts.setdefault(at, [])).append(one.text)
            if one.images:
                images.setdefault(at, []).extend(one.images)
        if earlier:
            texts[asked] = [EARLIER, *earlier, *texts.get(asked, [])]
        if self.knowledge.text:
            texts[asked] = [self.knowledge.text, *texts.get(asked, [])]
        placed = [
            (role, "\n\n".join([*texts[at], text]) if at in texts else text) for at, (role, text) in enumerate(path)
        ]
        return placed, images

    def images_at(self, placed: Mapping[int, Sequence[uuid.UUID]]) -> Mapping[int, Sequence[ToolImage]]:
        """The images of files by the places of their turns."""
        known = {one.file.id: one.images for one in self.given}
        return {at: [image for file_id in ids for image in known.get(file_id, ())] for at, ids in placed.items()}

    def unseen(self, placed: Mapping[int, Sequence[uuid.UUID]]) -> int:
        """How many of these files the model gets no image of."""
        known = {one.file.id for one in self.given if one.images}
        return sum(file_id not in known for ids in placed.values() for file_id in ids)

    def concerns(self, ids: Sequence[object], dropped: int) -> bool:
        """Whether a message among the first `dropped` of the path has a file."""
        gone = set(ids[:dropped])
        return any(one.file.message_id in gone and not one.beside for one in self.given)

    def uses(self, sent: SentOptions | None) -> list[UsedFile]:
        """What the model got, as the run's end stores it."""
        if sent is None or not sent.known or sent.images:
            return [*(one.used for one in self.given), *self.knowledge.uses]
        return [*map(_refused, self.given), *self.knowledge.uses]


def _question(claim: Claim) -> list[str]:
    """The last texts of people, the newest first."""
    return [text for role, text in reversed(claim.path) if role == "user"][:2]


def _is_awaited(file: BranchFile, sight: Sight) -> bool:
    """Whether a file is still being read: for a model that does not see, also the text in its images."""
    return file.state == FileState.PENDING or (not sight.shown and file.recognition == RecognitionState.PENDING)


async def _look_again(files: Sequence[BranchFile]) -> list[BranchFile]:
    """The files with the states that their contents have now. Waits for PostgreSQL."""
    return await through_outages(lambda: in_db(refresh, files))


def _cut(given: Given) -> Given:
    """A file of which the model gets less than it was to get."""
    return replace(given, used=replace(given.used, reason="refused_length"))


def _refused(given: Given) -> UsedFile:
    """What is left of a file whose images the model has refused."""
    used = given.used
    if not given.images or used.kind != FileUseKind.IMAGE:
        return used
    return replace(used, kind=FileUseKind.NONE, given=0, reason="refused_images")
