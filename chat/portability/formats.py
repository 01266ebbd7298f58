"""Conversations in other programs' formats: our own export, ChatGPT's, Open WebUI's.

Each is read by its shape (msgspec), which names the place where it is wrong; fields we do not know are passed over.
ChatGPT's: https://help.openai.com/en/articles/7260999, a tree of nodes of which many are not shown there either.
Open WebUI's: Settings, Chats, Export; `history` is the tree, `messages` in older ones the path alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from chat.portability.archive import ImportRefusedError
from chat.portability.export import FORMAT, VERSION

IMAGE: Final = "[image]"  # stands for what is not taken along
OTHER: Final = "[attachment]"
NO_EXPORT: Final = "is no export of Antiphon, ChatGPT (conversations.json) or Open WebUI."
_CITATION: Final = re.compile("\ue200[^\ue200\ue201]{0,500}\ue201")  # ChatGPT's references to its own search
_REASONING: Final = re.compile(r'<details type="reasoning".*?</details>\s*', re.DOTALL)

Id = Annotated[str, Meta(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class ImportedMessage:
    """A message; `parent` is another's `id`, or None for a first one. `mine`: of the person whose export it is."""

    id: str
    parent: str | None
    role: str
    text: str
    at: datetime | None
    mine: bool = True


@dataclass(slots=True)
class ImportedConversation:
    """A conversation as its file has it. `wrong` is why it cannot be read; `place` says which one it is.

    `native`: from an Antiphon, maybe this one, where it may be still under its own id.
    """

    id: str
    title: str
    messages: list[ImportedMessage] = field(default_factory=list)
    tip: str | None = None
    wrong: str = ""
    place: str = ""
    native: bool = False


def read_chats(name: str, data: Any) -> Iterator[ImportedConversation]:
    """The conversations of one document. Raises `ImportRefusedError` when it is no export that we know."""
    rows, reader = _sort_out(name, data)
    for number, row in enumerate(rows, 1):
        title = row.get("title") if isinstance(row, dict) else None
        called = f" (“{title[:60]}”)" if isinstance(title, str) and title.strip() else ""
        place = f"{name}, conversation {number}{called}"
        try:
            chat = reader(row)
        except msgspec.ValidationError as error:
            chat = ImportedConversation("", "", wrong=f"{error}.")
        except (OverflowError, ValueError):
            chat = ImportedConversation("", "", wrong="A number in it is out of all bounds.")
        if chat is not None:
            chat.place = place
            yield chat


def _sort_out(name: str, data: Any) -> tuple[list[Any], Callable[[Any], ImportedConversation | None]]:
    rows = data
    if isinstance(data, dict) and data.get("format") == FORMAT:
        if data.get("version") != VERSION:
            raise ImportRefusedError(f"{name} was made by a newer version.")
        rows = data.get("conversations")
        if not isinstance(rows, list):
            raise ImportRefusedError(f"{name} has no list of conversations.")
        return rows, _from_ours
    if isinstance(data, dict) and ("mapping" in data or "chat" in data):
        rows = [data]  # one conversation by itself
    if isinstance(rows, list) and rows:
        for key, reader in (("mapping", _from_chatgpt), ("chat", _from_open_webui)):
            if all(isinstance(row, dict) and key in row for row in rows):
                return rows, reader
    raise ImportRefusedError(f"{name} {NO_EXPORT}")


# --- ours ------------------------------------------------------------------------------------------------------------


class OurMessage(Struct):
    id: Id
    role: str
    text: str
    created_at: datetime | None = None
    parent_id: Id | None = None
    mine: bool = True


class OurConversation(Struct):
    id: Id
    title: str
    messages: list[OurMessage]
    tip: str | None = None
    deleted_at: str | None = None
    temporary: bool = False


def _from_ours(row: Any) -> ImportedConversation | None:
    one = msgspec.convert(row, OurConversation)
    if one.deleted_at or one.temporary:
        return None  # it was to go
    messages = [ImportedMessage(m.id, m.parent_id, m.role, m.text, _aware(m.created_at), m.mine) for m in one.messages]
    return ImportedConversation(one.id, one.title, messages, one.tip, native=True)


# --- ChatGPT ---------------------------------------------------------------------------------------------------------


class Author(Struct):
    role: str


class Content(Struct):
    content_type: str = "text"
    parts: list[Any] | None = None
    text: str | None = None
    language: str | None = None


class Node(Struct):
    author: Author
    content: Content | None = None
    create_time: float | None = None
    recipient: str | None = None
    metadata: dict[str, Any] | None = None


class Mapped(Struct):
    message: Node | None = None
    parent: str | None = None


class ChatGPTConversation(Struct):
    mapping: dict[Id, Mapped]
    title: str | None = None
    conversation_id: str | None = None
    id: str | None = None
    current_node: str | None = None


def _from_chatgpt(row: Any) -> ImportedConversation:
    one = msgspec.convert(row, ChatGPTConversation)
    messages = []
    for key, node in one.mapping.items():
        message = node.message
        if message is None or not _is_shown(message):
            messages.append(ImportedMessage(key, node.parent, "", "", None))  # others hang below it
        else:
            # A picture that a tool drew is part of the answer.
            role = "assistant" if message.author.role == "tool" else message.author.role
            messages.append(
                ImportedMessage(key, node.parent, role, _words(message.content), _moment(message.create_time))
            )
    name = one.conversation_id or one.id or next(iter(one.mapping), "")
    return ImportedConversation(name, one.title or "", messages, one.current_node)


def _is_shown(message: Node) -> bool:
    """Whether ChatGPT itself shows it: no calls of tools, nothing tools said but pictures, no thoughts."""
    if message.metadata and message.metadata.get("is_visually_hidden_from_conversation") is True:
        return False
    content = message.content or Content()
    if message.author.role == "tool":
        return any(_kind(part) == "image_asset_pointer" for part in content.parts or ())
    if message.recipient not in (None, "all"):
        return False
    return content.content_type in ("text", "multimodal_text", "code")


def _words(content: Content | None) -> str:
    if content is None:
        return ""
    if content.content_type == "code":
        language = content.language if content.language not in (None, "unknown") else ""
        return f"```{language}\n{content.text or ''}\n```" if content.text else ""
    parts = content.parts if content.parts is not None else [content.text or ""]
    return _CITATION.sub("", "\n\n".join(word for part in parts if (word := _word(part))))


def _word(part: Any) -> str:
    if isinstance(part, str):
        return part
    if _kind(part) == "audio_transcription":
        return part["text"] if isinstance(part.get("text"), str) else ""
    if _kind(part).endswith("asset_pointer"):
        return IMAGE if _kind(part).startswith("image") else ""  # of speech there is the transcription
    return OTHER if isinstance(part, dict) else ""


def _kind(part: Any) -> str:
    kind = part.get("content_type") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""


# --- Open WebUI ------------------------------------------------------------------------------------------------------


class WebUIMessage(Struct):
    role: str
    id: str | None = None
    content: str | list[Any] | None = None
    parentId: str | None = None  # noqa: N815 -- theirs
    timestamp: float | None = None
    files: list[Any] | None = None


class History(Struct):
    messages: dict[Id, WebUIMessage]
    currentId: str | None = None  # noqa: N815 -- theirs


class WebUIChat(Struct):
    title: str | None = None
    history: History | None = None
    messages: list[WebUIMessage] | None = None


class WebUIConversation(Struct):
    id: Id
    chat: WebUIChat
    title: str | None = None


def _from_open_webui(row: Any) -> ImportedConversation:
    one = msgspec.convert(row, WebUIConversation)
    title = one.title or one.chat.title or ""
    if one.chat.history is not None and one.chat.history.messages:
        tree = one.chat.history.messages
        said = [ImportedMessage(key, m.parentId, m.role, _content(m), _moment(m.timestamp)) for key, m in tree.items()]
        return ImportedConversation(one.id, title, said, one.chat.history.currentId)
    said = []
    for number, m in enumerate(one.chat.messages or []):
        said.append(
            ImportedMessage(str(number), str(number - 1) if number else None, m.role, _content(m), _moment(m.timestamp))
        )
    return ImportedConversation(one.id, title, said)


def _content(message: WebUIMessage) -> str:
    if isinstance(message.content, list):
        parts = [part for part in message.content if isinstance(part, dict)]
        words = [part["text"] if isinstance(part.get("text"), str) else IMAGE for part in parts]
    else:
        words = [_REASONING.sub("", message.content or "")]
    for file in message.files or ():
        words.append(IMAGE if isinstance(file, dict) and file.get("type") == "image" else OTHER)
    return "\n\n".join(word for word in words if word.strip())


def _moment(seconds: float | None) -> datetime | None:
    """Seconds (or milliseconds) since 1970; what is no time of this century is none."""
    if seconds is not None and 946_684_800_000 < seconds < 4_102_444_800_000:
        seconds /= 1000
    if seconds is None or not 946_684_800 < seconds < 4_102_444_800:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _aware(moment: datetime | None) -> datetime | None:
    return _moment((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) if moment else None
