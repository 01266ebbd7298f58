"""What moderation of answers costs: the same streams with no rule, with many, and with none again, in one run."""

from __future__ import annotations

import json
import random
import time
from typing import Final

import msgspec

from chat.moderation.matching.matcher import Action, Matcher, Rule
from chat.moderation.matching.pii import Pii
from tests.bench.profiling import Profiler
from tests.bench.streams import StreamsRow, measure_first_token, measure_streams
from tests.bench.systems import System, Upstream

WORDS: Final = 1_000
PATTERNS: Final = 50
FORMAT: Final = "antiphon.moderation-rules/1"  # of `manage.py moderation rules import`
RELOADED: Final = 6.0  # seconds after which every process has the rules (`chat.moderation.rules.RELOAD_SECONDS`)
_LETTERS: Final = "etaoinshrdlucmfwypvbgkqjxz"
# Prose with a few numbers, as answers are; no rule finds anything in it.
PROSE: Final = (
    "The quick brown fox jumps over the lazy dog near the river bank, and nobody at all minds. In 2024 there were 17 "
    "of them, which cost about 300 each; later that year the number doubled. Some say it is good, others do not. "
)


class RulesRow(msgspec.Struct):
    """The same load without and with rules: CPU in µs per delivered token, times in ms."""

    streams: int
    off: StreamsRow
    on: StreamsRow
    first_off_ms: float
    first_on_ms: float
    off_again: StreamsRow | None = None  # what grows during a run, as tables do, is no cost of rules

    @property
    def more(self) -> float:
        """How much more CPU a token takes with rules: 0.05 is 5 %."""
        without = [row.cpu_per_token_us for row in (self.off, self.off_again) if row is not None]
        mean = sum(without) / len(without)
        return self.on.cpu_per_token_us / mean - 1 if mean else 0.0


class SearchRow(msgspec.Struct):
    """One search of all rules in a text of so many characters, in ms of CPU; the best of several."""

    characters: int
    ms: float


def make_rules() -> list[dict[str, object]]:
    """As an export has them: words and patterns that are in no token of the bench, and every kind of personal data."""
    chance = random.Random(4)

    def word() -> str:
        return "".join(chance.choices(_LETTERS, weights=range(26, 0, -1), k=chance.randint(7, 10))) + "zz"

    words = [word() for _ in range(WORDS)]
    patterns = [rf"\b{word()}\d+\b" for _ in range(PATTERNS // 2)]
    patterns += [rf"{word()}\s+(?:of|the)\s+{word()}" for _ in range(PATTERNS - len(patterns))]
    both = {"enabled": True, "directions": ["answered"], "locale": "en"}
    return [
        {"name": "bench block", "action": "block", "words": words[: WORDS // 2], **both},
        {"name": "bench mask", "action": "mask", "words": words[WORDS // 2 :], **both},
        {"name": "bench disguised", "action": "block", "words": words[:60], "disguised": True, **both},
        {"name": "bench patterns", "action": "mask", "patterns": patterns, **both},
        # The tokens of the bench are random letters and digits: what looks like a number among them stays as it is.
        {"name": "bench personal", "action": "flag", "pii": [kind.value for kind in Pii], **both},
    ]


def measure_rules(
    system: System, upstream: Upstream, *, streams: int, model: str, limit_s: float, firsts: int,
    profiler: Profiler | None = None,
) -> RulesRow:  # fmt: skip
    """Without rules, with them, and without them again."""
    assert system.stack is not None
    first_off = measure_first_token(system, upstream, answers=firsts).first_p50_ms
    off = measure_streams(system, upstream, streams=streams, model=model, limit_s=limit_s)
    document = json.dumps({"format": FORMAT, "rules": make_rules()})
    system.stack.manage("moderation", "rules", "import", "-", "--enable", stdin=document)
    try:
        time.sleep(RELOADED)
        first_on = measure_first_token(system, upstream, answers=firsts).first_p50_ms
        on = measure_streams(system, upstream, streams=streams, model=model, limit_s=limit_s, profiler=profiler)
    finally:
        system.stack.sql("DELETE FROM chat_moderationrule")
        time.sleep(RELOADED)
    again = measure_streams(system, upstream, streams=streams, model=model, limit_s=limit_s)
    return RulesRow(streams, off, on, first_off, first_on, again)


def measure_search() -> list[SearchRow]:
    """How long all rules take for a message, and for the longest there is."""
    matcher = Matcher(
        Rule(
            number, Action[str(rule["action"]).upper()],
            words=tuple(rule.get("words", ())), patterns=tuple(rule.get("patterns", ())),  # type: ignore[arg-type]
            pii=tuple(map(Pii, rule.get("pii", ()))),  # type: ignore[call-overload]
            locale="en", disguised=bool(rule.get("disguised")),
        )
        for number, rule in enumerate(make_rules())
    )  # fmt: skip
    rows = []
    for characters in (300, 3_000, 12_000, 48 * 1024):
        text = (PROSE * (characters // len(PROSE) + 1))[:characters]
        best = float("inf")
        for _ in range(max(3, 30_000 // characters)):
            began = time.process_time()
            matcher.find(text)
            best = min(best, time.process_time() - began)
        rows.append(SearchRow(characters, best * 1000))
    return rows
