from django.contrib.admin.apps import AdminConfig


class StaffConfig(AdminConfig):
    """Stands for `django.contrib.admin` in INSTALLED_APPS: the admin on our own site class."""

    default_site = "accounts.staff.site.StaffSite"
