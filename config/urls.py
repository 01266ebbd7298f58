from django.contrib import admin
from django.urls import include, path

from chat.views import staff_exports
from config.staff.handbook import show_handbook
from config.web.csp_reports import receive_report

admin.autodiscover()  # see accounts/staff/apps.py

urlpatterns = [
    path("admin/help/", admin.site.admin_view(show_handbook), name="staff_help"),
    path("admin/exports/", admin.site.admin_view(staff_exports.show), name="staff_exports"),
    path("admin/exports/<uuid:job_id>/", admin.site.admin_view(staff_exports.download), name="staff_export"),
    path(
        "admin/exports/<uuid:job_id>/delete/", admin.site.admin_view(staff_exports.delete), name="staff_export_delete"
    ),
    path("admin/", admin.site.urls),
    path("csp-report/", receive_report, name="csp_report"),
    path("", include("accounts.urls")),
    path("accounts/", include("allauth.urls")),
    path("", include("chat.urls")),
]
