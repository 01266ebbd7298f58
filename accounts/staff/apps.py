from django.contrib.admin.apps import AdminConfig


class StaffConfig(AdminConfig):
    """Replaces `django.contrib.admin` in INSTALLED_APPS, to use our own site class."""

    default_site = "accounts.staff.site.StaffSite"
