"""What the model of a run got of the files of its branch: stored, and as sent to clients."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chat.files.reading_reasons import sentence_of
from chat.models import Collection, File, FileUse, Run

COLLECTION: Final = "collection"


@dataclass(frozen=True, slots=True)
class UsedFile:
    """What the model of a run got of a file. `kind` is one of `FileUseKind`,
    `reason` a code of `chat.files.reading_reasons`. With the kind `COLLECTION` it is a collection, of which `given` of
    `total` files could be used.
    """

    file_id: uuid.UUID
    kind: str
    given: int
    total: int
    reason: str = ""
    shown: bool = True  # below the answer


def record_uses(run_id: uuid.UUID, uses: Sequence[UsedFile]) -> None:
    """Stores what the model of a run got, but for files that were deleted meanwhile."""
    there = set(File.objects.filter(pk__in=[one.file_id for one in uses]).values_list("pk", flat=True))
    FileUse.objects.bulk_create(
        [
            FileUse(
                run_id=run_id, file_id=one.file_id, kind=one.kind, given=one.given, total=one.total, reason=one.reason
            )
            for one in uses
            if one.file_id in there
        ],
        update_conflicts=True,
        unique_fields=["run", "file"],
        update_fields=["kind", "given", "total", "reason"],
    )


def stored_uses(uses: Sequence[UsedFile]) -> list[dict[str, Any]]:
    """As `Run.parameters` has them, so that no page needs another query. Names are not in it: files may be deleted."""
    return [
        {"id": str(one.file_id), "use": one.kind, "given": one.given, "total": one.total}
        | ({"reason": one.reason} if one.reason else {})
        for one in uses
        if one.shown
    ]


def load_file_names(runs: Iterable[Run]) -> None:
    """Reads the names of the files that these runs used, in one query, and in none where no run used any."""
    using = [run for run in runs if run.parameters.get("files")]
    if not using:
        return
    ids = {one["id"] for run in using for one in run.parameters["files"]}
    names = {str(pk): name for pk, name in File.objects.filter(pk__in=ids).values_list("pk", "name")}
    if any(one["use"] == COLLECTION for run in using for one in run.parameters["files"]):
        names |= {str(pk): name for pk, name in Collection.objects.filter(pk__in=ids).values_list("pk", "name")}
    for run in using:
        run.file_names = names


def files_of_run(run: Run) -> list[dict[str, Any]]:
    """What the model of a run got of each file, as sent to clients. The name of a file that was deleted is None."""
    stored = run.parameters.get("files")
    if not stored:
        return []
    if run.file_names is None:
        load_file_names([run])
    names: Mapping[str, str] = run.file_names or {}
    shown = []
    for one in stored:
        reason = {"reason": sentence_of(one["reason"])} if one.get("reason") else {}
        shown.append({**one, "name": names.get(one["id"]), **reason})
    return shown
