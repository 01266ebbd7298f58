"""A user's list of conversations, read page by page in both directions, from its newest, an entry, or a day."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from zoneinfo import ZoneInfo

from django.db.models import F, Q, QuerySet, Value
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from chat.conversations.folders import FolderEntry, folder_entries
from chat.conversations.list_views import ALL, ListView, members_in
from chat.models import Member, Tag
from chat.notifications.marks import NO_MARK, Mark, read_marks
from chat.protocol.errors import Invalid, NotFound

PAGE: Final = 40
MAX_PAGE: Final = 500
_FIELDS: Final = (
    "conversation_id", "conversation__title", "conversation__updated_at", "conversation__pinned_at",
)  # fmt: skip
# Not by the column itself: PostgreSQL would go through everybody's conversations in its order, which takes 200 ms where
# others have a hundred thousand newer ones. So it sorts the user's own.
_LAST_USED: Final = F("conversation__updated_at") + Value(datetime.timedelta(0))
NEWEST_FIRST: Final = (_LAST_USED.desc(), "-conversation_id")
_OLDEST_FIRST: Final = (_LAST_USED.asc(), "conversation_id")


@dataclass(frozen=True, slots=True)
class Item:
    id: uuid.UUID
    title: str
    updated_at: datetime.datetime
    pinned: bool = False
    mark: Mark = NO_MARK

    @property
    def position(self) -> str:
        return f"{self.updated_at.isoformat()}~{self.id}"


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under one heading: the pinned ones, then by time."""

    label: str
    items: list[Item]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the list a page begins. At most one of these; none: at the newest entry.

    `after` and `before` are a `Listing.next` and a `Listing.previous`: the page goes on there. The others begin a list
    anew: with the entry at a position (`start`), with a conversation in its middle (`around`), or with the newest entry
    of a day or before (`day`).
    """

    after: str = ""
    before: str = ""
    start: str = ""
    around: uuid.UUID | None = None
    day: datetime.date | None = None

    @property
    def continues(self) -> bool:
        return bool(self.after or self.before)


TOP: Final = Place()


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of the list.

    `next` continues it with older entries, empty at the end, and `previous` with newer ones, empty at the beginning.
    `start` reads this page again. `is_page`: it continues another one.
    """

    groups: list[Group] = field(default_factory=list)
    next: str = ""
    previous: str = ""
    is_page: bool = False
    mentioned_in: Collection[uuid.UUID] = ()  # conversations with a mention that the user has not seen
    view: ListView = ALL
    folders: Sequence[FolderEntry] = ()  # in the order of their tree; of a folder's list those within it
    name: str = ""  # of the folder or the tag that is shown

    @property
    def pinned_groups(self) -> int:
        """How many groups are pinned ones, above the entries that pages go on from: 0 or 1."""
        return int(self.view.has_pinned_on_top and bool(self.groups) and self.groups[0].items[0].pinned)

    @property
    def label(self) -> str:
        """What the list is called above it."""
        words = {"": _("Conversations"), "archived": pgettext("noun", "Archive"), "unread": _("Unread")}
        return self.name or str(words.get(self.view.kind, ""))

    @property
    def version(self) -> str:
        """Another one whenever the list shows anything else: a page that was just loaded asks whether it still fits."""
        shown = [(group.label, group.items) for group in self.groups]
        every = (shown, sorted(self.mentioned_in), str(self.view), self.folders, self.name, bool(self.previous))
        return hashlib.blake2b(repr(every).encode(), digest_size=9).hexdigest()


def read_listing(
    user_id: uuid.UUID,
    *,
    zone: ZoneInfo,
    view: ListView = ALL,
    place: Place = TOP,
    count: int = PAGE,
    mentioned_in: Collection[uuid.UUID] = (),
) -> Listing:
    """Up to `count` entries of a view, newest first. The pinned ones go before the first page and do not count.

    Raises `Invalid` for a position that is none, and `NotFound` for a folder or a tag that the user does not have.
    """
    count = max(1, min(count, MAX_PAGE))
    rows = members_in(user_id, view)
    loose = rows.filter(conversation__pinned_at=None) if view.has_pinned_on_top else rows
    start = place.start or _start_of(loose, rows, place, zone, count)
    pinned: list[Item] = []
    if place.before:
        newer = loose.filter(beyond(place.before, newer=True)).order_by(*_OLDEST_FIRST)
        found = _items(newer.values_list(*_FIELDS)[: count + 1])
        kept = found[:count][::-1]
        previous, following = (kept[0].position if len(found) > count else ""), ""
    else:
        asked = loose
        if place.after:
            asked = loose.filter(beyond(place.after))
        elif start:
            asked = loose.filter(beyond(start, inclusive=True))
        listed = asked.order_by(*NEWEST_FIRST).values_list(*_FIELDS)[: count + 1]
        if view.has_pinned_on_top and not place.after:  # in one query
            on_top = (members_anywhere(user_id) if view == ALL else rows).exclude(conversation__pinned_at=None)
            listed = listed.union(on_top.order_by().values_list(*_FIELDS), all=True)
        every = list(listed)
        if view.has_pinned_on_top:
            pinned = _items(sorted((row for row in every if row[3]), key=lambda row: (row[3], row[0]), reverse=True))
            every = [row for row in every if row[3] is None]
        found = _items(sorted(every, key=lambda row: (row[2], row[0]), reverse=True))
        kept = found[:count]
        following = kept[-1].position if len(found) > count else ""
        more = start and kept and loose.filter(beyond(kept[0].position, newer=True)).exists()
        previous = kept[0].position if more else ""
    marks = read_marks([item.id for item in (*pinned, *kept)], user_id)
    pinned, kept = ([replace(item, mark=marks.get((item.id, user_id), item.mark)) for item in some]
                    for some in (pinned, kept))  # fmt: skip
    groups = _grouped(kept, zone)
    if pinned:
        groups.insert(0, Group(_("Pinned"), pinned))
    if place.continues:
        return Listing(groups, following, previous, is_page=True, view=view)
    name, folders = _heading(user_id, view)
    return Listing(groups, following, previous, False, mentioned_in, view, folders, name)


def members_anywhere(user_id: uuid.UUID) -> QuerySet[Member]:
    """The memberships whose conversations are pinned at the top of the whole list, whichever folder they are in."""
    return Member.objects.filter(
        user_id=user_id, archived_at=None, conversation__deleted_at=None, conversation__temporary=False
    )


def _start_of(loose: QuerySet[Member], rows: QuerySet[Member], place: Place, zone: ZoneInfo, count: int) -> str:
    """The position at which a page of `count` entries begins; empty: at the newest."""
    if place.day is not None:
        ends = datetime.datetime.combine(place.day + datetime.timedelta(days=1), datetime.time.min, zone)
        first = loose.filter(conversation__updated_at__lt=ends).order_by(*NEWEST_FIRST).values_list(*_FIELDS)[:1]
        # Nothing is so old: the oldest page.
        oldest = first or loose.order_by(*_OLDEST_FIRST).values_list(*_FIELDS)[count - 1 : count]
        return _items(oldest)[0].position if oldest else ""
    if place.around is None:
        return ""
    entry = _items(loose.filter(conversation_id=place.around).values_list(*_FIELDS))
    if not entry:
        return ""
    half = count // 2
    newer = loose.filter(beyond(entry[0].position, newer=True)).order_by(*_OLDEST_FIRST)
    found = _items(newer.values_list(*_FIELDS)[: count + 1])
    return found[half - 1].position if len(found) > count else ""


def _heading(user_id: uuid.UUID, view: ListView) -> tuple[str, Sequence[FolderEntry]]:
    """The name of the folder or the tag that a view shows, and the folders above its list."""
    if view.kind == "tag":
        tags = Tag.objects.filter(pk=view.id or uuid.UUID(int=0), user_id=user_id)
        name = tags.values_list("name", flat=True).first()
        if name is None:
            raise NotFound(_("This tag no longer exists."))
        return name, ()
    if view.kind not in ("", "folder"):
        return "", ()
    every = folder_entries(user_id)
    if view.id is None:
        return "", every
    shown = next((one for one in every if one.id == view.id), None)
    if shown is None:
        raise NotFound(_("This folder no longer exists."))
    within = [replace(one, depth=one.depth - shown.depth - 1) for one in every if view.id in one.ancestors]
    return shown.name, within


def _items(rows: Collection[tuple[uuid.UUID, str, datetime.datetime, datetime.datetime | None]]) -> list[Item]:
    return [Item(*row[:3], pinned=row[3] is not None) for row in rows]


def _grouped(items: Sequence[Item], zone: ZoneInfo) -> list[Group]:
    today = timezone.now().astimezone(zone).date()
    return [
        Group(label, list(some))
        for label, some in itertools.groupby(
            items, lambda item: _day_heading(item.updated_at.astimezone(zone).date(), today)
        )
    ]


def beyond(position: str, *, newer: bool = False, inclusive: bool = False) -> Q:
    """Entries older than a position, or newer; with `inclusive` also the one there. Raises `Invalid`."""
    moment, last = parse_position(position, _("Invalid position in the list."))
    if newer:
        return Q(conversation__updated_at__gt=moment) | Q(conversation__updated_at=moment, conversation_id__gt=last)
    at = {"conversation_id__lte" if inclusive else "conversation_id__lt": last}
    return Q(conversation__updated_at__lt=moment) | Q(conversation__updated_at=moment, **at)


def parse_position(position: str, refusal: str) -> tuple[datetime.datetime, uuid.UUID]:
    """The time and the conversation of an entry, from `<ISO 8601 time with its zone>~<id>`.

    Raises `Invalid` with the sentence `refusal`.
    """
    moment, _sep, last = position.partition("~")
    try:
        when = datetime.datetime.fromisoformat(moment)
        if when.tzinfo is None:
            raise ValueError
        return when, uuid.UUID(last)
    except ValueError:
        raise Invalid(refusal) from None


def _day_heading(day: datetime.date, today: datetime.date) -> str:
    age = (today - day).days
    if age <= 0:
        return _("Today")
    if age == 1:
        return _("Yesterday")
    if age <= 7:
        return _("Last 7 days")
    if age <= 30:
        return _("Last 30 days")
    return date_format(day, "F" if day.year == today.year else "F Y")
