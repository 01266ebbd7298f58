"""The fields with which a preset says which tools models may call, for its owner's page and for the admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chat.eventlog.own_tools import title_of
from chat.models import KnownTool, ToolServer


class NamedTool(Protocol):
    """A tool as `chat.catalog.tools.OfferedTool` and `KnownTool` have it."""

    @property
    def server(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def by_default(self) -> bool: ...


class ToolChoice(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """`tools` are keys of tools; None unless `own_tools` is set. The form calls `offer_tools`."""

    own_tools = forms.BooleanField(required=False, label=gettext_lazy("Only the tools that are chosen here"))
    tools = forms.MultipleChoiceField(required=False, label=gettext_lazy("Tools"), widget=forms.CheckboxSelectMultiple)

    def offer_tools(self, offered: Iterable[NamedTool]) -> None:
        """Offers these, and those that the preset has already. Without a choice, those on by default are marked."""
        field = self.fields["tools"]
        assert isinstance(field, forms.MultipleChoiceField)
        rows = list(offered)
        titles = {key_of(row): _titled(row) for row in rows}
        chosen = self.instance.tools
        for key in chosen or ():
            titles.setdefault(key, _("%(tool)s – not available") % {"tool": key})
        field.choices = list(titles.items())
        self.initial["own_tools"] = chosen is not None
        self.initial["tools"] = [key_of(row) for row in rows if row.by_default] if chosen is None else chosen

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if cleaned is not None and "tools" in cleaned and not cleaned.get("own_tools"):
            cleaned["tools"] = None
        return cleaned


def key_of(tool: NamedTool) -> str:
    """How conversations and presets name a tool."""
    return f"{tool.server}/{tool.name}" if tool.server else tool.name


def staffs_tools() -> list[KnownTool]:
    """The tools that staff's presets may name: not those of people's own servers."""
    rows = KnownTool.objects.filter(enabled=True, gone_at=None).exclude(server__in=_owned_servers())
    return list(rows.defer("parameters", "recipe").order_by("server", "title"))


def _owned_servers() -> Any:
    return ToolServer.objects.exclude(owner=None).values("slug")


def _titled(tool: NamedTool) -> str:
    title = title_of(tool.server, tool.name, tool.title)
    return f"{title} ({tool.server})" if tool.server else title
