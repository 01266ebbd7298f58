"""Moderation rules as JSON: export, and import by name. Groups and plans travel by name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import Plan
from chat.models import ModerationRule
from chat.moderation.rules import check_rule

FORMAT: Final = "antiphon.moderation-rules/1"
_FIELDS: Final = (
    "name", "enabled", "action", "category", "severity", "directions", "words", "disguised", "patterns", "pii",
    "locale", "only_models", "notice", "source",
)  # fmt: skip
STARTER: Final = Path(__file__).parent / "starter" / "rules.json"
_LINES: Final = frozenset({"words", "patterns"})


class ImportRefused(ValueError):
    """The sentence says which rule was refused and why; nothing of the file was stored."""


def export_rules(rules: Iterable[ModerationRule]) -> dict[str, Any]:
    """The rules as a document of `FORMAT`; words and patterns are lists."""
    return {"format": FORMAT, "rules": [_exported(rule) for rule in rules]}


def import_rules(document: Any, *, enable: bool = False) -> tuple[int, int]:
    """Adds the rules of a document, or changes those of the same name, in one transaction.

    Returns how many were added and changed. Rules that are added are switched off unless `enable`; a changed one stays
    on or off. Raises `ImportRefused`.
    """
    if (
        not isinstance(document, dict)
        or document.get("format") != FORMAT
        or not isinstance(document.get("rules"), list)
    ):
        raise ImportRefused(f'The file is not a JSON object with "format": "{FORMAT}" and a list "rules".')
    added = changed = 0
    with transaction.atomic():
        for number, entry in enumerate(document["rules"], 1):
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                raise ImportRefused(f"Rule {number} has no name.")
            known = ModerationRule.objects.filter(name=entry["name"]).first()
            rule = known or ModerationRule(name=entry["name"])
            _import(rule, entry, enabled=known.enabled if known else enable)
            added, changed = (added, changed + 1) if known else (added + 1, changed)
    return added, changed


def import_starter_rules() -> tuple[int, int]:
    """Adds the rules that ship, switched off; returns how many were added and how many were there already.

    Those that are there keep what staff made of them.
    """
    document = json.loads(STARTER.read_text(encoding="utf-8"))
    names = [entry["name"] for entry in document["rules"]]
    known = set(ModerationRule.objects.filter(name__in=names).values_list("name", flat=True))
    document["rules"] = [entry for entry in document["rules"] if entry["name"] not in known]
    added, _ = import_rules(document)
    return added, len(known)


def _exported(rule: ModerationRule) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for name in _FIELDS:
        value = getattr(rule, name)
        entry[name] = value.splitlines() if name in _LINES else value
    entry["groups"] = sorted(group.name for group in rule.groups.all())
    entry["plans"] = sorted(plan.name for plan in rule.plans.all())
    return {name: value for name, value in entry.items() if value not in ("", [])}


def _import(rule: ModerationRule, entry: dict[str, Any], *, enabled: bool) -> None:
    for name in _FIELDS:
        if name in entry:
            value = entry[name]
            if name in _LINES and isinstance(value, list):
                value = "\n".join(map(str, value))
            setattr(rule, name, value)
    rule.enabled = enabled
    try:
        rule.full_clean()
        check_rule(rule)
    except ValidationError as error:
        raise ImportRefused(f"{rule.name}: {' '.join(error.messages)}") from None
    except (ValueError, TypeError) as error:
        raise ImportRefused(f"{rule.name}: {error}") from None
    rule.save()
    rule.groups.set(_named(Group, "group", entry.get("groups", []), rule))
    rule.plans.set(_named(Plan, "plan", entry.get("plans", []), rule))


def _named(model: Any, kind: str, names: Any, rule: ModerationRule) -> list[Any]:
    found = {row.name: row for row in model.objects.filter(name__in=names)}
    for name in names:
        if name not in found:
            raise ImportRefused(f"{rule.name}: there is no {kind} {name}.")
    return [found[name] for name in names]
