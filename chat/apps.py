from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import erasure
        from chat import access, dossier  # noqa: F401  # importing `access` registers its signals

        erasure.provide(dossier)
