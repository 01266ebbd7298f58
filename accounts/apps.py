from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("Accounts")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import (
            roles,
            security_log,  # noqa: F401  # importing registers its receivers
        )
        from accounts.auth import checks, signals  # noqa: F401  # importing registers them
        from accounts.lib.model_names import translate_derived_names
        from accounts.quotas import plans
        from accounts.sso import receivers  # noqa: F401  # as above
        from accounts.staff.user_links import UserLink, register_user_link

        translate_derived_names(self)
        post_migrate.connect(plans.create_default_plan, sender=self)
        post_migrate.connect(roles.create_roles_after_migrate, dispatch_uid="accounts.roles")
        for title, model, parameter in (
            (_("Daily usage"), "dailyusage", "user__exact"),
            (_("Own quotas"), "quota", "user__exact"),
            (_("Usage entries"), "usageentry", "user__exact"),
            (_("Allowances"), "allowance", "user__exact"),
            (_("Top-ups"), "topup", "q"),
            (_("API tokens"), "apitoken", "user__exact"),
            (_("Audit log"), "auditentry", "subject"),
            (_("Who read their messages"), "auditentry", "read_of"),
            (_("What they did as staff"), "auditentry", "actor__exact"),
        ):
            view = f"admin:accounts_{model}_changelist"
            register_user_link(UserLink(title, view, parameter, f"accounts.view_{model}"))
