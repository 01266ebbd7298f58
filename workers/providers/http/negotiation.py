"""What one answer asks of its model: what the user wants, without what the model has turned out to refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from workers.providers.base import ANY_CALLS, ChatTurn, Options, ProviderError, ToolSpec
from workers.providers.http.answer_forms import ANY_JSON, FORM, LOGPROBS, find_form_lesson, name_form, no_form
from workers.providers.http.continuing import INSTRUCT, continue_turns
from workers.providers.http.dialect import Dialect, Wanted
from workers.providers.http.json_values import read_number
from workers.providers.http.learned import PREFILL_REFUSED, Learned, Lesson, find_lesson
from workers.providers.http.tool_lessons import find_image_lesson, find_tool_lesson, no_tools
from workers.providers.http.tool_turns import NO_MORE_CALLS, add_hint, settle_turns
from workers.providers.http.verdict import fold_system
from workers.providers.model_facts import TOOLS
from workers.providers.thinking_tags import ThinkingTags, split_unopened

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
        self._wanted: Wanted | None = None  # the last request
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
        self._check_form()
        tools, turns = self._choose_tools()
        turns = fold_system(turns) if refused("system") else turns
        style = INSTRUCT if refused("prefill") else self._prefill
        if (continuation := options.continuation) is not None:
            turns = continue_turns(turns, style)
            continuation.exact = self._prefilled = style != INSTRUCT
        self._wanted = Wanted(
            model=model,
            turns=turns,
            unfinished=style if self._prefilled else "",
            stream=not refused("stream") and not (tools and refused("tool_stream")),
            temperature=None if refused("temperature") else options.temperature,
            max_tokens=longest,
            effort=options.effort,
            refused=refused,
            tools=tools,
            call_no_more=options.call_no_more and self._can_choose,
            top_p=None if refused("top_p") else options.top_p,
            choice=options.choice if tools else ANY_CALLS,
            form=options.form,
            logprobs=options.logprobs,
        )
        return self._wanted

    def _check_form(self) -> None:
        """Raises `upstream_no_format` and `upstream_no_logprobs`: the answer would not be what was asked for."""
        form = self._options.form
        if form is not None:
            what = name_form(form)
            if self._refuses(what) or (what == ANY_JSON and not self._dialect.takes_any_json):
                raise no_form(what)
        if self._options.logprobs is not None and (not self._dialect.gives_logprobs or self._refuses(LOGPROBS)):
            raise no_form(LOGPROBS)

    @property
    def _can_choose(self) -> bool:
        """Whether a request can say that the tools are not to be called."""
        return self._dialect.chooses_calls and not self._refuses("tool_choice")

    def _choose_tools(self) -> tuple[Sequence[ToolSpec], Sequence[ChatTurn]]:
        """The tools that are offered, and the turns as they are sent with them."""
        tools: Sequence[ToolSpec] = () if self._refuses(TOOLS) else self._options.tools
        if self._options.choice.needed and not tools:
            raise no_tools(None)
        turns: Sequence[ChatTurn] = self._turns
        if tools and self._options.call_no_more and not self._can_choose:
            if any(turn.calls for turn in turns):
                turns = add_hint(turns, NO_MORE_CALLS)
            else:
                tools = ()
        settled = settle_turns(turns, offered=bool(tools))
        return tools, [self._as_sent(turn) if turn.replay or turn.images else turn for turn in settled]

    def _as_sent(self, turn: ChatTurn) -> ChatTurn:
        """A turn without what only another API or model understands, and without what this one refuses."""
        theirs = turn.replay
        if theirs is not None and ((theirs.dialect, theirs.model) != (self._dialect.kind, self._model)):
            theirs = None
        return replace(turn, replay=None if self._refuses("replay") else theirs)

    def note_sent(self, body: Mapping[str, Any], *, stream: bool) -> None:
        """The request that is sent now. What it really asks for, with what staff add, goes into `options.sent`."""
        self._sent = {**self._dialect.fields(body), "stream": stream}
        sent, fields, dialect = self._options.sent, self._sent, self._dialect
        if sent is None:
            return
        effort = self._options.effort
        sent.known = True
        sent.images = not self._refuses("images")
        warmth = fields.get("temperature")
        sent.temperature = float(warmth) if isinstance(warmth, int | float) else None
        sent.max_tokens = next((read_number(fields[name]) for name in dialect.length_fields if name in fields), None)
        sent.effort = effort if effort is not None and dialect.asks_effort(effort, fields) else None

    @property
    def unopened(self) -> str:
        """The closing tag of the thinking that the answer to the last request is known to begin inside of."""
        quiet = self._options.effort == "none" and self._dialect.asks_effort("none", self._sent)
        return "" if quiet or self._prefilled else self._learned.unopened(self._model)

    def learn_thinking(self, tags: ThinkingTags, text: str) -> None:
        """Learns from a complete answer and its text whether the model's thinking has an opening tag."""
        presumed = self.unopened
        if tags.was_wrong:
            self._learned.note_opened(self._model, presumed)
        elif presumed:
            self._learned.note_unopened(self._model, presumed)
        elif not self._prefilled and (found := split_unopened(text)) is not None:
            self._learned.note_unopened(self._model, found.closing)

    def learn_from(self, failure: ProviderError) -> bool:
        """Whether the failure of the last request names something that the next one leaves out, or has less of.

        Raises `upstream_no_tools` where that is the tools: whoever asked decides what to ask without them. Likewise
        `upstream_no_format` and `upstream_no_logprobs`.
        """
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
        if lesson.what == TOOLS:
            raise no_tools(failure)
        if lesson.what in (FORM, ANY_JSON, LOGPROBS):
            raise no_form(lesson.what, failure)
        return True

    def _about_images(self, said: str) -> Lesson | None:
        """What a refusal teaches about images, if the last request had any."""
        sent = self._wanted is not None and any(turn.images for turn in self._wanted.turns)
        return find_image_lesson(said) if sent and not self._refuses("images") else None

    def _refuses(self, what: str) -> bool:
        return what in self._left_out or self._learned.refuses(self._model, what)

    def _find_lesson(self, failure: ProviderError) -> Lesson | None:
        wanted, said = self._wanted, failure.said.lower()
        teaches = failure.code in TEACHING_CODES
        if wanted is not None and teaches and (lesson := find_form_lesson(said, wanted, named=True)) is not None:
            return lesson
        if wanted is not None and wanted.tools and failure.code in (*TEACHING_CODES, "model_not_found"):
            turns, told = list(wanted.turns), wanted.call_no_more
            forced = wanted.forced is not None
            if (lesson := find_tool_lesson(failure, self._sent, turns, told=told, forced=forced)) is not None:
                return lesson
        if failure.code in (*TEACHING_CODES, "model_not_found") and (lesson := self._about_images(said)) is not None:
            return lesson
        if not teaches:
            return None
        if self._prefilled and PREFILL_REFUSED.search(said):
            return Lesson("prefill")
        if (own := self._dialect.find_refused(said, self._sent)) is not None:
            return Lesson(own)
        if wanted is not None and (lesson := find_form_lesson(said, wanted, named=False)) is not None:
            return lesson
        refused = self._learned.refuses(self._model, "system")
        return find_lesson(
            failure.said,
            self._sent,
            has_system=not refused and any(turn.role == "system" for turn in self._turns),
            length_fields=self._dialect.length_fields,
        )
