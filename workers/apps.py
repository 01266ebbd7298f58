from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"

    def ready(self) -> None:
        from accounts.roles import register_app_permissions

        register_app_permissions("workers")
