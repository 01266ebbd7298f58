"""The REST API under `/api/v1/`: conversations, messages, members, files and usage (docs/api.md).

The views check nothing themselves: they call what the page calls. Import `chat.api.rest.urls` only to answer a request,
because it loads django-ninja and pydantic.
"""
