from django.contrib import admin
from django.urls import include, path

from config.staff.handbook import show_handbook
from config.web.csp_reports import receive_report

admin.autodiscover()  # see accounts/staff/apps.py

urlpatterns = [
    path("admin/help/", admin.site.admin_view(show_handbook), name="staff_help"),
    path("admin/", admin.site.urls),
    path("csp-report/", receive_report, name="csp_report"),
    path("", include("accounts.urls")),
    path("accounts/", include("allauth.urls")),
    path("", include("chat.urls")),
]
