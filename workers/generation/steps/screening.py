"""Moderation of what tools are given and return, by the rules for answers: they are shown with the answer.

What rules mask is replaced before anything is stored, logged, shown, sent to the tool or read by the model. A rule that
holds or blocks withholds the whole text, and the answer stops. Files with text have rules of their own. The original is
in a case (`screened_rows`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from accounts.lib.db import in_db
from chat.models import Step
from chat.models.moderation import Direction
from chat.moderation.answers import rules_for_answer
from chat.moderation.cases import Finding, finding_of
from chat.moderation.matching.matcher import Action, Hit, masked
from chat.moderation.rules import RuleSet
from chat.moderation.structured import Searched, search_json, search_text, search_value
from chat.review.call_effects import MOST_OF_FILE
from chat.runs.step_rows import CallEnd, NewCall
from workers.generation.answer_case import AnswerCase
from workers.generation.screening import worded
from workers.generation.steps.checks import as_new_calls
from workers.providers.base import Replay, RequestedCall
from workers.tools.base import Tool

ARGUMENTS_WITHHELD: Final = "This call was not made: its arguments were withheld because of this site's rules."
ENTERED_WITHHELD: Final = "What a person entered for this call was withheld because of this site's rules."
RESULT_WITHHELD: Final = "The result of this call was withheld because of this site's rules."
FILE_TOOLS: Final = frozenset({"make_file"})  # our own tools whose arguments are the text of a file
LONG: Final = 32 * 1024  # characters of a result that is searched on a thread: 256 KiB of JSON take some 60 ms


class CallWithheld(Exception):
    """What a tool is given or returned is withheld: the answer stops. `notice` is for its reader. `was_shown`: the
    event log begins anew without it.
    """

    def __init__(self, notice: str, *, was_shown: bool = False) -> None:
        super().__init__(notice)
        self.notice = notice
        self.was_shown = was_shown


@dataclass(frozen=True, slots=True)
class Found:
    """What rules found in a text, which is `original`."""

    action: Action
    finding: Finding
    original: str

    @property
    def withholds(self) -> bool:
        return self.action > Action.MASK


class ScreenedCall(NamedTuple):
    """A call as it may be stored; `found` is None where there is nothing to say about it."""

    call: NewCall
    found: Found | None


class ScreenedRequest(NamedTuple):
    """What a model asks for in one request. `left_out`: calls that are not made. `replay`: as a step keeps it."""

    calls: list[ScreenedCall]
    left_out: int
    replay: dict[str, Any] | None

    def check(self) -> None:
        """Raises `CallWithheld` if the answer stops because of what a tool would be given."""
        for _, found in self.calls:
            if found is not None and found.withholds:
                raise CallWithheld(found.finding.notice)


@dataclass(frozen=True, slots=True)
class ScreenedEnd:
    """A result as it may be stored, what was found in it, and by the place of a file what was found in that."""

    end: CallEnd
    found: Found | None = None
    files: Mapping[int, Found] = field(default_factory=dict)

    @property
    def withholds(self) -> Found | None:
        return next((one for one in (self.found, *self.files.values()) if one is not None and one.withholds), None)


class CallScreen:
    """The rules for the calls of one attempt at an answer. `case`: that of its text; None: no rule is for answers."""

    def __init__(self, case: AnswerCase | None, user_id: uuid.UUID | None, model: str) -> None:
        self.case = case
        self.rules: RuleSet | None = case.screen.rules if case is not None else None
        self._user_id = user_id
        self._model = model

    @property
    def moderate(self) -> Callable[[], Mapping[str, str]] | None:
        """Opens the case of what the answer's text lacks so far, if it may lack something."""
        return self.case.record if self.case is not None and self.case.concerns else None

    async def _file_rules(self) -> RuleSet | None:
        return await in_db(rules_for_answer, self._user_id, self._model, Direction.FILES)

    async def request(
        self, requested: Sequence[RequestedCall], replay: Replay | None, tools: Mapping[str, Tool]
    ) -> ScreenedRequest:
        """The calls of one request, as they may be stored."""
        calls = as_new_calls(requested, tools)
        making = {name for name in FILE_TOOLS if name in tools and not tools[name].server}
        files = await self._file_rules() if any(call.name in making for call in calls) else None
        screened = [self._call(call, place, files if call.name in making else None) for place, call in enumerate(calls)]
        left_out = len(requested) - len(calls)
        # What a model wants back of its own words is as it wrote them.
        is_masked = self.case is not None and self.case.screen.is_masked
        unchanged = not is_masked and all(one.found is None or one.found.action is Action.FLAG for one in screened)
        kept = {"dialect": replay.dialect, "model": replay.model, "parts": replay.parts} if replay is not None else None
        return ScreenedRequest(screened, left_out, kept if unchanged and not left_out else None)

    def _call(self, call: NewCall, place: int, files: RuleSet | None) -> ScreenedCall:
        found: Found | None = None
        original = call.arguments
        for rules in (self.rules, files):
            if rules is None:
                continue
            find = rules.matcher.find
            named = search_text(find, "" if call.title else call.name)  # a name that no tool has is the model's
            found = _severer(found, _found(rules, search_json(find, original), *_without_places(named.hits)))
            call = replace(call, arguments=search_json(find, call.arguments).masked)
            if named.hits:
                call = replace(call, name=named.masked)
            if any(hit.action > Action.FLAG for hit in find(call.upstream_id)):
                call = replace(call, upstream_id=f"call_{place}")
        if found is not None and found.withholds:
            call = replace(call, arguments="", name=call.name if call.title else "?", upstream_id=f"call_{place}")
        return ScreenedCall(call, found)

    async def entered(self, steps: Sequence[Step]) -> None:
        """Checks what people entered for calls in the last wait. Rules have read it when it was entered."""

    async def end(self, end: CallEnd) -> ScreenedEnd:
        """A result, or why there is none."""
        texts = [(place, text) for place, one in enumerate(end.files) if (text := text_of(one[2])) is not None]
        files = await self._file_rules() if texts else None
        screened = ScreenedEnd(end)
        if self.rules is not None:
            long = len(end.output) > LONG
            screened = await in_db(self._result, self.rules, end) if long else self._result(self.rules, end)
        if files is not None:  # on a thread: they may be long
            screened = await in_db(_with_files, files, screened, texts)
        if screened.withholds is None:
            return screened
        length = len(RESULT_WITHHELD)
        return replace(screened, end=CallEnd(end.status, RESULT_WITHHELD, length, cost=end.cost, outside=end.outside))

    def _result(self, rules: RuleSet, end: CallEnd) -> ScreenedEnd:
        find = rules.matcher.find
        # Without a backslash, what the text of JSON has is what its strings have.
        is_json = "\\" in end.output and end.output.lstrip()[:1] in ("{", "[")
        output = search_json(find, end.output) if is_json else search_text(find, end.output)
        sources, queries = [dict(one) for one in end.sources], list(end.queries)
        names = [name for name, _, _ in end.files]
        shown, hits = search_value(find, {"sources": sources, "queries": queries, "files": names})
        found = _found(rules, output, *_without_places(hits))
        if found is None:
            return ScreenedEnd(end)
        original = output.original
        if hits:
            beside = [str(text) for one in sources for text in one.values()]
            original = "\n\n".join([original, *beside, *queries, *names])
        files = [(name, kind, content) for name, (_, kind, content) in zip(shown["files"], end.files, strict=True)]
        changed = output.masked != end.output
        end = replace(
            end, output=output.masked, output_chars=len(output.masked) if changed else end.output_chars,
            sources=shown["sources"], queries=shown["queries"], files=files,
        )  # fmt: skip
        details = tuple({**one, "output": len(output.original)} for one in found.finding.details)  # of the original
        return ScreenedEnd(end, replace(found, original=original, finding=replace(found.finding, details=details)))

    async def question(self, sentence: str, schema: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], Found | None]:
        """A question of a tool, as it may be asked."""
        if self.rules is None:
            return sentence, schema, None
        shown, hits = search_value(self.rules.matcher.find, {"sentence": sentence, "schema": dict(schema)})
        if not hits:
            return sentence, schema, None
        whole = search_json(self.rules.matcher.find, _as_json(sentence, schema))
        return shown["sentence"], shown["schema"], _found(self.rules, whole, *_without_places(hits))

    def plain(self, text: str) -> str:
        """A sentence for the log or of progress: without anything that rules do more than flag."""
        if self.rules is None:
            return text
        return masked(text, [hit for hit in self.rules.matcher.find(text) if hit.action > Action.FLAG])


def without_result(screened: ScreenedEnd) -> ScreenedEnd:
    """A result of which nothing is stored but that it was withheld, and what it cost."""
    end, length = screened.end, len(RESULT_WITHHELD)
    return replace(screened, end=CallEnd(end.status, RESULT_WITHHELD, length, cost=end.cost, outside=end.outside))


def _with_files(rules: RuleSet, screened: ScreenedEnd, texts: Sequence[tuple[int, str]]) -> ScreenedEnd:
    files, found = list(screened.end.files), {}
    for place, text in texts:
        searched = search_text(rules.matcher.find, text)
        mine = _found(rules, searched)
        if mine is not None:
            name, kind, content = files[place]
            files[place] = (name, kind, searched.masked.encode() if searched.masked != text else content)
            found[place] = replace(mine, original=mine.original[:MOST_OF_FILE])
    return replace(screened, end=replace(screened.end, files=files), files=found)


def _found(rules: RuleSet, searched: Searched, *others: Hit) -> Found | None:
    verdict = rules.verdict(searched.original, (*searched.hits, *others))
    finding = finding_of(verdict)
    return Found(verdict.action, worded(finding), searched.original) if finding and verdict.action else None


def _severer(one: Found | None, other: Found | None) -> Found | None:
    """Of what two sets of rules found in the same text, the severer; that of the first if both are the same."""
    if one is None or other is None:
        return one or other
    return other if other.action > one.action else one


def _without_places(hits: Sequence[Hit]) -> list[Hit]:
    return [replace(hit, start=0, end=0) for hit in hits]


def text_of(content: bytes) -> str | None:
    """The text of a file; None if it has none."""
    if not content or b"\x00" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _as_json(sentence: str, schema: Mapping[str, Any]) -> str:
    return json.dumps({"question": sentence, "schema": schema}, ensure_ascii=False)
