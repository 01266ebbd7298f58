import gc

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Provides the commands that run the program (`manage.py up`, `serve`, ...)."""

    name = "config"

    def ready(self) -> None:
        gc.enable()  # manage.py disables it while modules are loaded; this app is the last
