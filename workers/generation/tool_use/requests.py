"""What a run with tools asks the model in one step: the calls so far with their results, and the offered tools.

The steps of earlier runs are not sent again: of an earlier answer, later questions get the text.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from chat.eventlog.own_tools import has_model_images
from chat.models import CallStatus, Step, StepKind, ToolCall
from chat.runs.call_images import CallImages
from workers.generation.tool_use.limits import Room
from workers.generation.tool_use.outputs import LEAST_CHARS, MODEL_CHARS, as_data, shorten
from workers.providers.base import ANY_CALLS, CallChoice, ChatTurn, Replay, RequestedCall, ToolImage, ToolSpec

_ENDINGS: Final = {
    CallStatus.DENIED.value: "The user did not allow this call, so it was not made.",
    CallStatus.CANCELLED.value: "This call was cancelled.",
    CallStatus.UNKNOWN.value: "It is not known whether this call happened: the connection to it was lost, and it was"
    " not made again.",
}
_NO_IMAGES: Final[Mapping[uuid.UUID, CallImages]] = {}
_FAILED: Final = frozenset({CallStatus.ERROR.value, *_ENDINGS})


@dataclass(frozen=True, slots=True)
class Result:
    """A call with what the model reads and sees of its result; `whole` is the length of the result.

    `unseen`: so many images of it are not sent.
    """

    call: RequestedCall
    text: str
    whole: int
    outside: bool
    failed: bool
    mark: str
    sources: str = ""
    images: Sequence[ToolImage] = ()
    unseen: int = 0

    def turn(self, most: int, *, shown: bool = True) -> ChatTurn:
        """As a turn with at most so many characters of the result, and its images if they are `shown`."""
        unseen = self.unseen + (0 if shown else len(self.images))
        text = shorten(self.text, self.whole, most)
        text = as_data(text, self.call.name, self.mark) if self.outside and self.text else text
        text = "\n\n".join(part for part in (text, self.sources, _unseen(unseen)) if part) or "(no output)"
        images = self.images if shown else ()
        return ChatTurn("tool", text, call_id=self.call.id, name=self.call.name, failed=self.failed, images=images)


@dataclass(frozen=True, slots=True)
class Round:
    """What a model wrote and asked for in one request, and the results."""

    text: str
    results: Sequence[Result]
    replay: Replay | None = None


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One request of a run. `number` is that of its step in the run's reasoning: 0 of the first request.

    `call_no_more`: the model is to answer with what it has. `room`: what is left of the limits of answers with tools.
    `choice`: what a program wants of the calls.
    """

    tools: Sequence[ToolSpec] = ()
    instructions: str = ""
    rounds: Sequence[Round] = ()
    call_no_more: bool = False
    number: int = 0
    room: Room | None = None
    choice: CallChoice = ANY_CALLS


ONLY: Final = StepRequest()
"""The request of a run that is offered no tools."""


def rounds_of(
    steps: Sequence[Step],
    text: str,
    inside: Collection[str],
    base: int = 0,
    images: Mapping[uuid.UUID, CallImages] = _NO_IMAGES,
) -> list[Round]:
    """The finished requests among the steps of a run, with their calls. `text` is the whole answer, of which the first
    `base` code points were there before the run. The results of tools that are not `inside` are content from outside.
    `images` are those of the results, by the id of the call.
    """
    rounds, begins = [], base
    by_model: dict[int, list[ToolCall]] = {}
    for step in steps:
        for call in step.calls.all():
            by_model.setdefault(call.model_step_id, []).append(call)
    for step in steps:
        if step.kind != StepKind.MODEL or step.pk not in by_model:
            continue
        calls = sorted(by_model[step.pk], key=lambda call: call.place)
        calls = [call for call in calls if not has_model_images(call.server, call.name, call.title)]
        written = text[begins : step.text_chars].strip()
        begins = step.text_chars
        replay = msgspec.convert(step.replay, Replay) if step.replay else None
        results = [result_of(call, inside, images.get(call.pk, CallImages())) for call in calls]
        rounds.append(Round(written, results, replay))
    return rounds


def result_of(call: ToolCall, inside: Collection[str], images: CallImages) -> Result:
    """An ended call as the model gets it."""
    text = call.output
    if call.status in _ENDINGS:
        text = call.output or _ENDINGS[call.status]
        if call.reason:
            text += f"\nThe reason that the person gave: {call.reason}"
    elif call.edited_arguments:
        text = f"[The user changed the arguments to: {call.edited_arguments}]\n{text}"
    outside = call.status in (CallStatus.OK, CallStatus.ERROR) and call.tries > 0 and call.name not in inside
    return Result(
        RequestedCall(call.upstream_id, call.name, call.arguments),
        text,
        max(call.output_chars, len(text)),
        outside,
        call.status in _FAILED,
        call.pk.hex[-12:],
        _sources(call.sources),
        tuple(ToolImage(media_type, content) for media_type, content in images.images),
        images.unseen,
    )


def turns_of(rounds: Sequence[Round], before: str, cost: Callable[[ChatTurn], int], budget: int) -> list[ChatTurn]:
    """The turns that follow the question: `before` (what the answer had before this run), then the requests with their
    calls and results. If they have more than `budget` tokens, the oldest results are shortened, the last ones at last,
    and where that is not enough, the oldest images are left out.
    """
    limits = [[_Cut(MODEL_CHARS)] * len(one.results) for one in rounds]
    turns = _turns(rounds, before, limits)
    over = sum(map(cost, turns)) - budget
    for number, one in enumerate(rounds):
        for place, result in enumerate(one.results):
            if over <= 0:
                break
            full, least = cost(result.turn(MODEL_CHARS)), cost(result.turn(LEAST_CHARS))
            if full > least:
                # In between by the share that is too much; a token of a text has about as many characters everywhere.
                share = max(0.0, (full - over) / full)
                most = max(LEAST_CHARS, int(min(len(result.text), MODEL_CHARS) * share * 0.95))
                limits[number][place] = _Cut(most)
                over -= full - cost(result.turn(most))
    for number, one in enumerate(rounds):
        for place, result in enumerate(one.results):
            if over > 0 and result.images:
                most = limits[number][place].chars
                limits[number][place] = _Cut(most, shown=False)
                over -= cost(result.turn(most)) - cost(result.turn(most, shown=False))
    return _turns(rounds, before, limits)


@dataclass(frozen=True, slots=True)
class _Cut:
    """How much of a result is sent."""

    chars: int
    shown: bool = True


def _turns(rounds: Sequence[Round], before: str, limits: Sequence[Sequence[_Cut]]) -> list[ChatTurn]:
    turns = []
    for number, one in enumerate(rounds):
        said = "\n\n".join(part for part in (before if number == 0 else "", one.text) if part)
        calls = tuple(result.call for result in one.results)
        turns.append(ChatTurn("assistant", said, calls=calls, replay=one.replay))
        cuts = zip(one.results, limits[number], strict=True)
        turns += [result.turn(cut.chars, shown=cut.shown) for result, cut in cuts]
    return turns


def _unseen(images: int) -> str:
    if not images:
        return ""
    return f"(The result has {'an image' if images == 1 else f'{images} images'} that you cannot be shown.)"


def _sources(sources: Sequence[dict[str, Any]]) -> str:
    """The numbers of the sources in this answer, by which the model cites them."""
    lines = [f"[{one['n']}] {one.get('title') or one.get('url', '')} – {one.get('url', '')}" for one in sources]
    return "Sources, to be cited by their numbers:\n" + "\n".join(lines) if lines else ""


def known_tools(steps: Sequence[Step]) -> list[ToolSpec]:
    """The tools that the model has called and that are not offered any more: requests with their calls name them."""
    names = {call.name for step in steps for call in step.calls.all()}
    return [ToolSpec(name, "This tool cannot be called any more.", {"type": "object"}) for name in sorted(names)]
