from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Holds the commands that run the local stack (`manage.py up`, `serve`)."""

    name = "config"
