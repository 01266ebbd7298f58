from django.contrib.admin.apps import SimpleAdminConfig


class StaffConfig(SimpleAdminConfig):
    """Replaces `django.contrib.admin` in INSTALLED_APPS, to use our own site class.

    The admin modules are imported by config/urls.py: only web processes need them, and they are a third of the time
    that Django takes to load.
    """

    default_site = "accounts.staff.site.StaffSite"
