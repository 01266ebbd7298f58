"""What one answer asks of its model: what the user wants, without what the model has turned out to refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from workers.providers.base import ChatTurn, Options, ProviderError
from workers.providers.http.continuing import INSTRUCT, continue_turns
from workers.providers.http.dialect import Dialect, Wanted
from workers.providers.http.json_values import read_number
from workers.providers.http.learned import PREFILL_REFUSED, Learned, Lesson, find_lesson
from workers.providers.http.verdict import fold_system

logger = structlog.get_logger(__name__)

TEACHING_CODES: Final = frozenset({"upstream_refused", "context_too_long", "upstream_error"})


class Negotiation:
    """The requests of one answer, each after a refusal without what was refused. `prefill` is how the endpoint is asked
    to go on with an answer (`continuing.py`).
    """

    def __init__(
        self,
        dialect: Dialect,
        learned: Learned,
        model: str,
        turns: Sequence[ChatTurn],
        options: Options,
        prefill: str = INSTRUCT,
    ) -> None:
        self._dialect = dialect
        self._learned = learned
        self._model = model
        self._turns = turns
        self._options = options
        self._prefill = prefill
        self._prefilled = False  # the last request ended with an answer to be continued
        self._sent: Mapping[str, Any] = {}  # the fields of the last request
        self._lessons: set[Lesson] = set()  # that this answer has taught
        self._left_out: set[str] = set()  # fields whose values the model refused, for this answer alone
        self._longest: int | None = None  # the longest answer, in tokens, that this prompt leaves room for

    def next_request(self) -> Wanted:
        """What is asked for, in the form that this model of this endpoint accepts (`learned.py`)."""
        options, model = self._options, self._model
        limits = (options.max_tokens, self._longest, self._learned.limit(model))
        refused = self._refuses
        longest = None
        if (options.max_tokens is not None or not self._dialect.length_optional) and not refused("answer_length"):
            longest = min((limit for limit in limits if limit is not None), default=None)
        turns = fold_system(self._turns) if refused("system") else self._turns
        style = INSTRUCT if refused("prefill") else self._prefill
        if (continuation := options.continuation) is not None:
            turns = continue_turns(turns, style)
            continuation.exact = self._prefilled = style != INSTRUCT
        return Wanted(
            model=model,
            turns=turns,
            unfinished=style if self._prefilled else "",
            stream=not refused("stream"),
            temperature=None if refused("temperature") else options.temperature,
            max_tokens=longest,
            effort=options.effort,
            refused=refused,
        )

    def note_sent(self, body: Mapping[str, Any], *, stream: bool) -> None:
        """The request that is sent now. What it really asks for, with what staff add, goes into `options.sent`."""
        self._sent = {**self._dialect.fields(body), "stream": stream}
        sent, fields, dialect = self._options.sent, self._sent, self._dialect
        if sent is None:
            return
        effort = self._options.effort
        sent.known = True
        warmth = fields.get("temperature")
        sent.temperature = float(warmth) if isinstance(warmth, int | float) else None
        sent.max_tokens = next((read_number(fields[name]) for name in dialect.length_fields if name in fields), None)
        sent.effort = effort if effort is not None and dialect.asks_effort(effort, fields) else None

    def learn_from(self, failure: ProviderError) -> bool:
        """Whether the failure of the last request names something that the next one leaves out, or has less of."""
        lesson = self._find_lesson(failure)
        if lesson is None or lesson in self._lessons:  # what has been left out is not the reason
            return False
        logger.info("model_option_refused", model=self._model, option=lesson.what, limit=lesson.limit)
        self._learned.add(self._model, lesson)
        self._lessons.add(lesson)
        if lesson.limit is not None:
            self._longest = lesson.limit
        elif lesson.once:
            self._left_out.add(lesson.what)
        return True

    def _refuses(self, what: str) -> bool:
        return what in self._left_out or self._learned.refuses(self._model, what)

    def _find_lesson(self, failure: ProviderError) -> Lesson | None:
        if failure.code not in TEACHING_CODES:
            return None
        said = failure.said.lower()
        if self._prefilled and PREFILL_REFUSED.search(said):
            return Lesson("prefill")
        if (own := self._dialect.find_refused(said, self._sent)) is not None:
            return Lesson(own)
        refused = self._learned.refuses(self._model, "system")
        return find_lesson(
            failure.said,
            self._sent,
            has_system=not refused and any(turn.role == "system" for turn in self._turns),
            length_fields=self._dialect.length_fields,
        )
