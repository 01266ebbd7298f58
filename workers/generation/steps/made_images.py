"""Images that a model makes itself: files of a call that has ended when its request has, so that people see, download,
copy and export them as those of tools, and rules and judges of answers read them.

The model is never told of that call. What its later requests get of an answer is the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chat.eventlog.own_tools import IMAGE_NAME, IMAGE_TITLE, has_model_images
from chat.models import CallStatus, Step
from chat.runs.step_rows import CallEnd, NewCall
from workers.generation.steps.screening import CallScreen, ScreenedCall, ScreenedEnd
from workers.providers.base import ToolImage

CALL: Final = ScreenedCall(NewCall("image", IMAGE_NAME, "", IMAGE_TITLE, effect="reads"), None)


def made_images(steps: Sequence[Step]) -> bool:
    """Whether the model has made images in its last request, and asked for nothing: its answer is complete."""
    last = list(steps[-1].calls.all()) if steps else []
    return bool(last) and all(has_model_images(one.server, one.name, one.title) for one in last)


async def screen_images(screen: CallScreen, images: Sequence[ToolImage]) -> ScreenedEnd:
    """The images as they may be stored."""
    files = []
    for number, one in enumerate(images, 1):
        name = f"image-{number}" if len(images) > 1 else "image"
        files.append((f"{name}.{one.media_type.removeprefix('image/')}", one.media_type, one.content))
    said = "[The model made this image.]" if len(images) == 1 else "[The model made these images.]"
    return await screen.end(CallEnd(CallStatus.OK.value, said, len(said), files=files))
