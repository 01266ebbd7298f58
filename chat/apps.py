from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_delete

        from accounts import erasure
        from chat import access, dossier, kept_audio  # noqa: F401  # importing `access` registers its signals
        from chat.models import Recording

        post_delete.connect(kept_audio.forget_file, sender=Recording)
        erasure.provide(dossier)
