from django.apps import AppConfig

from config.ops import gc_tuning


class ConfigConfig(AppConfig):
    """Provides the commands that run the program (`manage.py up`, `serve`, ...)."""

    name = "config"

    def ready(self) -> None:
        gc_tuning.begin()  # manage.py disables it while modules are loaded; this app is the last
