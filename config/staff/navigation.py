"""The admin's sidebar: pages in groups. Users see the pages that they have permission for; pages of no group are under
"More".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chat.admin.moderation_figures import PERMISSION as FIGURES_PERMISSION
from chat.admin.text_search import PERMISSIONS as SEARCH_PERMISSIONS
from chat.admin.tool_figures import PERMISSION as TOOLS_PERMISSION
from chat.dashboard.queues_page import PERMISSION as QUEUES_PERMISSION
from chat.dashboard.speed_page import PERMISSION as SPEED_PERMISSION
from chat.dashboard.usage_page import PERMISSION as USAGE_PERMISSION
from config.staff import handbook

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

# Pages by "app.model", each with its name here (empty: the model's) and an icon of Material Symbols.
GROUPS: Final[tuple[tuple[StrPromise, tuple[tuple[str, str | StrPromise, str], ...]], ...]] = (
    (_("Users"), (
        ("accounts.user", "", "person"),
        ("accounts.invitation", "", "mail"),
        ("accounts.apitoken", "", "key"),
        ("accounts.scimtoken", "", "sync_alt"),
        ("accounts.pendingact", "", "how_to_reg"),
        ("chat.pushsubscription", "", "notifications"),
        ("auth.group", _("Roles"), "badge"),
    )),
    (_("Conversations"), (
        ("chat.run", "", "bolt"),
        ("chat.conversation", "", "forum"),
        ("chat.message", "", "chat_bubble"),
        ("chat.queuedmessage", "", "hourglass_top"),
        ("chat.rating", _("Quality"), "thumbs_up_down"),
        ("chat.revision", _("Earlier texts"), "history"),
        ("chat.file", _("Files"), "attach_file"),
        ("chat.collection", "", "library_books"),
        ("chat.sharelink", "", "share"),
        ("chat.joinlink", "", "group_add"),
        ("chat.recording", "", "mic"),
        ("chat.preset", "", "tune"),
        ("chat.prompt", "", "format_quote"),
    )),
    (_("Tools"), (
        ("chat.toolcall", _("Calls"), "build"),
        ("chat.step", _("Steps"), "footprint"),
        ("chat.knowntool", _("Tools"), "handyman"),
        ("chat.toolpolicy", _("Approval policies"), "verified_user"),
        ("chat.toolserver", "", "hub"),
        ("chat.toolconnection", _("Log-ins at servers"), "key"),
        ("workers.searchprovider", "", "travel_explore"),
    )),
    (_("Moderation"), (
        ("chat.moderationcase", _("Review queue"), "gavel"),
        ("chat.moderationrule", _("Rules"), "rule"),
        ("workers.judge", _("Judges"), "balance"),
        ("chat.policystep", _("Policy"), "stairs"),
        ("chat.strikescale", _("Strikes by severity"), "scale"),
        ("chat.strike", "", "flag"),
    )),
    (_("Quotas & billing"), (
        ("accounts.plan", "", "workspace_premium"),
        ("accounts.quota", "", "speed"),
        ("accounts.topup", "", "add_card"),
        ("accounts.allowance", "", "hourglass_bottom"),
        ("accounts.price", "", "sell"),
        ("accounts.budget", "", "savings"),
        ("accounts.usagereport", "", "forward_to_inbox"),
        ("accounts.dailyusage", _("Daily usage"), "bar_chart"),
        ("accounts.usageentry", "", "receipt_long"),
    )),
    (_("System"), (
        ("accounts.sitesettings", _("Site settings"), "palette"),
        ("workers.endpoint", "", "dns"),
        ("chat.knownmodel", "", "smart_toy"),
        ("workers.embedder", "", "scatter_plot"),
        ("chat.webhook", "", "webhook"),
        ("chat.webhookdelivery", "", "outbox"),
        ("accounts.auditentry", _("Audit log"), "policy"),
        ("chat.periodicjob", _("Periodic jobs"), "schedule"),
    )),
)  # fmt: skip


def build_sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups and their links, for unfold's SIDEBAR setting."""
    pages = {
        f"{app['app_label']}.{model['object_name'].lower()}": model
        for app in admin.site.get_app_list(request)
        for model in app["models"]
        if model["admin_url"]
    }
    overview = [
        _item(gettext("Dashboard"), "monitoring", reverse("admin:index")),
        *(
            [_item(gettext("Usage"), "bar_chart", reverse("admin:usage"))]
            if request.user.has_perm(USAGE_PERMISSION)
            else []
        ),
        *(
            [
                _item(gettext("Speed of models"), "speed", reverse("admin:speed")),
                _item(gettext("People"), "groups", reverse("admin:people")),
            ]
            if request.user.has_perm(SPEED_PERMISSION)
            else []
        ),
        *(
            [_item(gettext("Search in messages"), "search", reverse("admin:search_texts"))]
            if request.user.has_perms(SEARCH_PERMISSIONS)
            else []
        ),
        *(
            [_item(gettext("Moderation"), "shield", reverse("admin:moderation"))]
            if request.user.has_perm(FIGURES_PERMISSION)
            else []
        ),
        *(
            [_item(gettext("Tools"), "construction", reverse("admin:tools"))]
            if request.user.has_perm(TOOLS_PERMISSION)
            else []
        ),
        *(
            [_item(gettext("Queues"), "stacks", reverse("admin:queues"))]
            if request.user.has_perm(QUEUES_PERMISSION)
            else []
        ),
        _item(gettext("Exports"), "download", reverse("staff_exports")),
        _item(gettext("My usage"), "data_usage", reverse("chat:usage")),
        _item(gettext("New conversation"), "edit_square", reverse("chat:new"))
        | {"active": False},  # its URL is a prefix of all others
    ]
    if handbook.PATH.exists():
        overview.append(_item(gettext("Help"), "help", reverse("staff_help")))
    groups: list[dict[str, Any]] = [{"title": gettext("Overview"), "items": overview}]
    for title, named in GROUPS:
        items = []
        for label, name, icon in named:
            if page := pages.pop(label, None):
                items.append(_item(str(name) or str(page["name"]), icon, page["admin_url"]))
        groups.append({"title": str(title), "separator": True, "items": items})
    more = [_item(str(page["name"]), "category", page["admin_url"]) for page in pages.values()]
    groups.append({"title": gettext("More"), "separator": True, "items": more})
    return [group for group in groups if group["items"]]


def _item(title: str, icon: str, link: str) -> dict[str, Any]:
    return {"title": title[:1].upper() + title[1:], "icon": icon, "link": link}
