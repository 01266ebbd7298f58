from django.contrib import admin
from django.urls import include, path

from config.staff.handbook import show_handbook

admin.autodiscover()  # see accounts/staff/apps.py

urlpatterns = [
    path("admin/help/", admin.site.admin_view(show_handbook), name="staff_help"),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("accounts/", include("allauth.urls")),
    path("", include("chat.urls")),
]
