from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import roles
        from accounts.auth import checks, signals  # noqa: F401  # importing registers them
        from accounts.quotas import plans

        post_migrate.connect(plans.make_first_plan, sender=self)
        post_migrate.connect(roles.make_roles_last, dispatch_uid="accounts.roles")
