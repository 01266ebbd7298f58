from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Provides the commands that run the program (`manage.py up`, `serve`, ...)."""

    name = "config"
