"""Filters of the list of models."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Price
from chat.admin.filters import Filter
from chat.catalog import offered_models
from chat.catalog.refusals import refusing_models
from chat.models import KnownModel, Visibility


class DecidedFilter(Filter):
    """By what staff decided, or what the endpoint's list says."""

    title = _("offered")
    parameter_name = "offered"

    def offered(self) -> list[tuple[str, str]]:
        return [
            ("yes", gettext("Offered")),
            ("no", gettext("Not offered")),
            ("staff", gettext("Decided by staff")),
            ("limited", gettext("Only for groups")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "yes" | "no" as wanted:
                names = [one["id"] for one in offered_models.offered_models()]
                theirs = queryset.filter(name__in=names).exclude(visibility=Visibility.HIDDEN)
                return theirs if wanted == "yes" else queryset.exclude(pk__in=theirs.values("pk"))
            case "staff":
                return queryset.exclude(visibility=Visibility.AUTOMATIC)
            case "limited":
                return queryset.filter(limited=True)
        return queryset


class RefusingFilter(Filter):
    title = _("refusals")
    parameter_name = "refuses"

    def offered(self) -> list[tuple[str, str]]:
        return [("yes", gettext("Does not accept something"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(name__in=refusing_models()) if self.value() == "yes" else queryset


class PriceFilter(Filter):
    """Models that no price applies to at any endpoint: what their answers cost is unknown."""

    title = _("price")
    parameter_name = "price"

    def offered(self) -> list[tuple[str, str]]:
        return [("none", gettext("Without a price"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() != "none":
            return queryset
        known = Price.objects.filter(Q(model="") | Q(model=OuterRef("name")), valid_from__lte=Now())
        return queryset.filter(~Exists(known))


class EndpointFilter(Filter):
    title = _("endpoint")
    parameter_name = "endpoint"

    def offered(self) -> list[tuple[str, str]]:
        names = KnownModel.objects.exclude(endpoint="").order_by("endpoint").values_list("endpoint", flat=True)
        return [(name, name) for name in names.distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(endpoint=self.value()) if self.value() else queryset
