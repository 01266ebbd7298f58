"""Records actions of staff and of commands, and security events, in the audit log."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.db.models import Model
from django.forms import BaseForm
from django.http import HttpRequest

from accounts.auth.adapter import client_ip
from accounts.auth.requests import user_of
from accounts.lib.system_user import system_user
from accounts.models import AuditEntry, User

READING: Final = (  # verbs of entries that record that somebody read what people wrote, or took it along
    "read_body", "read_case", "download_file", "download_recording", "export_user", "search_text", "view_as_page",
)  # fmt: skip
# Columns of a row that name the person whom an action on it concerns; the first that has a value counts.
PERSON_COLUMNS: Final = ("user_id", "author_id", "person_id", "owner_id", "requested_by_id", "created_by_id")
SECRET_WORDS: Final = ("password", "secret", "key", "token", "headers", "credential")
SHOWN: Final = 300  # characters of a value
MASK: Final = "•••"

Changes = Mapping[str, tuple[Any, Any]]  # by field: the value before and after


def record(
    request: HttpRequest,
    verb: str,
    what: Model | type[Model],
    *,
    conversation_id: uuid.UUID | None = None,
    details: str = "",
    reason: str = "",
    changes: Changes | None = None,
    subjects: Iterable[uuid.UUID | None] | None = None,
) -> None:
    """Adds an entry. Call it before the action, so that no action happens that is not recorded.

    `what` is the row, or a model if the action concerns a list. `details` and `reason` are truncated to 500 characters;
    they and `changes` (`form_changes`) must not contain text of messages. `subjects` are the people concerned; by
    default whom the row belongs to.
    """
    actor = user_of(request)
    AuditEntry.objects.create(
        actor=actor,
        actor_email=actor.email,
        verb=verb,
        ip=client_ip(request),
        **_facts(what, conversation_id, details, reason, changes, subjects),
    )


def record_command(
    verb: str,
    what: Model | type[Model],
    *,
    details: str = "",
    reason: str = "",
    changes: Changes | None = None,
    subjects: Iterable[uuid.UUID | None] | None = None,
) -> None:
    """Adds an entry for a command of an operator, with the operating-system user who runs it."""
    AuditEntry.objects.create(
        actor=None,
        actor_email="",
        verb=verb,
        system_user=system_user(),
        **_facts(what, None, details, reason, changes, subjects),
    )


def record_event(request: HttpRequest, verb: str, user: User | None, *, email: str = "", details: str = "") -> None:
    """Adds a security event of `user`'s account. The actor is whoever is logged in, or who just logged in, else nobody.

    `email` is what was typed, where nobody is logged in.
    """
    known = getattr(request, "user", None)
    actor = known if isinstance(known, User) else None
    AuditEntry.objects.create(
        actor=actor,
        actor_email=(actor.email if actor else email or (user.email if user else ""))[:254],
        verb=verb,
        object_type=User._meta.label_lower,  # noqa: SLF001  # Django documents it
        object_id=str(user.pk) if user else "",
        subjects=[user.pk] if user else [],
        ip=client_ip(request),
        details=details[:500],
    )


def _facts(
    what: Model | type[Model],
    conversation_id: uuid.UUID | None,
    details: str,
    reason: str,
    changes: Changes | None,
    subjects: Iterable[uuid.UUID | None] | None,
) -> dict[str, Any]:
    people = subjects if subjects is not None else [_person(what)]
    return {
        "object_type": what._meta.label_lower,  # noqa: SLF001  # Django documents it
        "object_id": str(what.pk) if isinstance(what, Model) else "",
        "conversation_id": conversation_id,
        "details": details[:500],
        "reason": reason[:500],
        "changes": {name: list(pair) for name, pair in (changes or {}).items()},
        "subjects": list(dict.fromkeys(one for one in people if one is not None)),
    }


def _person(what: Model | type[Model]) -> uuid.UUID | None:
    """Whom a row belongs to."""
    if not isinstance(what, Model):
        return None
    if isinstance(what, User):
        return what.pk
    for name in PERSON_COLUMNS:
        found = getattr(what, name, None)
        if isinstance(found, uuid.UUID):
            return found
    return None


def form_changes(form: BaseForm, private: Iterable[str] = ()) -> dict[str, tuple[str, str]]:
    """Before and after of each field that a form changes. Secrets are masked; of the fields named in `private`, whose
    texts the log must not have, only the lengths are there.
    """
    changes = {}
    for name in form.changed_data:
        before, after = form.get_initial_for_field(form.fields[name], name), form.cleaned_data.get(name)
        if name in private:
            changes[name] = (_length(before), _length(after))
        elif any(word in name for word in SECRET_WORDS):
            changes[name] = (MASK if before else "", MASK if after else "")
        else:
            field: Any = form.fields[name]
            choose = getattr(field, "queryset", None)
            if choose is not None and before not in (None, "") and not isinstance(before, Model):
                before = _chosen(field, before)
            changes[name] = (_shown(before), _shown(after))
    return changes


def _chosen(field: Any, value: Any) -> Any:
    """The rows that a choice of ids stands for; what it is where they are no ids."""
    if isinstance(value, list | tuple) or hasattr(value, "all"):
        return value
    return field.queryset.model._default_manager.filter(pk=value).first() or value  # noqa: SLF001


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if hasattr(value, "all"):
        value = list(value.all())
    text = ", ".join(sorted(map(str, value))) if isinstance(value, list | tuple | set) else str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _length(value: Any) -> str:
    return f"({len(str(value or ''))} characters)"  # stored, so in no one's language
