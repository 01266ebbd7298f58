from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_delete

        from accounts.erasure import UserData, register_user_data
        from chat.conversations import removal  # noqa: F401  # importing registers its signals
        from chat.models import Recording
        from chat.portability.export import export_user_data
        from chat.retention import erasure
        from chat.voice import audio_files

        post_delete.connect(audio_files.delete_file, sender=Recording)
        register_user_data(UserData(export_user_data, erasure.report))
