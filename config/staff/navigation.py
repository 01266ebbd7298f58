"""The admin's sidebar: pages in groups. Users see the pages that they have permission for; pages of no group are under
"More".
"""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from chat.admin.moderation_figures import PERMISSION as FIGURES_PERMISSION
from chat.admin.tool_figures import PERMISSION as TOOLS_PERMISSION
from chat.dashboard.usage_page import PERMISSION as USAGE_PERMISSION
from config.staff import handbook

# Pages by "app.model", each with its name here (empty: the model's) and an icon of Material Symbols.
GROUPS: Final[tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...]] = (
    ("Users", (
        ("accounts.user", "", "person"),
        ("accounts.invitation", "", "mail"),
        ("chat.pushsubscription", "", "notifications"),
        ("auth.group", "Roles", "badge"),
    )),
    ("Conversations", (
        ("chat.run", "", "bolt"),
        ("chat.conversation", "", "forum"),
        ("chat.message", "", "chat_bubble"),
        ("chat.queuedmessage", "", "hourglass_top"),
        ("chat.rating", "Quality", "thumbs_up_down"),
        ("chat.revision", "Earlier texts", "history"),
        ("chat.sharelink", "", "share"),
        ("chat.joinlink", "", "group_add"),
        ("chat.recording", "", "mic"),
        ("chat.preset", "", "tune"),
        ("chat.prompt", "", "format_quote"),
    )),
    ("Tools", (
        ("chat.toolcall", "Calls", "build"),
        ("chat.step", "Steps", "footprint"),
        ("chat.knowntool", "Tools", "handyman"),
        ("chat.toolpolicy", "Approval policies", "verified_user"),
        ("chat.toolserver", "", "hub"),
        ("chat.toolconnection", "Log-ins at servers", "key"),
        ("workers.searchprovider", "", "travel_explore"),
    )),
    ("Moderation", (
        ("chat.moderationcase", "Review queue", "gavel"),
        ("chat.moderationrule", "Rules", "rule"),
        ("workers.judge", "Judges", "balance"),
        ("chat.policystep", "Policy", "stairs"),
        ("chat.strikescale", "Strikes by severity", "scale"),
        ("chat.strike", "", "flag"),
    )),
    ("Quotas & billing", (
        ("accounts.plan", "", "workspace_premium"),
        ("accounts.quota", "", "speed"),
        ("accounts.topup", "", "add_card"),
        ("accounts.allowance", "", "hourglass_bottom"),
        ("accounts.price", "", "sell"),
        ("accounts.dailyusage", "Daily usage", "bar_chart"),
        ("accounts.usageentry", "", "receipt_long"),
    )),
    ("System", (
        ("accounts.sitesettings", "Site settings", "palette"),
        ("workers.endpoint", "", "dns"),
        ("chat.knownmodel", "", "smart_toy"),
        ("accounts.auditentry", "Audit log", "policy"),
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
        _item("Dashboard", "monitoring", reverse("admin:index")),
        *([_item("Usage", "bar_chart", reverse("admin:usage"))] if request.user.has_perm(USAGE_PERMISSION) else []),
        *(
            [_item("Moderation", "shield", reverse("admin:moderation"))]
            if request.user.has_perm(FIGURES_PERMISSION)
            else []
        ),
        *([_item("Tools", "construction", reverse("admin:tools"))] if request.user.has_perm(TOOLS_PERMISSION) else []),
        _item("My usage", "data_usage", reverse("chat:usage")),
        _item("New chat", "edit_square", reverse("chat:new")) | {"active": False},  # its URL is a prefix of all others
    ]
    if handbook.PATH.exists():
        overview.append(_item("Help", "help", reverse("staff_help")))
    groups: list[dict[str, Any]] = [{"title": "Overview", "items": overview}]
    for title, named in GROUPS:
        items = []
        for label, name, icon in named:
            if page := pages.pop(label, None):
                items.append(_item(name or str(page["name"]), icon, page["admin_url"]))
        groups.append({"title": title, "separator": True, "items": items})
    more = [_item(str(page["name"]), "category", page["admin_url"]) for page in pages.values()]
    groups.append({"title": "More", "separator": True, "items": more})
    return [group for group in groups if group["items"]]


def _item(title: str, icon: str, link: str) -> dict[str, Any]:
    return {"title": title[:1].upper() + title[1:], "icon": icon, "link": link}
