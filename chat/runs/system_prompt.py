"""The system prompt of a request: the conversation's or the site's, and the own instructions of whoever asks."""

from __future__ import annotations

import re
import uuid
from typing import Final

from django.conf import settings
from django.db import connection

_TAG: Final = re.compile(r"<(?=\s*/?\s*user_instructions)", re.IGNORECASE)
_HEAD: Final = (
    "The person who asks has written the following about themselves and about how they want to be answered. "
    "Keep to it, as far as the instructions above allow."
)

SEVERAL_PEOPLE: Final = (
    "Several people write in this conversation. Each of their messages begins with the name of its author and a colon. "
    "Do not begin your own messages in this way."
)

# The instructions of the author of a question: only in conversations that the author is a member of, and in no
# temporary one. `c` is the conversation.
OWN_INSTRUCTIONS: Final = """
SELECT i.text FROM chat_message q
JOIN chat_instructions i ON i.user_id = q.author_id AND i.enabled AND NOT c.temporary
JOIN chat_member m ON m.user_id = q.author_id AND m.conversation_id = c.id
"""
_OF_PROMPT: Final = f"""
SELECT c.system_prompt, COALESCE(({OWN_INSTRUCTIONS} WHERE q.id = p.id), '')
FROM chat_message p JOIN chat_conversation c ON c.id = p.conversation_id WHERE p.id = %s
"""  # noqa: S608 -- constants


def compose_system_prompt(prompt: str, instructions: str) -> str:
    """The conversation's prompt, or the site's where it is empty, and after it a user's instructions between tags,
    which the instructions themselves cannot end.
    """
    prompt = prompt or settings.SYSTEM_PROMPT
    text = _TAG.sub("‹", instructions.strip())
    if not text:
        return prompt
    own = f"<user_instructions>\n{_HEAD}\n\n{text}\n</user_instructions>"
    return f"{prompt}\n\n{own}" if prompt else own


def with_people(prompt: str, *, several: bool) -> str:
    """The prompt, with a sentence on how the messages of several people are told apart."""
    return f"{prompt}\n\n{SEVERAL_PEOPLE}".strip() if several else prompt


def read_system_prompt(prompt_id: uuid.UUID) -> str:
    """The system prompt of an answer to a message."""
    with connection.cursor() as cursor:
        cursor.execute(_OF_PROMPT, [prompt_id])
        row = cursor.fetchone()
    return compose_system_prompt(*row) if row else settings.SYSTEM_PROMPT
