"""Collections as answers and pages use them: which ones a user may use, how far their files are read, their files.

| who                                  | use it, see its files | change it |
|--------------------------------------|-----------------------|-----------|
| its owner                            | yes                   | yes       |
| who is in a group with which the owner, who is in it too, shares it | yes | no |
| everybody else                       | no                    | no        |
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from chat.models import Collection, Conversation, EmbeddingState, File, FileState, Recognition, RecognitionState
from chat.models.sharing import own_or_shared

# The model of the table that says which collections a conversation has.
Chosen: Any = Conversation.collections.through


@dataclass(frozen=True, slots=True)
class Readiness:
    """How many files collections have, how many of them were read, and how many can't be. `size` in bytes.
    `embedding`: of how many vectors are still to be made; until then they are found by words.
    """

    files: int = 0
    ready: int = 0
    failed: int = 0
    size: int = 0
    embedding: int = 0

    @property
    def pending(self) -> int:
        return self.files - self.ready - self.failed

    def as_dict(self) -> dict[str, int]:
        shown = {"files": self.files, "ready": self.ready, "failed": self.failed}
        return {**shown, "embedding": self.embedding} if self.embedding else shown


def usable_collections(user_id: uuid.UUID) -> QuerySet[Collection]:
    """The user's own, and those that are shared with the user."""
    return Collection.objects.filter(own_or_shared(Collection, user_id))


def readiness_of(collection_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Readiness]:
    """By collection; one without files is not in it. A file without any text counts as one that can't be read."""
    ready = Q(blob__state=FileState.READ, blob__characters__gt=0)
    recognised_later = Q(blob__in=Recognition.objects.filter(state=RecognitionState.PENDING).values("blob"))
    rows = (
        File.objects.filter(collection__in=list(collection_ids))
        .values("collection")
        .annotate(
            files=Count("pk"),
            ready=Count("pk", filter=ready),
            failed=Count("pk", filter=~ready & ~Q(blob__state=FileState.PENDING) & ~recognised_later),
            size=Sum("blob__size"),
            embedding=Count("pk", filter=Q(blob__embedding__state=EmbeddingState.PENDING)),
        )
    )
    return {
        row["collection"]: Readiness(row["files"], row["ready"], row["failed"], int(row["size"] or 0), row["embedding"])
        for row in rows
    }


def collection_dict(collection: Collection, user_id: uuid.UUID, readiness: Readiness | None) -> dict[str, Any]:
    """A collection as the choice of a conversation shows it. `collection.owner` should be loaded."""
    shown: dict[str, Any] = {
        "id": str(collection.pk), "name": collection.name, "description": collection.description,
        **(readiness or Readiness()).as_dict(),
    }  # fmt: skip
    if collection.owner_id != user_id:
        shown["owner"] = collection.owner.display_name
    return shown
