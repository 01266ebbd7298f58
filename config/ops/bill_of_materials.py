"""The packages of this environment as a CycloneDX document, read from their own metadata."""

from __future__ import annotations

import platform
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement

SPEC: Final = "1.6"


def make_bill(found: Iterable[Distribution] | None = None) -> dict[str, Any]:
    """The document. `found`: the installed packages, by default those of this environment."""
    by_name: dict[str, Distribution] = {}
    for one in distributions() if found is None else found:
        if name := _said(one, "Name"):
            by_name.setdefault(normal_name(name), one)  # the first is the one that is imported
    refs = {name: f"pkg:pypi/{name}@{one.version}" for name, one in by_name.items()}
    site = "antiphon"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {"type": "application", "bom-ref": site, "name": site},
            "properties": [{"name": "python:version", "value": platform.python_version()}],
        },
        "components": [_component(by_name[name], refs[name]) for name in sorted(by_name)],
        "dependencies": [
            {"ref": site, "dependsOn": sorted(refs.values())},
            *({"ref": refs[name], "dependsOn": _needs(by_name[name], refs)} for name in sorted(by_name)),
        ],
    }


def normal_name(name: str) -> str:
    """A package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _said(one: Distribution, field: str) -> str | None:
    """A field of the package's metadata; None if it does not have it, which Python will refuse to be asked for."""
    return one.metadata[field] if field in one.metadata else None  # noqa: SIM401  # it has no `get` for mypy


def _component(one: Distribution, ref: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "type": "library", "bom-ref": ref, "name": _said(one, "Name"), "version": one.version, "purl": ref,
    }  # fmt: skip
    if summary := _said(one, "Summary"):
        shown["description"] = summary
    if licenses := _licenses(one):
        shown["licenses"] = licenses
    return shown


def _licenses(one: Distribution) -> list[dict[str, Any]]:
    """What the package says of its license: an SPDX expression, classifiers, or its own words."""
    if expression := _said(one, "License-Expression"):
        return [{"expression": expression}]
    classifiers = one.metadata.get_all("Classifier") or []
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License :: ")]
    words = (_said(one, "License") or "").strip().splitlines()
    if not named and words and len(words[0]) <= 100:
        named = [words[0]]
    return [{"license": {"name": name}} for name in named if name != "OSI Approved"]


def _needs(one: Distribution, refs: dict[str, str]) -> list[str]:
    """What it needs here, without what it would only need for an extra."""
    found = set()
    for text in one.requires or []:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.add(normal_name(requirement.name))
    return sorted(refs[name] for name in found if name in refs)
