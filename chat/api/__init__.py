"""The API for programs: an OpenAI-compatible face of the site's models (docs/api.md).

A request becomes a turn like any other: `chat.turns.submit` accepts it, a worker answers, and the answer is read
from the event log. Only the way in (a token, a request of JSON) and the way out (JSON or server-sent events) are here.
"""
