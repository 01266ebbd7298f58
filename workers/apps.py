from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WorkersConfig(AppConfig):
    name = "workers"
    verbose_name = _("Workers")

    def ready(self) -> None:
        from accounts.lib.model_names import translate_derived_names
        from accounts.roles import register_app_permissions
        from chat.catalog.refusals import Refusals, register_refusals
        from workers.endpoints.refusals import find_refusals, forget_refusal, refusing_models

        translate_derived_names(self)
        register_app_permissions("workers")
        register_refusals(Refusals(find_refusals, forget_refusal, refusing_models))
