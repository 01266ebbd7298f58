"""The addresses of the REST API, for its own handler (`config.web.rest`). The site's other pages do not know them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe

from chat.api.rest.application import api, openapi_document


@require_safe
def show_document(request: HttpRequest) -> HttpResponse:
    return HttpResponse(openapi_document(), content_type="application/json")


urlpatterns = [path("api/v1/openapi.json", show_document), path("api/v1/", api.urls)]
