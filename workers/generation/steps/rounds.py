"""The requests of a run so far with their results and images, as the next request sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accounts.lib.db import in_db
from chat.catalog.access import said_of
from chat.models import Step
from chat.runs.call_images import choose_images, read_images
from workers.generation.steps.stored import through_outages
from workers.generation.tool_use.requests import Round, rounds_of
from workers.tools.base import Tool


async def read_rounds(
    steps: Sequence[Step], text: str, tools: Mapping[str, Tool], base: int, model: str, listed: bool | None
) -> list[Round]:
    """`rounds_of` with the images of the results, which are read if the model sees: as staff say, else as its endpoint
    lists it (`listed`; None: nobody knows, so they are). `tools` are those it may call.

    An outage is waited for.
    """
    inside = {name for name, tool in tools.items() if not tool.outside}
    chosen = choose_images(steps)
    if chosen.counts:
        said = await through_outages(lambda: in_db(said_of, model, "sees"))
        chosen = choose_images(steps, sees=(listed if said is None else said) is not False)
    images = await through_outages(lambda: in_db(read_images, chosen)) if chosen.counts else {}
    return rounds_of(steps, text, inside, base, images)
