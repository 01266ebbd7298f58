"""The prompt library: which prompts a user may use, and what their page gets of them."""

from __future__ import annotations

import unicodedata
import uuid
from typing import Any, Final

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from chat.catalog.own_items import free_name, store
from chat.catalog.sharing import own_or_shared, staffs
from chat.catalog.variables import MAX_VARIABLES, Use, parse, variables_of
from chat.models import Prompt
from chat.models.prompts import MAX_NAME
from chat.protocol.errors import Invalid, NotFound

MAX_SHARED: Final = 500  # prompts of others that one user is offered
_SHOWN: Final = ("name", "title", "owner__name", "owner__email")


def usable_prompts(user_id: uuid.UUID) -> QuerySet[Prompt]:
    """The prompts that this user may use."""
    return Prompt.objects.filter(staffs(Prompt, user_id) | own_or_shared(Prompt, user_id), disabled_by_staff=False)


def prompt_entries(user: User) -> list[dict[str, Any]]:
    """The list for the page: the user's own, then staff's, then what others share with their names. No texts."""
    rows = usable_prompts(user.pk).select_related("owner").only(*_SHOWN).order_by("name", "id")
    own: list[dict[str, Any]] = []
    staffs_own: list[dict[str, Any]] = []
    shared: list[dict[str, Any]] = []
    for row in rows:
        entry = {"id": str(row.pk), "name": row.name, "title": row.title}
        if row.owner is None:
            staffs_own.append(entry)
        elif row.owner_id == user.pk:
            own.append(entry)
        else:
            shared.append(entry | {"owner": row.owner.display_name})
    return own + staffs_own + shared[:MAX_SHARED]


def prompt_pieces(user_id: uuid.UUID, prompt_id: uuid.UUID) -> dict[str, Any]:
    """A prompt as the page fills it in: `pieces` are texts and `{"name": …}` of variables, `variables` what to ask for.

    Raises `NotFound` for a prompt that this user may not use.
    """
    text = usable_prompts(user_id).filter(pk=prompt_id).values_list("text", flat=True).first()
    if text is None:
        raise NotFound
    pieces = [{"name": piece.name} if isinstance(piece, Use) else piece for piece in parse(text)]
    variables = [{"name": one.name, "default": one.default, "long": one.long} for one in variables_of(text)]
    return {"pieces": pieces, "variables": variables}


def save_prompt(prompt: Prompt) -> Prompt:
    """Checks and writes a user's own prompt. Raises `Invalid` with a sentence."""
    prompt.name = clean_name(prompt.name)
    check_variables(prompt.text)
    prompt.updated_at = timezone.now()
    return store(prompt)


def duplicate_prompt(user: User, prompt_id: uuid.UUID) -> Prompt:
    """Makes the user's own copy of a prompt that they may use, shared with nobody. Raises `NotFound` and `Invalid`."""
    found = usable_prompts(user.pk).filter(pk=prompt_id).first()
    if found is None:
        raise NotFound
    names = set(Prompt.objects.filter(owner=user).values_list("name", flat=True))
    name = found.name if found.name not in names else free_name(found.name, names, MAX_NAME, "-copy", "-copy-{}")
    return save_prompt(Prompt(owner=user, name=name, title=found.title, text=found.text))


def clean_name(name: str) -> str:
    """A name as it is stored and typed: lower case, without a slash before it, one form of letters with accents."""
    return unicodedata.normalize("NFC", name.strip().removeprefix("/").lower())


def check_variables(text: str) -> None:
    """Raises `Invalid` if the form would have too many fields."""
    if (count := len(variables_of(text))) > MAX_VARIABLES:
        raise Invalid(
            _("A prompt can have at most %(max_variables)s variables. This one has %(count)s.")
            % {"max_variables": MAX_VARIABLES, "count": count}
        )
