"""What an MCP server returned, as a `ToolResult`. `raw_results` has bounded the number of its parts."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

import mcp_types as types

from accounts.lib.urls import is_http, split_url
from workers.tools.base import MAX_OUTPUT_CHARS, Picture, Source, ToolResult
from workers.tools.servers.listing import clean, shorten

MAX_PICTURES: Final = 8
MAX_PICTURE_BYTES: Final = 5 * 1024 * 1024
MAX_PROMPT_CHARS: Final = 40_000  # a message has at most 48 KiB
_SIGNATURES: Final = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}


def convert_result(result: types.CallToolResult, title: str) -> ToolResult:
    """Text, structured content, pictures, resources and links. What cannot be passed on is named in a sentence."""
    parts: list[str] = []
    pictures: list[Picture] = []
    sources: list[Source] = []
    for block in result.content:
        if isinstance(block, types.TextContent):
            parts.append(block.text)
        elif isinstance(block, types.ImageContent):
            _add_picture(block, parts, pictures)
        elif isinstance(block, types.AudioContent):
            parts.append(f"[{title} returned a sound ({shorten(block.mime_type, 40)}), which is not shown.]")
        elif isinstance(block, types.ResourceLink):
            parts.append(_link(block, sources))
        elif isinstance(block, types.EmbeddedResource):
            parts.append(resource_text(block.resource))
    structured = _structured(result)
    if structured and not _repeats(parts, result.structured_content):
        parts.append(structured)
    text = "\n\n".join(part for part in parts if part)
    empty = "[It returned nothing.]" if not pictures else "[It returned only a picture.]"
    return ToolResult(_cut(text) or empty, failed=result.is_error, sources=tuple(sources), pictures=tuple(pictures))


def resource_text(resource: types.TextResourceContents | types.BlobResourceContents) -> str:
    """The text of a resource, below its address."""
    name = shorten(resource.uri, 300)
    if isinstance(resource, types.TextResourceContents):
        return f"[Resource {name}]\n{resource.text}"
    kind = shorten(resource.mime_type or "unknown type", 60)
    return f"[Resource {name}: {len(resource.blob) * 3 // 4} bytes of {kind}, which are not shown.]"


def _add_picture(block: types.ImageContent, parts: list[str], pictures: list[Picture]) -> None:
    kind = block.mime_type.lower()
    try:
        content = base64.b64decode(block.data, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content.startswith(_SIGNATURES.get(kind, (b"\x00nothing",))) or len(content) > MAX_PICTURE_BYTES:
        parts.append(f"[A picture of {shorten(kind, 40)} that cannot be shown.]")
    elif len(pictures) == MAX_PICTURES:
        parts.append("[One more picture was left out.]")
    else:
        pictures.append(Picture(kind, content))


def _link(block: types.ResourceLink, sources: list[Source]) -> str:
    title = shorten(block.title or block.name, 200)
    uri = shorten(block.uri, 1000)
    try:
        public = is_http(split_url(uri))
    except ValueError:
        public = False
    if public:
        sources.append(Source(title or uri, uri, shorten(block.description or "", 500)))
    return f"[Resource: {title} – {uri}]" + (f" {shorten(block.description, 500)}" if block.description else "")


def _structured(result: types.CallToolResult) -> str:
    if result.structured_content is None:
        return ""
    return json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":"))


def _repeats(parts: list[str], structured: Any) -> bool:
    """Whether a text is the structured content over again, as the protocol wants it for older clients."""
    for part in parts:
        try:
            value = json.loads(part)
        except (ValueError, RecursionError):
            value = part
        if value == structured or structured == {"result": value}:
            return True
    return False


def _cut(text: str) -> str:
    if len(text) <= MAX_OUTPUT_CHARS:
        return text
    note = f"\n\n[Cut: the result has {len(text)} characters.]"
    return text[: MAX_OUTPUT_CHARS - len(note)] + note


def convert_prompt(prompt: types.GetPromptResult) -> str:
    """A prompt as the text of one message; who says what is told where it is a conversation."""
    texts: list[str] = []
    alone = all(one.role == "user" for one in prompt.messages)
    for one in prompt.messages:
        block = one.content
        if isinstance(block, types.TextContent):
            text = block.text
        elif isinstance(block, types.EmbeddedResource):
            text = resource_text(block.resource)
        elif isinstance(block, types.ResourceLink):
            text = _link(block, [])
        else:
            text = f"[{shorten(block.mime_type, 40)}, which is left out]"
        text = clean(text, MAX_PROMPT_CHARS)
        if text:
            texts.append(text if alone else f"{one.role.capitalize()}: {text}")
    return "\n\n".join(texts)[:MAX_PROMPT_CHARS]


def convert_resources(read: types.ReadResourceResult, title: str) -> ToolResult:
    """The contents of a resource: its texts, and its pictures."""
    parts: list[str] = []
    pictures: list[Picture] = []
    for one in read.contents:
        if isinstance(one, types.BlobResourceContents) and (one.mime_type or "").lower() in _SIGNATURES:
            _add_picture(types.ImageContent(data=one.blob, mime_type=one.mime_type or ""), parts, pictures)
        else:
            parts.append(resource_text(one))
    return ToolResult(_cut("\n\n".join(parts)) or f"[{title} returned nothing.]", pictures=tuple(pictures))
