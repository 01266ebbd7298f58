"""The texts that calls of tools were given and returned: blanked where nobody may read them any more, and copied."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet

from chat.models import Step, ToolCall, ToolFile


def blank_calls(calls: QuerySet[ToolCall]) -> int:
    """Removes the arguments, results, questions, reasons, sources and files of these calls, and what models would be
    sent of their steps again. That they were made stays. Returns of how many calls.
    """
    with transaction.atomic():
        ids = list(calls.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
        rows = ToolCall.objects.filter(pk__in=ids)
        ToolFile.objects.filter(call__in=ids).delete()
        Step.objects.filter(requested_calls__in=ids).exclude(replay=None).update(replay=None)
        rows.update(
            arguments="", edited_arguments="", output="", question=None, answers=[], sources=[], queries=[], why="",
            reason="",
        )  # fmt: skip
    return len(ids)


def blank_outputs(calls: QuerySet[ToolCall]) -> int:
    """Removes the results and files of these calls; their arguments and sources stay. Returns of how many calls."""
    ids = list(calls.values_list("pk", flat=True))
    ToolFile.objects.filter(call__in=ids).delete()
    return ToolCall.objects.filter(pk__in=ids).update(output="")
